//! The retry budget of Finagle: a share of the requests of the last seconds, and a reserve each second.

use std::sync::Arc;
use std::time::Duration;

use super::{Kind, RetryBudget};
use crate::retry::recent::Recent;
use crate::sync::Lock;
use crate::time::{self, Instant};

/// Finagle's window has as many parts, of a second each.
const SLICES: usize = 10;

/// Counted in requests: 20 % is a retry for five.
const RETRY: u64 = 5;

/// Ten retries a second for the ten seconds of the window.
const RESERVE: u64 = 10 * 10 * RETRY;

/// Which of the counts is which.
const REQUESTS: usize = 0;
const RETRIES: usize = 1;

pub(super) struct Finagle {
    pub(super) start: Instant,
    pub(super) recent: Lock<Recent<SLICES>>,
}

impl RetryBudget {
    /// The retry budget of Finagle: in ten seconds retries may be a fifth of the *requests*, whatever became of
    /// them, and 100 more, which are ten a second. A retry that was made has cost its part also if it
    /// succeeded, and if it was dropped.
    ///
    /// **Not for a fleet.** Each member has a reserve of its own, and ten retries a second are nothing for one
    /// that calls a thousand times a second; a fleet whose members call once a second repeats everything, up to
    /// the last attempt that its policy allows, all through an outage. What pays in for requests and not for
    /// successes pays in while nothing works.
    ///
    /// A request begins when its first attempt does. Each takes a short lock and reads the clock.
    ///
    /// Source: `RetryBudget.scala` of Finagle: `percentCanRetry` 0.2, `minRetriesPerSec` 10, `ttl` 10 s, kept
    /// in 10 parts. Linkerd's service profiles have the same numbers.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{RetryBudget, RetryPolicy, retry};
    ///
    /// let budget = RetryBudget::finagle();
    /// let policy = RetryPolicy::builder().max_attempts(2).budget(budget.clone()).build().unwrap();
    /// for _ in 0..20 {
    ///     retry(async || Ok::<_, &str>(())).policy(&policy).await.unwrap();
    /// }
    /// assert_eq!(budget.tokens(), 100 + 4);
    /// # }
    /// ```
    #[must_use]
    pub fn finagle() -> Self {
        Self(Kind::Finagle(Arc::new(Finagle { start: time::now(), recent: Lock::new(Recent::new()) })))
    }
}

impl Finagle {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    fn slice(&self, now: Instant) -> u64 {
        self.age(now).as_secs()
    }

    pub(super) fn deposit(&self, now: Instant) {
        let slice = self.slice(now);
        let mut recent = self.recent.lock();
        recent.slide(slice);
        recent.count(REQUESTS);
    }

    /// Takes a retry out, and says in which slice.
    pub(super) fn take(&self, now: Instant) -> Option<u64> {
        let slice = self.slice(now);
        let mut recent = self.recent.lock();
        recent.slide(slice);
        (left(&recent) > 0).then(|| recent.count(RETRIES))
    }

    /// The retry was not made. Once its slice is forgotten it costs nothing any more.
    pub(super) fn give_back(&self, slice: u64) {
        self.recent.lock().take_back(RETRIES, slice);
    }

    pub(super) fn retries_left(&self, now: Instant) -> u32 {
        let slice = self.slice(now);
        let mut recent = self.recent.lock();
        recent.slide(slice);
        u32::try_from(left(&recent)).unwrap_or(u32::MAX)
    }

    /// How long until enough is forgotten. Requests are forgotten as well, but in the end there is the reserve.
    pub(super) fn next_retry_in(&self, now: Instant) -> Option<Duration> {
        let slice = self.slice(now);
        let mut recent = *self.recent.lock();
        recent.slide(slice);
        if left(&recent) > 0 {
            return Some(Duration::ZERO);
        }
        for _ in 0..SLICES {
            let then = recent.latest().saturating_add(1);
            recent.slide(then);
            if left(&recent) > 0 {
                return Some(Duration::from_secs(then).saturating_sub(self.age(now)));
            }
        }
        None
    }
}

/// How many retries the counts leave.
fn left(recent: &Recent<SLICES>) -> u64 {
    let [requests, retries] = recent.sums();
    (requests.saturating_add(RESERVE) / RETRY).saturating_sub(retries)
}

#[cfg(test)]
mod tests {
    use std::iter;

    use proptest::prelude::*;

    use super::super::Token;
    use super::*;
    use crate::classification::Category;
    use crate::time::Now;

    const ANY: Category = Category::Network;
    const SLICE: Duration = Duration::from_secs(1);

