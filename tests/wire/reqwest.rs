//! The client reqwest: what is sent again, when, and what comes back.

mod bodies;
mod errors;
mod hostile;
mod middleware;
mod redirects;
mod repeats;
mod responses;
mod tls;

use std::time::Duration;

use recoup::reqwest::ReqwestErrors;
use recoup::{ErrorClassifier, Recovery, RecoveryBuilder, RetryPolicy, Throttle};
use reqwest::Client;

/// A client that repeats nothing by itself.
pub(crate) fn client(http2: bool) -> Client {
    let builder = Client::builder().retry(reqwest::retry::never());
    let builder = if http2 { builder.http2_prior_knowledge() } else { builder.http1_only() };
    builder.build().unwrap()
}

/// A recovery of three attempts, for any type of error that `ReqwestErrors` knows.
pub(crate) fn builder<E: Send + Sync + 'static>() -> RecoveryBuilder<E>
where
    ReqwestErrors: ErrorClassifier<E>,
{
    let policy = RetryPolicy::exponential(Duration::from_millis(1)).max_attempts(3);
    Recovery::builder("wire").classifier(ReqwestErrors).retry(policy.throttle(Throttle::single_client()))
}

/// One that outlives its test, so that a call can be put together in several statements.
pub(crate) fn recovery() -> &'static Recovery<reqwest::Error> {
    Box::leak(Box::new(builder().build().unwrap()))
}

/// A port where nobody listens.
pub(crate) fn dead_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
