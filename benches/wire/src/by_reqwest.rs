//! The client reqwest: under recoup, and under reqwest-retry. Either with reqwest's own retries switched off.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use recoup::reqwest::{Recover, ReqwestErrors};
use recoup::{Recovery, RetryPolicy};
use reqwest::{Client, RequestBuilder};
use reqwest_middleware::ClientBuilder;
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;

use crate::by_tower::innermost;
use crate::situation::{Body, Ended, Plain};

fn client() -> Client {
    Client::builder().retry(reqwest::retry::never()).build().expect("a client")
}

fn stream(pieces: Vec<Bytes>) -> reqwest::Body {
    reqwest::Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)))
}

fn request(client: &Client, plain: Plain) -> RequestBuilder {
    let request = client.request(plain.method, plain.url);
    let request = match plain.key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    match plain.body {
        Body::Empty => request,
        Body::Whole(bytes) => request.body(bytes),
        Body::Streamed(pieces) => request.body(stream(pieces)),
    }
}

/// Its default policy, but for the throttle: a single client, which may retry its first failure.
pub(crate) async fn recoup(plain: Plain) -> Ended {
    let retry = RetryPolicy::exponential(Duration::from_millis(50)).max_attempts(4).no_budget();
    let recovery = Recovery::builder("wire")
        .classifier(ReqwestErrors)
        .retry(retry)
        .build()
        .expect("the settings are right");
    match request(&client(), plain).recover(&recovery).send().await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(match error.inner() {
            Some(inner) => innermost(inner),
            None => error.reason().to_string(),
        }),
    }
}

pub(crate) async fn reqwest_retry(plain: Plain) -> Ended {
    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::from_millis(50), Duration::from_secs(5))
        .build_with_max_retries(3);
    let client = ClientBuilder::new(client()).with(RetryTransientMiddleware::new_with_policy(policy)).build();
    let request = client.request(plain.method, plain.url);
    let request = match plain.key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    let request = match plain.body {
        Body::Empty => request,
        Body::Whole(bytes) => request.body(bytes),
        Body::Streamed(pieces) => request.body(stream(pieces)),
    };
    match request.send().await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(innermost(&error)),
    }
}
