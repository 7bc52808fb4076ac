//! A stream that several attempts read, one after the other or side by side.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::wakers::Wakers;
use crate::adapters::http::BodyError;
use crate::adapters::http::kept::Kept;
use crate::sync::Lock;

type Answer = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// The stream, and what was kept of it.
pub(in crate::adapters::http) struct Stream<B> {
    /// What the stream said of its size before it was read.
    hint: SizeHint,
    pub(super) state: Lock<State<B>>,
    wakers: Arc<Wakers>,
}

/// Where a reader is.
#[derive(Debug)]
pub(in crate::adapters::http) struct Place {
    reader: u64,
    offset: u64,
    trailers_given: bool,
    done: bool,
}

pub(super) struct State<B> {
    /// Away while a reader polls it: that is the caller's code.
    pub(super) body: Option<Pin<Box<B>>>,
    pub(super) kept: Kept,
    /// A frame that was too long to be kept, for the reader who takes over.
    pub(super) over: Option<Bytes>,
    trailers: Option<HeaderMap>,
    end: End,
    /// Whether the stream said that nothing comes any more.
    ends: bool,
    /// The reader who alone has the rest.
    owner: Option<u64>,
    /// The number of the last reader.
    last: u64,
    /// Readers before this one are cut off.
    oldest: u64,
    /// Nobody takes over now: another attempt may come.
    held: bool,
    /// Somebody came while the stream was away.
    pub(super) missed: bool,
}

enum End {
    Open,
    Ended,
    /// With what the stream said, or with a panic.
    Failed(Option<Arc<dyn Error + Send + Sync>>),
}

/// What a reader finds under the lock.
enum Found<B> {
    Answer(Answer),
    /// The stream, to be polled.
    Poll(Pin<Box<B>>),
}

impl<B> Stream<B> {
    pub(in crate::adapters::http) fn new(body: B, cap: usize) -> Self
    where
        B: Body,
    {
        let hint = body.size_hint();
        // What is known to be too long is not even begun to be kept.
        let fits = hint.lower() <= cap as u64;
        let state = State {
            body: Some(Box::pin(body)),
            kept: Kept::up_to(if fits { cap } else { 0 }),
            over: None,
            trailers: None,
            end: End::Open,
            ends: false,
            owner: None,
            last: 0,
            oldest: 0,
            held: false,
            missed: false,
        };
        Self { hint, state: Lock::new(state), wakers: Arc::default() }
    }

    /// A place at the begin. Unless it is for a hedge, all older readers are cut off.
    pub(in crate::adapters::http) fn enter(&self, hedge: bool) -> Place {
        let mut state = self.state.lock();
        state.last += 1;
        let reader = state.last;
        if !hedge {
            state.oldest = reader;
        }
        state.held = false;
        drop(state);
        self.wakers.wake_all();
        Place { reader, offset: 0, trailers_given: false, done: false }
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
        let state = self.state.lock();
        let ended = matches!(state.end, End::Ended) || (matches!(state.end, End::Open) && state.ends);
        let trailers = place.trailers_given || state.trailers.is_none();
        // Whoever is cut off must not end as if that were all: it is told by an error.
        let all = ended && trailers && state.over.is_none() && state.is_at_tail(place);
        place.done || (all && !state.is_cut_off(place))
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

impl<B> State<B> {
    fn is_whole(&self) -> bool {
        self.owner.is_none() && !matches!(self.end, End::Failed(_))
    }

    fn is_cut_off(&self, place: &Place) -> bool {
        place.reader < self.oldest || self.owner.is_some_and(|owner| owner != place.reader)
    }

    /// Whether nothing that is kept is left to be read. Of a stream that has an owner nothing is kept.
    fn is_at_tail(&self, place: &Place) -> bool {
        self.owner.is_some() || place.offset >= self.kept.len() as u64
    }

    /// What there is for a reader at this place.
    fn find(&mut self, place: &mut Place) -> Found<B> {
        if self.is_cut_off(place) {
            place.done = true;
            return Found::Answer(Poll::Ready(Some(Err(BodyError::gone()))));
        }
        if !self.is_at_tail(place)
            && let Some(bytes) = usize::try_from(place.offset).ok().and_then(|offset| self.kept.at(offset))
        {
            return Found::Answer(place.give(bytes));
        }
        if self.over.is_some() && self.held {
            return Found::Answer(Poll::Pending);
        }
        if let Some(bytes) = self.over.take() {
            self.owner = Some(place.reader);
            self.kept.give_up();
            return Found::Answer(place.give(bytes));
        }
        if let Some(trailers) = self.trailers.as_ref().filter(|_| !place.trailers_given) {
            place.trailers_given = true;
            return Found::Answer(Poll::Ready(Some(Ok(Frame::trailers(trailers.clone())))));
        }
        match &self.end {
            End::Open => {}
            End::Ended => {
                place.done = true;
                return Found::Answer(Poll::Ready(None));
            }
            End::Failed(error) => {
                place.done = true;
                let error = error.clone().map_or_else(BodyError::gone, BodyError::failed);
                return Found::Answer(Poll::Ready(Some(Err(error))));
            }
        }
        self.missed |= self.body.is_none();
        self.body.take().map_or(Found::Answer(Poll::Pending), Found::Poll)
    }

    /// A frame came from the stream, for a reader that was at the tail.
    fn take_in(&mut self, frame: Frame<Bytes>, place: &mut Place) -> Option<Answer> {
        match frame.into_data() {
            Ok(bytes) if self.owner.is_none() && self.kept.push(&bytes) => {
                // Who was cut off meanwhile finds out when it looks again.
                (!self.is_cut_off(place)).then(|| place.give(bytes))
            }
            Ok(bytes) => {
                self.over = Some(bytes);
                None
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    (self.trailers, self.end) = (Some(trailers), End::Ended);
                }
                None
            }
        }
    }
}

impl Place {
    fn give(&mut self, bytes: Bytes) -> Answer {
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
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
