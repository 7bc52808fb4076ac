//! Who is served, who waits and who goes: every decision of a load shedder, without a clock or a future.

use std::time::Duration;

use super::ShedReason;
use super::comeback::Comeback;
use super::standing::Standing;
pub(crate) use super::waiting::Ticket;
use super::waiting::Waiting;
use crate::priority::{Priority, Reserves};
use crate::random::Dice;
use crate::time::Instant;

/// The settings, checked.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) slots: u64,
    pub(crate) queue: usize,
    pub(crate) target: Duration,
    pub(crate) interval: Duration,
    pub(crate) reserves: Reserves,
}

/// One who is turned away.
#[derive(Debug)]
pub(crate) struct Refused<T> {
    pub(crate) item: T,
    pub(crate) why: Why,
}

/// Why somebody is turned away, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Why {
    pub(crate) reason: ShedReason,
    pub(crate) retry_in: Duration,
}

/// The queue in front of a server, and how many slots are taken.
///
/// Whoever drives it: a piece of work that may [start](Self::start) does so; one that may not is
/// [pushed](Self::push). After each that is [done](Self::done), those are [popped](Self::pop) who may start
/// now, until there is none. What each of these turns away is put into `refused`.
///
/// Times may come out of order, as they do where the clock is read before a lock is taken: a moment before the
/// latest counts as the latest.
#[derive(Debug)]
pub(crate) struct Line<T> {
    rules: Rules,
    in_service: u64,
    waiting: Waiting<T>,
    standing: Standing,
    comeback: Comeback,
    latest: Option<Instant>,
    shed: [u64; ShedReason::ALL.len()],
}

impl<T> Line<T> {
    pub(crate) fn new(rules: Rules, dice: Dice) -> Self {
        Self {
            in_service: 0,
            waiting: Waiting::new(),
            standing: Standing::new(rules.target, rules.interval),
            comeback: Comeback::new(rules.target, dice),
            latest: None,
            shed: [0; ShedReason::ALL.len()],
            rules,
        }
    }

    /// Takes a slot, if there is one for this priority and nobody waits who goes first.
    pub(crate) fn start(&mut self, priority: Priority) -> bool {
        let first = self.waiting.highest().is_none_or(|highest| highest < priority);
        let starts = first && self.has_slot(priority);
        if starts {
            self.in_service += 1;
        }
        starts
    }

    /// Lets `item` wait. It may be turned away itself; then there is no ticket.
    pub(crate) fn push(
        &mut self,
        item: T,
        priority: Priority,
        deadline: Option<Instant>,
        now: Instant,
        refused: &mut Vec<Refused<T>>,
    ) -> Option<Ticket> {
        let now = self.at(now);
        let ticket = self.waiting.add(item, priority, deadline, now);
        self.comeback.wanted(now);
        self.drop_expired(now, refused);
        self.drop_overdue(now, refused);
        // Last, so that whoever had to go anyway makes room; and with the new one among those who may have to.
        while self.waiting.count() > self.rules.queue
            && let Some(last) = self.last(now)
        {
            self.refuse(last, ShedReason::QueueFull, now, refused);
        }
        self.changed(now);
        self.waiting.has(ticket).then_some(ticket)
    }

    /// Takes the next who may start, and a slot for them.
    pub(crate) fn pop(&mut self, now: Instant, refused: &mut Vec<Refused<T>>) -> Option<T> {
        let now = self.at(now);
        self.drop_expired(now, refused);
        // Whoever starts is taken before those are dropped who waited too long: no slot is left without work.
        let next = self.next(now).and_then(|next| self.waiting.remove(next));
        if next.is_some() {
            self.in_service += 1;
        }
        self.drop_overdue(now, refused);
        self.gone(now);
        next.map(|next| next.item)
    }

    /// A slot comes free.
    pub(crate) fn done(&mut self, now: Instant) {
        let now = self.at(now);
        self.in_service = self.in_service.saturating_sub(1);
        self.comeback.freed(now);
    }

