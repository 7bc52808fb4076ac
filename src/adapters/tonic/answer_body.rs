//! The body of an answer, up to its last word.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;

use super::answer::{failure, tidy};
use super::unsent::broken;
use crate::circuit_breaker::CircuitState;
use crate::classification::Outcome;
use crate::recovery::Recovery;
use crate::time::{Instant, Now};
use crate::timer::Timer;

pin_project! {
    /// The body of an answer: its messages, and the status in its trailers. It ends with `DEADLINE_EXCEEDED` when
    /// the time is over that the call was given, and tells the circuit breaker of a failure in it.
    pub struct AnswerBody<B> {
        // None once it was cut short.
        #[pin]
        inner: Option<B>,
        recovery: Recovery<Status>,
        until: Option<Instant>,
        #[pin]
        timer: Timer,
    }
}

impl<B> AnswerBody<B> {
    pub(super) const fn new(inner: B, recovery: Recovery<Status>, until: Option<Instant>) -> Self {
        Self { inner: Some(inner), recovery, until, timer: Timer::idle() }
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let status = match inner.poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    tidy(trailers);
                    if let Some(status) = failure(trailers) {
                        tell(this.recovery, &status);
                    }
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(Some(Err(error))) => broken(error.into()),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                let Some(until) = *this.until else { return Poll::Pending };
                ready!(this.timer.as_mut().poll_until(until, cx));
                Status::deadline_exceeded("the deadline has passed")
            }
        };
        tell(this.recovery, &status);
        // What is left of it is nobody's: the server learns that.
        this.inner.set(None);
        this.timer.disarm();
        Poll::Ready(Some(Err(status)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Tells the circuit of an answer that failed after its head. The vote of the call was given with that, for who
/// knows how long a stream will be; so this is one more, and only where it cannot be taken for that of a probe.
#[cold]
fn tell(recovery: &Recovery<Status>, status: &Status) {
    let Some(breaker) = recovery.circuit_breaker() else { return };
    let answer = recovery.classify(status);
    let (outcome, now) = (Outcome::from(answer.health()), Now::unread());
    if outcome == Outcome::Failure
        && breaker.state() == CircuitState::Closed
        && let Ok(mut permit) = breaker.enter(&now)
    {
        permit.settle_at(outcome, answer.hint(), &now);
    }
}

impl<B: fmt::Debug> fmt::Debug for AnswerBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody")
            .field("inner", &self.inner)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}
