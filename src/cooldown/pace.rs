//! When those who waited out a pause may leave, one after the other.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::time::{Instant, later_or_far};

/// How long the pace is kept after the last of those who waited, before it is let go or quickens.
const SETTLE: Duration = Duration::from_secs(1);

/// A pause, and the moments after it that were handed out: one to a caller, none before the end, and each at
/// least one gap from the others.
#[derive(Debug)]
pub(super) struct Pace {
    until: Instant,
    /// All moments handed out are before this one.
    next: Instant,
    /// All moments handed out before the pause ended are before this one.
    settled: Instant,
    /// Moments that were handed out and came back. They are at or after `until`, and before `next`.
    spare: BTreeSet<Instant>,
}

impl Pace {
    pub(super) const fn new(until: Instant) -> Self {
        Self { until, next: until, settled: until, spare: BTreeSet::new() }
    }

    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// Moves the end further, never nearer.
    pub(super) fn extend(&mut self, end: Instant) {
        if end > self.until {
            self.until = end;
            self.next = self.next.max(end);
            self.settled = self.next;
            self.spare = self.spare.split_off(&end);
        }
    }

    /// Whether everyone has left, and nobody has to be held back any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.next && now >= later_or_far(self.settled, SETTLE)
    }

    /// The moment that [`take`](Self::take) would give.
    pub(super) fn earliest(&self, now: Instant) -> Instant {
        let from = self.until.max(now);
        self.spare.range(from..).next().copied().unwrap_or(self.next.max(from))
    }

    /// Hands out the earliest moment that is free.
    pub(super) fn take(&mut self, now: Instant, gap: Duration) -> Instant {
        let at = self.earliest(now);
        // What is before it has passed.
        self.spare = self.spare.split_off(&at);
        if !self.spare.remove(&at) {
            self.next = later_or_far(at, self.gap_after(at, gap));
        }
        if now < self.until {
            self.settled = self.settled.max(self.next);
        }
        at
    }

    /// Takes a moment back that nobody left at.
    pub(super) fn give_back(&mut self, at: Instant, gap: Duration) {
        if at < self.until || at >= self.next {
            return;
        }
        self.spare.insert(at);
        // Those at the very end were never needed, so the line ends earlier.
        while let Some(last) = self.spare.last().copied()
            && later_or_far(last, self.gap_after(last, gap)) == self.next
        {
            self.spare.remove(&last);
            self.next = last;
        }
        self.settled = self.settled.min(self.next).max(self.until);
    }

    /// Full until a second after those who waited; then half of it, a second later a quarter, and so on.
    fn gap_after(&self, at: Instant, gap: Duration) -> Duration {
        let seconds = at.saturating_duration_since(self.settled).as_secs().min(31);
        gap / (1 << seconds)
    }
}
