//! A stream that several attempts read, one after the other or side by side.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, SizeHint};

use super::state::{Answer, End, Found, Place, State};
use super::wakers::Wakers;
use crate::sync::Lock;

/// The stream, and what was kept of it.
pub(in crate::adapters::http) struct Stream<B> {
    /// What the stream said of its size before it was read.
    hint: SizeHint,
    pub(super) state: Lock<State<B>>,
    wakers: Arc<Wakers>,
}

impl<B> Stream<B> {
    pub(in crate::adapters::http) fn new(body: B, cap: usize) -> Self
    where
        B: Body,
    {
        let hint = body.size_hint();
        // What is known to be too long is not even begun to be kept.
        let cap = if hint.lower() <= cap as u64 { cap } else { 0 };
        let state = State::new(Box::pin(body), cap);
        Self { hint, state: Lock::new(state), wakers: Arc::default() }
    }

    /// A place at the begin. Unless it is for a hedge, all older readers are cut off.
    pub(in crate::adapters::http) fn enter(&self, hedge: bool) -> Place {
        let place = self.state.lock().enter(hedge);
        self.wakers.wake_all();
        place
    }

    /// Whether all of it can be read again.
    pub(in crate::adapters::http) fn is_whole(&self) -> bool {
        self.state.lock().is_whole()
    }

    /// Whether the stream itself failed.
    pub(in crate::adapters::http) fn has_failed(&self) -> bool {
        matches!(self.state.lock().end, End::Failed(_))
    }

    /// As [`is_whole`](Self::is_whole); if so, it stays that way until the next [`enter`](Self::enter) or
    /// [`let_go`](Self::let_go): who would have to take over waits.
    pub(in crate::adapters::http) fn hold(&self) -> bool {
        let mut state = self.state.lock();
        state.held = state.is_whole();
        state.held
    }

    /// There will be no further attempt.
    pub(in crate::adapters::http) fn let_go(&self) {
        self.state.lock().held = false;
        self.wakers.wake_all();
    }

    pub(super) fn forget(&self, place: &Place) {
        self.wakers.remove(place.reader);
    }

    pub(super) fn is_end(&self, place: &Place) -> bool {
        self.state.lock().is_end(place)
    }

    pub(super) fn size_hint(&self, place: &Place) -> SizeHint {
        let state = self.state.lock();
        if matches!(state.end, End::Ended) && state.owner.is_none() {
            return SizeHint::with_exact((state.kept.len() as u64).saturating_sub(place.offset));
        }
        drop(state);
        let mut left = SizeHint::new();
        if let Some(upper) = self.hint.upper() {
            left.set_upper(upper.saturating_sub(place.offset));
        }
        left.set_lower(self.hint.lower().saturating_sub(place.offset));
        left
    }
}

impl<B> Stream<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) fn poll_frame(&self, place: &mut Place, cx: &mut Context<'_>) -> Answer {
        if place.done {
            return Poll::Ready(None);
        }
        loop {
            // Before the look: a waker that came after it might come too late.
            self.wakers.add(place.reader, cx.waker());
            let found = self.state.lock().find(place);
            let body = match found {
                Found::Answer(answer) => return answer,
                Found::Poll(body) => body,
            };
            if let Some(answer) = self.poll_stream(body, place) {
                return answer;
            }
        }
    }

    /// Polls the stream, which is not under the lock. `None`: look again.
    fn poll_stream(&self, mut body: Pin<Box<B>>, place: &mut Place) -> Option<Answer> {
        let mut away = Away { stream: self, armed: true };
        let waker = Waker::from(Arc::clone(&self.wakers));
        let polled = body.as_mut().poll_frame(&mut Context::from_waker(&waker));
        let polled = polled.map(|frame| frame.map(|frame| frame.map_err(|error| Arc::from(error.into()))));
        let ends = body.is_end_stream();
        away.armed = false;

        let mut finished = None;
        let mut state = self.state.lock();
        let missed = std::mem::take(&mut state.missed);
        state.ends = ends;
        let answer = match polled {
            Poll::Pending => {
                state.body = Some(body);
                Some(Poll::Pending)
            }
            Poll::Ready(Some(Ok(frame))) => {
                state.body = Some(body);
                let answer = state.take_in(frame, place);
                finished = if matches!(state.end, End::Ended) { state.body.take() } else { None };
                answer
            }
            Poll::Ready(Some(Err(error))) => {
                finished = Some(body);
                state.end = End::Failed(Some(error));
                None
            }
            Poll::Ready(None) => {
                finished = Some(body);
                state.end = End::Ended;
                None
            }
        };
        drop(state);
        if missed || !matches!(answer, Some(Poll::Pending)) {
            self.wakers.wake_others(place.reader);
        }
        drop(finished);
        answer
    }
}

/// The stream is being polled. If that panics, the stream is gone, and those who wait for it must know.
struct Away<'s, B> {
    stream: &'s Stream<B>,
    armed: bool,
}

impl<B> Drop for Away<'_, B> {
    fn drop(&mut self) {
        if self.armed {
            self.stream.state.lock().end = End::Failed(None);
            self.stream.wakers.wake_all();
        }
    }
}
