//! The count of free slots, and the line of those who wait for one.
//!
//! # Why it is exact
//!
//! One word holds the free slots (negative while a lowered limit drains) and two flags. Three rules:
//!
//! 1. `QUEUED` and `CLOSED` change only under the line's lock, and while it is not held `QUEUED` says whether
//!    anybody is in line.
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
//! A slot on its way to a waiter counts as in use and is owned by a [`Grant`]. Wherever that ends up, in a
//! waiter that went away as well, its drop gives the slot back.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::FullReason;
use crate::sync::atomic::{AtomicI64, Ordering};
use crate::sync::{Lock, oneshot};

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
    line: Lock<Line>,
}

struct Line {
    /// The limit, so that the slots in use are this less the free ones.
    slots: i64,
    next_ticket: u64,
    /// By ticket, so the first is who waits longest.
    waiters: BTreeMap<u64, oneshot::Sender<Grant>>,
}

/// How one who wants a slot and would wait fares.
pub(super) enum Entry {
    /// A slot was free, and is taken.
    Took,
    Waits {
        ticket: u64,
        grant: oneshot::Receiver<Grant>,
    },
}

impl Gate {
    pub(super) fn new(slots: u32) -> Self {
        let slots = i64::from(slots);
        let line = Line { slots, next_ticket: 0, waiters: BTreeMap::new() };
        Self { word: AtomicI64::new(slots * ONE), line: Lock::new(line) }
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

    /// Takes a slot, or a place in a line of at most `bound`.
    pub(super) fn enter(&self, bound: u32) -> Result<Entry, FullReason> {
        match self.try_take() {
            Ok(()) => Ok(Entry::Took),
            Err(FullReason::QueueFull) if bound > 0 => self.line_up(bound),
            Err(reason) => Err(reason),
        }
    }

    #[cold]
    fn line_up(&self, bound: u32) -> Result<Entry, FullReason> {
        let mut line = self.line.lock();
        let mut word = self.word.load(Ordering::Relaxed);
        if word & CLOSED != 0 {
            return Err(FullReason::Closed);
        }
        if u32::try_from(line.waiters.len()).is_ok_and(|waiting| waiting < bound) {
            while word & QUEUED == 0 {
                let takes = free(word) > 0;
                let next = if takes { word - ONE } else { word | QUEUED };
                match self.word.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) if takes => return Ok(Entry::Took),
                    Ok(_) => break,
                    Err(changed) => word = changed,
                }
            }
            let (sender, grant) = oneshot::channel();
            let ticket = line.next_ticket;
            line.next_ticket += 1;
            line.waiters.insert(ticket, sender);
            return Ok(Entry::Waits { ticket, grant });
        }
        Err(FullReason::QueueFull)
    }

    /// Leaves the line, if `ticket` is still in it.
    fn leave(&self, ticket: u64) {
        let mut line = self.line.lock();
        let place = line.waiters.remove(&ticket);
        if place.is_some() {
            self.note_if_empty(&line);
        }
        drop(line);
        // Wakes whoever waits for it, so not under the lock.
        drop(place);
    }

    /// Gives a slot back: to who waits longest, if somebody does.
    #[inline]
    pub(super) fn give_back(self: &Arc<Self>) {
        if self.word.fetch_add(ONE, Ordering::Release) & QUEUED != 0 {
            self.serve_line();
        }
    }

    /// Hands free slots to the line until one of them runs out. Waiters are woken outside the lock. One that
    /// panics while it is woken leaves the rest to whoever comes here next, with the next slot given back.
    #[cold]
    fn serve_line(self: &Arc<Self>) {
        while let Some(waiter) = self.next_waiter() {
            if let Err(unwanted) = waiter.send(Grant::new(self)) {
                // The waiter left after it was taken off the line. Dropping the grant would come back here,
                // one call deeper for each of them; this loop does the same.
                unwanted.disarm();
                self.word.fetch_add(ONE, Ordering::Release);
            }
        }
    }

    /// Takes the first off the line, together with a slot for them.
    fn next_waiter(&self) -> Option<oneshot::Sender<Grant>> {
        let mut line = self.line.lock();
        if free(self.word.load(Ordering::Relaxed)) <= 0 {
            return None;
        }
        let (_, waiter) = line.waiters.pop_first()?;
        // Nobody else can have taken the free slot: somebody was in line (rule 2).
        self.word.fetch_sub(ONE, Ordering::Acquire);
        self.note_if_empty(&line);
        Some(waiter)
    }

    fn note_if_empty(&self, line: &Line) {
        if line.waiters.is_empty() {
            self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        }
    }

    pub(super) fn set_slots(self: &Arc<Self>, slots: u32) {
        let slots = i64::from(slots);
        let mut line = self.line.lock();
        let more = slots - line.slots;
        line.slots = slots;
        self.word.fetch_add(more * ONE, Ordering::Relaxed);
        drop(line);
        self.serve_line();
    }

    pub(super) fn close(&self) {
        let mut line = self.line.lock();
        self.word.fetch_or(CLOSED, Ordering::Relaxed);
        self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        let waiters = std::mem::take(&mut line.waiters);
        drop(line);
        // Wakes all of them, so not under the lock.
        drop(waiters);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// The limit, the slots in use and the length of the line, at one moment.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let line = self.line.lock();
        let in_use = line.slots - free(self.word.load(Ordering::Relaxed));
        let count = |count: i64| usize::try_from(count).unwrap_or_default();
        (count(line.slots), count(in_use), line.waiters.len())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slots, in_use, queued) = self.counts();
        let mut out = f.debug_struct("Gate");
        out.field("slots", &slots).field("in_use", &in_use).field("queued", &queued).finish()
    }
}

