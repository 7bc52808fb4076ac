//! The client's limit of its own rate in the adaptive mode of the AWS SDKs: CUBIC, as TCP has it.

use std::time::Duration;

use super::{Attempted, Learned, Throttle, Withheld};
use crate::classification::Category;
use crate::sync::Lock;
use crate::time::{self, Instant};

/// Tokens a second at the least, and the least that a full bucket holds.
const MIN_FILL_RATE: f64 = 0.5;
const MIN_CAPACITY: f64 = 1.0;

/// How much of the measured rate is that of the last half second.
const SMOOTH: f64 = 0.8;

/// What is left of the rate after a refusal, and how steeply it comes back.
const BETA: f64 = 0.7;
const SCALE: f64 = 0.4;

/// What attempts cost.
const FIRST: f64 = 1.0;
const RETRY: f64 = 5.0;
const RETRY_OF_A_TIMEOUT: f64 = 10.0;

/// How soon to ask again at the soonest, so that nobody asks without end.
const SOON: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Cubic {
    pub(super) start: Instant,
    pub(super) rate: Lock<Rate>,
}

impl Throttle {
    /// The rate limit of the AWS SDKs in their adaptive mode. From the first refusal (429, 503) on attempts need
    /// tokens, which come at a rate that is cut to 0.7 of what was sent, and then follows the cubic of TCP: up to
    /// the old rate, level there, and beyond, but never to more than twice what is sent. A first attempt costs
    /// 1 token, a retry 5, and a retry of a timeout 10. Nothing but refusals starts or cuts it.
    ///
    /// > rate = 0.4 × (t − ∛(0.75 × old rate))³ + old rate, t seconds after the last refusal
    ///
    /// Where there are too few tokens the SDKs let the attempt wait. Here a first attempt is
    /// [`Throttled`](super::Throttled), which says exactly until when, and a retry waits if the policy
    /// [says so](crate::OnEmptyBudget::Wait). A full bucket is enough for any attempt, even if it holds less
    /// than that costs: the rest is owed.
    ///
    /// AWS advises against it where one client calls for many tenants: the refusals of one slow down all.
    /// Timeouts alone never do anything. Every attempt that ends takes a short lock and reads the clock.
    ///
    /// Source: `client_rate_limiter.rs` of smithy-rs; the cubic is that of RFC 9438.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{Category, Classification, RetryPolicy, Throttle, retry};
    ///
    /// let throttle = Throttle::aws_adaptive();
    /// assert_eq!((throttle.snapshot().kind, throttle.snapshot().rate), ("cubic", None));
    /// let policy = RetryPolicy::builder().max_attempts(1).throttle(throttle.clone()).build().unwrap();
    /// let refused = |_: &&str| Classification::of(Category::RateLimited);
    /// retry(async || Err::<(), _>("429")).policy(&policy).classifier(&refused).await.unwrap_err();
    /// assert_eq!(throttle.snapshot().rate, Some(0.5));
    /// # }
    /// ```
    #[must_use]
    pub fn aws_adaptive() -> Self {
        Self::new(Learned::Cubic(Box::new(Cubic::new())))
    }
}

impl Cubic {
    pub(super) fn new() -> Self {
        Self { start: time::now(), rate: Lock::new(Rate::new()) }
    }

