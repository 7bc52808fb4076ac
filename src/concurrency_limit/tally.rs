//! What the calls of one window have shown, added up without a lock.

use std::time::Duration;

use crate::sync::atomic::{AtomicU64, Ordering};

/// A longer call counts as this long: so many of them that the sum overflows do not fit into a window.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The calls of the window that is running.
///
/// Each number is exact, but a call that ends while the window is closed may have its time in one window and its
/// count in the next. It is one of many, and a limit is no ledger.
#[derive(Debug, Default)]
pub(super) struct Tally {
    nanos: AtomicU64,
    samples: AtomicU64,
    /// What the dropped calls took.
    lost_nanos: AtomicU64,
    dropped: AtomicU64,
    peak: AtomicU64,
}

/// The calls of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// Calls that told their latency.
    pub(super) samples: u64,
    /// Calls that met overload.
    pub(super) dropped: u64,
    /// The most calls in flight that one of them saw as it ended.
    pub(super) peak: u64,
    /// The mean latency in nanoseconds, at least 1.0, if there was a sample.
    pub(super) latency: Option<f64>,
    /// The same of the dropped calls.
    pub(super) lost: Option<f64>,
}

impl Seen {
    fn new(nanos: u64, samples: u64, lost_nanos: u64, dropped: u64, peak: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a mean needs no more digits")]
        let mean = |nanos: u64, calls: u64| (calls > 0).then(|| (nanos as f64 / calls as f64).max(1.0));
        let (latency, lost) = (mean(nanos, samples), mean(lost_nanos, dropped));
        Self { samples, dropped, peak, latency, lost }
    }

    /// How many have told something.
    pub(super) const fn told(self) -> u64 {
        self.samples.saturating_add(self.dropped)
    }
}

impl Tally {
    /// A call was answered after so long; as it ended, so many were in flight.
    #[inline]
    pub(super) fn sample(&self, latency: Duration, in_flight: u32) {
        self.nanos.fetch_add(nanos(latency), Ordering::Relaxed);
        self.samples.fetch_add(1, Ordering::Relaxed);
        self.note(in_flight);
    }

    /// A call met overload after so long.
    pub(super) fn drop(&self, latency: Duration, in_flight: u32) {
        self.lost_nanos.fetch_add(nanos(latency), Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.note(in_flight);
    }

    #[inline]
    fn note(&self, in_flight: u32) {
        let in_flight = u64::from(in_flight);
        // Most calls see no new peak, and a line that is only read is nobody's to wait for.
        if in_flight > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_flight, Ordering::Relaxed);
        }
    }

    /// What there is so far.
    pub(super) fn look(&self) -> Seen {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let Self { nanos, samples, lost_nanos, dropped, peak } = self;
        Seen::new(load(nanos), load(samples), load(lost_nanos), load(dropped), load(peak))
    }

    /// Ends the window and begins the next.
    pub(super) fn take(&self) -> Seen {
        let take = |number: &AtomicU64| number.swap(0, Ordering::Relaxed);
        let Self { nanos, samples, lost_nanos, dropped, peak } = self;
        Seen::new(take(nanos), take(samples), take(lost_nanos), take(dropped), take(peak))
    }
}

#[inline]
fn nanos(latency: Duration) -> u64 {
    u64::try_from(latency.min(LONGEST).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_holds_what_came_since_the_last() {
        let tally = Tally::default();
        tally.sample(Duration::from_nanos(10), 3);
        tally.sample(Duration::from_nanos(20), 5);
        tally.drop(Duration::from_nanos(7), 4);
        let seen = Seen { samples: 2, dropped: 1, peak: 5, latency: Some(15.0), lost: Some(7.0) };
        assert_eq!((tally.look(), tally.take()), (seen, seen));
        assert_eq!(seen.told(), 3);
        assert_eq!(tally.take(), Seen::default());
    }

    #[test]
    fn latency_is_never_zero_and_never_without_end() {
        let tally = Tally::default();
        tally.sample(Duration::ZERO, 1);
        assert_eq!(tally.take().latency, Some(1.0));
        (0..1000).for_each(|_| tally.sample(Duration::MAX, 1));
        assert_eq!(tally.take().latency, Some(3.6e12));
    }
}
