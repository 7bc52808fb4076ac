//! A look at the begin of a response's body.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// How many frames are read at a stretch. A body may have any number of them in store, and empty ones at that:
/// others want to run, and limits in time to be looked at.
const AT_A_STRETCH: usize = 64;

/// Reads the begin of a response's body: at most `limit` bytes, or to its end, and then its connection can be
/// used again. Whoever reads the response afterwards gets all of it, an error and trailers included.
///
/// A limit of zero reads nothing, and the future is ready at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use http_body_util::{BodyExt, Full};
/// use recoup::http::peek;
///
/// let response = http::Response::new(Full::from("overloaded, come back later"));
/// let response = peek(response, 10).await;
/// assert_eq!(response.body().seen(), b"overloaded");
/// let whole = response.into_body().collect().await.unwrap().to_bytes();
/// assert_eq!(whole, "overloaded, come back later");
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping the future drops the response, with what was read of it.
pub fn peek<B: Body<Data = Bytes>>(response: Response<B>, limit: usize) -> Peek<B> {
    Peek { response: Some(response.map(Peeked::unread)), limit }
}

/// The future of [`peek`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let reading = recoup::http::peek(http::Response::new(http_body_util::Full::from("busy")), 100);
/// assert_eq!(reading.await.body().seen(), b"busy");
/// # }
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Peek<B: Body> {
    response: Option<Response<Peeked<B>>>,
    limit: usize,
}

impl<B: Body<Data = Bytes>> Future for Peek<B> {
    type Output = Response<Peeked<B>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let limit = self.limit;
        if let Some(response) = &mut self.response {
            ready!(response.body_mut().poll_read(limit, cx));
        }
        Poll::Ready(self.response.take().expect("not polled after it was ready"))
    }
}

// A body is pinned in a box before it is polled here.
impl<B: Body> Unpin for Peek<B> {}

impl<B: Body> fmt::Debug for Peek<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peek").field("limit", &self.limit).finish_non_exhaustive()
    }
}

pin_project! {
    /// A body of which the begin may have been read: see [`peek`]. Whoever reads it gets all of it.
    ///
    /// ```
    /// use http_body::Body;
    /// use http_body_util::Full;
    /// use recoup::http::Peeked;
    ///
    /// let body = Peeked::unread(Full::from("all of it"));
    /// assert_eq!(body.seen(), b"");
    /// assert_eq!(body.size_hint().exact(), Some(9));
    /// ```
    pub struct Peeked<B: Body> {
        seen: BytesMut,
        // Of the frame with which the limit was reached.
        more: Option<Bytes>,
        trailers: Option<HeaderMap>,
        error: Option<B::Error>,
        ended: bool,
        #[pin]
        rest: Rest<B>,
    }
}

pin_project! {
    #[project = RestProj]
    enum Rest<B> {
        // Not read, so not boxed: this is how good responses pass.
        Unread { #[pin] body: B },
        Boxed { body: Pin<Box<B>> },
        // Only while one becomes the other.
        Moving,
    }
}

impl<B: Body<Data = Bytes>> Peeked<B> {
    /// A body of which nothing was read.
    pub fn unread(body: B) -> Self {
        Self {
            seen: BytesMut::new(),
            more: None,
            trailers: None,
            error: None,
            ended: false,
            rest: Rest::Unread { body },
        }
    }

    /// What was read of the begin, and not taken by a reader since.
    #[must_use]
    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Reads until there are `limit` bytes to be seen, or no more.
    fn poll_read(&mut self, limit: usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut frames = 0;
        while self.seen.len() < limit && !self.ended && self.trailers.is_none() {
            if frames == AT_A_STRETCH {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            frames += 1;
            let frame = match self.boxed() {
                Some(body) if !body.is_end_stream() => ready!(body.as_mut().poll_frame(cx)),
                _ => return Poll::Ready(()),
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(mut data))) => {
                    let fits = data.split_to(data.len().min(limit - self.seen.len()));
                    self.seen.extend_from_slice(&fits);
                    self.more = Some(data).filter(|more| !more.is_empty());
                }
                Some(Ok(Err(frame))) => self.trailers = frame.into_trailers().ok(),
                Some(Err(error)) => (self.error, self.ended) = (Some(error), true),
                None => self.ended = true,
            }
        }
        Poll::Ready(())
    }

    /// The body, pinned for good.
    fn boxed(&mut self) -> Option<&mut Pin<Box<B>>> {
        if matches!(self.rest, Rest::Unread { .. })
            && let Rest::Unread { body } = std::mem::replace(&mut self.rest, Rest::Moving)
        {
            self.rest = Rest::Boxed { body: Box::pin(body) };
        }
        match &mut self.rest {
            Rest::Boxed { body } => Some(body),
            Rest::Unread { .. } | Rest::Moving => None,
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Peeked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        if !this.seen.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(this.seen.split().freeze()))));
        }
        if let Some(more) = this.more.take() {
            return Poll::Ready(Some(Ok(Frame::data(more))));
        }
        if let Some(trailers) = this.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if *this.ended {
            return Poll::Ready(None);
        }
        match this.rest.project() {
            RestProj::Unread { body } => body.poll_frame(cx),
            RestProj::Boxed { body } => body.as_mut().poll_frame(cx),
            RestProj::Moving => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let read =
            self.seen.is_empty() && self.more.is_none() && self.trailers.is_none() && self.error.is_none();
        let rest = match &self.rest {
            Rest::Unread { body } => body.is_end_stream(),
            Rest::Boxed { body } => body.is_end_stream(),
            Rest::Moving => true,
        };
        read && (self.ended || rest)
    }

    fn size_hint(&self) -> SizeHint {
        let read = (self.seen.len() + self.more.as_ref().map_or(0, Bytes::len)) as u64;
        let rest = match &self.rest {
            // One that broke off has promised more, and its error is still to be read.
            _ if self.ended && self.error.is_none() => SizeHint::with_exact(0),
            Rest::Unread { body } => body.size_hint(),
            Rest::Boxed { body } => body.size_hint(),
            Rest::Moving => SizeHint::with_exact(0),
        };
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint.set_lower(rest.lower().saturating_add(read));
        hint
    }
}

