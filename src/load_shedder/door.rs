//! The line behind its lock, and the slots that come back to it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::line::{Line, Refused, Ticket, Why};
use super::{LoadShedderSnapshot, Shed, ShedReason, Work};
use crate::event::{Event, Observers};
use crate::sync::{Lock, oneshot};
use crate::time::{self, Instant, Now};
use crate::timer;

/// What one who waits is told.
type Answer = Result<Serving, Why>;

/// What all clones of a load shedder share.
pub(super) struct Door {
    name: Arc<str>,
    deadline: Duration,
    observers: Observers,
    line: Lock<Line<oneshot::Sender<Answer>>>,
}

/// How one who wants a slot and would wait fares.
pub(super) enum Entry {
    Took(Serving),
    Waits(Place),
}

impl Door {
    pub(super) fn new(
        name: Arc<str>,
        deadline: Duration,
        observers: Observers,
        line: Line<oneshot::Sender<Answer>>,
    ) -> Self {
        Self { name, deadline, observers, line: Lock::new(line) }
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Until when somebody waits for the answer to work that comes now.
    pub(super) fn deadline(&self, work: &Work, now: &Now) -> Option<Instant> {
        work.deadline.or_else(|| timer::ends(self.deadline, now))
    }

    pub(super) fn try_admit(self: &Arc<Self>, work: Work) -> Result<Serving, Shed> {
        let now = time::now();
        if work.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(self.turn_away(ShedReason::Expired, now));
        }
        let starts = self.line.lock().start(work.priority);
        if starts { Ok(Serving::new(self)) } else { Err(self.turn_away(ShedReason::QueueFull, now)) }
    }

    /// Takes a slot, or a place in the line.
    pub(super) fn enter(
        self: &Arc<Self>,
        work: &Work,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Result<Entry, Shed> {
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(self.turn_away(ShedReason::Expired, now));
        }
        let mut line = self.line.lock();
        if line.start(work.priority) {
            drop(line);
            return Ok(Entry::Took(Serving::new(self)));
        }
        let mut refused = Vec::new();
        let (sender, answer) = oneshot::channel();
        let ticket = line.push(sender, work.priority, deadline, now, &mut refused);
        drop(line);
        // Before anybody is woken: a waker that panics must not leave a place behind that nobody waits at.
        let place = Place { door: Arc::clone(self), ticket, answer };
        send_away(refused);
        Ok(Entry::Waits(place))
    }

    /// Turns one away who is not in the line.
    pub(super) fn turn_away(&self, reason: ShedReason, now: Instant) -> Shed {
        let why = self.line.lock().turn_away(reason, now);
        self.shed(why)
    }

    /// Tells those who watch, and gives the error for the one who is turned away.
    pub(super) fn shed(&self, Why { reason, retry_in }: Why) -> Shed {
        self.observers.tell(|| Event::Rejected { policy: &self.name, reason: reason.name() });
        Shed { shedder: Arc::clone(&self.name), retry_in, reason }
    }

    pub(super) fn snapshot(&self) -> LoadShedderSnapshot {
        let now = time::now();
        LoadShedderSnapshot::of(&self.line.lock(), now)
    }

    /// A slot comes free: hands it to who goes first. They are woken outside the lock.
    fn give_back(self: &Arc<Self>) {
        let now = time::now();
        self.line.lock().done(now);
        let mut refused = Vec::new();
        loop {
            // The guard at once: nothing below can lose the slot, not even a waker that panics.
            let next = self.line.lock().pop(now, &mut refused).map(|waiter| (waiter, Serving::new(self)));
            let Some((waiter, serving)) = next else { break };
            if let Err(Ok(unwanted)) = waiter.send(Ok(serving)) {
                // The waiter left after it was taken off the line. Dropping the guard would come back here,
                // one call deeper for each of them; this loop does the same.
                unwanted.disarm();
                self.line.lock().done(now);
            }
        }
        send_away(refused);
    }
}

fn send_away(refused: Vec<Refused<oneshot::Sender<Answer>>>) {
    for Refused { item, why } in refused {
        // One who has gone already need not be told.
        let _gone = item.send(Err(why));
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Leave to serve one request. Dropped, it goes to who is next, or back.
///
/// It borrows nothing: keep it in the response until its last byte is sent, if that is when the work is done.
///
/// ```
/// use recoup::{LoadShedder, Work};
/// let shedder = LoadShedder::builder(2).build().unwrap();
/// let serving = shedder.try_admit(Work::new()).unwrap();
/// assert_eq!(shedder.snapshot().in_service, 1);
/// drop(serving);
/// assert_eq!(shedder.snapshot().in_service, 0);
/// ```
#[must_use = "a slot dropped at once limits nothing"]
pub struct Serving {
    /// `None` once it is somebody else's to give back.
    door: Option<Arc<Door>>,
}

impl Serving {
    /// For one who has just taken a slot.
    fn new(door: &Arc<Door>) -> Self {
        Self { door: Some(Arc::clone(door)) }
    }

    fn disarm(mut self) {
        self.door = None;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(door) = self.door.take() {
            door.give_back();
        }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("shedder", &self.door.as_ref().map(|door| door.name())).finish()
    }
}

/// A place in the line: leaves it when dropped.
#[derive(Debug)]
pub(super) struct Place {
    door: Arc<Door>,
    /// `None` once off the line.
    ticket: Option<Ticket>,
    // Dropped after the line is left, with a slot that came too late in it.
    answer: oneshot::Receiver<Answer>,
}

impl Place {
    /// The slot, or why there is none, once that is decided.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Serving, Why>> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        self.ticket = None;
        Poll::Ready(answer.unwrap_or_else(|_| {
            // One who was woken before this one panicked, and the answer was lost on the way.
            Err(self.door.line.lock().turn_away(ShedReason::QueueFull, time::now()))
        }))
    }

    /// Leaves the line. `false` if it has left already, and an answer is on its way.
    pub(super) fn leave(&mut self, now: Instant) -> bool {
        let Some(ticket) = self.ticket.take() else { return false };
        let place = self.door.line.lock().leave(ticket, now);
        place.is_some() // and dropped outside the lock
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.leave(time::now());
        }
    }
}
