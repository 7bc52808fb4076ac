//! What clients of hyper meet: each failure told by what it is, and each request sent as often as it may be.

mod calls;
mod failures;
pub(crate) mod raw;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// A client of HTTP/1.1, or of HTTP/2 by prior knowledge.
fn client<B>(http2: bool) -> Client<HttpConnector, B>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}

/// The error that a plain GET ends with.
async fn failure(http2: bool, url: &str) -> hyper_util::client::legacy::Error {
    client::<Full<Bytes>>(http2).get(url.parse().unwrap()).await.map(|_| ()).unwrap_err()
}
