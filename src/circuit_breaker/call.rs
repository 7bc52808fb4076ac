//! One call through a breaker.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{CircuitBreaker, Open, Permit};
use crate::classification::{Health, Outcome};
use crate::nested;
use crate::rejection::CallError;
use crate::time::Now;

impl CircuitBreaker {
    /// Makes one call, if the circuit lets it. Every error counts as a failure of the dependency.
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`] with [`Open`] when the call was not made, [`CallError::Operation`] with the
    /// operation's own error when it was.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the operation and counts the call as abandoned; see
    /// [`Abandoned`](super::Abandoned). If the operation panics, the call counts as failed, and the panic goes
    /// on.
    #[inline]
    pub fn call<F, Fut, T, E>(&self, op: F) -> CircuitBreakerCall<'_, F, Fut, fn(&E) -> Health>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_judged(op, |_| Health::Failure)
    }

    /// As [`call`](Self::call), where `judge` says what an error means to the dependency: a 404 is not its
    /// fault.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    #[inline]
    pub fn call_judged<F, Fut, T, E, J>(&self, op: F, judge: J) -> CircuitBreakerCall<'_, F, Fut, J>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        J: FnMut(&E) -> Health,
    {
        CircuitBreakerCall { breaker: self, op: Some(op), judge, attempt: None, permit: Permit::passenger() }
    }
}

pin_project! {
    /// The future of [`CircuitBreaker::call`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct CircuitBreakerCall<'b, F, Fut, J> {
        breaker: &'b CircuitBreaker,
        // Until nothing was asked of anybody yet.
        op: Option<F>,
        judge: J,
        // Dropped before its permit, which then reports what it assumes.
        #[pin]
        attempt: Option<Fut>,
        permit: Permit<'b>,
    }
}

impl<F, Fut, J, T, E> Future for CircuitBreakerCall<'_, F, Fut, J>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    J: FnMut(&E) -> Health,
{
    type Output = Result<T, CallError<Open, E>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // While the operation is polled the permit is held here, and what unwinds out of it is its failure. A call
        // that is ready at once never puts it away.
        let (mut permit, attempt) = if let Some(op) = this.op.take() {
            let mut permit = match this.breaker.enter(&Now::unread()) {
                Ok(permit) => permit,
                Err(open) => {
                    nested::note(&open.breaker);
                    return Poll::Ready(Err(CallError::Rejected(open)));
                }
            };
            permit.assume(Outcome::Failure);
            this.attempt.set(Some(op()));
            (permit, this.attempt.as_mut().as_pin_mut())
        } else {
            let mut permit = std::mem::replace(this.permit, Permit::passenger()).loose();
            permit.assume(Outcome::Failure);
            (permit, this.attempt.as_mut().as_pin_mut())
        };
        let attempt = attempt.expect("polled after it was ready");
        nested::clear(); // what was refused before this call is not why this one fails
        match attempt.poll(cx) {
            Poll::Pending => {
                permit.assume(Outcome::Abandoned);
                *this.permit = permit;
                Poll::Pending
            }
            Poll::Ready(Ok(value)) => {
                this.attempt.set(None);
                permit.succeed(&Now::unread());
                Poll::Ready(Ok(value))
            }
            Poll::Ready(Err(error)) => {
                let outcome = (this.judge)(&error).into();
                this.attempt.set(None);
                permit.settle_at(outcome, None, &Now::unread());
                Poll::Ready(Err(CallError::Operation(error)))
            }
        }
    }
}

impl<F, Fut, J> std::fmt::Debug for CircuitBreakerCall<'_, F, Fut, J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CircuitBreakerCall").field("breaker", &self.breaker.name()).finish_non_exhaustive()
    }
}
