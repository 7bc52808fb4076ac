//! What is known of a stream and of its readers. Pure: nobody is polled or woken here.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use crate::adapters::http::BodyError;
use crate::adapters::http::kept::Kept;

pub(super) type Answer = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// Where a reader is.
#[derive(Debug)]
pub(in crate::adapters::http) struct Place {
    pub(super) reader: u64,
    pub(super) offset: u64,
    trailers_given: bool,
    pub(super) done: bool,
}

pub(super) struct State<B> {
    /// Away while a reader polls it: that is the caller's code.
    pub(super) body: Option<Pin<Box<B>>>,
    pub(super) kept: Kept,
    /// A frame that was too long to be kept, for the reader who takes over.
    pub(super) over: Option<Bytes>,
    trailers: Option<HeaderMap>,
    pub(super) end: End,
    /// Whether the stream said that nothing comes any more.
    pub(super) ends: bool,
    /// The reader who alone has the rest.
    pub(super) owner: Option<u64>,
    /// The number of the last reader.
    last: u64,
    /// Readers before this one are cut off.
    oldest: u64,
    /// Nobody takes over now: another attempt may come.
    pub(super) held: bool,
    /// Somebody came while the stream was away.
    pub(super) missed: bool,
}

pub(super) enum End {
    Open,
    Ended,
    /// With what the stream said, or with a panic.
    Failed(Option<Arc<dyn Error + Send + Sync>>),
}

/// What a reader finds under the lock.
pub(super) enum Found<B> {
    Answer(Answer),
    /// The stream, to be polled.
    Poll(Pin<Box<B>>),
}

impl<B> State<B> {
    pub(super) fn new(body: Pin<Box<B>>, cap: usize) -> Self {
        Self {
            body: Some(body),
            kept: Kept::up_to(cap),
            over: None,
            trailers: None,
            end: End::Open,
            ends: false,
            owner: None,
            last: 0,
            oldest: 0,
            held: false,
            missed: false,
        }
    }

    /// A place at the begin. Unless it is for a hedge, all older readers are cut off.
    pub(super) fn enter(&mut self, hedge: bool) -> Place {
        self.last += 1;
        if !hedge {
            self.oldest = self.last;
        }
        self.held = false;
        Place { reader: self.last, offset: 0, trailers_given: false, done: false }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.owner.is_none() && !matches!(self.end, End::Failed(_))
    }

    fn is_cut_off(&self, place: &Place) -> bool {
        place.reader < self.oldest || self.owner.is_some_and(|owner| owner != place.reader)
    }

    /// Whether nothing comes any more for a reader at this place.
    pub(super) fn is_end(&self, place: &Place) -> bool {
        let ended = matches!(self.end, End::Ended) || (matches!(self.end, End::Open) && self.ends);
        let trailers = place.trailers_given || self.trailers.is_none();
        // Whoever is cut off must not end as if that were all: it is told by an error.
        let all = ended && trailers && self.over.is_none() && self.is_at_tail(place);
        place.done || (all && !self.is_cut_off(place))
    }

    /// Whether nothing that is kept is left to be read. Of a stream that has an owner nothing is kept.
    fn is_at_tail(&self, place: &Place) -> bool {
        self.owner.is_some() || place.offset >= self.kept.len() as u64
    }

    /// What there is for a reader at this place.
    pub(super) fn find(&mut self, place: &mut Place) -> Found<B> {
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
    pub(super) fn take_in(&mut self, frame: Frame<Bytes>, place: &mut Place) -> Option<Answer> {
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
