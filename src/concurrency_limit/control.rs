//! Moves the limit, once for each window of calls.
//!
//! What all formulas share, and what keeps them from drifting off and from falling down:
//!
//! - Overload lowers the limit once in a window by the backoff, however many calls met it, and only if it was
//!   more than the tolerated share of them. A dependency that fails one call in a hundred whatever we do would
//!   drive a limit that is lowered by every failure to its floor.
//! - A limit that was not half used is not moved by latencies, and does not learn from them. Overload lowers it,
//!   but not below twice what was in flight (RFC 7661 does so with a congestion window that was not used).
//! - A window is at least as long as two calls, so that it shows what the window before has done; or as one of
//!   those that met overload, which may be time-outs. Without that, the calls of one bad moment that time out
//!   one after the other would take a tenth each.
//! - A window that did not fill in time tells nothing.

use std::time::Duration;

use super::baseline::{Baseline, Learned};
use super::formula::Formula;
use super::tally::Seen;
use crate::random::Dice;

/// A window takes at least so many calls, or as many as can end in it, if that is fewer.
const ENOUGH: u64 = 10;

/// A window may take so many nanoseconds longer than it should, until it is no more than a memory.
const SLACK: u64 = 30_000_000_000;

/// The smallest and the largest that a limit may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
}

/// What a limit was told when it was built.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) formula: Formula,
    pub(super) backoff: f64,
    pub(super) tolerated: f64,
    pub(super) probe_every: Duration,
    pub(super) dice: Dice,
}

#[derive(Debug)]
pub(super) struct Control {
    rules: Rules,
    bounds: Bounds,
    /// Between the bounds, with the parts of a call that add up over windows.
    limit: f64,
    /// The mean of the last window that had one, in nanoseconds.
    latency: Option<f64>,
    baseline: Baseline,
    /// Of all windows so far.
    samples: u64,
    dropped: u64,
}

impl Control {
    pub(super) fn new(rules: Rules, bounds: Bounds, initial: u32) -> Self {
        let (limit, baseline) = (f64::from(initial), Baseline::new());
        Self { rules, bounds, limit, latency: None, baseline, samples: 0, dropped: 0 }
    }

    /// A window is over, at `at` nanoseconds.
    pub(super) fn close(&mut self, seen: Seen, at: u64) {
        self.count(seen);
        self.latency = seen.latency.or(self.latency);
        let used = seen.peak.saturating_mul(2) >= u64::from(self.admits());
        if is_overload(seen, self.rules.tolerated) {
            self.back_off(seen, used);
            self.rest(at);
        } else if let Some(latency) = seen.latency.filter(|_| used) {
            self.move_by(latency, real(seen.peak), at);
        } else if self.measures() {
            self.rest(at);
        }
    }

    /// A window did not fill in time: it is forgotten, and so is what was being measured.
    pub(super) fn forget(&mut self, seen: Seen, at: u64) {
        self.count(seen);
        if self.measures() {
            self.rest(at);
        }
    }

    fn count(&mut self, seen: Seen) {
        self.samples = self.samples.saturating_add(seen.samples);
        self.dropped = self.dropped.saturating_add(seen.dropped);
    }

    fn back_off(&mut self, seen: Seen, used: bool) {
        let spared = if used { 0.0 } else { 2.0 * real(seen.peak) };
        self.set(self.limit.min((self.limit * self.rules.backoff).max(spared)));
    }

    fn move_by(&mut self, latency: f64, in_flight: f64, at: u64) {
        let Rules { formula, .. } = self.rules;
        if !formula.asks_baseline() {
            return self.set(formula.next(self.limit, in_flight, 1.0));
        }
        match self.baseline.learn(latency) {
            Learned::Steady(baseline) => {
                let slowdown = (baseline / latency).min(1.0);
                self.set(formula.next(self.limit, in_flight, slowdown));
                self.baseline.moved(self.limit, latency, at);
            }
            Learned::Wait => {}
            Learned::Done => self.rest(at),
        }
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.bounds.min), f64::from(self.bounds.max));
    }

    fn rest(&mut self, at: u64) {
        // By chance, so that the clients of one server do not go down and up together. As Vegas of the source.
        let share = f64::midpoint(1.0, self.rules.dice.draw());
        let pause = Duration::try_from_secs_f64(self.rules.probe_every.as_secs_f64() * share);
        let pause = pause.map_or(u64::MAX, |pause| u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        self.baseline.rest(self.limit, at.saturating_add(pause));
    }

    /// New bounds. The limit goes no farther than it has to.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.set(self.limit);
    }

    /// The limit, leaving aside that it may be lowered for a moment to measure.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between the bounds")]
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// The limit of this moment.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between the bounds")]
    pub(super) fn admits(&self) -> u32 {
        match self.baseline.lowered() {
            Some(share) => ((self.limit * share) as u32).max(self.bounds.min),
            None => self.limit(),
        }
    }

    /// Whether the limit is lowered for a moment to measure.
    pub(super) fn measures(&self) -> bool {
        self.baseline.lowered().is_some()
    }

    pub(super) const fn latency(&self) -> Option<f64> {
        self.latency
    }

    pub(super) const fn baseline(&self) -> Option<f64> {
        self.baseline.latency()
    }

    /// Samples and drops of all windows that are over.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.samples, self.dropped)
    }
}

/// Whether a window may be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    NotYet,
    /// It has seen enough.
    Full,
    /// It did not fill in time, and is no more than a memory.
    Stale,
}

impl Due {
    /// For a window of at least `window` nanoseconds that began so long ago under `limit`.
    pub(super) fn of(seen: Seen, limit: u32, tolerated: f64, window: u64, passed: u64) -> Self {
        let latency =
            if is_overload(seen, tolerated) { seen.lost } else { seen.latency.map(|mean| 2.0 * mean) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most two hours")]
        let least = window.max(latency.unwrap_or_default() as u64);
        if passed > least.saturating_add(SLACK) {
            return Self::Stale;
        }
        // Fewer calls than that can hardly end in the time that two calls take.
        let enough = ENOUGH.min(u64::from(limit).saturating_mul(2));
        if passed >= least && seen.told() >= enough { Self::Full } else { Self::NotYet }
    }
}

fn is_overload(seen: Seen, tolerated: f64) -> bool {
    real(seen.dropped) > tolerated * real(seen.told())
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
const fn real(count: u64) -> f64 {
    count as f64
}
