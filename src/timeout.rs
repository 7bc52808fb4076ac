//! A limit on how long one operation may take.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use thiserror::Error;

use crate::nested;
use crate::rejection::CallError;
use crate::time::{Instant, Now};
use crate::timer::{self, Timer};

/// Runs `op` and gives up on it after `limit`.
///
/// The operation is always polled before the clock is looked at, so an answer that is there counts, however
/// late it is. The limit runs from the end of the first poll: an operation that answers in it costs no timer
/// and no look at the clock. With a limit of zero the operation is polled once. A limit of thirty years and
/// more, [`Duration::MAX`] included, is none.
///
/// To wait takes a tokio runtime with its clock enabled.
///
/// # Errors
///
/// [`CallError::Rejected`] with [`TimedOut`] after the limit, [`CallError::Operation`] if `op` failed in time.
///
/// # Cancel safety
///
/// Dropped, it drops the operation where it is. Timed out, it has done so before it answers.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use recoup::{CallError, timeout};
///
/// let late = timeout(Duration::from_secs(2), || std::future::pending::<Result<(), ()>>()).await;
/// let Err(CallError::Rejected(timed_out)) = late else { panic!("it answered") };
/// assert_eq!(timed_out.to_string(), "no answer within 2s");
///
/// let answer = timeout(Duration::from_secs(2), async || Ok::<_, ()>(7)).await;
/// assert_eq!(answer, Ok(7));
/// # }
/// ```
pub fn timeout<F, Fut, T, E>(limit: Duration, op: F) -> Timeout<F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    Timeout { op: Some(op), operation: None, limit, ends: Ends::Unread, timer: Timer::idle() }
}

/// The operation did not answer in time, and was dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// let limit = Duration::from_millis(5);
/// let late = recoup::timeout(limit, || std::future::pending::<Result<(), ()>>()).await;
/// assert_eq!(late.unwrap_err().rejected().map(|timed_out| timed_out.limit), Some(limit));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no answer within {limit:?}")]
#[non_exhaustive]
pub struct TimedOut {
    /// How long it was given.
    pub limit: Duration,
}

/// When the limit is reached.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// The operation was not pending yet, so nobody asked the clock.
    Unread,
    Never,
    At(Instant),
}

pin_project! {
    /// The future of [`timeout`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// let waits = recoup::timeout(Duration::MAX, || async {
    ///     tokio::time::sleep(Duration::from_secs(86_400)).await;
    ///     Ok::<_, ()>("done")
    /// });
    /// assert_eq!(waits.await, Ok("done"));
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<F, Fut> {
        op: Option<F>,
        #[pin]
        operation: Option<Fut>,
        limit: Duration,
        ends: Ends,
        #[pin]
        timer: Timer,
    }
}

impl<F, Fut, T, E> Future for Timeout<F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, CallError<TimedOut, E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(op) = this.op.take() {
            this.operation.set(Some(op()));
        }
        let operation = this.operation.as_mut().as_pin_mut();
        if let Poll::Ready(answer) = operation.expect("`Timeout` is not polled after it ended").poll(cx) {
            this.operation.set(None);
            this.timer.disarm();
            return Poll::Ready(answer.map_err(CallError::Operation));
        }
        let now = Now::unread();
        if let Ends::Unread = this.ends {
            *this.ends = timer::ends(*this.limit, &now).map_or(Ends::Never, Ends::At);
        }
        let Ends::At(end) = *this.ends else { return Poll::Pending };
        std::task::ready!(this.timer.as_mut().poll_at(&now, end, cx));
        this.operation.set(None);
        this.timer.disarm();
        nested::clear(); // the operation had not failed: whatever gave up inside of it is not why this does
        Poll::Ready(Err(CallError::Rejected(TimedOut { limit: *this.limit })))
    }
}

impl<F, Fut> fmt::Debug for Timeout<F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("limit", &self.limit)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::Arc;

    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;
    use crate::time;

    const SECOND: Duration = Duration::from_secs(1);

    fn rejected<T>(answer: Result<T, CallError<TimedOut, ()>>) -> Option<TimedOut> {
        answer.err().and_then(|error| error.rejected().copied())
    }

    #[tokio::test(start_paused = true)]
    async fn ends_at_the_limit_and_drops_the_operation() {
        let held = Arc::new(());
        let start = time::now();
        let op = || {
            let held = Arc::clone(&held);
            async move {
                let never = pending::<Result<(), ()>>().await;
                drop(held);
                never
            }
        };
        let mut late = task::spawn(timeout(SECOND, op));
        assert_pending!(late.poll());
        assert_eq!(Arc::strong_count(&held), 2);
        let answer = (&mut late).await;
        assert_eq!(rejected(answer), Some(TimedOut { limit: SECOND }));
        assert_eq!(time::now() - start, SECOND);
        assert_eq!(Arc::strong_count(&held), 1, "dropped before the future itself was");
    }

    #[test]
    fn prompt_answer_needs_no_timer() {
        // Outside a runtime tokio's timers cannot be made at all, so this shows that none was.
        let mut prompt = task::spawn(timeout(SECOND, || async { Err::<(), _>("no") }));
        assert_eq!(assert_ready!(prompt.poll()), Err(CallError::Operation("no")));
        for for_ever in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::from_secs(1 << 31)] {
            let mut waits = task::spawn(timeout(for_ever, pending::<Result<(), ()>>));
            assert_pending!(waits.poll());
        }
    }

    #[test]
    fn zero_polls_once() {
        let mut prompt = task::spawn(timeout(Duration::ZERO, || async { Ok::<_, ()>(1) }));
        assert_eq!(assert_ready!(prompt.poll()), Ok(1));
        let mut late = task::spawn(timeout(Duration::ZERO, pending::<Result<(), ()>>));
        assert!(rejected(assert_ready!(late.poll())).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_is_there_wins_however_late() {
        let mut ready = false;
        let op = || {
            poll_fn(move |_| {
                if std::mem::replace(&mut ready, true) { Poll::Ready(Ok::<_, ()>(1)) } else { Poll::Pending }
            })
        };
        let mut late = task::spawn(timeout(SECOND, op));
        assert_pending!(late.poll());
        tokio::time::advance(10 * SECOND).await;
        assert_eq!(assert_ready!(late.poll()), Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn limit_runs_from_the_first_poll() {
        let late = timeout(SECOND, pending::<Result<(), ()>>);
        tokio::time::advance(10 * SECOND).await;
        let start = time::now();
        assert!(rejected(late.await).is_some());
        assert_eq!(time::now() - start, SECOND);
    }
}
