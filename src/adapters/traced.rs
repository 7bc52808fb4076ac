//! A span around each attempt.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tracing::Span;

use super::attribute as is;
use super::tracing::TARGET;
use crate::attempt::Attempt;

/// Wraps an operation so that each of its attempts runs in a span of its own, `recoup.attempt`, at level
/// `info`.
///
/// The spans of one call are siblings below the span in which the call is polled, and a wait is in none of
/// them: a call that was slow for its retries does not look like a slow server. Each carries the attempt's
/// number and, when it ends, its outcome: `ok`, `error`, `dropped` if it was cut short or its call was
/// dropped, `panicked`. From the second attempt on it carries `http.request.resend_count`, and the span of a
/// hedge says which it is. The names are
/// listed at [`attribute`](is).
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use recoup::{Recovery, execute_with_recovery, traced};
///
/// let recovery = Recovery::<&str>::builder("search").build()?;
/// let found = execute_with_recovery(&recovery, traced(|attempt| async move {
///     if attempt.is_first() { Err("busy") } else { Ok("needle") } // a log line here is in the attempt's span
/// }))
/// .await;
/// assert_eq!(found.unwrap(), "needle");
/// # Ok(()) }
/// ```
///
/// # Cancel safety
///
/// A dropped attempt drops the operation's future within the span, and closes it.
pub fn traced<F, Fut, T, E>(mut op: F) -> impl FnMut(Attempt) -> Traced<Fut>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    move |attempt| {
        let number = attempt.number();
        let span = tracing::info_span!(
            target: TARGET,
            "recoup.attempt",
            { is::ATTEMPT_INDEX } = number,
            { is::RESEND_COUNT } = (number > 1).then(|| number - 1),
            { is::HEDGE } = (attempt.hedge() > 0).then(|| attempt.hedge()),
            { is::ATTEMPT_OUTCOME } = tracing::field::Empty,
        );
        // What the operation does before its future is first polled belongs to the attempt too.
        let future = span.in_scope(|| op(attempt));
        Traced { attempt: Some(future), span, stage: Stage::Waiting }
    }
}

/// Where an attempt is, and what its end means.
#[derive(Clone, Copy)]
enum Stage {
    Waiting,
    /// Being polled: an end is a panic.
    Polled,
    Ended,
}

pin_project! {
    /// One attempt in its span; made by [`traced`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Traced<Fut> {
        // Taken out when it ends or is dropped, so that this happens within the span.
        #[pin]
        attempt: Option<Fut>,
        span: Span,
        stage: Stage,
    }

    impl<Fut> PinnedDrop for Traced<Fut> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            match this.stage {
                Stage::Waiting => this.span.record(is::ATTEMPT_OUTCOME, "dropped"),
                Stage::Polled => this.span.record(is::ATTEMPT_OUTCOME, "panicked"),
                Stage::Ended => return,
            };
            let _within = this.span.enter();
            this.attempt.set(None);
        }
    }
}

impl<Fut, T, E> Future for Traced<Fut>
where
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let _within = this.span.enter();
        let attempt = this.attempt.as_mut().as_pin_mut().expect("polled after it was ready");
        *this.stage = Stage::Polled;
        let polled = attempt.poll(cx);
        if polled.is_pending() {
            *this.stage = Stage::Waiting;
        }
        let result = ready!(polled);
        *this.stage = Stage::Ended;
        this.span.record(is::ATTEMPT_OUTCOME, if result.is_ok() { "ok" } else { "error" });
        this.attempt.set(None);
        Poll::Ready(result)
    }
}

impl<Fut> fmt::Debug for Traced<Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("span", &self.span).finish_non_exhaustive()
    }
}
