//! The rules of HTTP in a layer around hyper's client, over real sockets.

mod bodies;
mod limits;
mod repeats;
mod spans;

use ::tower::{Layer, ServiceExt};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use recoup::http::{HttpErrors, Peeked, ReplayBody};
use recoup::tower::RecoveryLayer;
use recoup::tower::http::Http;
use recoup::{Recovery, RecoveryBuilder, RecoveryError, RetryPolicy};

use super::probe::MS;

type Answered = Result<Response<Peeked<Incoming>>, RecoveryError<Error>>;

/// Three attempts, at most 10 ms apart, without a throttle.
fn patient() -> RecoveryBuilder<Error> {
    let retry = RetryPolicy::fixed(10 * MS).max_attempts(3).no_budget();
    Recovery::builder("server").classifier(HttpErrors::new()).retry(retry)
}

fn layer() -> RecoveryLayer<Error, Http> {
    RecoveryLayer::http(patient().build().unwrap())
}

/// A client that any number of requests can go through.
fn client<B>(http2: bool) -> Client<HttpConnector, ReplayBody<B>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}

/// One request through a layer around a client of its own.
async fn send<B>(http2: bool, layer: &RecoveryLayer<Error, Http>, request: Request<B>) -> Answered
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    layer.layer(client(http2)).oneshot(request).await
}

fn get(url: String) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}

fn post(url: String) -> Request<Full<Bytes>> {
    Request::post(url).body(Full::from("an order")).unwrap()
}

async fn read(answered: Answered) -> (u16, Bytes) {
    let response = answered.unwrap();
    (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
}
