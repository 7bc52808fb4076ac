//! The count of free slots, and the line of those who wait for one.
//!
//! # Why it is exact
//!
//! One word holds the free slots (negative while a lowered limit drains) and two flags. Three rules:
//!
//! 1. `QUEUED` and `CLOSED` change only under the line's lock, and while it is not held `QUEUED` says whether
//!    anybody is in line. An order that must know whether a slot found nobody keeps it until one does.
//! 2. A slot is taken without the lock only by a compare-and-swap of a word with neither flag and a free slot.
//!    So while somebody waits nobody passes them, and free slots become fewer under the lock only.
//! 3. A slot is given back by one addition. If the word had `QUEUED`, the giver then serves the line.
//!
//! No wake-up is lost: one who finds no slot sets `QUEUED`, under the lock, by a compare-and-swap of a word
//! without free slots. A slot given back before that swap makes it fail and is then taken; the giver of one that
//! comes after it sees `QUEUED`, and finds the waiter in line once it has the lock. The cap holds because each
//! take subtracts from a word that was seen to have a slot. The bound of the line is its length under the lock:
//! one who leaves is removed at once, so nobody dead is in line and none has to be skipped.
//!
//! A gate of a `Pool` has `QUEUED` set for ever, so that whoever takes or gives back comes to
//! the pool, which counts for itself; what such a word counts means nothing.
//!
//! A slot on its way to a waiter counts as in use and is owned by a `Grant`. Wherever that ends up, in a
//! waiter that went away as well, its drop gives the slot back.

use std::fmt;
use std::sync::Arc;

use super::FullReason;
use super::hold::{Place, Waiter};
use super::line::{Line, Ticket};
use super::order::QueueOrder;
use super::pool::{Joined, PartCounts, Turn};
use super::seat::Seat;
use crate::priority::Priority;
use crate::sync::Lock;
use crate::sync::atomic::{AtomicI64, Ordering};
use crate::time::Now;

/// Somebody is in line.
const QUEUED: i64 = 1;
/// Nothing more is let in.
const CLOSED: i64 = 2;
/// One free slot. The bits above the flags are the count, with its sign.
const ONE: i64 = 4;

const fn free(word: i64) -> i64 {
    // An arithmetic shift: it drops the flags and keeps the sign.
    word >> ONE.trailing_zeros()
}

pub(crate) struct Gate {
    word: AtomicI64,
    behind: Behind,
}

/// Who is asked where the word alone does not say.
enum Behind {
    Line(Lock<Queue>),
    Pool(Seat),
}

struct Queue {
    /// The limit, so that the slots in use are this less the free ones.
    slots: i64,
    next_ticket: u64,
    line: Line<Waiter>,
}

/// How one who wants a slot and would wait fares.
pub(super) enum Entry<'b> {
    /// A slot was free, and is taken.
    Took,
    Waits(Place<'b>),
}

impl Gate {
    pub(super) fn new(slots: u32, order: QueueOrder) -> Self {
        let slots = i64::from(slots);
        let queue = Queue { slots, next_ticket: 0, line: Line::new(order) };
        Self { word: AtomicI64::new(slots * ONE), behind: Behind::Line(Lock::new(queue)) }
    }

    pub(super) fn of_pool(seat: Seat) -> Self {
        Self { word: AtomicI64::new(QUEUED), behind: Behind::Pool(seat) }
    }

