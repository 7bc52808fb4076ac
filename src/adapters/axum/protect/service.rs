//! The way of one request through the policies.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::Request;
use tower_service::Service;

use super::Rules;
use super::admit::{Asked, admit};
use super::body::{Held, HoldingBody};
use crate::adapters::axum::rejection::Rejection;
use crate::classification::Outcome;
use crate::rejection::CallError;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::oneshot;
use crate::timeout::timeout;

/// A service in a [`ProtectLayer`](super::ProtectLayer). It is always ready: the policies are asked before its inner
/// service's readiness, and that is waited for in the answer.
#[derive(Clone, Debug)]
pub struct ProtectService<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> ProtectService<S> {
    pub(super) const fn new(inner: S, rules: Arc<Rules>) -> Self {
        Self { inner, rules }
    }
}

impl<S, B> Service<Request<B>> for ProtectService<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ProtectFuture<S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ProtectFuture<S::Error> {
        let (hand_over, head) = oneshot::channel();
        // Kept here, what somebody had it reserve before it was given to us would be kept for ever.
        let fresh = self.inner.clone();
        let inner = mem::replace(&mut self.inner, fresh);
        let rules = Arc::clone(&self.rules);
        ProtectFuture { serving: Some(Box::pin(serve(rules, inner, request, hand_over))), head }
    }
}

/// A request on its way. It gives its answer, or has handed that over and holds the slots until it is told that the
/// body has ended.
pub(super) type Serving<E> = Pin<Box<dyn Future<Output = Result<Option<Response<Body>>, E>> + Send>>;

/// The answer, and where to say that its body has ended.
type Head = (Response<Body>, Arc<AtomicBool>);

/// The answer of a [`ProtectService`].
///
/// # Errors
///
/// Those of the inner service. What a policy refuses is an answer.
///
/// # Cancel safety
///
/// Dropped while it waits, it leaves every queue. Dropped while it is served, it drops the inner service's future first
/// and then gives all slots back; to the circuit breaker the request was abandoned.
#[must_use = "futures do nothing unless polled"]
pub struct ProtectFuture<E> {
    /// None once its body holds it.
    serving: Option<Serving<E>>,
    head: oneshot::Receiver<Head>,
}

impl<E: Send + 'static> Future for ProtectFuture<E> {
    type Output = Result<Response<Body>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let serving = this.serving.as_mut().expect("`ProtectFuture` is not polled after it ended");
        if let Poll::Ready(served) = serving.as_mut().poll(cx) {
            this.serving = None;
            let response = served.map(|response| response.expect("it ends without only in a body's hands"));
            return Poll::Ready(response);
        }
        match Pin::new(&mut this.head).poll(cx) {
            Poll::Ready(Ok((response, ended))) => {
                let serving = this.serving.take().expect("it was polled just above");
                let hold = |body| Body::new(HoldingBody::new(body, Held { serving, ended }));
                Poll::Ready(Ok(response.map(hold)))
            }
            // Unless a body is to hold the slots, nobody hands anything over.
            _ => Poll::Pending,
        }
    }
}

impl<E> fmt::Debug for ProtectFuture<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectFuture").finish_non_exhaustive()
    }
}

async fn serve<S, B>(
    rules: Arc<Rules>,
    inner: S,
    request: Request<B>,
    hand_over: oneshot::Sender<Head>,
) -> Result<Option<Response<Body>>, S::Error>
where
    S: Service<Request<B>>,
    S::Response: IntoResponse,
{
    let (parts, body) = request.into_parts();
    let asked = Asked::of(&rules, &parts);
    let admitted = admit(&rules, &asked).await;
    let (way, limit) = match admitted {
        Ok(admitted) => admitted,
        Err(rejection) => return Ok(Some(rejection.into_response())),
    };
    let request = Request::from_parts(parts, body);
    let (response, outcome) = match timeout(limit.time, || answer(inner, request)).await {
        Ok(response) => judged(&rules, response),
        Err(CallError::Rejected(_)) if limit.is_callers => {
            (Rejection::expired().into_response(), Outcome::Abandoned)
        }
        Err(CallError::Rejected(timed_out)) => (Rejection::from(timed_out).into_response(), Outcome::Failure),
        Err(CallError::Operation(error)) => {
            way.failed();
            return Err(error);
        }
    };
    let (held, load) = (way.answered(outcome), load(&response, outcome));
    if !rules.until_body_ends {
        held.settle(load);
        return Ok(Some(response));
    }
    let ended = Arc::new(AtomicBool::new(false));
    // Who does not take it has gone, and then all of this is dropped.
    let _taken = hand_over.send((response, Arc::clone(&ended)));
    // Nobody has to be woken: who ends the body polls this, and nobody else does then.
    poll_fn(|_| if ended.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }).await;
    held.settle(load);
    Ok(None)
}

/// Waits until the very instance that takes the request is ready for it.
async fn answer<S, B>(mut inner: S, request: Request<B>) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<B>>,
    S::Response: IntoResponse,
{
    poll_fn(|cx| inner.poll_ready(cx)).await?;
    inner.call(request).await.map(IntoResponse::into_response)
}

/// What an answer says of the load that the service bears. An error that comes quickly is no fast answer.
fn load(response: &Response<Body>, outcome: Outcome) -> Outcome {
    match response.status().as_u16() {
        429 | 503 | 504 | 529 if matches!(outcome, Outcome::Failure | Outcome::Success) => Outcome::Failure,
        0..400 => Outcome::Success,
        _ => Outcome::Ignored,
    }
}

fn judged(rules: &Rules, response: Response<Body>) -> (Response<Body>, Outcome) {
    let (parts, body) = response.into_parts();
    let outcome = (rules.judge)(&parts);
    (Response::from_parts(parts, body), outcome)
}
