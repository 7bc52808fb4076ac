//! What all handles of a limit share: the gate, the window that is running, and what moves the limit.
//!
//! A call touches atomics only. Whoever ends the first call after the window's end claims the window by a
//! compare-and-swap of that end; that one alone takes the lock, moves the limit and sets the next end.

use std::sync::Arc;
use std::time::Duration;

use super::control::{Bounds, Control, Due, Rules};
use super::formula::Formula;
use super::gate::{Counts, Gate};
use super::tally::Tally;
use super::{ConcurrencySnapshot, Saturated};
use crate::classification::Outcome;
use crate::event::{Event, Observers};
use crate::priority::{Priority, Reserves};
use crate::sync::Lock;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::{self, Instant, Now};

/// The end of a window that somebody is closing. No moment is that late.
const CLAIMED: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Core {
    gate: Gate,
    /// When the running window may end, in nanoseconds since `epoch`.
    ends: AtomicU64,
    /// How long a window is at least, in nanoseconds.
    window: u64,
    tally: Tally,
    reserves: Reserves,
    formula: Formula,
    tolerated: f64,
    epoch: Instant,
    pub(super) control: Lock<Control>,
    name: Arc<str>,
    pub(super) observers: Observers,
}

impl Core {
    pub(super) fn new(
        name: Arc<str>,
        rules: Rules,
        bounds: Bounds,
        initial: u32,
        window: Duration,
        reserves: Reserves,
        observers: Observers,
    ) -> Self {
        let Rules { formula, tolerated, .. } = rules;
        let control = Lock::new(Control::new(rules, bounds, initial));
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let (gate, ends, tally) = (Gate::new(initial), AtomicU64::new(window), Tally::default());
        let epoch = time::now();
        Self { gate, ends, window, tally, reserves, formula, tolerated, epoch, control, name, observers }
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.gate.counts().in_flight
    }

    pub(super) fn limit(&self) -> u32 {
        self.control.lock().limit()
    }

    /// Takes a place.
    #[inline]
    pub(super) fn enter(&self, priority: Priority, now: &Now) -> Result<(), Saturated> {
        match self.try_enter(priority) {
            Ok(()) => Ok(()),
            Err(_) => self.enter_again(priority, now.get()),
        }
    }

    #[inline]
    fn try_enter(&self, priority: Priority) -> Result<(), Counts> {
        self.gate.try_enter(|limit| self.reserves.kept_from(priority, limit))
    }

    /// Before one is refused: a limit that was lowered to measure, and whose calls then stopped coming, has
    /// nothing to measure any more.
    #[cold]
    fn enter_again(&self, priority: Priority, now: Instant) -> Result<(), Saturated> {
        let (at, ends) = (self.nanos(now), self.ends.load(Ordering::Relaxed));
        if at >= ends && self.due(ends, at) == Due::Stale {
            self.close(ends, at, Due::Stale);
        }
        self.try_enter(priority).map_err(|counts| {
            self.observers.tell(|| Event::Rejected { policy: &self.name, reason: "concurrency" });
            Saturated { limit: Arc::clone(&self.name), limit_now: counts.limit as usize }
        })
    }

    /// Gives a place back, and tells nothing.
    #[inline]
    pub(super) fn leave(&self) {
        self.gate.leave();
    }

    /// Gives a place back that was taken at `entered`, and learns from it.
    #[inline]
    pub(super) fn settle(&self, entered: Instant, outcome: Outcome, overload: bool, now: &Now) {
        let in_flight = self.gate.leave();
        match outcome {
            Outcome::Success => {
                let latency = now.get().saturating_duration_since(entered);
                if self.formula.is_slow(latency) {
                    self.tally.drop(latency, in_flight);
                } else {
                    self.tally.sample(latency, in_flight);
                }
            }
            Outcome::Failure if overload => {
                self.tally.drop(now.get().saturating_duration_since(entered), in_flight);
            }
            _ => return,
        }
        self.tick(now.get());
    }

    /// Closes the window, if it is over.
    #[inline]
    fn tick(&self, now: Instant) {
        let (at, ends) = (self.nanos(now), self.ends.load(Ordering::Relaxed));
        if at < ends {
            return;
        }
        match self.due(ends, at) {
            Due::NotYet => {}
            due => self.close(ends, at, due),
        }
    }

    fn due(&self, ends: u64, at: u64) -> Due {
        let passed = at.saturating_sub(ends).saturating_add(self.window);
        Due::of(self.tally.look(), self.gate.counts().limit, self.tolerated, self.window, passed)
    }

    #[cold]
    fn close(&self, ends: u64, at: u64, due: Due) {
        if self.ends.compare_exchange(ends, CLAIMED, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let mut control = self.control.lock();
        let seen = self.tally.take();
        match due {
            Due::Stale => control.forget(seen, at),
            _ => control.close(seen, at),
        }
        self.gate.set_limit(control.admits());
        self.ends.store(at.saturating_add(self.window).min(CLAIMED - 1), Ordering::Relaxed);
    }

    pub(super) fn set_bounds(&self, bounds: Bounds) {
        let mut control = self.control.lock();
        control.set_bounds(bounds);
        self.gate.set_limit(control.admits());
    }

    pub(super) fn snapshot(&self) -> ConcurrencySnapshot {
        let control = self.control.lock();
        let (now, before) = (self.tally.look(), control.counts());
        let Counts { limit, in_flight } = self.gate.counts();
        let nanos = |nanos: f64| Duration::try_from_secs_f64(nanos / 1e9).unwrap_or(Duration::MAX);
        ConcurrencySnapshot {
            limit: control.limit() as usize,
            limit_now: limit as usize,
            in_flight: in_flight as usize,
            latency: control.latency().map(nanos),
            baseline: control.baseline().map(nanos),
            samples: now.samples.saturating_add(before.0),
            dropped: now.dropped.saturating_add(before.1),
            measures: control.measures(),
        }
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_nanos())
            .map_or(CLAIMED - 1, |at| at.min(CLAIMED - 1))
    }
}
