//! One call through a breaker.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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
    pub fn call_judged<F, Fut, T, E, J>(&self, op: F, judge: J) -> CircuitBreakerCall<'_, F, Fut, J>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        J: FnMut(&E) -> Health,
    {
        CircuitBreakerCall { breaker: self, judge, stage: Stage::New { op: Some(op) } }
    }
}

pin_project! {
    /// The future of [`CircuitBreaker::call`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct CircuitBreakerCall<'b, F, Fut, J> {
        breaker: &'b CircuitBreaker,
        judge: J,
        #[pin]
        stage: Stage<'b, F, Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<'b, F, Fut> {
        // Nothing was asked of anybody yet.
        New { op: Option<F> },
        // Polling the operation; the permit reports when this stage is dropped.
        Running { #[pin] attempt: Fut, permit: Option<Permit<'b>> },
        Done,
    }
}

impl<F, Fut, J, T, E> Future for CircuitBreakerCall<'_, F, Fut, J>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    J: FnMut(&E) -> Health,
{
    type Output = Result<T, CallError<Open, E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let StageProj::New { op } = this.stage.as_mut().project() {
            let op = op.take().expect("a new call has its operation");
            let mut permit = match this.breaker.enter(&Now::unread()) {
                Ok(permit) => permit,
                Err(open) => {
                    this.stage.set(Stage::Done);
                    nested::note(&open.breaker);
                    return Poll::Ready(Err(CallError::Rejected(open)));
                }
            };
            // Whatever unwinds out of the operation from here on is its failure.
            permit.assume(Outcome::Failure);
            this.stage.set(Stage::Running { attempt: op(), permit: Some(permit) });
        }
        let StageProj::Running { attempt, permit } = this.stage.as_mut().project() else {
            panic!("polled after it was ready");
        };
        if let Some(permit) = permit {
            permit.assume(Outcome::Failure);
        }
        nested::clear(); // what was refused before this call is not why this one fails
        let polled = attempt.poll(cx);
        if polled.is_pending()
            && let Some(permit) = permit
        {
            permit.assume(Outcome::Abandoned);
        }
        let result = ready!(polled);
        let outcome = match &result {
            Ok(_) => Outcome::Success,
            Err(error) => (this.judge)(error).into(),
        };
        let permit = permit.take();
        this.stage.set(Stage::Done);
        if let Some(permit) = permit {
            permit.settle(outcome);
        }
        Poll::Ready(result.map_err(CallError::Operation))
    }
}

impl<F, Fut, J> std::fmt::Debug for CircuitBreakerCall<'_, F, Fut, J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CircuitBreakerCall").field("breaker", &self.breaker.name()).finish_non_exhaustive()
    }
}
