//! The generic cell rate algorithm in one number, and what happens to it.

use std::task::Waker;

use super::line::{Line, Place, Rooms, Span, Terms, Waiter, Who};
use crate::priority::Priority;
use crate::sync::Lock;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Set while somebody waits, or while the line is looked at: then the number belongs to who holds the line.
const LINE: u64 = 1 << 63;

/// The bucket, in nanoseconds since the limiter was built. It reads no clock.
///
/// `state` is the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371, annex A, "virtual
/// scheduling"): up to when the rate is used up. A call at `now` moves it from `max(state, now)` by its cost,
/// and conforms if it is then no further ahead of `now` than an idle bucket holds.
///
/// While nobody waits, `state` changes by compare-and-swap alone. Whoever has the lock sets `LINE` first, and
/// from then on all others come for the lock too.
#[derive(Debug)]
pub(super) struct Bucket {
    state: AtomicU64,
    interval: AtomicU64,
    rooms: [AtomicU64; Priority::ALL.len()],
    line: Lock<Line>,
}

/// What somebody who asked has.
#[derive(Debug)]
pub(super) enum Asked {
    /// Leave to go now.
    Taken(Span),
    /// A place in the line, which will be served at the moment.
    Waits(Place, u64),
}

/// The line and the number, for who holds both.
#[derive(Debug)]
struct Desk<'b> {
    line: &'b mut Line,
    tat: u64,
    terms: Terms,
    now: u64,
    wake: Vec<Waker>,
}

