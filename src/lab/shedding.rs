//! A backend behind this crate's own load shedder: the same line, driven by the events of a run.

use std::time::Duration;

use super::backend::{Answer, Dropped, Ticket};
use crate::load_shedder::line::{Line, Refused, Rules};
use crate::priority::{Priority, Reserves};
use crate::random::Dice;
use crate::time::{Instant, later};

/// All calls matter alike: the lab knows no priorities.
const ALIKE: Priority = Priority::Normal;

/// The line in front of one shard's servers.
#[derive(Debug)]
pub(super) struct Shedding {
    line: Line<Ticket>,
    /// How long callers wait for the answer.
    timeout: Duration,
    start: Instant,
    refused: Vec<Refused<Ticket>>,
}

impl Shedding {
    pub(super) fn rules(servers: u32, queue: usize, target: Duration, interval: Duration) -> Rules {
        Rules { slots: u64::from(servers), queue, target, interval, reserves: Reserves::default() }
    }

    pub(super) fn new(rules: Rules, dice: Dice, timeout: Duration, start: Instant) -> Self {
        Self { line: Line::new(rules, dice), timeout, start, refused: Vec::new() }
    }

    /// A call comes. It may be among those that are dropped itself.
    pub(super) fn comes(&mut self, ticket: Ticket, now: u64, dropped: &mut Vec<Dropped>) -> Answer {
        if self.line.start(ALIKE) {
            return Answer::Served;
        }
        let now = self.at(now);
        // Whether it has a place is told by those that are refused.
        let _place = self.line.push(ticket, ALIKE, later(now, self.timeout), now, &mut self.refused);
        self.tell(dropped);
        Answer::Queued
    }

    /// A server is free: who is next, if anybody.
    pub(super) fn next(&mut self, now: u64, dropped: &mut Vec<Dropped>) -> Option<Ticket> {
        let now = self.at(now);
        self.line.done(now);
        let next = self.line.pop(now, &mut self.refused);
        self.tell(dropped);
        next
    }

    pub(super) fn queued(&self) -> usize {
        self.line.queued()
    }

    fn tell(&mut self, dropped: &mut Vec<Dropped>) {
        let told =
            |refused: Refused<Ticket>| Dropped { ticket: refused.item, retry_in: Some(refused.why.retry_in) };
        dropped.extend(self.refused.drain(..).map(told));
    }

    fn at(&self, now: u64) -> Instant {
        self.start + Duration::from_nanos(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const MS: u64 = 1_000_000;

    fn ticket(place: u32) -> Ticket {
        Ticket { place, attempt: 1 }
    }

    /// One server, a target of 50 ms, an interval of 100 ms, and callers who wait for half a second.
    fn shedding(queue: usize) -> Shedding {
        let [target, interval, timeout] = [50, 100, 500].map(Duration::from_millis);
        let rules = Shedding::rules(1, queue, target, interval);
        let mut shedding = Shedding::new(rules, Dice::seeded(1), timeout, time::now());
        assert_eq!(shedding.comes(ticket(0), 0, &mut Vec::new()), Answer::Served);
        shedding
    }

    fn places(dropped: &[Dropped]) -> Vec<u32> {
        dropped.iter().map(|dropped| dropped.ticket.place).collect()
    }

    #[test]
    fn newest_is_next_while_a_queue_stands_and_the_others_are_told_when_to_come_back() {
        let (mut shedding, mut dropped) = (shedding(9), Vec::new());
        for n in 1..=3 {
            assert_eq!(shedding.comes(ticket(n), u64::from(n) * 60 * MS, &mut dropped), Answer::Queued);
        }
        assert_eq!((shedding.queued(), dropped.len()), (3, 0));
        assert_eq!(shedding.next(220 * MS, &mut dropped), Some(ticket(3)));
        assert_eq!(places(&dropped), [1, 2]);
        for gone in &dropped {
            assert!(gone.retry_in >= Some(Duration::from_millis(50)), "{gone:?}");
        }
        assert_ne!(dropped[0].retry_in, dropped[1].retry_in, "not as one");
    }

    #[test]
    fn whose_caller_has_gone_is_not_served_and_who_finds_no_room_is_told_at_once() {
        let (mut shedding, mut dropped) = (shedding(1), Vec::new());
        shedding.comes(ticket(1), 10 * MS, &mut dropped);
        shedding.comes(ticket(2), 20 * MS, &mut dropped);
        assert_eq!(places(&dropped), [2]);
        assert_eq!(shedding.next(510 * MS, &mut dropped), None, "half a second after it came");
        assert_eq!(places(&dropped), [2, 1]);
        assert_eq!(shedding.comes(ticket(3), 511 * MS, &mut dropped), Answer::Served, "the server is free");
    }
}
