//! The body of an answer, which may hold the slots of its call until it ends.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::held::{Held, of_trailers};
use crate::classification::Outcome;

pin_project! {
    /// The body of an answer of a [`ProtectService`](super::ProtectService): that of the inner service, or none if the call
    /// was refused.
    ///
    /// With [`until_body_ends`](super::ProtectLayerBuilder::until_body_ends) it holds the call's slots until its trailers
    /// were taken, or until it is dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
    /// use recoup::{Bulkhead, tonic::ProtectLayer};
    /// use tonic::body::Body;
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// let bulkhead = Bulkhead::builder(1).build()?;
    /// let protect = ProtectLayer::builder().bulkhead(&bulkhead).until_body_ends().build()?;
    /// # fn stream() -> Body { Body::new(http_body_util::Full::new(bytes::Bytes::from_static(b"a message"))) }
    /// let inner = service_fn(|_: http::Request<Body>| async { Ok::<_, ()>(http::Response::new(stream())) });
    /// let answer = protect.layer(inner).oneshot(http::Request::new(Body::empty())).await;
    /// assert_eq!(bulkhead.in_use(), 1, "its body holds the slot");
    /// drop(answer);
    /// assert_eq!(bulkhead.in_use(), 0);
    /// # Ok(()) }
    /// ```
    pub struct ProtectBody<B> {
        #[pin]
        body: Option<B>,
        // Dropped after the body: what makes it may still be at work.
        held: Option<Held>,
    }
}

impl<B> ProtectBody<B> {
    /// That of a refusal.
    pub(super) const fn empty() -> Self {
        Self { body: None, held: None }
    }

    pub(super) const fn new(body: B, held: Option<Held>) -> Self {
        Self { body: Some(body), held }
    }
}

impl<B: Body> Body for ProtectBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let frame = ready!(body.as_mut().poll_frame(cx));
        let ended = match &frame {
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => Some(of_trailers(trailers)),
                // Who sends it may ask no more once it knows that this was the last.
                None => body.is_end_stream().then_some(Outcome::Ignored),
            },
            Some(Err(_)) | None => Some(Outcome::Ignored),
        };
        if let Some(outcome) = ended
            && let Some(held) = this.held.take()
        {
            held.settle(outcome);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> fmt::Debug for ProtectBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectBody").field("held", &self.held).finish_non_exhaustive()
    }
}
