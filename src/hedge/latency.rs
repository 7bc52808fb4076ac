//! How long attempts took lately.

use std::time::Duration;

use super::histogram::{Histogram, quantile};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::time::{Instant, Now};

/// The quantile is told anew after so many latencies, and not after each: that would be most of the cost.
const RENEW_EVERY: u64 = 32;

/// A quantile that is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// The latencies of first attempts, of the present and of the time before. When the present has lasted for its
/// time, and knows enough by itself, it becomes the time before, and what that knew is forgotten: so a slow
/// phase that is over is out of memory after two of them, and a caller that seldom calls does not forget all it
/// knew while it did not.
///
/// Every order is relaxed. The times are counted in cells that guard nothing; of a thread that is late by a
/// whole generation a latency may be counted in the wrong one, which is one among hundreds.
#[derive(Debug)]
pub(super) struct Latencies {
    share: f64,
    warm_up: u64,
    /// How long a generation lasts, in nanoseconds.
    lasts: u64,
    start: Instant,
    generations: [Generation; 2],
    /// Which of them is the present.
    present: AtomicUsize,
    /// Since when, in nanoseconds after `start`.
    since: AtomicU64,
    /// In nanoseconds.
    quantile: AtomicU64,
}

#[derive(Debug, Default)]
struct Generation {
    count: AtomicU64,
    times: Histogram,
}

impl Latencies {
    pub(super) fn new(share: f64, warm_up: u32, memory: Duration, start: Instant) -> Self {
        Self {
            share,
            warm_up: warm_up.into(),
            lasts: nanos(memory),
            start,
            generations: Default::default(),
            present: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            quantile: AtomicU64::new(UNKNOWN),
        }
    }

    /// The time within which the share of the attempts has ended, if enough of them have.
    pub(super) fn quantile(&self) -> Option<Duration> {
        let known = self.quantile.load(Ordering::Relaxed);
        (known != UNKNOWN).then(|| Duration::from_nanos(known))
    }

    /// An attempt ended at `now` that had taken `time`.
    pub(super) fn record(&self, time: Duration, now: Instant) {
        let present = &self.generations[self.present.load(Ordering::Relaxed) % 2];
        present.times.record(time);
        let count = present.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count == self.warm_up || count.is_multiple_of(RENEW_EVERY) {
            self.renew(count, now);
        }
    }

    /// An attempt failed or was dropped at `now` after `time`, without an answer. That it was slower than the
    /// quantile is all that has to be known of it, and leaving it out would say that nothing is slow. Of one
    /// that ended before nothing is known: how soon a connection is refused is not how soon an answer comes.
    pub(super) fn record_cut_short(&self, time: Duration, now: Instant) {
        if self.quantile().is_some_and(|quantile| time >= quantile) {
            self.record(time, now);
        }
    }

    #[cold]
    fn renew(&self, count: u64, now: Instant) {
        let [a, b] = &self.generations;
        let (known, quantile) = quantile(self.share, [&a.times, &b.times]);
        if known >= self.warm_up {
            self.quantile.store(nanos(quantile), Ordering::Relaxed);
        }
        let (age, since) =
            (nanos(now.saturating_duration_since(self.start)), self.since.load(Ordering::Relaxed));
        // Who moves the mark is the one who turns over.
        if count >= self.warm_up
            && age.saturating_sub(since) >= self.lasts
            && self.since.compare_exchange(since, age, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let before = (self.present.load(Ordering::Relaxed) + 1) % 2;
            self.generations[before].times.clear();
            self.generations[before].count.store(0, Ordering::Relaxed);
            self.present.store(before, Ordering::Relaxed);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Runs while the first attempt of a call does, if anybody wants to know. Dropped while it runs, the attempt
/// was cut short.
#[derive(Debug)]
pub(super) struct Stopwatch<'h>(Option<(&'h Latencies, Instant)>);

impl<'h> Stopwatch<'h> {
    pub(super) const fn stopped() -> Self {
        Self(None)
    }

    #[inline]
    pub(super) fn started(learns: Option<&'h Latencies>, now: &Now) -> Self {
        Self(learns.map(|latencies| (latencies, now.get())))
    }

