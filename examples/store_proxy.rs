//! A proxy in front of a store that is overloaded, breaks, stalls and is away in turn. When its one recovery gives up,
//! the client is told so in the words of Anthropic's API: 529 `overloaded_error`, 500 `api_error`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::routing::{Router, delete, put};
use http::{Method, StatusCode, Uri};
use recoup::axum::{Alerts, ErrorLayer, Format, Rejection, RequestId};
use recoup::reqwest::{Recover, ReqwestErrors};
use recoup::{CallContext, Category, Event, Jitter, Recovery, RetryBudget, RetryPolicy};

/// In front of the store at `store`, which has `limit` for each attempt. Attempts and failures are lines of `log`.
pub(crate) fn proxy(
    store: String,
    limit: Duration,
    jitter: Jitter,
    log: Arc<dyn Fn(String) + Send + Sync>,
) -> Result<Router, Box<dyn std::error::Error>> {
    let (alerted, budget) = (Arc::clone(&log), RetryBudget::builder().reserve(50).capacity(50).build()?);
    let policy = RetryPolicy::exponential(Duration::from_millis(20)).jitter(jitter).budget(budget); // 4 attempts
    let watch = move |event: &Event<'_>| match event {
        Event::AttemptFailed { call, attempt, classification: failed } => {
            let of = if failed.category() == Category::Network { " os error" } else { "" };
            let code = failed.status_code().map(|code| format!("{of} {code}")).unwrap_or_default();
            log(format!("{} attempt {attempt}: {}{code}", call.operation.unwrap_or("?"), failed.category()));
        }
        Event::RetryScheduled { call, attempt, delay, .. } => {
            log(format!("{} attempt {} in {delay:?}", call.operation.unwrap_or("?"), attempt + 1));
        }
        Event::GaveUp { call, attempts, reason, .. } => {
            log(format!("{} gave up after {attempts} attempts: {reason}", call.operation.unwrap_or("?")));
        }
        _ => {}
    };
    let recovery = Recovery::builder("store").classifier(ReqwestErrors).retry(policy).attempt_timeout(limit);
    let recovery = recovery.observer(Arc::new(watch)).build()?;
    let client = reqwest::Client::builder().retry(reqwest::retry::never()).no_proxy().build()?;
    let forward = move |id: RequestId, method: Method, uri: Uri, body: Bytes| async move {
        let call = CallContext::new(format!("{} {method} {}", id.as_str(), uri.path()));
        let request = client.request(method, format!("{store}{}", uri.path()));
        let request = request.header("x-request-id", id.as_str()).body(body);
        let answer = request.recover(&recovery).context(&call).send().await?;
        match recoup::http::Responses::new().judge(answer.status(), answer.headers(), b"") {
            Some(bad) => {
                Err(Rejection::new(bad).caused_by(format!("the store answered {}", answer.status())))
            }
            None => Ok((answer.status(), Body::from_stream(answer.bytes_stream()))),
        }
    };
    let each = put(forward.clone()).get(forward.clone()).delete(forward.clone()); // store, retrieve, delete
    let alerts = Alerts::new(move |alert| alerted(format!("{} {alert}", alert.request_id)));
    let errors = ErrorLayer::new().format(Format::anthropic()).alerts(alerts).catch_panics();
    Ok(Router::new().route("/state/{key}", each).route("/state", delete(forward)).layer(errors))
}

async fn serve(app: Router) -> std::io::Result<(String, tokio::task::JoinHandle<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    Ok((address, tokio::spawn(async move { drop(axum::serve(listener, app).await) })))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let answers = Arc::new(tokio::sync::Mutex::new(VecDeque::<u16>::new())); // the store's; 0 is none, ever
    let of_store = Arc::clone(&answers);
    let store = Router::new().fallback(async move || {
        let next = of_store.lock().await.pop_front().unwrap_or(200);
        let Ok(status) = StatusCode::from_u16(next) else { return std::future::pending().await };
        (status, "hello")
    });
    let (store, serving) = serve(store).await?;
    let proxy =
        proxy(store, Duration::from_millis(100), Jitter::Full, Arc::new(|line| println!("      {line}")))?;
    let (proxy, _) = serve(proxy).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    for (how, script, method, path) in [
        ("is well", [200; 4], Method::PUT, "/state/chat-1"),
        ("is overloaded for two requests", [503, 503, 200, 200], Method::GET, "/state/chat-1"),
        ("is overloaded for longer than we wait", [503; 4], Method::GET, "/state/chat-1"),
        ("is broken", [500; 4], Method::DELETE, "/state/chat-1"),
        ("stalls", [0; 4], Method::DELETE, "/state"),
        ("is away", [200; 4], Method::PUT, "/state/chat-1"),
    ] {
        *answers.lock().await = VecDeque::from(script);
        if how == "is away" {
            serving.abort();
        }
        println!("The store {how}: {method} {path}");
        let answer = client.request(method, format!("{proxy}{path}")).body("hello").send().await?;
        println!("   {} {}", answer.status(), answer.text().await?);
    }
    Ok(())
}
