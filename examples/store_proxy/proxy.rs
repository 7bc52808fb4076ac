//! The proxy. Whatever it asks of the store goes through one recovery, and whatever fails goes out as Anthropic's API
//! would say it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, put};
use http::{Method, Uri};
use recoup::axum::{Alerts, ErrorLayer, Format, Rejection, RequestId};
use recoup::http::Responses;
use recoup::reqwest::{Recover, ReqwestErrors};
use recoup::{CallContext, Category, Event, Jitter, Recovery, RetryBudget, RetryPolicy, SettingError};

type Log = Arc<dyn Fn(String) + Send + Sync>;

#[derive(Clone)]
struct Proxy {
    client: reqwest::Client,
    store: String,
    recovery: Recovery<reqwest::Error>,
}

/// A proxy of the store at `store`, which has `limit` for each attempt. Every attempt and every failure is a line
/// for `log`.
pub(crate) fn proxy(
    store: String,
    limit: Duration,
    jitter: Jitter,
    log: Log,
) -> Result<Router, Box<dyn std::error::Error>> {
    // reqwest's own retries are off: they would multiply with ours, uncounted.
    let client = reqwest::Client::builder().retry(reqwest::retry::never()).no_proxy().build()?;
    let proxy = Proxy { client, store, recovery: recovery(limit, jitter, Arc::clone(&log))? };
    let errors = ErrorLayer::new()
        .format(Format::anthropic())
        .alerts(Alerts::new(move |alert| log(format!("{} {alert}", alert.request_id))))
        .catch_panics();
    Ok(Router::new()
        .route("/state/{key}", put(forward).get(forward).delete(forward)) // store, retrieve, delete
        .route("/state", delete(forward)) // clear
        .with_state(proxy)
        .layer(errors))
}

/// The one retry utility: 20 ms, 40 ms, 80 ms between four attempts.
fn recovery(limit: Duration, jitter: Jitter, log: Log) -> Result<Recovery<reqwest::Error>, SettingError> {
    let policy = RetryPolicy::exponential(Duration::from_millis(20))
        .max_attempts(4)
        .jitter(jitter)
        .budget(RetryBudget::builder().reserve(50).capacity(50).build()?); // an outage is met by no storm of retries
    let watch = move |event: &Event<'_>| match event {
        Event::AttemptFailed { call, attempt, classification: failed } => {
            let of = if failed.category() == Category::Network { " os error" } else { "" };
            let code = failed.status_code().map(|code| format!("{of} {code}")).unwrap_or_default();
            log(format!("{} attempt {attempt}: {}{code}", who(call), failed.category()));
        }
        Event::RetryScheduled { call, attempt, delay, .. } => {
            log(format!("{} attempt {} in {delay:?}", who(call), attempt + 1));
        }
        Event::GaveUp { call, attempts, reason, .. } => {
            log(format!("{} gave up after {attempts} attempts: {reason}", who(call)));
        }
        _ => {}
    };
    Recovery::builder("store")
        .classifier(ReqwestErrors)
        .retry(policy)
        .attempt_timeout(limit)
        .observer(Arc::new(watch))
        .build()
}

fn who(call: &recoup::CallInfo<'_>) -> String {
    format!("{} {}", call.correlation_id.unwrap_or("-"), call.operation.unwrap_or("-"))
}

async fn forward(
    State(proxy): State<Proxy>,
    id: RequestId,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Result<Response, Rejection> {
    let call = CallContext::new(format!("{method} {}", uri.path())).correlation_id(id.as_str());
    let request = proxy.client.request(method, format!("{}{}", proxy.store, uri.path()));
    let request = request.header("x-request-id", id.as_str()).body(body);
    let answer = request.recover(&proxy.recovery).context(&call).send().await?;
    // The last answer comes back as it is, a failure too.
    if let Some(failed) = Responses::new().judge(answer.status(), answer.headers(), b"") {
        return Err(Rejection::new(failed).caused_by(format!("the store answered {}", answer.status())));
    }
    Ok((answer.status(), Body::from_stream(answer.bytes_stream())).into_response())
}
