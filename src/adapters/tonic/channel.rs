//! The service, and the future of one call.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use super::answer_body::AnswerBody;
use super::call;
use super::layer::Settings;

/// A channel under a [`Recovery`](crate::Recovery). Made by a [`GrpcLayer`](super::GrpcLayer), and handed to
/// generated clients in place of the channel. Clones share what the layer knows.
///
/// It is always ready: whether a call may be made is asked when it is made, the circuit first and then the channel
/// inside.
#[derive(Clone)]
pub struct RecoveryChannel<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> RecoveryChannel<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The channel inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The channel inside, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B> Service<Request<Body>> for RecoveryChannel<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<AnswerBody<B>>;
    type Error = Status;
    type Future = ResponseFuture<B>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture<B> {
        // If somebody has made the instance ready before it was given to us, it is the one to use what it has
        // reserved: kept here, it would keep that for ever.
        let fresh = self.inner.clone();
        let inner = mem::replace(&mut self.inner, fresh);
        ResponseFuture { call: Box::pin(call::make(inner, Arc::clone(&self.settings), request)) }
    }
}

impl<S: fmt::Debug> fmt::Debug for RecoveryChannel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryChannel")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish()
    }
}

/// The future of a [`RecoveryChannel`]: one call with all its attempts, up to the head of its answer.
///
/// # Cancel safety
///
/// Dropping it drops the attempts under way, or the wait, and gives back what they held: the slot and its place in
/// the queue, the token reserved for a retry, a probe's place, and what the channel had reserved. The server is told
/// that the call is cancelled, and it counts as abandoned for the circuit breaker. No letter is written.
#[must_use = "futures do nothing unless awaited"]
pub struct ResponseFuture<B> {
    call: BoxFuture<'static, Result<Response<AnswerBody<B>>, Status>>,
}

impl<B> Future for ResponseFuture<B> {
    type Output = Result<Response<AnswerBody<B>>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.as_mut().poll(cx)
    }
}

impl<B> fmt::Debug for ResponseFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
