//! The probes of a half-open circuit: exactly so many, each for a limited time.

use std::num::NonZeroU32;
use std::time::Duration;

use super::circuit::Entry;
use super::rules::{Abandoned, CHECK, Rules};
use crate::classification::Outcome;
use crate::event::Trip;
use crate::setting::SettingError;
use crate::time::{Instant, earlier, later};

/// The soonest that a caller who was turned away is told to ask again: a probe needs some time.
const SOONEST: Duration = Duration::from_millis(10);

/// How a half-open circuit finds out whether the dependency is back.
///
/// Exactly [`probes`](Self::probes) calls are let through. The circuit closes as soon as enough of them have
/// succeeded, and opens again as soon as that has become impossible. A probe that is dropped or says nothing
/// of the dependency gives its place back; one that runs longer than its [`lease`](Self::lease) loses its
/// place to the next caller, though its result still counts if it comes while the circuit is half-open.
///
/// ```
/// use std::time::Duration;
/// use recoup::{CircuitBreaker, HalfOpen};
/// let careful = HalfOpen::probes(10).failure_rate(0.2).lease(Duration::from_secs(5));
/// assert!(CircuitBreaker::builder("db").half_open(careful).build().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HalfOpen {
    probes: u32,
    successes: Option<u32>,
    failure_rate: f64,
    lease: Duration,
}

impl HalfOpen {
    /// Lets so many probes through.
    #[must_use]
    pub const fn probes(probes: u32) -> Self {
        Self { probes, successes: None, failure_rate: 0.0, lease: Duration::from_secs(30) }
    }

    /// How many probes must succeed. Default: all but those that [`failure_rate`](Self::failure_rate)
    /// allows to fail.
    #[must_use]
    pub const fn successes(mut self, successes: u32) -> Self {
        self.successes = Some(successes);
        self
    }

    /// The share of the probes that may fail, from 0.0 to below 1.0. Default: 0.0.
    #[must_use]
    pub const fn failure_rate(mut self, share: f64) -> Self {
        self.failure_rate = share;
        self
    }

    /// How long a probe holds its place at most. Default: 30 s.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How many probes may fail.
    fn allowed_failures(&self) -> u32 {
        match self.successes {
            // Asked for by number alone: whatever still leaves room for that number.
            Some(needed) if self.failure_rate == 0.0 => self.probes.saturating_sub(needed),
            _ => self.allowed_by_rate(),
        }
    }

    /// The most failures whose share of the probes is not above the rate.
    fn allowed_by_rate(&self) -> u32 {
        let probes = f64::from(self.probes);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the share is from 0 to below 1, so the product is from 0 to `probes`"
        )]
        let about = (probes * self.failure_rate) as u32;
        // The product may have been rounded to just below a whole number; the quotient decides.
        let one_more = about.saturating_add(1);
        if f64::from(one_more) / probes <= self.failure_rate { one_more } else { about }
    }

    /// How many probes must succeed.
    fn needed_successes(&self) -> u32 {
        self.successes.unwrap_or(self.probes - self.allowed_failures())
    }

    pub(super) fn check(&self) -> Result<(), SettingError> {
        CHECK.at_least_one("half_open.probes", self.probes)?;
        if !(self.failure_rate >= 0.0 && self.failure_rate < 1.0) {
            return Err(CHECK.refuse(
                "half_open.failure_rate",
                self.failure_rate,
                "at least 0.0 and below 1.0",
            ));
        }
        if let Some(needed) = self.successes
            && !(1..=self.probes).contains(&needed)
        {
            return Err(CHECK.refuse(
                "half_open.successes",
                needed,
                "at least 1 and at most the number of probes",
            ));
        }
        CHECK.longer_than_zero("half_open.lease", self.lease)
    }
}

impl Default for HalfOpen {
    fn default() -> Self {
        Self::probes(3).successes(2)
    }
}

/// One episode of probing.
#[derive(Debug)]
pub(super) struct Probing {
    settings: HalfOpen,
    /// Probes under way that still hold a place: their number, and when they began; the oldest first.
    running: Vec<(NonZeroU32, Instant)>,
    /// The number for the next.
    next: NonZeroU32,
    successes: u32,
    failures: u32,
    /// Dropped probes since the episode began or a probe last gave a result.
    abandoned: u32,
}

impl Probing {
    pub(super) fn new(settings: HalfOpen) -> Self {
        Self { settings, running: Vec::new(), next: NonZeroU32::MIN, successes: 0, failures: 0, abandoned: 0 }
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
        let lease = self.settings.lease;
        self.running.retain(|(_, since)| later(*since, lease).is_none_or(|expires| now < expires));
        let taken = self.running.len() as u64 + u64::from(self.successes) + u64::from(self.failures);
        if taken >= self.settings.probes.into() {
            return Entry::Turned { until: self.ask_again(now) };
        }
        let number = self.next;
        // After four billion the numbers begin again; whoever had the first has long lost its place.
        self.next = number.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.running.push((number, now));
        Entry::Probe(number)
    }

    /// When somebody who found no place may ask again. A lease is far longer than most probes take, so it is
    /// not waited for: as long again as the oldest probe has run. Whoever asks each time asks seldom.
    fn ask_again(&self, now: Instant) -> Option<Instant> {
        let (_, oldest) = self.running.first()?;
        let again = now.saturating_duration_since(*oldest).max(SOONEST);
        earlier(later(now, again), later(*oldest, self.settings.lease))
    }

    /// Takes in how a probe ended. `Some(Ok)` closes the circuit, `Some(Err)` opens it, `None` goes on.
    ///
    /// A probe that lost its place counts all the same: it is of this episode, and a dependency that
    /// answers more slowly than a lease must still be able to show that it is back.
    pub(super) fn settle(
        &mut self,
        probe: Option<NonZeroU32>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 * 0.29 is a little less than 29 for a computer.
    #[test]
    fn share_that_is_a_whole_number_of_probes_may_fail() {
        assert_eq!(HalfOpen::probes(100).failure_rate(0.29).allowed_failures(), 29);
        assert_eq!(HalfOpen::probes(100).failure_rate(0.289).allowed_failures(), 28);
    }

    #[test]
    fn turned_away_callers_ask_again_ever_more_seldom_and_by_the_end_of_the_lease() {
        let start = crate::time::now();
        let ms = |after: u64| start + Duration::from_millis(after);
        let mut probing = Probing::new(HalfOpen::probes(1).lease(Duration::from_millis(100)));
        assert!(matches!(probing.enter(start), Entry::Probe(NonZeroU32::MIN)));
        for (asked, told) in [(0, 10), (10, 20), (20, 40), (40, 80), (80, 100)] {
            match probing.enter(ms(asked)) {
                Entry::Turned { until } => assert_eq!(until, Some(ms(told)), "asked at {asked} ms"),
                _ => panic!("there is one place"),
            }
        }
        let again = NonZeroU32::new(2).unwrap();
        assert_eq!(probing.enter(ms(100)), Entry::Probe(again), "the lease is over");
    }
}