    fn budget() -> (RetryBudget, Instant) {
        let budget = RetryBudget::finagle();
        let Kind::Finagle(finagle) = &budget.0 else { panic!("finagle's") };
        let start = finagle.start;
        (budget, start)
    }

    fn call(budget: &RetryBudget, now: Instant) {
        let _active = budget.began(&Now::from(now));
    }

    fn drain(budget: &RetryBudget, now: Instant) -> usize {
        iter::from_fn(|| budget.reserve(ANY, now)).map(Token::spend).count()
    }

    #[test]
    fn a_fifth_of_the_requests_and_a_hundred_in_ten_seconds() {
        for requests in [0, 1, 4, 5, 9, 10, 1_000] {
            let (budget, now) = budget();
            (0..requests).for_each(|_| call(&budget, now));
            (0..1_000).for_each(|_| budget.deposit(false)); // what succeeds pays in nothing
            assert_eq!(drain(&budget, now), 100 + requests / 5);
            assert_eq!(drain(&budget, now + 9 * SLICE), 0);
            assert_eq!(budget.next_token_in(ANY, now + 9 * SLICE / 2), Some(11 * SLICE / 2));
            assert_eq!(drain(&budget, now + 10 * SLICE), 100);
        }
    }

    #[test]
    fn retry_that_is_made_has_cost_its_part_and_one_that_is_not_has_not() {
        let (budget, now) = budget();
        let mut made: Vec<_> = iter::from_fn(|| budget.reserve(ANY, now)).collect();
        assert_eq!(made.len(), 100);
        let not_made = made.split_off(50);
        made.iter_mut().for_each(Token::made);
        drop(made);
        assert_eq!(budget.tokens_at(now), 0, "made, whatever became of them");
        drop(not_made);
        assert_eq!(budget.tokens_at(now), 50);
    }

    #[test]
    fn what_comes_back_late_is_not_paid_in_twice() {
        let (budget, now) = budget();
        let held: Vec<_> = iter::from_fn(|| budget.reserve(ANY, now)).collect();
        assert_eq!(drain(&budget, now + 10 * SLICE), 100, "those of ten seconds ago are forgotten");
        drop(held);
        assert_eq!(budget.tokens_at(now + 10 * SLICE), 0);
    }

    #[test]
    fn time_that_runs_backwards_or_very_far_does_no_harm() {
        let (budget, now) = budget();
        let far = time::later_or_far(now, Duration::MAX);
        for at in [now - SLICE, now, far, now, far, now - SLICE] {
            call(&budget, at);
            drain(&budget, at);
            assert_eq!(budget.tokens_at(at), 0);
            assert!(budget.next_token_in(ANY, at).is_some());
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Call,
        Reserve,
        Drop,
        Spend,
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Call),
            60 => Just(Step::Reserve),
            2 => Just(Step::Drop),
            20 => Just(Step::Spend),
            2 => (0_u64..4_000).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn over_any_history_retries_are_a_fifth_of_the_requests_and_the_reserve(
            steps in prop::collection::vec(step(), 0..1_000),
        ) {
            let (budget, start) = budget();
            let (mut now, mut held) = (0_u64, Vec::new());
            // The second of each.
            let (mut calls, mut retries) = (Vec::new(), Vec::new());
            for step in steps {
                let at = start + Duration::from_millis(now);
                let second = now / 1_000;
                let lately = |all: &[u64]| all.iter().filter(|&&then| then + 10 > second).count();
                match step {
                    Step::Call => {
                        call(&budget, at);
                        calls.push(second);
                    }
                    Step::Reserve => {
                        let allowed = 5 * (lately(&retries) + 1) <= lately(&calls) + 500;
                        let wait = budget.next_token_in(ANY, at).unwrap();
                        prop_assert_eq!(wait.is_zero(), allowed);
                        let got = budget.reserve(ANY, at);
                        prop_assert_eq!(got.is_some(), allowed);
                        if let Some(got) = got {
                            held.push((got, second));
                            retries.push(second);
                        } else {
                            let then = at + wait;
                            prop_assert_eq!(budget.tokens_at(then - Duration::from_nanos(1)), 0);
                            let fork = budget.next_token_in(ANY, then).unwrap();
                            prop_assert_eq!(fork, Duration::ZERO);
                            now += u64::try_from(wait.as_millis()).unwrap();
                        }
                    }
                    Step::Drop => if let Some((_, then)) = held.pop() {
                        let at = retries.iter().rposition(|&second| second == then).unwrap();
                        retries.remove(at);
                    },
                    Step::Spend => if let Some((got, _)) = held.pop() {
                        got.spend();
                    },
                    Step::Wait(millis) => now += millis,
                }
            }
        }
    }
}
