//! A body that holds the slots of its request until it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum_core::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::service::Serving;
use crate::sync::atomic::{AtomicBool, Ordering};

/// What is held: a future that owns the slots, and what it looks at. Dropped, it gives them back.
pub(super) struct Held<E> {
    pub(super) serving: Serving<E>,
    pub(super) ended: Arc<AtomicBool>,
}

impl<E> Held<E> {
    /// The last byte is out: the slots come back, and those who keep count hear of an answer.
    fn end(mut self) {
        self.ended.store(true, Ordering::Release);
        // It waits for nothing else, so it ends at once.
        let _ended = self.serving.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

pin_project! {
    pub(super) struct HoldingBody<E> {
        #[pin]
        body: Body,
        // Dropped after the body: what makes it may still be at work.
        held: Option<Held<E>>,
    }
}

impl<E> HoldingBody<E> {
    pub(super) fn new(body: Body, held: Held<E>) -> Self {
        let mut held = Some(held);
        if body.is_end_stream()
            && let Some(held) = held.take()
        {
            held.end();
        }
        Self { body, held }
    }
}

impl<E> HttpBody for HoldingBody<E> {
    type Data = Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let frame = std::task::ready!(this.body.as_mut().poll_frame(cx));
        match &frame {
            // Who sends it may ask no more once it knows that this was the last.
            Some(Ok(_)) if !this.body.is_end_stream() => {}
            Some(Err(_)) => drop(this.held.take()),
            _ => {
                if let Some(held) = this.held.take() {
                    held.end();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
