//! Client-side throttling as the SRE book has it: turn calls away in the proportion in which the backend would.

use std::time::Duration;

use super::{Attempted, Learned, Throttle};
use crate::classification::Category;
use crate::random::Dice;
use crate::retry::recent::Recent;
use crate::setting::{Check, SettingError};
use crate::sync::Lock;
use crate::time::{self, Instant};

/// Two minutes, in parts of five seconds.
const SLICES: usize = 24;
const SLICE: Duration = Duration::from_secs(5);

/// Which of the counts is which.
const REQUESTS: usize = 0;
const ACCEPTS: usize = 1;

#[derive(Debug)]
pub(super) struct Sre {
    pub(super) k: f64,
    pub(super) start: Instant,
    pub(super) dice: Dice,
    pub(super) recent: Lock<Recent<SLICES>>,
}

impl Throttle {
    /// Client-side throttling of the SRE book: an attempt is turned away with the probability
    ///
    /// > max(0, (requests − K × accepts) / (requests + 1))
    ///
    /// over the last two minutes, so a backend that turns calls away sees about `k` times what it accepts. At
    /// least 1.0; the book has 2. A smaller one spares the backend more and finds out later that it is well.
    ///
    /// `requests` are attempts that have ended and those that were turned away here. Accepted is all that did
    /// not end in a refusal (429, 503), a timeout or a connection that failed; also an error that is the
    /// caller's own affair. What never left for another reason (an open circuit, no slot) and what was dropped
    /// midway is no request.
    ///
    /// Retries are attempts as the first are, and cost nothing else: give the policy a
    /// [budget](crate::RetryBudget) too. Each attempt has a chance of its own, whatever its
    /// [priority](crate::Priority), so [`Throttled::until`](super::Throttled::until) is only when the two
    /// minutes next move on; what is turned away counts, so who calls rarely and is turned away each time gets
    /// through late. Every attempt that ends takes a short lock and reads the clock.
    ///
    /// Source: Beyer et al., *Site Reliability Engineering*, chapter 21, "Handling Overload".
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{RetryPolicy, Throttle, retry};
    ///
    /// let throttle = Throttle::sre(2.0).unwrap();
    /// let policy = RetryPolicy::builder().max_attempts(1).throttle(throttle.clone()).build().unwrap();
    /// for _ in 0..9 {
    ///     retry(async || Ok::<_, &str>(())).policy(&policy).await.unwrap();
    /// }
    /// assert_eq!((throttle.snapshot().kind, throttle.snapshot().admission), ("sre", 1.0));
    /// assert_eq!(Throttle::sre(0.5).unwrap_err().setting, "k");
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Names the setting `k` if it is less than 1.0 or no finite number.
    pub fn sre(k: f64) -> Result<Self, SettingError> {
        if !(k >= 1.0 && k.is_finite()) {
            return Err(Check("sre throttle").refuse("k", k, "at least 1.0 and finite"));
        }
        Ok(Self::new(Learned::Sre(Box::new(Sre::new(k, Dice::Fresh)))))
    }
}

impl Sre {
    pub(super) fn new(k: f64, dice: Dice) -> Self {
        Self { k, start: time::now(), dice, recent: Lock::new(Recent::new()) }
    }

    /// With the same settings, and nothing seen.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.k, self.dice.clone())
    }

    fn slice(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs() / SLICE.as_secs()
    }

    /// Whether an attempt may be made. One that is turned away has been a request.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Instant> {
        let slice = self.slice(now);
        let mut recent = self.recent.lock();
        recent.slide(slice);
        let rejected = rejected(self.k, recent.sums());
        if rejected <= 0.0 || self.dice.draw() >= rejected {
            return Ok(());
        }
        recent.count(REQUESTS);
        drop(recent);
        Err(time::later_or_far(now, self.next_slice_in(now)))
    }

    /// How long until what was seen in one slice is forgotten. Never nothing.
    pub(super) fn next_slice_in(&self, now: Instant) -> Duration {
        let age = now.saturating_duration_since(self.start);
        let into = Duration::new(age.as_secs() % SLICE.as_secs(), age.subsec_nanos());
        SLICE.saturating_sub(into)
    }

    pub(super) fn succeeded(&self, now: Instant) {
        self.ended(true, now);
    }

    pub(super) fn failed(&self, ended: &Attempted, now: Instant) {
        self.ended(!(ended.overload || ended.category == Some(Category::Network)), now);
    }

    fn ended(&self, accepted: bool, now: Instant) {
        let slice = self.slice(now);
        let mut recent = self.recent.lock();
        recent.slide(slice);
        recent.count(REQUESTS);
        if accepted {
            recent.count(ACCEPTS);
        }
    }

    /// Requests and accepts of the last two minutes, and what share of attempts is turned away.
    pub(super) fn seen(&self, now: Instant) -> ([u64; 2], f64) {
        let slice = self.slice(now);
        let mut recent = self.recent.lock();
        recent.slide(slice);
        let sums = recent.sums();
        drop(recent);
        (sums, rejected(self.k, sums))
    }
}