    /// Seconds since it was made.
    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.start).as_secs_f64()
    }

    /// Whether a first attempt may be made.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Instant> {
        let seconds = self.seconds(now);
        let missing = self.rate.lock().take(FIRST, seconds);
        missing.map_err(|wait| time::later_or_far(now, wait))
    }

    /// Takes what a retry costs, and says how much that was.
    pub(super) fn reserve(&self, failed: &Attempted, now: Instant) -> Result<f64, Withheld> {
        let cost = if failed.category == Some(Category::Timeout) { RETRY_OF_A_TIMEOUT } else { RETRY };
        let seconds = self.seconds(now);
        let mut rate = self.rate.lock();
        match rate.take(cost, seconds) {
            Ok(()) if rate.limits => Ok(cost),
            Ok(()) => Ok(0.0),
            Err(_) => Err(Withheld::Spent),
        }
    }

    /// Whether there are tokens for a retry, if it is not one of a timeout.
    pub(super) fn affords_a_retry(&self, now: Instant) -> bool {
        let seconds = self.seconds(now);
        let mut rate = *self.rate.lock();
        rate.take(RETRY, seconds).is_ok()
    }

    /// The retry was not made.
    pub(super) fn give_back(&self, cost: f64) {
        let mut rate = self.rate.lock();
        rate.tokens = (rate.tokens + cost).min(rate.capacity);
    }

    /// How long until there are tokens for any retry. Never nothing.
    pub(super) fn next_retry_in(&self, now: Instant) -> Duration {
        let seconds = self.seconds(now);
        let mut rate = *self.rate.lock();
        rate.take(RETRY_OF_A_TIMEOUT, seconds).map_or_else(|wait| wait.max(SOON), |()| SOON)
    }

    pub(super) fn succeeded(&self, now: Instant) {
        let seconds = self.seconds(now);
        self.rate.lock().learn(false, seconds);
    }

    pub(super) fn failed(&self, ended: &Attempted, now: Instant) {
        let refused = matches!(ended.category, Some(Category::RateLimited | Category::ServiceUnavailable));
        let seconds = self.seconds(now);
        self.rate.lock().learn(refused, seconds);
    }

    pub(super) fn seen(&self, now: Instant) -> Rate {
        let seconds = self.seconds(now);
        let mut rate = *self.rate.lock();
        rate.refill(seconds);
        rate
    }
}

/// The bucket and what it is filled by. Pure; times are seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// Whether tokens are needed at all.
    pub(super) limits: bool,
    /// Below zero, what is owed.
    pub(super) tokens: f64,
    capacity: f64,
    /// Tokens a second.
    pub(super) fill: f64,
    filled_at: f64,
    /// Answers a second, smoothed.
    pub(super) measured: f64,
    /// Answers since the half second that was measured last.
    answers: f64,
    half_second: f64,
    /// The rate at the last refusal, when that was, and how long the way back takes.
    old: f64,
    refused_at: f64,
}

impl Rate {
    const fn new() -> Self {
        Self {
            limits: false,
            tokens: 0.0,
            capacity: 0.0,
            fill: 0.0,
            filled_at: 0.0,
            measured: 0.0,
            answers: 0.0,
            half_second: 0.0,
            old: 0.0,
            refused_at: 0.0,
        }
    }

    fn refill(&mut self, now: f64) {
        let filled = (now - self.filled_at).max(0.0) * self.fill;
        self.tokens = (self.tokens + filled).min(self.capacity);
        self.filled_at = self.filled_at.max(now);
    }

    /// Takes tokens, or says how long until there are enough.
    fn take(&mut self, cost: f64, now: f64) -> Result<(), Duration> {
        if !self.limits {
            return Ok(());
        }
        self.refill(now);
        let needed = cost.min(self.capacity);
        if self.tokens < needed {
            let wait = (needed - self.tokens) / self.fill;
            // Rounded up: who comes back then finds it there.
            return Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX).saturating_add(SOON));
        }
        self.tokens -= cost;
        Ok(())
    }

    /// An attempt was answered.
    fn learn(&mut self, refused: bool, now: f64) {
        self.measure(now);
        let rate = if refused {
            self.old = if self.limits { self.measured.min(self.fill) } else { self.measured };
            self.refused_at = now;
            self.limits = true;
            self.old * BETA
        } else {
            cubic(self.old, now - self.refused_at)
        };
        self.refill(now);
        let rate = rate.min(2.0 * self.measured);
        self.fill = rate.max(MIN_FILL_RATE);
        self.capacity = rate.max(MIN_CAPACITY);
        self.tokens = self.tokens.min(self.capacity);
    }

    /// Counts an answer, and at the end of each half second the rate of them.
    fn measure(&mut self, now: f64) {
        self.answers += 1.0;
        let half_second = (now * 2.0).floor() / 2.0;
        if half_second > self.half_second {
            let rate = self.answers / (half_second - self.half_second);
            self.measured = rate * SMOOTH + self.measured * (1.0 - SMOOTH);
            self.answers = 0.0;
            self.half_second = half_second;
        }
    }
}