    /// Takes a slot if one is free and nobody waits.
    #[inline]
    pub(super) fn try_take(&self) -> Result<(), FullReason> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & CLOSED != 0 {
                return Err(FullReason::Closed);
            }
            if word & QUEUED != 0 || free(word) <= 0 {
                return Err(FullReason::QueueFull);
            }
            let swap = (Ordering::Acquire, Ordering::Relaxed);
            match self.word.compare_exchange_weak(word, word - ONE, swap.0, swap.1) {
                Ok(_) => return Ok(()),
                Err(changed) => word = changed,
            }
        }
    }

    /// Takes a slot for one who would not wait. The priority is asked for only if it matters.
    #[inline]
    pub(super) fn take(&self, priority: impl FnOnce() -> Priority) -> Result<(), FullReason> {
        match self.try_take() {
            Ok(()) => Ok(()),
            Err(reason) => self.take_behind(reason, priority),
        }
    }

    /// What is left to try where the word gave none, and why that was.
    #[cold]
    pub(super) fn take_behind(
        &self,
        reason: FullReason,
        priority: impl FnOnce() -> Priority,
    ) -> Result<(), FullReason> {
        match &self.behind {
            Behind::Pool(seat) => seat.take(priority()),
            Behind::Line(_) => Err(reason),
        }
    }

    /// Takes a slot, or a place in a line of at most `bound`.
    pub(super) fn enter<'b>(
        self: &'b Arc<Self>,
        priority: Priority,
        bound: u32,
        now: &Now,
    ) -> Result<Entry<'b>, FullReason> {
        match self.try_take() {
            Ok(()) => Ok(Entry::Took),
            Err(FullReason::QueueFull) => self.enter_behind(priority, bound, now),
            Err(reason) => Err(reason),
        }
    }

    #[cold]
    fn enter_behind<'b>(
        self: &'b Arc<Self>,
        priority: Priority,
        bound: u32,
        now: &Now,
    ) -> Result<Entry<'b>, FullReason> {
        let mut answer = None;
        let waiter = || {
            let (waiter, receiver) = Waiter::new(self);
            answer = Some(receiver);
            waiter
        };
        let joined = match &self.behind {
            Behind::Line(_) if bound == 0 => return Err(FullReason::QueueFull),
            Behind::Line(queue) => self.line_up(queue, priority, bound, waiter, now)?,
            Behind::Pool(seat) => seat.enter(priority, bound, waiter, now)?,
        };
        let (Joined::Waits { ticket, shed_at, evicted }, Some(answer)) = (joined, answer) else {
            return Ok(Entry::Took);
        };
        let place = Place::new(self, ticket, shed_at, answer);
        // Woken outside the lock, and after the place that it made has its owner: a waker may panic.
        if let Some(evicted) = evicted {
            evicted.refuse(FullReason::Evicted);
        }
        Ok(Entry::Waits(place))
    }

    fn line_up(
        &self,
        queue: &Lock<Queue>,
        priority: Priority,
        bound: u32,
        waiter: impl FnOnce() -> Waiter,
        now: &Now,
    ) -> Result<Joined<Waiter>, FullReason> {
        let mut queue = queue.lock();
        let mut word = self.word.load(Ordering::Relaxed);
        if word & CLOSED != 0 {
            return Err(FullReason::Closed);
        }
        let full = queue.line.len() >= bound as usize;
        if full && !queue.line.has_below(priority) {
            return Err(FullReason::QueueFull);
        }
        while word & QUEUED == 0 {
            let takes = free(word) > 0;
            let next = if takes { word - ONE } else { word | QUEUED };
            match self.word.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if takes => return Ok(Joined::Took),
                Ok(_) => break,
                Err(changed) => word = changed,
            }
        }
        let ticket = Ticket::new(priority, queue.next_ticket);
        queue.next_ticket += 1;
        let shed_at = queue.line.join(ticket, waiter(), now);
        let evicted = if full { queue.line.evict() } else { None };
        Ok(Joined::Waits { ticket, shed_at, evicted })
    }

    /// Leaves the line, if `ticket` is still in it.
    pub(super) fn leave(&self, ticket: Ticket) {
        let left = match &self.behind {
            Behind::Line(queue) => {
                let mut queue = queue.lock();
                let left = queue.line.leave(ticket);
                if left.is_some() {
                    self.note_if_idle(&queue);
                }
                left
            }
            Behind::Pool(seat) => seat.leave(ticket),
        };
        // Wakes whoever waits for it, so not under the lock.
        drop(left);
    }

    /// Gives a slot back: to who is next, if somebody waits.
    #[inline]
    pub(super) fn give_back(&self) {
        if self.word.fetch_add(ONE, Ordering::Release) & QUEUED != 0 {
            self.give_back_behind();
        }
    }

    #[cold]
    fn give_back_behind(&self) {
        if let Behind::Pool(seat) = &self.behind {
            seat.give_back();
        }
        self.serve();
    }

    /// Hands free slots to those who wait until one of them runs out. Waiters are woken outside the lock. One
    /// that panics while it is woken leaves the rest to whoever comes here next, with the next slot given back.
    #[cold]
    fn serve(&self) {
        let (now, mut shed) = (Now::unread(), Vec::new());
        while let Some(turn) = self.next(&now) {
            match turn {
                Turn::Served(waiter) => waiter.serve(),
                Turn::Shed(waiter) => shed.push(waiter),
            }
        }
        // Last: none of them has a slot that would come back if one of them panics.
        for waiter in shed {
            waiter.refuse(FullReason::Shed);
        }
    }

    /// Takes the next off the line, together with a slot for them.
    fn next(&self, now: &Now) -> Option<Turn<Waiter>> {
        let queue = match &self.behind {
            Behind::Line(queue) => queue,
            Behind::Pool(seat) => return seat.next(now),
        };
        let mut queue = queue.lock();
        if free(self.word.load(Ordering::Relaxed)) <= 0 {
            return None;
        }
        let stale = queue.line.shed(now).map(Turn::Shed);
        let turn = stale.or_else(|| queue.line.next(now).map(Turn::Served));
        if let Some(Turn::Served(_)) = turn {
            // Nobody else can have taken the free slot: somebody was in line (rule 2).
            self.word.fetch_sub(ONE, Ordering::Acquire);
        }
        self.note_if_idle(&queue);
        turn
    }

    /// Gives a slot back that was on its way to one who went away. Whoever hands slots out goes on.
    pub(super) fn take_back(&self) {
        match &self.behind {
            Behind::Line(_) => drop(self.word.fetch_add(ONE, Ordering::Release)),
            Behind::Pool(seat) => seat.give_back(),
        }
    }

    fn note_if_idle(&self, queue: &Queue) {
        if queue.line.is_idle() {
            self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        }
    }

    pub(super) fn set_slots(&self, slots: u32) {
        match &self.behind {
            Behind::Line(queue) => {
                let slots = i64::from(slots);
                let mut queue = queue.lock();
                let more = slots - queue.slots;
                queue.slots = slots;
                self.word.fetch_add(more * ONE, Ordering::Relaxed);
            }
            Behind::Pool(seat) => seat.set_slots(slots),
        }
        self.serve();
    }

    pub(super) fn close(&self) {
        let waiters = match &self.behind {
            Behind::Line(queue) => {
                let mut queue = queue.lock();
                self.word.fetch_or(CLOSED, Ordering::Relaxed);
                self.word.fetch_and(!QUEUED, Ordering::Relaxed);
                queue.line.clear()
            }
            Behind::Pool(seat) => seat.close(),
        };
        // Wakes all of them, so not under the lock.
        drop(waiters);
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.behind {
            Behind::Line(_) => self.word.load(Ordering::Relaxed) & CLOSED != 0,
            Behind::Pool(seat) => seat.is_closed(),
        }
    }

    /// The counts at one moment.
    pub(super) fn counts(&self) -> Counts {
        match &self.behind {
            Behind::Line(queue) => {
                let queue = queue.lock();
                let in_use = queue.slots - free(self.word.load(Ordering::Relaxed));
                let count = |count: i64| usize::try_from(count).unwrap_or_default();
                Counts { slots: count(queue.slots), in_use: count(in_use), queued: queue.line.len() }
            }
            Behind::Pool(seat) => seat.counts(),
        }
    }

    /// The counts of each partition at the same moment; the first is of those who name none.
    pub(super) fn parts(&self) -> (Counts, Vec<PartCounts>) {
        match &self.behind {
            Behind::Line(_) => (self.counts(), Vec::new()),
            Behind::Pool(seat) => seat.parts(),
        }
    }
}

