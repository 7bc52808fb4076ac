//! tower's `retry` around hyper's client, under the policy that its documentation shows: so many attempts, with its own
//! exponential backoff, for errors and for 5xx and 429.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::{Policy, RetryLayer};
use tower::util::rng::HasherRng;
use tower::{Layer, ServiceExt};

use crate::situation::{Body, Ended, Plain};

/// A body that may be there to be sent again.
enum Sent {
    Whole(Full<Bytes>),
    Streamed(UnsyncBoxBody<Bytes, Infallible>),
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Streamed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => body.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.is_end_stream(),
        }
    }
}

#[derive(Clone)]
struct Attempts {
    left: u32,
    backoff: ExponentialBackoff,
}

impl<B> Policy<Request<Sent>, Response<B>, Error> for Attempts {
    type Future = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn retry(
        &mut self,
        _: &mut Request<Sent>,
        result: &mut Result<Response<B>, Error>,
    ) -> Option<Self::Future> {
        let failed = match result {
            Ok(response) => response.status().is_server_error() || response.status() == 429,
            Err(_) => true,
        };
        if !failed || self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(Box::pin(self.backoff.next_backoff()))
    }

    fn clone_request(&mut self, request: &Request<Sent>) -> Option<Request<Sent>> {
        let Sent::Whole(body) = request.body() else { return None };
        let mut again = Request::new(Sent::Whole(body.clone()));
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        Some(again)
    }
}

pub(crate) async fn tower_retry(plain: Plain) -> Ended {
    let mut backoff = ExponentialBackoffMaker::new(
        Duration::from_millis(50),
        Duration::from_secs(5),
        0.5,
        HasherRng::new(),
    )
    .expect("these settings are right");
    let policy = Attempts { left: 3, backoff: backoff.make_backoff() };
    let client = Client::builder(TokioExecutor::new()).build_http();
    let service = RetryLayer::new(policy).layer(client);
    let mut request = Request::builder().method(plain.method).uri(plain.url);
    if let Some(key) = plain.key {
        request = request.header("idempotency-key", key);
    }
    let body = match plain.body {
        Body::Empty => Sent::Whole(Full::default()),
        Body::Whole(bytes) => Sent::Whole(Full::new(bytes)),
        Body::Streamed(pieces) => {
            let frames = pieces.into_iter().map(|piece| Ok(http_body::Frame::data(piece)));
            Sent::Streamed(StreamBody::new(stream::iter(frames)).boxed_unsync())
        }
    };
    let request = request.body(body).expect("the request is right");
    match service.oneshot(request).await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(innermost(&error)),
    }
}

/// What an error comes from.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
