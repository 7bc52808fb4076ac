//! The counting of results, and whether they break a rule.

use super::rules::{Abandoned, Rules};
use crate::classification::Outcome;
use crate::event::Trip;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::Relaxed;
use crate::time::Instant;
use crate::window::{CountWindow, Mark, Tally, TimeWindow};

/// The counting that every call touches; kept apart from the circuit so that a success needs no lock.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) calls: Option<CountWindow>,
    pub(super) time: Option<TimeWindow>,
    pub(super) failures_in_a_row: AtomicU32,
    pub(super) abandoned_in_a_row: AtomicU32,
}

impl Counts {
    pub(super) fn new(rules: &Rules, origin: Instant) -> Self {
        let rated = rules.failure_rate.is_some()
            || rules.slow.is_some()
            || matches!(rules.abandoned, Abandoned::Rate(_));
        Self {
            calls: rules.window.calls.filter(|_| rated).map(CountWindow::new),
            time: rules.window.time.filter(|_| rated).map(|span| TimeWindow::new(span, origin)),
            failures_in_a_row: 0.into(),
            abandoned_in_a_row: 0.into(),
        }
    }

    /// Counts one result. Whether the rules are to be judged after it.
    pub(super) fn record(&self, outcome: Outcome, slow: bool, rules: &Rules, now: Instant) -> bool {
        let slow = slow && rules.slow.is_some();
        let mut mark = Mark { failed: false, slow, abandoned: false };
        match outcome {
            Outcome::Ignored => return false,
            Outcome::Success => {
                self.failures_in_a_row.store(0, Relaxed);
                self.abandoned_in_a_row.store(0, Relaxed);
            }
            Outcome::Failure => {
                mark.failed = true;
                self.abandoned_in_a_row.store(0, Relaxed);
            }
            Outcome::Abandoned => match rules.abandoned {
                Abandoned::Ignore if slow => {}
                Abandoned::Ignore => return false,
                Abandoned::AllAbandoned => {
                    one_more(&self.abandoned_in_a_row);
                    if !slow {
                        return true;
                    }
                }
                Abandoned::Rate(_) => mark.abandoned = true,
                Abandoned::AsFailure => mark.failed = true,
            },
        }
        if mark.failed {
            one_more(&self.failures_in_a_row);
        }
        if let Some(window) = &self.calls {
            if mark == Mark::default() { window.success() } else { window.record(mark) }
        }
        if let Some(window) = &self.time {
            if mark == Mark::default() { window.success(now) } else { window.record(mark, now) }
        }
        mark != Mark::default() || rules.judge_successes
    }

    /// The first rule that the counts break, if any.
    pub(super) fn trip(&self, rules: &Rules, now: Instant) -> Option<Trip> {
        let failures = self.failures_in_a_row.load(Relaxed);
        if rules.consecutive.is_some_and(|most| failures >= most) {
            return Some(Trip::ConsecutiveFailures { failures: failures.into() });
        }
        let abandoned = self.abandoned_in_a_row.load(Relaxed);
        if rules.abandoned == Abandoned::AllAbandoned && abandoned >= rules.minimum_calls {
            let abandoned = abandoned.into();
            return Some(Trip::Abandoned { abandoned, calls: abandoned });
        }
        self.tallies(now).into_iter().flatten().find_map(|tally| rules.broken_by(&tally))
    }

    pub(super) fn tallies(&self, now: Instant) -> [Option<Tally>; 2] {
        [self.calls.as_ref().map(CountWindow::tally), self.time.as_ref().map(|window| window.tally(now))]
    }

    pub(super) fn reset(&self) {
        self.failures_in_a_row.store(0, Relaxed);
        self.abandoned_in_a_row.store(0, Relaxed);
        if let Some(window) = &self.calls {
            window.reset();
        }
        if let Some(window) = &self.time {
            window.reset();
        }
    }
}

/// Counts a run up. In one step: a success ends it without the circuit's lock, and must not be overwritten.
fn one_more(run: &AtomicU32) {
    let _at_its_most = run.fetch_update(Relaxed, Relaxed, |run| run.checked_add(1));
}

impl Rules {
    /// The first rate that reaches its threshold in a window that holds enough calls.
    fn broken_by(&self, tally: &Tally) -> Option<Trip> {
        if tally.calls < self.minimum_calls.into() {
            return None;
        }
        let calls = tally.calls;
        let rate = tally.share(tally.failed);
        if self.failure_rate.is_some_and(|threshold| rate >= threshold) {
            return Some(Trip::FailureRate { rate, calls });
        }
        let rate = tally.share(tally.slow);
        if self.slow.is_some_and(|(_, threshold)| rate >= threshold) {
            return Some(Trip::SlowCallRate { rate, calls });
        }
        match self.abandoned {
            Abandoned::Rate(threshold) if tally.share(tally.abandoned) >= threshold => {
                Some(Trip::Abandoned { abandoned: tally.abandoned, calls })
            }
            _ => None,
        }
    }
}