/// A slot on its way from one who gave it back to one who waited.
#[derive(Debug)]
pub(super) struct Grant(Option<Arc<Gate>>);

impl Grant {
    fn new(gate: &Arc<Gate>) -> Self {
        Self(Some(Arc::clone(gate)))
    }

    /// Leaves the slot to somebody else to give back.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            gate.give_back();
        }
    }
}

/// A slot taken, or none any more: gives it back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Hold<'b>(Option<&'b Arc<Gate>>);

impl<'b> Hold<'b> {
    /// For one who has just taken a slot of this gate.
    #[inline]
    pub(super) fn taken(gate: &'b Arc<Gate>) -> Self {
        Self(Some(gate))
    }

    /// Gives the slot back now.
    #[inline(always)]
    pub(crate) fn give_back(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.give_back();
        }
    }

    #[cold]
    fn dropped(&mut self) {
        self.give_back();
    }
}

// Who is done gives back in person; what is left to a drop is the rest, out of everybody's way.
impl Drop for Hold<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.dropped();
        }
    }
}

/// A place in line: leaves it when dropped.
#[derive(Debug)]
pub(super) struct Place<'b> {
    gate: &'b Arc<Gate>,
    /// `None` once off the line.
    ticket: Option<u64>,
    // Dropped after the line is left, with a grant that came too late in it.
    grant: oneshot::Receiver<Grant>,
}

impl<'b> Place<'b> {
    pub(super) fn new(gate: &'b Arc<Gate>, ticket: u64, grant: oneshot::Receiver<Grant>) -> Self {
        Self { gate, ticket: Some(ticket), grant }
    }

    /// The slot, once it is this one's turn, or `None` if the gate closed first.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Hold<'b>>> {
        let grant = ready!(Pin::new(&mut self.grant).poll(cx));
        self.ticket = None;
        Poll::Ready(grant.ok().map(|grant| {
            grant.disarm();
            Hold::taken(self.gate)
        }))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate.leave(ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_without_a_line_needs_no_lock() {
        let gate = Arc::new(Gate::new(1));
        let line = gate.line.lock();
        // With the lock held here, one that asked for it would hang.
        for _ in 0..3 {
            assert!(matches!(gate.enter(1), Ok(Entry::Took)));
            let hold = Hold::taken(&gate);
            assert_eq!(gate.try_take(), Err(FullReason::QueueFull));
            drop(hold);
        }
        drop(line);
        assert_eq!(gate.counts(), (1, 0, 0));
    }

    fn line_up(gate: &Gate) -> (u64, oneshot::Receiver<Grant>) {
        match gate.enter(u32::MAX) {
            Ok(Entry::Waits { ticket, grant }) => (ticket, grant),
            _ => panic!("a slot was free, or nobody is let in"),
        }
    }

    #[test]
    fn slot_given_back_just_before_one_lines_up_is_taken() {
        let gate = Gate::new(1);
        // The second half of `enter`, after a first that found no slot.
        assert!(matches!(gate.line_up(1), Ok(Entry::Took)));
        assert!(matches!(gate.line_up(1), Ok(Entry::Waits { .. })));
        assert!(matches!(gate.line_up(1), Err(FullReason::QueueFull)));
        assert_eq!(gate.counts(), (1, 1, 1));
    }

    #[test]
    fn slot_given_back_but_not_handed_over_yet_is_for_the_line() {
        let gate = Arc::new(Gate::new(1));
        gate.try_take().unwrap();
        let (_, mut first) = line_up(&gate);
        // Half of `give_back`.
        gate.word.fetch_add(ONE, Ordering::Release);
        assert_eq!(gate.try_take(), Err(FullReason::QueueFull));
        let (_, mut second) = line_up(&gate);
        gate.serve_line();
        let grant = first.try_recv().unwrap();
        assert!(second.try_recv().is_err());
        drop(grant);
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn any_number_who_went_away_while_they_were_served_are_passed_over() {
        let gate = Arc::new(Gate::new(1));
        gate.try_take().unwrap();
        // Gone without leaving the line: what the giver sees of one who leaves after it was taken off.
        (0..100_000).for_each(|_| drop(line_up(&gate)));
        let (_, mut last) = line_up(&gate);
        gate.give_back();
        drop(last.try_recv().unwrap());
        assert_eq!(gate.counts(), (1, 0, 0));
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