/// The rate so many seconds after a refusal at the old one.
fn cubic(old: f64, since: f64) -> f64 {
    let back_after = (old * (1.0 - BETA) / SCALE).cbrt();
    SCALE * (since - back_after).powi(3) + old
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::classification::Classification;

    /// The pseudo-code of the SDKs' specification, line by line.
    #[derive(Default)]
    struct Specified {
        fill_rate: f64,
        max_capacity: f64,
        current_capacity: f64,
        last_timestamp: f64,
        enabled: bool,
        measured_tx_rate: f64,
        last_tx_rate_bucket: f64,
        request_count: f64,
        last_max_rate: f64,
        last_throttle_time: f64,
        time_window: f64,
    }

    impl Specified {
        fn token_bucket_refill(&mut self, timestamp: f64) {
            let fill_amount = (timestamp - self.last_timestamp) * self.fill_rate;
            self.current_capacity = f64::min(self.max_capacity, self.current_capacity + fill_amount);
            self.last_timestamp = timestamp;
        }

        fn update_client_sending_rate(&mut self, is_throttling_error: bool, timestamp: f64) {
            let t = (timestamp * 2.0).floor() / 2.0;
            self.request_count += 1.0;
            if t > self.last_tx_rate_bucket {
                let current_rate = self.request_count / (t - self.last_tx_rate_bucket);
                self.measured_tx_rate = (current_rate * 0.8) + (self.measured_tx_rate * (1.0 - 0.8));
                self.request_count = 0.0;
                self.last_tx_rate_bucket = t;
            }
            let calculated_rate;
            if is_throttling_error {
                let rate_to_use = if self.enabled {
                    f64::min(self.measured_tx_rate, self.fill_rate)
                } else {
                    self.measured_tx_rate
                };
                self.last_max_rate = rate_to_use;
                self.time_window = ((self.last_max_rate * (1.0 - 0.7)) / 0.4).powf(1.0 / 3.0);
                self.last_throttle_time = timestamp;
                calculated_rate = rate_to_use * 0.7;
                self.enabled = true;
            } else {
                self.time_window = ((self.last_max_rate * (1.0 - 0.7)) / 0.4).powf(1.0 / 3.0);
                let dt = timestamp - self.last_throttle_time;
                calculated_rate = 0.4 * (dt - self.time_window).powf(3.0) + self.last_max_rate;
            }
            let new_rate = f64::min(calculated_rate, 2.0 * self.measured_tx_rate);
            self.token_bucket_refill(timestamp);
            self.fill_rate = f64::max(new_rate, 0.5);
            self.max_capacity = f64::max(new_rate, 1.0);
            self.current_capacity = f64::min(self.current_capacity, self.max_capacity);
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-6 * a.abs().max(1.0)
    }

    /// The numbers that the SDKs test themselves with.
    #[test]
    fn way_back_after_a_refusal_is_the_published_one() {
        for (second, rate) in [
            (0.0, 7.0),
            (1.0, 9.648_936_01),
            (2.0, 10.000_030_85),
            (3.0, 10.453_284_52),
            (4.0, 13.408_697_03),
            (5.0, 21.266_268_36),
            (6.0, 36.425_998_53),
        ] {
            assert!(close(cubic(10.0, second), rate), "{second}: {}", cubic(10.0, second));
        }
    }

    #[test]
    fn before_the_first_refusal_nothing_costs_anything() {
        let cubic = Cubic::new();
        let timeout = Attempted { category: Some(Category::Timeout), ..Attempted::default() };
        for _ in 0..1_000 {
            assert!(cubic.admit(cubic.start).is_ok());
            cubic.failed(&timeout, cubic.start);
            assert_eq!(cubic.reserve(&timeout, cubic.start), Ok(0.0));
        }
        assert!(!cubic.seen(cubic.start).limits, "timeouts alone never start it");
    }

    /// Ten a second for ten seconds, and then a refusal.
    fn refused() -> (Cubic, Instant) {
        let cubic = Cubic::new();
        for tenth in 0..100 {
            cubic.succeeded(cubic.start + Duration::from_millis(100 * tenth));
        }
        let now = cubic.start + Duration::from_secs(10);
        let answer = Classification::of(Category::ServiceUnavailable);
        cubic.failed(&Attempted::failed(&answer, None).unwrap(), now);
        (cubic, now)
    }

    #[test]
    fn first_attempts_cost_one_retries_five_and_after_a_timeout_ten() {
        let (cubic, now) = refused();
        let seen = cubic.seen(now);
        assert!(close(seen.fill, 0.7 * seen.measured) && close(seen.tokens, seen.fill), "{seen:?}");
        let tokens = || cubic.seen(now).tokens;
        cubic.admit(now).unwrap();
        assert!(close(tokens(), seen.tokens - 1.0));
        assert_eq!(cubic.reserve(&Attempted::default(), now), Ok(5.0));
        assert!(close(tokens(), seen.tokens - 6.0));
        cubic.give_back(5.0);
        assert!(close(tokens(), seen.tokens - 1.0));
        assert_eq!(cubic.reserve(&Attempted::default(), now), Ok(5.0));
        assert_eq!(cubic.reserve(&Attempted::default(), now), Err(Withheld::Spent));
        // The bucket holds seven or so: full, it is enough for a retry that costs ten.
        let timeout = Attempted { category: Some(Category::Timeout), ..Attempted::default() };
        let wait = cubic.next_retry_in(now);
        assert!(cubic.reserve(&timeout, now + wait - 2 * SOON).is_err());
        assert_eq!(cubic.reserve(&timeout, now + wait), Ok(10.0));
        let later = now + wait;
        assert!(cubic.seen(later).tokens < 0.0, "the rest is owed");
        let until = cubic.admit(later).unwrap_err();
        assert!(cubic.admit(until - 2 * SOON).is_err() && cubic.admit(until).is_ok());
    }

    #[test]
    fn time_that_runs_backwards_or_very_far_does_no_harm() {
        let (cubic, now) = refused();
        let far = time::later_or_far(now, Duration::MAX);
        for at in [cubic.start, now, far, now, far] {
            while cubic.admit(at).is_ok() {}
            cubic.succeeded(at);
            let seen = cubic.seen(at);
            assert!(seen.fill >= MIN_FILL_RATE && seen.fill.is_finite() && seen.tokens.is_finite());
            assert!(cubic.next_retry_in(at) >= SOON);
        }
    }

    proptest! {
        #[test]
        fn any_history_matches_the_specification(
            steps in prop::collection::vec((0_u32..800, 0_u32..10), 0..400),
        ) {
            let (mut rate, mut specified, mut now) = (Rate::new(), Specified::default(), 0.0);
            for (passed, what) in steps {
                now += f64::from(passed) / 1_000.0;
                if what < 3 {
                    let free = !specified.enabled;
                    specified.token_bucket_refill(now);
                    rate.refill(now);
                    let enough = free || specified.current_capacity >= f64::min(1.0, specified.max_capacity);
                    let off = (specified.current_capacity - 1.0).abs() < 1e-6;
                    let took = rate.take(FIRST, now).is_ok();
                    prop_assert!(off || took == enough);
                    if took && !free {
                        specified.current_capacity -= 1.0;
                    }
                } else {
                    specified.update_client_sending_rate(what == 9, now);
                    rate.learn(what == 9, now);
                }
                prop_assert!(close(rate.fill, specified.fill_rate), "{rate:?}");
                prop_assert!(close(rate.measured, specified.measured_tx_rate), "{rate:?}");
                prop_assert!(close(rate.tokens, specified.current_capacity), "{rate:?}");
            }
        }
    }
}
