//! The client's layer over a real server, and over frames that no real server sends.

mod answers;
mod citizen;
mod deadline;
mod hedging;
mod rejections;
mod retries;
mod streams;
mod transport;

use std::time::Duration;

use recoup::tonic::{GrpcErrors, GrpcLayer, MethodPolicy, RecoveryChannel, Retry, RetryBuilder};
use recoup::{CircuitBreaker, Recovery, RetryPolicy};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::Layer;

use super::echo::{Echo, EchoClient, Seen, Served};

const MS: Duration = Duration::from_millis(1);

const UNARY: &str = "/echo.v1.Echo/Unary";
const CLIENT_STREAM: &str = "/echo.v1.Echo/ClientStream";
const SERVER_STREAM: &str = "/echo.v1.Echo/ServerStream";
const BOTH: &str = "/echo.v1.Echo/Both";

type Client = EchoClient<RecoveryChannel<Channel>>;

/// Without anything that holds retries back.
fn recovery() -> Recovery<Status> {
    built(|builder| builder)
}

fn built(
    with: impl FnOnce(recoup::RecoveryBuilder<Status>) -> recoup::RecoveryBuilder<Status>,
) -> Recovery<Status> {
    let retry = RetryPolicy::builder().max_attempts(3).no_budget();
    with(Recovery::builder("echo").classifier(GrpcErrors).retry(retry)).build().unwrap()
}

fn breaker() -> CircuitBreaker {
    CircuitBreaker::builder("echo").build().unwrap()
}

fn layer() -> GrpcLayer {
    GrpcLayer::new(recovery())
}

/// A policy that makes up to four attempts.
fn retried(change: impl FnOnce(RetryBuilder) -> RetryBuilder) -> MethodPolicy {
    MethodPolicy::new().retry(change(Retry::builder()).build().unwrap())
}

fn client(served: &Served, layer: &GrpcLayer) -> Client {
    EchoClient::new(layer.layer(served.channel()))
}

/// What each call said of those before it.
fn previous(echo: &Echo) -> Vec<String> {
    echo.seen().iter().map(|seen: &Seen| seen.header("grpc-previous-rpc-attempts").to_owned()).collect()
}

fn codes(results: impl IntoIterator<Item = Status>) -> Vec<Code> {
    results.into_iter().map(|status| status.code()).collect()
}
