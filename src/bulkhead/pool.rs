//! Slots of which parts are kept for those who matter more, or are guaranteed to somebody.
//!
//! Every decision is made here, under one lock, and none of them is told to anybody here.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::sync::Arc;

use super::FullReason;
use super::gate::Counts;
use super::line::{Line, Ticket};
use super::order::QueueOrder;
use crate::priority::{Priority, Reserves};
use crate::time::{Instant, Now};

/// Shares come out a little beside what they are.
pub(super) const ROUNDING: f64 = 1e-6;

pub(super) struct Pool<W> {
    slots: u32,
    closed: bool,
    next_ticket: u64,
    reserves: Reserves,
    /// Over all parts.
    in_use: u64,
    /// The first is of those who name no partition.
    parts: Vec<Part<W>>,
}

struct Part<W> {
    name: Option<Arc<str>>,
    share: f64,
    /// The whole slots of its share.
    guaranteed: u32,
    in_use: u32,
    line: Line<W>,
}

/// How good a claim to the next slot is; the best is the greatest.
///
/// A partition that has less than its guarantee comes first. Then priorities are compared, and of equals the
/// one goes first whose partition would have the least with the slot, measured by its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    below_guarantee: bool,
    priority: Priority,
    /// The bits of a number that is not negative, which sort as it does.
    fill: Reverse<u64>,
    number: Reverse<u64>,
}

/// How one who wants a slot and would wait fares.
pub(super) enum Joined<W> {
    Took,
    Waits {
        ticket: Ticket,
        shed_at: Option<Instant>,
        /// Who had to make room.
        evicted: Option<W>,
    },
}

/// Somebody who is off the line.
pub(super) enum Turn<W> {
    /// They have a slot now.
    Served(W),
    /// They waited too long for an overload.
    Shed(W),
}

/// The counts of one partition.
#[derive(Clone, Debug)]
pub(super) struct PartCounts {
    pub(super) name: Option<Arc<str>>,
    pub(super) guaranteed: usize,
    pub(super) in_use: usize,
    pub(super) queued: usize,
}

impl<W> Pool<W> {
    /// `partitions` are shares that add up to one at most; what is left is of those who name none.
    pub(super) fn new(
        slots: u32,
        order: QueueOrder,
        reserves: Reserves,
        partitions: &[(Arc<str>, f64)],
    ) -> Self {
        let part = |name, share| Part { name, share, guaranteed: 0, in_use: 0, line: Line::new(order) };
        let named: f64 = partitions.iter().map(|(_, share)| share).sum();
        let rest = part(None, (1.0 - named).max(0.0));
        let parts = partitions.iter().map(|(name, share)| part(Some(Arc::clone(name)), *share));
        let parts = std::iter::once(rest).chain(parts).collect();
        let mut pool = Self { slots, closed: false, next_ticket: 0, reserves, in_use: 0, parts };
        pool.set_slots(slots);
        pool
    }

    /// Takes a slot for one who would not wait.
    pub(super) fn take(&mut self, part: usize, priority: Priority) -> Result<(), FullReason> {
        if self.closed {
            return Err(FullReason::Closed);
        }
        let newest = Ticket::new(priority, u64::MAX);
        let claim = self.parts[part].claim(newest);
        // Whoever waits for a slot that they may have is about to get it: who comes now must not pass them.
        let passes = || self.best().is_none_or(|(_, best)| claim > best);
        if !self.has_room_for(priority) || !passes() {
            return Err(FullReason::QueueFull);
        }
        self.in_use += 1;
        self.parts[part].in_use += 1;
        Ok(())
    }

