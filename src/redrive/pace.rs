//! How fast letters are begun.

use std::time::Duration;

use crate::time::{Instant, later_or_far};

/// The share of the rate with which a run begins; it doubles every second.
const FIRST_SHARE: f64 = 0.1;

/// A run may begin its letters this much late, in seconds, and still keep its rate: timers are no finer than a
/// millisecond, and a rate may be thousands a second.
const SLACK: f64 = 0.01;

/// The moments at which letters may begin, so that the rate is kept without bursts.
///
/// With a ramp, the rate in second `n` after the start is a tenth of the full one, times `2^n`, up to the full
/// one: 10, 20, 40, 80 and then 100 %. Letter `k` (from zero) begins when that rate, summed up since the
/// start, comes to `k`.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    ramp: bool,
    start: Instant,
    /// When the next letter may begin, in seconds since the start.
    next: f64,
}

impl Pace {
    /// So many letters a second, from now on.
    pub(super) const fn new(rate: f64, ramp: bool, now: Instant) -> Self {
        Self { rate, ramp, start: now, next: 0.0 }
    }

    /// Begins anew, as after a pause.
    pub(super) const fn restart(&mut self, now: Instant) {
        (self.start, self.next) = (now, 0.0);
    }

    /// When the next letter may begin.
    pub(super) fn next_at(&self) -> Instant {
        let wait = Duration::try_from_secs_f64(self.next).unwrap_or(Duration::MAX);
        later_or_far(self.start, wait)
    }

    /// A letter begins now.
    pub(super) fn take(&mut self, now: Instant) {
        let now = now.saturating_duration_since(self.start).as_secs_f64();
        self.next = self.after(self.next.max(now - SLACK));
    }

    /// When the sum of the rate since `second` comes to one.
    fn after(&self, second: f64) -> f64 {
        let (mut at, mut share_of_one) = (second, 1.0);
        loop {
            let whole = at.floor();
            let factor = if self.ramp { FIRST_SHARE * whole.min(10.0).exp2() } else { 1.0 };
            if factor >= 1.0 {
                return at + share_of_one / self.rate;
            }
            let rate = self.rate * factor;
            let until_next_second = (whole + 1.0 - at) * rate;
            if share_of_one <= until_next_second {
                return at + share_of_one / rate;
            }
            (at, share_of_one) = (whole + 1.0, share_of_one - until_next_second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    /// How many letters begin in each of the first seconds, if each begins as soon as it may.
    fn begun(rate: f64, ramp: bool, seconds: usize) -> Vec<u32> {
        let start = time::now();
        let mut pace = Pace::new(rate, ramp, start);
        let mut counts = vec![0; seconds];
        loop {
            // A nanosecond is what a float of seconds may be off by.
            let at = pace.next_at() + Duration::from_nanos(1);
            let Some(count) = counts.get_mut(usize::try_from((at - start).as_secs()).unwrap()) else {
                return counts;
            };
            *count += 1;
            pace.take(at);
        }
    }

    #[test]
    fn ramp_doubles_every_second_from_a_tenth() {
        assert_eq!(begun(500.0, true, 6), [50, 100, 200, 400, 500, 500]);
        assert_eq!(begun(10.0, true, 6), [1, 2, 4, 8, 10, 10]);
        assert_eq!(begun(500.0, false, 3), [500; 3]);
    }

    #[test]
    fn slow_rates_begin_when_their_sum_comes_to_a_whole_letter() {
        // 0.1 + 0.2 + 0.4 = 0.7 after three seconds, and 0.8 a second from there.
        let mut pace = Pace::new(1.0, true, time::now());
        pace.take(pace.start);
        assert!((pace.next - 3.375).abs() < 1e-9, "{}", pace.next);
    }

    #[test]
    fn time_that_went_by_unused_is_not_made_up_for() {
        let mut pace = Pace::new(10.0, false, time::now());
        let late = pace.start + Duration::from_secs(60);
        pace.take(late);
        let wait = pace.next_at() - late;
        assert!(wait >= Duration::from_millis(89) && wait <= Duration::from_millis(100), "{wait:?}");
    }

    #[test]
    fn any_rate_that_an_order_takes_gives_moments() {
        for rate in [f64::MIN_POSITIVE, 1e-300, 1e-9, 1e9, f64::MAX] {
            for ramp in [false, true] {
                let mut pace = Pace::new(rate, ramp, time::now());
                for _ in 0..3 {
                    let at = pace.next_at();
                    assert!(at >= pace.start);
                    pace.take(at);
                }
                pace.restart(pace.next_at());
                assert_eq!(pace.next_at(), pace.start);
            }
        }
    }
}
