//! One operation under a limit.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{ConcurrencyLimit, InFlight, Saturated};
use crate::classification::Outcome;
use crate::nested;
use crate::priority::Priority;
use crate::rejection::CallError;

pin_project! {
    /// The future of [`ConcurrencyLimit::call`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{ConcurrencyLimit, Priority};
    ///
    /// let limit = ConcurrencyLimit::aimd().build().unwrap();
    /// let answer = limit
    ///     .call(async || Err::<(), _>("busy"))
    ///     .priority(Priority::Low)
    ///     .overload_when(|error| *error == "busy")
    ///     .await;
    /// assert_eq!(answer.unwrap_err().into_operation(), Some("busy"));
    /// assert_eq!((limit.in_flight(), limit.snapshot().dropped), (0, 1));
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct ConcurrencyLimitCall<'l, F, Fut, J> {
        limit: &'l ConcurrencyLimit,
        priority: Priority,
        op: Option<F>,
        judge: J,
        #[pin]
        stage: Stage<'l, Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<'l, Fut> {
        // Not polled yet.
        Asking,
        // Polling the operation; its place comes back after it is dropped.
        Running { #[pin] operation: Fut, call: Option<InFlight<'l>> },
        Done,
    }
}

impl<'l, F, Fut, J> ConcurrencyLimitCall<'l, F, Fut, J> {
    pub(super) const fn new(limit: &'l ConcurrencyLimit, op: F, judge: J) -> Self {
        Self { limit, priority: Priority::Normal, op: Some(op), judge, stage: Stage::Asking }
    }

    /// How much it matters. Default: [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Which errors mean that the dependency has too much to do: time-outs, refused connections, 429, 503.
    /// Default: none, so that no error tells anything.
    pub fn overload_when<T, E, K>(self, judge: K) -> ConcurrencyLimitCall<'l, F, Fut, K>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        K: FnMut(&E) -> bool,
    {
        let Self { limit, priority, op, .. } = self;
        ConcurrencyLimitCall { limit, priority, op, judge, stage: Stage::Asking }
    }
}

impl<F, Fut, J, T, E> Future for ConcurrencyLimitCall<'_, F, Fut, J>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    J: FnMut(&E) -> bool,
{
    type Output = Result<T, CallError<Saturated, E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                // ## Asking => Running, with a place; => Done, refused.
                StageProj::Asking => match this.limit.try_enter(*this.priority) {
                    Ok(call) => {
                        let op = this.op.take().expect("the operation is made once, on leaving this stage");
                        // A panic in `op` drops `call`, which gives the place back.
                        let operation = op();
                        this.stage.set(Stage::Running { operation, call: Some(call) });
                    }
                    Err(saturated) => {
                        this.stage.set(Stage::Done);
                        nested::note(&saturated.limit);
                        return Poll::Ready(Err(CallError::Rejected(saturated)));
                    }
                },
                // ## Running => Done, when the operation has answered.
                StageProj::Running { operation, call } => {
                    nested::clear(); // what was refused before this call is not why this one fails
                    let answer = ready!(operation.poll(cx));
                    let outcome = match &answer {
                        Ok(_) => Outcome::Success,
                        Err(error) if (this.judge)(error) => Outcome::Failure,
                        Err(_) => Outcome::Ignored,
                    };
                    let call = call.take();
                    this.stage.set(Stage::Done);
                    if let Some(call) = call {
                        call.settle(outcome);
                    }
                    return Poll::Ready(answer.map_err(CallError::Operation));
                }
                StageProj::Done => panic!("`ConcurrencyLimitCall` polled after it ended"),
            }
        }
    }
}

impl<F, Fut, J> fmt::Debug for ConcurrencyLimitCall<'_, F, Fut, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimitCall")
            .field("limit", self.limit)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}