    /// Takes a slot, or a place in a line of at most `bound`.
    pub(super) fn enter(
        &mut self,
        part: usize,
        priority: Priority,
        bound: u32,
        who: impl FnOnce() -> W,
        now: &Now,
    ) -> Result<Joined<W>, FullReason> {
        match self.take(part, priority) {
            Ok(()) => return Ok(Joined::Took),
            Err(FullReason::QueueFull) if bound > 0 => {}
            Err(reason) => return Err(reason),
        }
        let line = &mut self.parts[part].line;
        let full = line.len() >= bound as usize;
        if full && !line.has_below(priority) {
            return Err(FullReason::QueueFull);
        }
        let ticket = Ticket::new(priority, self.next_ticket);
        self.next_ticket += 1;
        let shed_at = line.join(ticket, who(), now);
        let evicted = if full { line.evict() } else { None };
        Ok(Joined::Waits { ticket, shed_at, evicted })
    }

    /// Who is next, together with a slot for them. To be asked until it is `None`.
    pub(super) fn next(&mut self, now: &Now) -> Option<Turn<W>> {
        // Of no use to whom there is no slot for, and then their own timer tells them.
        if !self.has_room_for(Priority::Critical) {
            return None;
        }
        if let Some(stale) = self.parts.iter_mut().find_map(|part| part.line.shed(now)) {
            return Some(Turn::Shed(stale));
        }
        let Some((part, _)) = self.best() else {
            self.note_idle(now);
            return None;
        };
        let part = &mut self.parts[part];
        let next = part.line.next(now)?;
        part.in_use += 1;
        self.in_use += 1;
        Some(Turn::Served(next))
    }

    pub(super) fn give_back(&mut self, part: usize) {
        self.in_use -= 1;
        self.parts[part].in_use -= 1;
    }

    pub(super) fn leave(&mut self, part: usize, ticket: Ticket) -> Option<W> {
        self.parts[part].line.leave(ticket)
    }

    pub(super) fn set_slots(&mut self, slots: u32) {
        self.slots = slots;
        let mut left = slots;
        for part in &mut self.parts {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a count, and the cast saturates"
            )]
            let whole = (part.share * f64::from(slots) + ROUNDING) as u32;
            // Whatever rounding does, guarantees are not more than there is.
            part.guaranteed = whole.min(left);
            left -= part.guaranteed;
        }
    }

    /// Lets nobody in any more, and gives all who wait.
    pub(super) fn close(&mut self) -> Vec<W> {
        self.closed = true;
        self.parts.iter_mut().flat_map(|part| part.line.clear()).collect()
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let queued = self.parts.iter().map(|part| part.line.len()).sum();
        Counts { slots: count(self.slots.into()), in_use: count(self.in_use), queued }
    }

    /// The counts of each part; the first is of those who name no partition.
    pub(super) fn parts(&self) -> Vec<PartCounts> {
        let counts = |part: &Part<W>| PartCounts {
            name: part.name.clone(),
            guaranteed: part.guaranteed as usize,
            in_use: part.in_use as usize,
            queued: part.line.len(),
        };
        self.parts.iter().map(counts).collect()
    }

    /// Tells the lines that nobody is in that a slot was there, if everybody could have had it.
    fn note_idle(&mut self, now: &Now) {
        if self.has_room_for(Priority::Low) {
            let empty = self.parts.iter_mut().filter(|part| part.line.is_empty());
            empty.for_each(|part| drop(part.line.next(now)));
        }
    }

    /// Whether one of `priority` may have one of the free slots.
    fn has_room_for(&self, priority: Priority) -> bool {
        let slots = u64::from(self.slots);
        self.in_use + self.reserves.kept_from(priority, slots) < slots
    }

    /// Whose turn it is: the part, and its claim. Only of those for whom there is room.
    fn best(&self) -> Option<(usize, Claim)> {
        let claims = self.parts.iter().enumerate().filter_map(|(at, part)| {
            let first = part.line.first()?;
            self.has_room_for(first.priority()).then(|| (at, part.claim(first)))
        });
        claims.max_by_key(|(_, claim)| *claim)
    }
}

impl<W> Part<W> {
    fn claim(&self, ticket: Ticket) -> Claim {
        let fill = (f64::from(self.in_use) + 1.0) / self.share; // infinite without a share
        Claim {
            below_guarantee: self.in_use < self.guaranteed,
            priority: ticket.priority(),
            fill: Reverse(fill.to_bits()),
            number: Reverse(ticket.number()),
        }
    }
}
