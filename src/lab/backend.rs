//! Who answers: servers, a bounded queue, and what becomes of calls whose callers have gone.

use std::collections::VecDeque;
use std::time::Duration;

use super::scenario::{Backend, Discipline, Scenario, Spread};
use super::shedding::Shedding;
use crate::random::Dice;
use crate::time::Instant;

/// One attempt of one call in flight: the place of the call, and which of its attempts this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) place: u32,
    pub(super) attempt: u32,
}

/// A part of the backend: its servers, and who waits for them.
#[derive(Debug)]
pub(super) struct Shard {
    idle: u32,
    bound: usize,
    waiting: VecDeque<Waiting>,
    /// When nobody waited, the last time.
    empty_at: u64,
    discipline: Discipline,
    skip_expired: bool,
    slowdown: f64,
    /// Who decides instead of all this, if the backend has one.
    shedder: Option<Shedding>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    since: u64,
}

/// One who waited and is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) ticket: Ticket,
    /// When it should come back, if it is told.
    pub(super) retry_in: Option<Duration>,
}

/// What a shard says to a call that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A server begins with it.
    Served,
    /// It waits, unless it is among those that were dropped.
    Queued,
    /// There is no room.
    TurnedAway,
}

impl Shard {
    /// The shards of a scenario's backend, whose time starts at `start`.
    pub(super) fn all(scenario: &Scenario, seed: u64, start: Instant) -> Vec<Self> {
        let backend = &scenario.backend;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked, and saturates")]
        let bound = backend.queue_of_a_shard() as usize;
        let (each, rest) = (backend.servers / backend.shards, backend.servers % backend.shards);
        let idle = |nth| each + u32::from(nth < rest);
        let Backend { discipline, skip_expired, slowdown, .. } = *backend;
        let shedder = |nth: u32| match discipline {
            Discipline::Shedder { target, interval } => {
                // Shards of one seed would draw the same and be asked again together.
                let dice = Dice::seeded(seed.wrapping_add(u64::from(nth) << 40));
                let rules = Shedding::rules(idle(nth), bound, target, interval);
                Some(Shedding::new(rules, dice, scenario.timeout, start))
            }
            Discipline::Fifo | Discipline::CoDelLifo { .. } => None,
        };
        let shard = |nth| Self {
            idle: idle(nth),
            bound,
            waiting: VecDeque::new(),
            empty_at: 0,
            discipline,
            skip_expired,
            slowdown,
            shedder: shedder(nth),
        };
        (0..backend.shards).map(shard).collect()
    }

    /// A call comes. Calls that have waited too long meanwhile go into `dropped`.
    pub(super) fn comes(&mut self, ticket: Ticket, now: u64, dropped: &mut Vec<Dropped>) -> Answer {
        if let Some(shedder) = &mut self.shedder {
            return shedder.comes(ticket, now, dropped);
        }
        if self.idle > 0 {
            self.idle -= 1;
            return Answer::Served;
        }
        self.shed(now, dropped);
        if self.waiting.is_empty() {
            self.empty_at = now;
        }
        if self.waiting.len() >= self.bound {
            return Answer::TurnedAway;
        }
        self.waiting.push_back(Waiting { ticket, since: now });
        Answer::Queued
    }

    /// A server is free: who is next, if anybody. `is_gone` says whose caller does not wait any more.
    pub(super) fn next(
        &mut self,
        now: u64,
        is_gone: impl Fn(Ticket) -> bool,
        dropped: &mut Vec<Dropped>,
    ) -> Option<Ticket> {
        if let Some(shedder) = &mut self.shedder {
            return shedder.next(now, dropped);
        }
        self.shed(now, dropped);
        loop {
            let next =
                if self.newest_first(now) { self.waiting.pop_back() } else { self.waiting.pop_front() };
            if self.waiting.is_empty() {
                self.empty_at = now;
            }
            let Some(next) = next else {
                self.idle += 1;
                return None;
            };
            if !(self.skip_expired && is_gone(next.ticket)) {
                return Some(next.ticket);
            }
        }
    }

    /// How fast it is, of its full speed.
    pub(super) fn speed(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "queues are far shorter than 2^53")]
        let full = self.queued() as f64 / self.bound.max(1) as f64;
        1.0 - self.slowdown * full
    }

    fn queued(&self) -> usize {
        self.shedder.as_ref().map_or(self.waiting.len(), Shedding::queued)
    }

    fn newest_first(&self, now: u64) -> bool {
        match self.discipline {
            Discipline::Fifo | Discipline::Shedder { .. } => false,
            Discipline::CoDelLifo { interval, .. } => self.stands(now, interval),
        }
    }

    fn stands(&self, now: u64, interval: Duration) -> bool {
        u128::from(now - self.empty_at) > interval.as_nanos()
    }

    /// Turns away who has waited too long: the oldest are in front, whoever is served next.
    fn shed(&mut self, now: u64, dropped: &mut Vec<Dropped>) {
        let Discipline::CoDelLifo { target, interval } = self.discipline else { return };
        let most = if self.stands(now, interval) { target } else { interval };
        while let Some(oldest) = self.waiting.front()
            && u128::from(now - oldest.since) > most.as_nanos()
        {
            dropped.push(Dropped { ticket: oldest.ticket, retry_in: None });
            self.waiting.pop_front();
        }
    }
}

