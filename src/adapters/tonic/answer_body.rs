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
use crate::retry::RetryBudget;
use crate::time::{Instant, Now};
use crate::timer::Timer;

pin_project! {
    /// The body of an answer: its messages, and the status in its trailers. It ends with `DEADLINE_EXCEEDED` when
    /// it has to be waited for and the time is over that the call was given, and tells the circuit breaker and the
    /// throttling of a failure in it.
    pub struct AnswerBody<B> {
        // None once it was cut short.
        #[pin]
        inner: Option<B>,
        // None for the body of nobody's answer.
        recovery: Option<Recovery<Status>>,
        tokens: Option<RetryBudget>,
        until: Option<Instant>,
        #[pin]
        timer: Timer,
    }
}

impl<B> AnswerBody<B> {
    pub(super) const fn new(
        inner: B,
        recovery: Recovery<Status>,
        tokens: Option<RetryBudget>,
        until: Option<Instant>,
    ) -> Self {
        Self { inner: Some(inner), recovery: Some(recovery), tokens, until, timer: Timer::idle() }
    }
}

/// An empty body, which an interceptor outside puts where there is no answer.
impl<B> Default for AnswerBody<B> {
    fn default() -> Self {
        Self { inner: None, recovery: None, tokens: None, until: None, timer: Timer::idle() }
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
                        tell(this.recovery.as_ref(), this.tokens.as_ref(), &status);
                    }
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(Some(Err(error))) => {
                let status = broken(error.into());
                tell(this.recovery.as_ref(), this.tokens.as_ref(), &status);
                status
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                let Some(until) = *this.until else { return Poll::Pending };
                ready!(this.timer.as_mut().poll_until(until, cx));
                // Nobody is told: that the caller has no more time says nothing of the server.
                Status::deadline_exceeded("the deadline has passed")
            }
        };
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

/// Tells the circuit and the throttling of an answer that failed after its head. The vote of the call was given with
/// that, for who knows how long a stream will be; so this is one more, and for the circuit only where it cannot be
/// taken for that of a probe.
#[cold]
fn tell(recovery: Option<&Recovery<Status>>, tokens: Option<&RetryBudget>, status: &Status) {
    let Some(recovery) = recovery else { return };
    let answer = recovery.classify(status);
    if let Some(tokens) = tokens {
        tokens.failed(&answer);
    }
    let Some(breaker) = recovery.circuit_breaker() else { return };
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use futures::stream;
    use http::HeaderMap;
    use http_body_util::StreamBody;
    use tonic::Code;

    use super::super::GrpcErrors;
    use super::*;
    use crate::circuit_breaker::CircuitBreaker;
    use crate::time;

    type Given = Result<Frame<Bytes>, std::io::Error>;

    fn recovery() -> Recovery<Status> {
        let breaker = CircuitBreaker::builder("echo");
        Recovery::builder("echo").classifier(GrpcErrors).circuit_breaker(breaker).build().unwrap()
    }

    fn failures(recovery: &Recovery<Status>) -> u32 {
        u32::try_from(recovery.circuit_breaker().unwrap().snapshot().failures).unwrap()
    }

    fn trailers(pairs: &[(&'static str, &'static str)]) -> Frame<Bytes> {
        let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Frame::trailers(pairs.collect::<HeaderMap>())
    }

    async fn read(given: Vec<Given>, recovery: &Recovery<Status>) -> Vec<Result<Frame<Bytes>, Status>> {
        let mut body =
            pin!(AnswerBody::new(StreamBody::new(stream::iter(given)), recovery.clone(), None, None));
        let mut frames = Vec::new();
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            frames.push(frame);
        }
        frames
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_good_is_handed_on_and_counts_for_nothing_more() {
        let recovery = recovery();
        let message = || Ok(Frame::data(Bytes::from_static(b"message")));
        let frames = read(vec![message(), Ok(trailers(&[("grpc-status", "0")]))], &recovery).await;
        assert_eq!(frames[0].as_ref().unwrap().data_ref().unwrap(), "message");
        assert!(frames[1].as_ref().unwrap().is_trailers());
        assert_eq!((frames.len(), recovery.circuit_breaker().unwrap().snapshot().calls), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn failure_in_the_trailers_is_handed_on_and_told() {
        let recovery = recovery();
        let frames = read(vec![Ok(trailers(&[("grpc-status", "5")]))], &recovery).await;
        assert_eq!((frames.len(), failures(&recovery)), (1, 0), "not found is no fault of the server");
        read(vec![Ok(trailers(&[("grpc-status", "14")]))], &recovery).await;
        assert_eq!(failures(&recovery), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn details_in_the_trailers_that_nobody_could_read_are_left_out() {
        let bad = trailers(&[("grpc-status", "13"), ("grpc-status-details-bin", "!!"), ("x-id", "7")]);
        let frames = read(vec![Ok(bad)], &recovery()).await;
        let left = frames[0].as_ref().unwrap().trailers_ref().unwrap();
        assert!(left.contains_key("x-id") && !left.contains_key("grpc-status-details-bin"));
    }

    #[tokio::test(start_paused = true)]
    async fn stream_that_breaks_off_is_unavailable_and_told_once() {
        let recovery = recovery();
        let reset = || Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        let frames = read(vec![reset(), reset()], &recovery).await;
        assert_eq!(frames.len(), 1, "and then there is nothing");
        assert_eq!(frames[0].as_ref().unwrap_err().code(), Code::Unavailable);
        assert_eq!(failures(&recovery), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn stream_that_stalls_ends_at_the_deadline_and_not_before() {
        let (recovery, begun, limit) = (recovery(), time::now(), Duration::from_secs(2));
        let stalls = StreamBody::new(stream::pending::<Given>());
        let mut body = pin!(AnswerBody::new(stalls, recovery.clone(), None, Some(begun + limit)));
        let end = poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap().unwrap_err();
        assert_eq!((end.code(), begun.elapsed()), (Code::DeadlineExceeded, limit));
        assert_eq!(failures(&recovery), 0, "the caller's own time is over");
        assert!(body.is_end_stream() && body.size_hint().exact() == Some(0));
        assert!(poll_fn(|cx| body.as_mut().poll_frame(cx)).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn open_circuit_hears_nothing_from_the_answers_of_before() {
        let breaker = CircuitBreaker::builder("echo").build().unwrap();
        breaker.force_open();
        let recovery: Recovery<Status> = Recovery::builder("echo")
            .classifier(GrpcErrors)
            .circuit_breaker(breaker.clone())
            .build()
            .unwrap();
        let before = breaker.snapshot();
        read(vec![Ok(trailers(&[("grpc-status", "14")]))], &recovery).await;
        assert_eq!(breaker.snapshot().failures, before.failures);
    }
}
