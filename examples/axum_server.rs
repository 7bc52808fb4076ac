//! A server that takes no more than it can do, and says so in one way: a limit on a route, a breaker around what it
//! depends on, problems of RFC 9457, alerts.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::io::{Error, ErrorKind};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use recoup::axum::{Alerts, ErrorLayer, ProtectLayer, Rejection, RequestId};
use recoup::{
    Bulkhead, CallContext, CircuitBreaker, IoErrors, RateLimiter, Recovery, RetryPolicy,
    execute_with_recovery,
};

/// Takes its time.
async fn report() -> &'static str {
    tokio::time::sleep(Duration::from_millis(50)).await;
    "the report"
}

/// Asks a database that is away. `?` makes the answer of whatever went wrong.
async fn user(database: Recovery<Error>, id: RequestId) -> Result<String, Rejection> {
    let call = CallContext::new("find user").correlation_id(id.as_str());
    let find =
        async |_| Err(Error::new(ErrorKind::ConnectionRefused, "10.0.0.7:5432, as `app`: no connection"));
    Ok(execute_with_recovery(database.with_context(&call), find).await?)
}

async fn buggy() {
    let nothing: Option<u8> = std::hint::black_box(None);
    nothing.expect("there is something");
}

fn server(alerts: &Alerts) -> Result<Router, recoup::SettingError> {
    let database = Recovery::builder("users")
        .classifier(IoErrors)
        .retry(RetryPolicy::exponential(Duration::from_millis(10)))
        .circuit_breaker(
            CircuitBreaker::builder("users").consecutive_failures(3).open_for(Duration::from_secs(30)),
        )
        .build()?;
    let two_at_once = ProtectLayer::builder().bulkhead(Bulkhead::builder(2).name("reports")).build()?;
    let seldom = RateLimiter::builder(1, Duration::from_secs(5)).burst(1).name("signups");
    let everything = ProtectLayer::builder().timeout(Duration::from_millis(200)).build()?;
    Ok(Router::new()
        .route("/report", get(report).layer(two_at_once))
        .route("/signup", get(async || "welcome").layer(ProtectLayer::builder().rate_limit(seldom).build()?))
        .route("/user", get(async move |id: RequestId| user(database.clone(), id).await))
        .route("/slow", get(std::future::pending::<()>))
        .route("/buggy", get(buggy))
        .layer(everything)
        .layer(ErrorLayer::new().alerts(alerts).catch_panics().fill_bare_errors()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::panic::set_hook(Box::new(|panic| println!("   PANIC {panic}"))); // instead of a long backtrace
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let alerts = Alerts::new(|alert| println!("   ALERT {alert}"));
    let app = server(&alerts)?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async |path: &str| client.get(format!("http://{address}{path}")).send().await;

    println!("16 reports at once, where two are made at a time");
    let answers = futures::future::try_join_all((0..16).map(|_| ask("/report"))).await?;
    let with = |status: u16| answers.iter().filter(|answer| answer.status() == status).count();
    println!("   {} were answered 200, {} were answered 503", with(200), with(503));

    for (what, path) in [
        ("the database is away", "/user"),
        ("and its circuit is open", "/user"),
        ("one signup in five seconds", "/signup"),
        ("and not two", "/signup"),
        ("it stalls", "/slow"),
        ("it panics", "/buggy"),
        ("nobody knows it", "/nowhere"),
    ] {
        println!("{what}: GET {path}");
        let answer = ask(path).await?;
        let after = answer.headers().get("retry-after").map(|after| format!(", Retry-After: {after:?}"));
        println!("   {}{}", answer.status(), after.unwrap_or_default());
        println!("   {}", answer.text().await?);
    }
    println!("{} alerts were kept back: of each category five go out, then one in 12 s", alerts.suppressed());
    Ok(())
}