    /// Somebody does not wait any more.
    pub(crate) fn leave(&mut self, ticket: Ticket, now: Instant) -> Option<T> {
        let now = self.at(now);
        let gone = self.waiting.remove(ticket)?;
        self.gone(now);
        Some(gone.item)
    }

    /// Turns one away who is not in the line.
    pub(crate) fn turn_away(&mut self, reason: ShedReason, now: Instant) -> Why {
        let now = self.at(now);
        self.shed[reason as usize] += 1;
        Why { reason, retry_in: self.comeback.turn_away(self.waiting.count(), now) }
    }

    pub(crate) const fn slots(&self) -> u64 {
        self.rules.slots
    }

    pub(crate) const fn in_service(&self) -> u64 {
        self.in_service
    }

    pub(crate) const fn queued(&self) -> usize {
        self.waiting.count()
    }

    /// The lowest that the wait of the one who waits longest was, since one to two intervals ago.
    pub(crate) fn minimum_sojourn(&self, now: Instant) -> Duration {
        self.standing.minimum(self.latest.map_or(now, |latest| latest.max(now)))
    }

    pub(crate) fn standing_since(&self, now: Instant) -> Option<Instant> {
        self.standing.since(self.latest.map_or(now, |latest| latest.max(now)))
    }

    /// How many were turned away for that reason.
    pub(crate) const fn shed(&self, reason: ShedReason) -> u64 {
        self.shed[reason as usize]
    }

    fn at(&mut self, now: Instant) -> Instant {
        *self.latest.insert(self.latest.map_or(now, |latest| latest.max(now)))
    }

    fn has_slot(&self, priority: Priority) -> bool {
        let free = self.rules.slots.saturating_sub(self.in_service);
        free > self.rules.reserves.kept_from(priority, self.rules.slots)
    }

    /// Who starts next. If there is no slot for the highest who wait, there is none for the others.
    fn next(&self, now: Instant) -> Option<Ticket> {
        let priority = self.waiting.highest().filter(|&highest| self.has_slot(highest))?;
        match self.standing.since(now) {
            Some(_) => self.waiting.newest(priority),
            None => self.waiting.oldest(priority).map(|(ticket, _)| ticket),
        }
    }

    /// Who would start last.
    fn last(&self, now: Instant) -> Option<Ticket> {
        let priority = self.waiting.lowest()?;
        match self.standing.since(now) {
            Some(_) => self.waiting.oldest(priority).map(|(ticket, _)| ticket),
            None => self.waiting.newest(priority),
        }
    }

    fn drop_expired(&mut self, now: Instant, refused: &mut Vec<Refused<T>>) {
        while let Some(expired) = self.waiting.remove_expired(now) {
            let why = self.turn_away(ShedReason::Expired, now);
            refused.push(Refused { item: expired.item, why });
        }
    }

    /// Those who waited longer than the target, while a queue stands: from the lowest priority up, and nobody
    /// as long as anyone is left below them.
    fn drop_overdue(&mut self, now: Instant, refused: &mut Vec<Refused<T>>) {
        if self.standing.since(now).is_none() {
            return;
        }
        while let Some(lowest) = self.waiting.lowest()
            && let Some((oldest, arrived)) = self.waiting.oldest(lowest)
            && now.saturating_duration_since(arrived) > self.rules.target
        {
            self.refuse(oldest, ShedReason::Overloaded, now, refused);
        }
    }

    fn refuse(&mut self, ticket: Ticket, reason: ShedReason, now: Instant, refused: &mut Vec<Refused<T>>) {
        if let Some(gone) = self.waiting.remove(ticket) {
            let why = self.turn_away(reason, now);
            refused.push(Refused { item: gone.item, why });
        }
    }

    fn changed(&mut self, now: Instant) {
        self.standing.changed(self.waiting.oldest_of_all(), now);
    }

    fn gone(&mut self, now: Instant) {
        self.changed(now);
        if self.waiting.count() == 0 {
            self.comeback.idle();
        }
    }
}
