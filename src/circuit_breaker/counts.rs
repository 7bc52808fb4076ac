//! The counting of results, and whether they break a rule.

use super::rules::{Abandoned, Rules};
use crate::classification::Outcome;
use crate::event::Trip;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::Relaxed;
use crate::time::Instant;
use crate::window::{CountWindow, Mark, Tally, TimeWindow};

/// All that counts results, wherever the breaker keeps it: apart from the circuit, so that a success needs no
/// lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts<'c> {
    pub(super) runs: &'c Runs,
    pub(super) calls: Option<&'c CountWindow>,
    pub(super) time: Option<&'c TimeWindow>,
}

/// How many failures, and how many abandoned calls, came one after the other until now. Both in one word, so
/// that a success sees at one look that there is nothing to end.
#[derive(Debug, Default)]
pub(super) struct Runs(AtomicU64);

/// One more failure; the abandoned calls are counted in the lower half.
const FAILURE: u64 = 1 << 32;
const ABANDONED: u64 = FAILURE - 1;

impl Runs {
    pub(super) fn failures(&self) -> u32 {
        (self.0.load(Relaxed) >> 32) as u32
    }

    pub(super) fn abandoned(&self) -> u32 {
        (self.0.load(Relaxed) & ABANDONED) as u32
    }

    /// A success ends both. Read first: while all is well the line stays shared between the cores.
    #[inline(always)]
    pub(super) fn end(&self) {
        if self.0.load(Relaxed) != 0 {
            self.0.store(0, Relaxed);
        }
    }

    /// A failure, which is no abandoned call.
    fn one_failure(&self) {
        self.change(|runs| runs.saturating_add(FAILURE) & !ABANDONED);
    }

    /// An abandoned call, which says nothing of failures.
    fn one_abandoned(&self) {
        self.change(|runs| if runs & ABANDONED == ABANDONED { runs } else { runs + 1 });
    }

    /// In one step: a success ends the runs without the circuit's lock, and must not be overwritten.
    fn change(&self, next: impl Fn(u64) -> u64) {
        let _always = self.0.fetch_update(Relaxed, Relaxed, |runs| Some(next(runs)));
    }
}

impl Counts<'_> {
    /// Counts one result. Whether the rules are to be judged after it.
    pub(super) fn record(&self, outcome: Outcome, slow: bool, rules: &Rules, now: Instant) -> bool {
        let mut mark = Mark { failed: false, slow, abandoned: false };
        match outcome {
            Outcome::Ignored => return false,
            Outcome::Success => self.runs.end(),
            Outcome::Failure => mark.failed = true,
            Outcome::Abandoned => match rules.abandoned {
                Abandoned::Ignore if slow => {}
                Abandoned::Ignore => return false,
                Abandoned::AllAbandoned => {
                    self.runs.one_abandoned();
                    if !slow {
                        return true;
                    }
                }
                Abandoned::Rate(_) => mark.abandoned = true,
                Abandoned::AsFailure => mark.failed = true,
            },
        }
        if mark.failed {
            self.runs.one_failure();
        }
        if let Some(window) = self.calls {
            if mark == Mark::default() { window.success() } else { window.record(mark) }
        }
        if let Some(window) = self.time {
            if mark == Mark::default() { window.success(now) } else { window.record(mark, now) }
        }
        mark != Mark::default() || rules.judge_successes
    }

    /// The first rule that the counts break, if any.
    pub(super) fn trip(&self, rules: &Rules, now: Instant) -> Option<Trip> {
        let failures = self.runs.failures();
        if rules.consecutive.is_some_and(|most| failures >= most) {
            return Some(Trip::ConsecutiveFailures { failures: failures.into() });
        }
        let abandoned = self.runs.abandoned();
        if rules.abandoned == Abandoned::AllAbandoned && abandoned >= rules.minimum_calls {
            let abandoned = abandoned.into();
            return Some(Trip::Abandoned { abandoned, calls: abandoned });
        }
        self.tallies(now).into_iter().flatten().find_map(|tally| rules.broken_by(&tally))
    }

    pub(super) fn tallies(&self, now: Instant) -> [Option<Tally>; 2] {
        [self.calls.map(CountWindow::tally), self.time.map(|window| window.tally(now))]
    }

    pub(super) fn reset(&self) {
        self.runs.end();
        if let Some(window) = self.calls {
            window.reset();
        }
        if let Some(window) = self.time {
            window.reset();
        }
    }
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
