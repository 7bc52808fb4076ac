//! The probes of a half-open circuit: exactly so many, each for a limited time.

use super::circuit::Entry;
use super::rules::{Abandoned, HalfOpen, Rules};
use crate::classification::Outcome;
use crate::event::Trip;
use crate::time::{Instant, later};

/// One episode of probing.
#[derive(Debug)]
pub(super) struct Probing {
    settings: HalfOpen,
    /// Probes under way that still hold a place: their number, and when they lose it.
    running: Vec<(u64, Option<Instant>)>,
    entered: u64,
    successes: u32,
    failures: u32,
    /// Dropped probes since the episode began or a probe last gave a result.
    abandoned: u32,
}

impl Probing {
    pub(super) fn new(settings: HalfOpen) -> Self {
        Self { settings, running: Vec::new(), entered: 0, successes: 0, failures: 0, abandoned: 0 }
    }

    pub(super) fn successes(&self) -> u32 {
        self.successes
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Lets the caller in as a probe if a place is free. A place is taken by each probe that runs within its
    /// lease and by each that has given a result.
    pub(super) fn enter(&mut self, now: Instant) -> Entry {
        self.running.retain(|(_, expires)| expires.is_none_or(|at| now < at));
        let taken = self.running.len() as u64 + u64::from(self.successes) + u64::from(self.failures);
        if taken >= self.settings.probes.into() {
            let until = self.running.iter().filter_map(|(_, expires)| *expires).min();
            return Entry::Turned { until };
        }
        self.entered += 1;
        self.running.push((self.entered, later(now, self.settings.lease)));
        Entry::Probe(self.entered)
    }

    /// Takes in how a probe ended. `Some(Ok)` closes the circuit, `Some(Err)` opens it, `None` goes on.
    ///
    /// A probe that lost its place counts all the same: it is of this episode, and a dependency that
    /// answers more slowly than a lease must still be able to show that it is back.
    pub(super) fn settle(
        &mut self,
        probe: Option<u64>,
        outcome: Outcome,
        too_slow: bool,
        rules: &Rules,
    ) -> Option<Result<(), Trip>> {
        self.running.retain(|(number, _)| Some(*number) != probe);
        let outcome = match outcome {
            Outcome::Success if too_slow => Outcome::Failure,
            Outcome::Abandoned if rules.abandoned == Abandoned::AsFailure => Outcome::Failure,
            outcome => outcome,
        };
        match outcome {
            Outcome::Ignored => return None,
            Outcome::Abandoned if rules.abandoned == Abandoned::Ignore => return None,
            Outcome::Abandoned => {
                // One dropped probe says nothing; as many as open a closed circuit say that it hangs.
                self.abandoned += 1;
                let count = u64::from(self.abandoned);
                return (self.abandoned >= rules.minimum_calls)
                    .then_some(Err(Trip::Abandoned { abandoned: count, calls: count }));
            }
            Outcome::Success => self.successes += 1,
            Outcome::Failure => self.failures += 1,
        }
        self.abandoned = 0;
        let (needed, allowed) = (self.settings.needed_successes(), self.settings.allowed_failures());
        if self.successes >= needed {
            return Some(Ok(()));
        }
        let out_of_reach = self.settings.probes.saturating_sub(self.failures) < needed;
        (self.failures > allowed || out_of_reach)
            .then_some(Err(Trip::Probes { failures: self.failures, successes: self.successes }))
    }
}