    /// The attempt has a value.
    #[inline]
    pub(super) fn succeeded(&mut self, now: &Now) {
        if let Some((latencies, begun)) = self.0.take() {
            let now = now.get();
            latencies.record(now.saturating_duration_since(begun), now);
        }
    }

    /// The attempt failed or was dropped: it has no answer yet.
    pub(super) fn cut_short(&mut self, now: &Now) {
        if let Some((latencies, begun)) = self.0.take() {
            let now = now.get();
            latencies.record_cut_short(now.saturating_duration_since(begun), now);
        }
    }

    /// A hedge was faster. It was launched because this took long, so it is known that it did.
    pub(super) fn overtaken(&mut self, now: &Now) {
        self.succeeded(now);
    }
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        self.cut_short(&Now::unread());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn about(latencies: &Latencies, expected: Duration) -> bool {
        latencies.quantile().is_some_and(|told| told >= expected && told <= expected + expected / 16 + MS)
    }

    #[test]
    fn nothing_is_known_before_the_last_latency_of_the_warm_up() {
        let latencies = Latencies::new(0.95, 50, 30 * SECOND, time::now());
        let now = time::now();
        for _ in 0..49 {
            latencies.record(8 * MS, now);
            assert_eq!(latencies.quantile(), None);
        }
        latencies.record(8 * MS, now);
        assert!(about(&latencies, 8 * MS));
    }

    #[test]
    fn services_of_a_millisecond_to_an_hour_have_a_quantile() {
        for service in [MS, 10 * MS, SECOND, 60 * SECOND, 3_600 * SECOND] {
            let latencies = Latencies::new(0.95, 100, 30 * SECOND, time::now());
            let now = time::now();
            (0..100).for_each(|_| latencies.record(service, now));
            assert!(about(&latencies, service), "{service:?}: {:?}", latencies.quantile());
        }
    }

    #[test]
    fn slow_phase_is_forgotten_after_two_generations_however_long_it_was() {
        let latencies = Latencies::new(0.95, 100, 30 * SECOND, time::now());
        let mut now = time::now();
        for _ in 0..100_000 {
            latencies.record(2 * SECOND, now);
            now += 2 * MS;
        }
        assert!(about(&latencies, 2 * SECOND));
        for _ in 0..620 {
            latencies.record(5 * MS, now);
            now += 100 * MS;
        }
        assert!(about(&latencies, 5 * MS), "a minute later: {:?}", latencies.quantile());
    }

    #[test]
    fn who_seldom_calls_does_not_forget_what_it_knows() {
        let latencies = Latencies::new(0.95, 100, 30 * SECOND, time::now());
        let now = time::now();
        for call in 0..320 {
            latencies.record(5 * MS, now + call * 600 * SECOND);
        }
        assert!(about(&latencies, 5 * MS));
    }

    #[test]
    fn what_is_cut_short_counts_as_slow_if_it_was() {
        let latencies = Latencies::new(0.5, 32, 30 * SECOND, time::now());
        let now = time::now();
        latencies.record_cut_short(SECOND, now);
        (0..32).for_each(|_| latencies.record(10 * MS, now));
        assert!(about(&latencies, 10 * MS), "of the first nothing was known");
        for _ in 0..64 {
            latencies.record_cut_short(9 * MS, now);
            latencies.record_cut_short(20 * MS, now);
        }
        assert!(about(&latencies, 20 * MS), "{:?}", latencies.quantile());
    }

    #[test]
    fn threads_that_turn_over_at_once_still_know_what_they_saw() {
        let latencies = Latencies::new(0.95, 10, MS, time::now());
        let now = time::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5_000).for_each(|at| latencies.record(8 * MS, now + at * MS)));
            }
        });
        assert!(about(&latencies, 8 * MS));
    }

    #[test]
    fn clock_that_jumps_back_harms_nothing() {
        let latencies = Latencies::new(0.95, 1, MS, time::now());
        let now = time::now() + 3_600 * SECOND;
        latencies.record(5 * MS, now);
        latencies.record(5 * MS, now - 3_000 * SECOND);
        (0..64).for_each(|_| latencies.record(5 * MS, now - 3_000 * SECOND));
        assert!(about(&latencies, 5 * MS));
    }
}