/// The probability with which an attempt is turned away.
#[expect(clippy::cast_precision_loss, reason = "nobody makes 2^53 requests in two minutes")]
fn rejected(k: f64, [requests, accepts]: [u64; 2]) -> f64 {
    let (requests, accepts) = (requests as f64, accepts as f64);
    ((requests - k * accepts) / (requests + 1.0)).max(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::classification::Classification;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused(category: Category) -> Attempted {
        Attempted::failed(&Classification::of(category), None).unwrap()
    }

    #[test]
    fn chance_is_that_of_the_formula() {
        for (k, requests, accepts, expected) in [
            (2.0, 0, 0, 0.0),
            (2.0, 1, 0, 0.5),
            (2.0, 99, 0, 0.99),
            (2.0, 99, 49, 0.01),
            (2.0, 99, 50, 0.0),
            (1.0, 9, 9, 0.0),
            (1.1, 99, 50, 0.44),
            (1e300, 99, 1, 0.0),
        ] {
            assert!((rejected(k, [requests, accepts]) - expected).abs() < 1e-9, "{k} {requests} {accepts}");
        }
    }

    #[test]
    fn what_is_turned_away_is_a_request_and_two_minutes_later_it_is_forgotten() {
        let sre = Sre::new(2.0, Dice::seeded(1));
        let now = sre.start;
        (0..100).for_each(|_| sre.failed(&refused(Category::ServiceUnavailable), now));
        let turned_away: u64 = (0..100).map(|_| u64::from(sre.admit(now).is_err())).sum();
        assert!(turned_away > 90, "{turned_away}");
        assert_eq!(sre.seen(now).0, [100 + turned_away, 0]);
        let until = sre.admit(now + 3 * SECOND).unwrap_err();
        assert_eq!(until, now + SLICE);
        assert!(sre.seen(now + 119 * SECOND).0[0] > 100);
        assert_eq!(sre.seen(now + 120 * SECOND), ([0, 0], 0.0));
        assert!(sre.admit(now + 120 * SECOND).is_ok());
    }

    #[test]
    fn what_the_backend_has_answered_it_has_accepted() {
        for (category, accepted) in [
            (Category::RateLimited, 0),
            (Category::ServiceUnavailable, 0),
            (Category::Timeout, 0),
            (Category::Network, 0),
            (Category::ExternalService, 1),
            (Category::Database, 1),
        ] {
            let sre = Sre::new(2.0, Dice::seeded(1));
            sre.failed(&refused(category), sre.start);
            assert_eq!(sre.seen(sre.start).0, [1, accepted], "{category}");
        }
    }

    #[test]
    fn time_that_runs_backwards_or_very_far_does_no_harm() {
        let sre = Sre::new(1.0, Dice::seeded(1));
        let far = time::later_or_far(sre.start, Duration::MAX);
        for now in [sre.start - SECOND, far, sre.start, far] {
            (0..10).for_each(|_| sre.failed(&refused(Category::Timeout), now));
            while let Ok(()) = sre.admit(now) {}
            assert!(sre.next_slice_in(now) > Duration::ZERO && sre.next_slice_in(now) <= SLICE);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// A backend that accepts so many a second, and refuses the rest, for four minutes.
        #[test]
        fn backend_sees_about_k_times_what_it_accepts(
            k in 1.2_f64..4.0,
            accepts in 5_u32..50,
            more in 3_u32..8,
            seed in any::<u64>(),
        ) {
            let sre = Sre::new(k, Dice::seeded(seed));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
            let demand = (f64::from(accepts) * k) as u32 * more;
            let (mut sent, mut accepted) = (0, 0);
            for second in 0..240 {
                let now = sre.start + SECOND * second;
                let mut capacity = accepts;
                for _ in 0..demand {
                    if sre.admit(now).is_err() {
                        continue;
                    }
                    let fits = capacity > 0;
                    capacity = capacity.saturating_sub(1);
                    if fits { sre.succeeded(now) } else { sre.failed(&refused(Category::RateLimited), now) }
                    if second >= 120 {
                        sent += 1;
                        accepted += u32::from(fits);
                    }
                }
            }
            let times = f64::from(sent) / f64::from(accepted);
            prop_assert!((times / k - 1.0).abs() < 0.15, "{times} for {k}");
        }
    }
}
