//! Whether an attempt has lost the request's messages to another one.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::adapters::http::{BodyError, ReplayBody};
use crate::sync::atomic::{AtomicBool, Ordering};

/// Set when the body of an attempt is cut off because another attempt has the rest for itself. How the attempt ends
/// after that says nothing of the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost(Arc<AtomicBool>);

impl Lost {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same body, whose end is minded.
    pub(super) fn watch<B: Body>(&self, body: ReplayBody<B>) -> Watched<B> {
        Watched { body, lost: self.clone() }
    }
}

pub(super) struct Watched<B: Body> {
    body: ReplayBody<B>,
    lost: Lost,
}

impl<B: Body> Body for Watched<B>
where
    ReplayBody<B>: Body<Data = Bytes, Error = BodyError> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Err(error)) = &frame
            && error.is_gone()
        {
            self.lost.0.store(true, Ordering::Relaxed);
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