impl<B: Body> fmt::Debug for Peeked<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peeked").field("seen", &self.seen.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use http_body_util::{BodyExt, Full, StreamBody};
    use proptest::prelude::*;

    use super::*;

    type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

    fn body(frames: Frames) -> impl Body<Data = Bytes, Error = &'static str> {
        StreamBody::new(futures::stream::iter(frames))
    }

    #[expect(clippy::unnecessary_wraps, reason = "one of the frames of a body that may fail")]
    fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn reads_no_more_than_the_limit_of_a_body_without_end() {
        let endless = StreamBody::new(futures::stream::repeat_with(|| data("1234")));
        let response = peek(Response::new(endless), 10).await;
        assert_eq!(response.body().seen(), b"1234123412");
        let mut body = response.into_body();
        for expected in ["1234123412", "34", "1234"] {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), expected);
        }
    }

    #[test]
    fn body_that_floods_with_nothing_lets_others_run_in_between() {
        let nothing = StreamBody::new(futures::stream::repeat_with(|| data("")));
        let mut task = tokio_test::task::spawn(peek(Response::new(nothing), 10));
        for _ in 0..3 {
            assert!(task.poll().is_pending() && task.is_woken());
        }
    }

    #[tokio::test]
    async fn limit_of_zero_reads_nothing_and_boxes_nothing() {
        let response = peek(Response::new(body(vec![Err("never read")])), 0).now_or_never().unwrap();
        assert!(matches!(response.body().rest, Rest::Unread { .. }));
    }

    #[tokio::test]
    async fn error_in_the_begin_is_the_readers_to_see() {
        let response = peek(Response::new(body(vec![data("half"), Err("broke off")])), 100).await;
        assert_eq!(response.body().seen(), b"half");
        let mut body = response.into_body();
        assert!(!body.is_end_stream());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        assert_eq!(body.frame().await.unwrap().unwrap_err(), "broke off");
        assert!(body.is_end_stream() && body.frame().await.is_none());
    }

    #[tokio::test]
    async fn trailers_are_kept() {
        let trailers = HeaderMap::from_iter([("sum".parse().unwrap(), "7".parse().unwrap())]);
        let frames = vec![data("all"), Ok(Frame::trailers(trailers.clone()))];
        let whole = peek(Response::new(body(frames)), 100).await.into_body().collect().await.unwrap();
        assert_eq!(whole.trailers(), Some(&trailers));
        assert_eq!(whole.to_bytes(), "all");
    }

    #[tokio::test]
    async fn waits_for_a_body_that_waits() {
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let mut peeking = peek(Response::new(StreamBody::new(receiver)), 100);
        assert!((&mut peeking).now_or_never().is_none());
        sender.unbounded_send(data("late")).unwrap();
        assert!((&mut peeking).now_or_never().is_none());
        drop(sender);
        assert_eq!(peeking.await.body().seen(), b"late");
    }

    #[tokio::test]
    async fn head_is_kept_and_the_size_stays_right() {
        let response =
            Response::builder().status(503).header("x", "1").body(Full::from("all of it")).unwrap();
        let response = peek(response, 3).await;
        assert_eq!((response.status().as_u16(), &response.headers()["x"]), (503, &"1".parse().unwrap()));
        let mut body = response.into_body();
        assert_eq!((body.seen(), body.size_hint().exact()), (&b"all"[..], Some(9)));
        body.frame().await.unwrap().unwrap();
        assert_eq!((body.seen(), body.size_hint().exact()), (&b""[..], Some(6)));
    }

    proptest! {
        #[test]
        fn reader_gets_all_of_it_whatever_was_seen(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9),
            limit in 0_usize..50,
        ) {
            let plain = chunks.concat();
            let frames: Frames = chunks.into_iter().map(|chunk| Ok(Frame::data(chunk.into()))).collect();
            let response = peek(Response::new(body(frames)), limit).now_or_never().expect("it never waits");
            prop_assert_eq!(response.body().seen(), &plain[..limit.min(plain.len())]);
            let whole = response.into_body().collect().now_or_never().expect("it never waits").unwrap();
            prop_assert_eq!(whole.to_bytes(), plain);
        }
    }
}
