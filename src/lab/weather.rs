//! What is wrong at each moment of a run.

use super::engine::nanos;
use super::scenario::{Fault, FaultKind, Scenario};

/// What is wrong with the backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weather {
    /// Every call is refused at once.
    pub(super) refuses: bool,
    /// How many times as long each service takes.
    pub(super) brownout: f64,
    /// The share of served calls that fail.
    pub(super) errors: f64,
    /// The share of calls that are never answered.
    pub(super) losses: f64,
    /// Shards with a lower number answer nothing.
    dead: u32,
    /// What the fleet offers in a second, if it is not what it offers on a quiet day.
    pub(super) offered: Option<f64>,
}

impl Weather {
    const FAIR: Self =
        Self { refuses: false, brownout: 1.0, errors: 0.0, losses: 0.0, dead: 0, offered: None };

    /// Whether this shard answers nothing.
    pub(super) const fn is_dead(&self, shard: u32) -> bool {
        shard < self.dead
    }
}

/// The weather over time.
#[derive(Debug)]
pub(super) struct Forecast {
    faults: Vec<Fault>,
    capacity: f64,
    now: Weather,
    /// From when on, and until when, it stays as it is.
    from: u64,
    until: u64,
}

impl Forecast {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self::of(scenario.faults.clone(), scenario.backend.capacity())
    }

    /// Of these faults, at a backend that serves so many calls in a second while it is well.
    pub(super) fn of(faults: Vec<Fault>, capacity: f64) -> Self {
        Self { faults, capacity, now: Weather::FAIR, from: 0, until: 0 }
    }

    /// The weather at this moment.
    pub(super) fn at(&mut self, now: u64) -> &Weather {
        if now < self.from || now >= self.until {
            self.look(now);
        }
        &self.now
    }

    /// Until when the weather of this moment lasts.
    pub(super) fn lasts_until(&mut self, now: u64) -> u64 {
        self.at(now);
        self.until
    }

    fn look(&mut self, now: u64) {
        let edges = self.faults.iter().flat_map(|fault| [nanos(fault.from), nanos(fault.ends())]);
        self.from = now;
        self.until = edges.filter(|&edge| edge > now).min().unwrap_or(u64::MAX);
        self.now = Weather::FAIR;
        let is_on = |fault: &&Fault| nanos(fault.from) <= now && now < nanos(fault.ends());
        for fault in self.faults.iter().filter(is_on) {
            self.now.add(fault.kind, self.capacity);
        }
    }
}

impl Weather {
    fn add(&mut self, kind: FaultKind, capacity: f64) {
        // Of two shares that go wrong independently, this much is left right.
        let both = |a: f64, b: f64| 1.0 - (1.0 - a) * (1.0 - b);
        match kind {
            FaultKind::Outage => self.refuses = true,
            FaultKind::BlackHole => self.dead = u32::MAX,
            FaultKind::Spike { factor } => {
                self.offered = Some(self.offered.unwrap_or(0.0).max(factor * capacity));
            }
            FaultKind::Errors { share } => self.errors = both(self.errors, share),
            FaultKind::Losses { share } => self.losses = both(self.losses, share),
            FaultKind::Brownout { factor } => self.brownout *= factor,
            FaultKind::DeadShards { shards } => self.dead = self.dead.max(shards),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::Fleet;

    #[test]
    fn faults_begin_and_end_when_they_say_and_add_up() {
        let second = Duration::from_secs(1);
        let mut scenario = Scenario::quiet(Fleet::new(100, 1.0));
        let kinds = [
            (FaultKind::Errors { share: 0.5 }, 1, 3),
            (FaultKind::Errors { share: 0.5 }, 2, 3),
            (FaultKind::Brownout { factor: 4.0 }, 2, 1),
            (FaultKind::Spike { factor: 2.0 }, 6, 1),
        ];
        scenario.faults =
            kinds.map(|(kind, from, lasting)| Fault::new(kind, from * second, lasting * second)).into();
        let mut forecast = Forecast::new(&scenario);
        let mut at = |second: f64| *forecast.at(nanos(Duration::from_secs_f64(second)));
        assert_eq!(at(0.999), Weather::FAIR);
        assert_eq!(at(1.0), Weather { errors: 0.5, ..Weather::FAIR });
        assert_eq!(at(2.5), Weather { errors: 0.75, brownout: 4.0, ..Weather::FAIR });
        assert_eq!(at(4.9), Weather { errors: 0.5, ..Weather::FAIR });
        assert_eq!(at(5.0), Weather::FAIR);
        let capacity = scenario.backend.capacity();
        assert_eq!(at(6.5), Weather { offered: Some(2.0 * capacity), ..Weather::FAIR });
        assert_eq!(at(1.5), Weather { errors: 0.5, ..Weather::FAIR }, "it may be asked in any order");
    }
}
