//! A request's body that can be sent again.

mod state;
mod stream;
mod wakers;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

pub(super) use self::state::Place;
pub(super) use self::stream::Stream;
use super::BodyError;

/// The body of one attempt of an [`Outgoing`](super::Outgoing) request: all of it, for each attempt.
///
/// A body that is `Full` or empty is shared. A stream is kept while it is sent, up to a
/// [cap](super::Requests::body_cap): the next attempt gets what is kept and goes on with the stream from there.
/// Of a stream that is longer, the attempt which gets that far has the rest for itself, what was kept is freed, and
/// the request is not sent again ([`NotReplayable`](crate::CannotRepeat::NotReplayable)). Trailers and the hint of
/// the size are those of the body.
///
/// A body that an older attempt still holds gets no more once a newer one has begun: it ends with a
/// [`BodyError`], so that nobody takes it for complete.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, StreamBody};
/// use recoup::http::{Outgoing, Requests};
///
/// let frame = |text: &'static str| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(text)));
/// let stream = StreamBody::new(futures::stream::iter([frame("one "), frame("two")]));
/// let outgoing = Outgoing::new(http::Request::put("http://store/7").body(stream).unwrap(), &Requests::new());
/// let sent = recoup::retry_with(|attempt| {
///     let mut body = outgoing.request(attempt).into_body();
///     async move {
///         if attempt.is_first() {
///             assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one ");
///             return Err("lost");
///         }
///         Ok(body.collect().await.unwrap().to_bytes())
///     }
/// });
/// assert_eq!(sent.await.unwrap(), "one two");
/// # }
/// ```
pub struct ReplayBody<B: Body> {
    from: From<B>,
}

enum From<B: Body> {
    Whole(Bytes),
    Stream(Arc<Stream<B>>, Place),
}

impl<B: Body> ReplayBody<B> {
    pub(super) const fn whole(bytes: Bytes) -> Self {
        Self { from: From::Whole(bytes) }
    }

    pub(super) const fn read(stream: Arc<Stream<B>>, place: Place) -> Self {
        Self { from: From::Stream(stream, place) }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.from {
            From::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            From::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            From::Stream(stream, place) => stream.poll_frame(place, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.from {
            From::Whole(bytes) => bytes.is_empty(),
            From::Stream(stream, place) => stream.is_end(place),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.from {
            From::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            From::Stream(stream, place) => stream.size_hint(place),
        }
    }
}

impl<B: Body> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        if let From::Stream(stream, place) = &self.from {
            stream.forget(place);
        }
    }
}

impl<B: Body> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("ReplayBody");
        if let From::Whole(bytes) = &self.from {
            text.field("bytes", &bytes.len());
        }
        text.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