impl Spread {
    /// A service time around a mean of one.
    pub(super) fn draw(self, dice: &Dice) -> f64 {
        match self {
            Self::Fixed => 1.0,
            Self::Exponential => exponential(dice),
            Self::LogNormal { sigma } => (sigma * normal(dice) - sigma * sigma / 2.0).exp(),
        }
    }
}

/// An exponential draw with mean one.
pub(super) fn exponential(dice: &Dice) -> f64 {
    -(1.0 - dice.draw()).ln()
}

/// A draw from the standard normal distribution (Box and Muller, 1958).
pub(super) fn normal(dice: &Dice) -> f64 {
    let radius = (2.0 * exponential(dice)).sqrt();
    radius * (std::f64::consts::TAU * dice.draw()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Fleet;
    use crate::time;

    const MS: u64 = 1_000_000;

    fn ticket(place: u32) -> Ticket {
        Ticket { place, attempt: 1 }
    }

    fn one_server(change: impl FnOnce(&mut Backend)) -> Shard {
        let mut backend = Backend::new(1, Duration::from_millis(1));
        backend.queue = super::super::QueueBound::Calls(3);
        change(&mut backend);
        shards(backend).remove(0)
    }

    fn shards(backend: Backend) -> Vec<Shard> {
        let scenario = Scenario { backend, ..Scenario::quiet(Fleet::new(1, 1.0)) };
        Shard::all(&scenario, 1, time::now())
    }

    fn gone(dropped: &[Dropped]) -> Vec<u32> {
        dropped.iter().map(|dropped| dropped.ticket.place).collect()
    }

    #[test]
    fn who_came_first_is_served_first_and_who_finds_no_room_is_turned_away() {
        let mut shard = one_server(|_| {});
        let none = &mut Vec::new();
        let answers: Vec<Answer> = (0..5).map(|n| shard.comes(ticket(n), 0, none)).collect();
        let queued = Answer::Queued;
        assert_eq!(answers, [Answer::Served, queued, queued, queued, Answer::TurnedAway]);
        let served: Vec<_> = (0..4).map(|_| shard.next(0, |_| true, none).map(|t| t.place)).collect();
        assert_eq!(served, [Some(1), Some(2), Some(3), None]);
        assert_eq!(shard.comes(ticket(9), 0, none), Answer::Served);
        assert!(none.is_empty());
    }

    #[test]
    fn who_has_gone_is_served_all_the_same_unless_they_are_skipped() {
        for (skip, next) in [(false, Some(1)), (true, Some(2))] {
            let mut shard = one_server(|backend| backend.skip_expired = skip);
            let none = &mut Vec::new();
            (0..3).for_each(|n| _ = shard.comes(ticket(n), 0, none));
            assert_eq!(shard.next(0, |gone| gone.place == 1, none).map(|t| t.place), next);
        }
    }

    #[test]
    fn queue_that_stands_is_served_from_its_end_and_sheds_its_oldest() {
        let mut shard = one_server(|backend| {
            let (target, interval) = (Duration::from_millis(5), Duration::from_millis(100));
            backend.discipline = Discipline::CoDelLifo { target, interval };
        });
        let mut dropped = Vec::new();
        assert_eq!(shard.comes(ticket(0), 0, &mut dropped), Answer::Served);
        for (n, at) in [(1, 50), (2, 98), (3, 99)] {
            assert_eq!(shard.comes(ticket(n), at * MS, &mut dropped), Answer::Queued);
        }
        assert_eq!(shard.next(100 * MS, |_| false, &mut dropped), Some(ticket(1)), "it does not stand yet");
        assert_eq!(shard.next(151 * MS, |_| false, &mut dropped), None, "both have waited for too long");
        assert_eq!(gone(&dropped), [2, 3]);

        let mut shard = one_server(|backend| {
            let (target, interval) = (Duration::from_millis(50), Duration::from_millis(100));
            backend.discipline = Discipline::CoDelLifo { target, interval };
        });
        for (n, at) in [(0, 0), (1, 10), (2, 90), (3, 95)] {
            shard.comes(ticket(n), at * MS, &mut dropped);
        }
        dropped.clear();
        assert_eq!(shard.next(120 * MS, |_| false, &mut dropped), Some(ticket(3)), "the newest");
        assert_eq!(gone(&dropped), [1], "the oldest has waited for too long");
    }

    #[test]
    fn full_queue_costs_its_share_of_the_speed() {
        let mut shard = one_server(|backend| backend.slowdown = 0.3);
        assert!((shard.speed() - 1.0).abs() < 1e-9);
        (0..4).for_each(|n| _ = shard.comes(ticket(n), 0, &mut Vec::new()));
        assert!((shard.speed() - 0.7).abs() < 1e-9);
    }

    #[test]
    fn servers_are_dealt_out_to_all_shards() {
        let mut backend = Backend::new(10, Duration::from_millis(1));
        backend.shards = 4;
        assert_eq!(shards(backend).iter().map(|shard| shard.idle).collect::<Vec<_>>(), [3, 3, 2, 2]);
    }

    #[test]
    fn every_spread_keeps_the_mean() {
        for spread in [Spread::Fixed, Spread::Exponential, Spread::LogNormal { sigma: 0.8 }] {
            let dice = Dice::seeded(1);
            let mean = (0..100_000).map(|_| spread.draw(&dice)).sum::<f64>() / 100_000.0;
            assert!((mean - 1.0).abs() < 0.02, "{spread:?} {mean}");
        }
    }
}