impl Bucket {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            state: AtomicU64::new(0),
            interval: AtomicU64::new(terms.interval),
            rooms: terms.rooms.map(AtomicU64::new),
            line: Lock::default(),
        }
    }

    /// Takes what `who` asks for, or a place in the line if it is served at `latest` at the latest.
    ///
    /// # Errors
    ///
    /// The moment at which it could go, if that is later; `None` if never, for it is more than an idle bucket
    /// holds.
    #[inline]
    pub(super) fn ask(&self, who: Who, now: u64, latest: u64) -> Result<Asked, Option<u64>> {
        let mut state = self.state.load(Ordering::Acquire);
        while state & LINE == 0 {
            // Acquire: who sees a new price sees the state that it is the price of, or fails to swap below.
            let interval = self.interval.load(Ordering::Acquire);
            let room = self.rooms[who.priority as usize].load(Ordering::Acquire);
            if who.weight > room {
                return Err(None);
            }
            let (cost, most) = (interval.saturating_mul(who.weight), interval.saturating_mul(room));
            let span = Span::taken(state, now, cost);
            let due = span.end.saturating_sub(most);
            if due > now {
                if due > latest {
                    return Err(Some(due));
                }
                break;
            }
            match self.state.compare_exchange_weak(state, span.end, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(Asked::Taken(span)),
                Err(actual) => state = actual,
            }
        }
        self.ask_in_line(who, now, latest)
    }

    #[cold]
    fn ask_in_line(&self, who: Who, now: u64, latest: u64) -> Result<Asked, Option<u64>> {
        self.at_desk(now, |desk| {
            if who.weight > desk.terms.rooms[who.priority as usize] {
                return Err(None);
            }
            let due = desk.line.due_for(who, desk.tat, &desk.terms);
            if due <= desk.now {
                let span = Span::taken(desk.tat, desk.now, desk.terms.cost(who.weight));
                desk.tat = span.end;
                return Ok(Asked::Taken(span));
            }
            if due > latest {
                return Err(Some(due));
            }
            Ok(Asked::Waits(desk.line.enter(who), due))
        })
    }

    /// What the one at `place` was let through with, or when to look again. `expected` is what it was told
    /// last. Whoever comes to the head of the line is woken, and learns then if it has moved up.
    pub(super) fn look(
        &self,
        place: Place,
        expected: u64,
        now: u64,
        waker: Option<&Waker>,
    ) -> Result<Span, u64> {
        let waker = waker.cloned();
        let (answer, _spare) = self.at_desk(now, |desk| {
            if let Some(span) = desk.line.collect(place) {
                return (Ok(span), waker);
            }
            let spare = desk.line.watch(place, waker);
            let at = if expected <= desk.now || desk.line.head() == Some(place) {
                desk.line.due_at(place, desk.tat, &desk.terms)
            } else {
                expected
            };
            (Err(at), spare)
        });
        answer
    }

    /// The one at `place` goes away. What it was let through with already comes back as in
    /// [`give_back`](Self::give_back).
    pub(super) fn go_away(&self, place: Place, now: u64) {
        let _gone: Option<Waiter> = self.at_desk(now, |desk| {
            if let Some(span) = desk.line.collect(place) {
                desk.give_back(span);
            }
            desk.line.remove(place)
        });
    }

    /// Nobody left with `span`: it comes back if nothing was taken since, so that all is as if it had never
    /// been asked for. Otherwise it is gone: who took after it was measured by it, and to hand it out now could
    /// let too many through at once.
    pub(super) fn give_back(&self, span: Span, now: u64) {
        // Without a line the number says all.
        let alone = self.state.compare_exchange(span.end, span.start, Ordering::AcqRel, Ordering::Relaxed);
        if alone.is_err_and(|state| state & LINE != 0) {
            self.at_desk(now, |desk| desk.give_back(span));
        }
    }

    /// From `now` on a call costs `interval`, if that goes with the rooms. What is used stays used: so many calls,
    /// at the new price.
    pub(super) fn set_interval<E>(
        &self,
        interval: u64,
        now: u64,
        check: impl FnOnce(Rooms) -> Result<(), E>,
    ) -> Result<(), E> {
        self.at_desk(now, |desk| {
            check(desk.terms.rooms)?;
            let used = desk.tat.saturating_sub(desk.now);
            let scaled = (u128::from(used) * u128::from(interval)).div_ceil(u128::from(desk.terms.interval));
            let scaled = u64::try_from(scaled).unwrap_or(u64::MAX);
            desk.tat = desk.now.saturating_add(scaled).min(Span::LAST);
            self.interval.store(interval, Ordering::Release);
            desk.line.wake_head(&mut desk.wake);
            Ok(())
        })
    }

    /// From `now` on an idle bucket holds so many calls, for each priority, if that goes with the interval. What
    /// is used stays used.
    pub(super) fn set_rooms<E>(
        &self,
        rooms: Rooms,
        now: u64,
        check: impl FnOnce(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.at_desk(now, |desk| {
            check(desk.terms.interval)?;
            for (mine, room) in self.rooms.iter().zip(rooms) {
                mine.store(room, Ordering::Release);
            }
            desk.line.wake_head(&mut desk.wake);
            Ok(())
        })
    }

    /// How many calls `who` could make at once at `now`, how many callers wait, and when one who asks now could
    /// go.
    pub(super) fn levels(&self, who: Who, now: u64) -> (u64, usize, u64) {
        self.at_desk(now, |desk| {
            let due = desk.line.due_for(who, desk.tat, &desk.terms);
            let idle = desk.terms.cost(desk.terms.rooms[who.priority as usize]);
            let left = idle.saturating_sub(desk.tat.saturating_sub(desk.now));
            let free = if due <= desk.now { left / desk.terms.interval } else { 0 };
            (free, desk.line.len(), due)
        })
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            interval: self.interval.load(Ordering::Acquire),
            rooms: std::array::from_fn(|priority| self.rooms[priority].load(Ordering::Acquire)),
        }
    }

    /// Lets those through whose moment has come, and does `act` then. Callers are woken after the lock.
    fn at_desk<R>(&self, now: u64, act: impl FnOnce(&mut Desk<'_>) -> R) -> R {
        let mut line = self.line.lock();
        let mut tat = self.state.fetch_or(LINE, Ordering::AcqRel) & !LINE;
        let (terms, mut wake) = (self.terms(), Vec::new());
        let head = line.head();
        let now = line.settle(&mut tat, &terms, now, &mut wake);
        let mut desk = Desk { line: &mut line, tat, terms, now, wake };
        let result = act(&mut desk);
        let Desk { tat, mut wake, .. } = desk;
        if line.head() != head {
            line.wake_head(&mut wake);
        }
        let waits = if line.is_empty() { 0 } else { LINE };
        self.state.store(tat | waits, Ordering::Release);
        drop(line);
        wake.into_iter().for_each(Waker::wake);
        result
    }
}

impl Desk<'_> {
    fn give_back(&mut self, span: Span) {
        if self.tat == span.end {
            self.tat = span.start;
        }
    }
}