/// The limit, the slots in use and the length of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) slots: usize,
    pub(super) in_use: usize,
    pub(super) queued: usize,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { slots, in_use, queued } = self.counts();
        let mut out = f.debug_struct("Gate");
        out.field("slots", &slots).field("in_use", &in_use).field("queued", &queued).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::Context;

    use super::*;
    use crate::bulkhead::hold::{Answer, Hold};
    use crate::sync::oneshot;

    fn counts(gate: &Gate) -> (usize, usize, usize) {
        let Counts { slots, in_use, queued } = gate.counts();
        (slots, in_use, queued)
    }

    fn enter(gate: &Arc<Gate>, bound: u32) -> Result<Entry<'_>, FullReason> {
        gate.enter(Priority::Normal, bound, &Now::unread())
    }

    #[test]
    fn slot_without_a_line_needs_no_lock() {
        let gate = Arc::new(Gate::new(1, QueueOrder::Fifo));
        let Behind::Line(queue) = &gate.behind else { panic!("no partitions") };
        let line = queue.lock();
        // With the lock held here, one that asked for it would hang.
        for _ in 0..3 {
            assert!(matches!(enter(&gate, 1), Ok(Entry::Took)));
            let hold = Hold::taken(&gate);
            assert_eq!(gate.try_take(), Err(FullReason::QueueFull));
            drop(hold);
        }
        drop(line);
        assert_eq!(counts(&gate), (1, 0, 0));
    }

    /// The second half of `enter`, after a first that found no slot. What it gives owns no place.
    fn line_up(gate: &Arc<Gate>, bound: u32) -> Result<Option<oneshot::Receiver<Answer>>, FullReason> {
        let Behind::Line(queue) = &gate.behind else { panic!("no partitions") };
        let (waiter, answer) = Waiter::new(gate);
        match gate.line_up(queue, Priority::Normal, bound, || waiter, &Now::unread())? {
            Joined::Took => Ok(None),
            Joined::Waits { .. } => Ok(Some(answer)),
        }
    }

    #[test]
    fn slot_given_back_just_before_one_lines_up_is_taken() {
        let gate = Arc::new(Gate::new(1, QueueOrder::Fifo));
        assert!(matches!(line_up(&gate, 1), Ok(None)));
        assert!(matches!(line_up(&gate, 1), Ok(Some(_))));
        assert!(matches!(line_up(&gate, 1), Err(FullReason::QueueFull)));
        assert_eq!(counts(&gate), (1, 1, 1));
    }

    #[test]
    fn slot_given_back_but_not_handed_over_yet_is_for_the_line() {
        let gate = Arc::new(Gate::new(1, QueueOrder::Fifo));
        gate.try_take().unwrap();
        let mut first = line_up(&gate, 9).unwrap().unwrap();
        // Half of `give_back`.
        gate.word.fetch_add(ONE, Ordering::Release);
        assert_eq!(gate.try_take(), Err(FullReason::QueueFull));
        let mut second = line_up(&gate, 9).unwrap().unwrap();
        gate.serve();
        let grant = first.try_recv().unwrap();
        assert!(second.try_recv().is_err());
        drop(grant);
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn any_number_who_went_away_while_they_were_served_are_passed_over() {
        let gate = Arc::new(Gate::new(1, QueueOrder::Fifo));
        gate.try_take().unwrap();
        // Gone without leaving the line: what the giver sees of one who leaves after it was taken off.
        (0..100_000).for_each(|_| drop(line_up(&gate, u32::MAX)));
        let mut last = line_up(&gate, u32::MAX).unwrap().unwrap();
        gate.give_back();
        drop(last.try_recv().unwrap());
        assert_eq!(counts(&gate), (1, 0, 0));
    }

    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("while woken");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waker_that_panics_as_its_future_is_shed_keeps_no_slot_from_others() {
        let gate = Arc::new(Gate::new(1, QueueOrder::codel()));
        gate.try_take().unwrap();
        let mut stale = line_up(&gate, 9).unwrap().unwrap();
        let waker = Arc::new(Panics).into();
        assert!(std::pin::pin!(&mut stale).poll(&mut Context::from_waker(&waker)).is_pending());
        tokio::time::advance(std::time::Duration::from_millis(200)).await;
        let mut fresh = line_up(&gate, 9).unwrap().unwrap();
        let gives_back = std::panic::AssertUnwindSafe(|| gate.give_back());
        assert!(std::panic::catch_unwind(gives_back).is_err());
        assert!(matches!(stale.try_recv(), Ok(Err(FullReason::Shed))));
        assert!(fresh.try_recv().unwrap().is_ok());
        assert_eq!(counts(&gate), (1, 0, 0));
        assert!(gate.try_take().is_ok(), "and the line is idle");
    }

    #[test]
    fn count_keeps_its_sign_beside_the_flags() {
        for count in [-i64::from(u32::MAX), -1, 0, 1, i64::from(u32::MAX)] {
            for flags in [0, QUEUED, CLOSED, QUEUED | CLOSED] {
                assert_eq!(free(count * ONE + flags), count);
            }
        }
    }
}
