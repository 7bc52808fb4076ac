//! One operation, when the rate allows it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{AcquireRate, RateLimited, RateLimiter};
use crate::nested;
use crate::rejection::CallError;

pin_project! {
    /// The future of [`RateLimiter::call`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let limiter = recoup::RateLimiter::builder(1, std::time::Duration::from_secs(1)).build().unwrap();
    /// let answer = limiter.call(async || Err::<(), _>("no such row")).await;
    /// assert_eq!(answer.unwrap_err().into_operation(), Some("no such row"));
    /// let answer = limiter.call(async || Err::<(), _>("no such row")).await;
    /// assert!(answer.unwrap_err().rejected().is_some(), "a call that fails is one of them too");
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct RateLimiterCall<'l, F, Fut> {
        limiter: &'l RateLimiter,
        op: Option<F>,
        #[pin]
        stage: Stage<'l, Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<'l, Fut> {
        // Waiting for its turn; the operation is not made yet.
        Acquiring { #[pin] turn: AcquireRate<'l> },
        // Polling the operation; it holds nothing of the limiter.
        Running { #[pin] operation: Fut },
        Done,
    }
}

impl<'l, F, Fut> RateLimiterCall<'l, F, Fut> {
    pub(super) const fn new(limiter: &'l RateLimiter, op: F) -> Self {
        Self { limiter, op: Some(op), stage: Stage::Acquiring { turn: AcquireRate::new(limiter, 1) } }
    }
}

impl<F, Fut, T, E> Future for RateLimiterCall<'_, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, CallError<RateLimited, E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                // ## Acquiring => Running, when its turn has come; => Done, refused.
                StageProj::Acquiring { turn } => match ready!(turn.poll(cx)) {
                    Ok(()) => {
                        let op = this.op.take().expect("the operation is made once, on leaving this stage");
                        let operation = op();
                        this.stage.set(Stage::Running { operation });
                    }
                    Err(limited) => {
                        this.stage.set(Stage::Done);
                        nested::note(&limited.limiter);
                        return Poll::Ready(Err(CallError::Rejected(limited)));
                    }
                },
                // ## Running => Done, when the operation has answered.
                StageProj::Running { operation } => {
                    nested::clear(); // what was refused before this call is not why this one fails
                    let answer = ready!(operation.poll(cx));
                    this.stage.set(Stage::Done);
                    return Poll::Ready(answer.map_err(CallError::Operation));
                }
                StageProj::Done => panic!("`RateLimiterCall` polled after it ended"),
            }
        }
    }
}

impl<F, Fut> fmt::Debug for RateLimiterCall<'_, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiterCall").field("limiter", self.limiter).finish_non_exhaustive()
    }
}
