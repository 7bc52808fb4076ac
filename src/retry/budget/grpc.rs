//! The throttling of retries that gRPC does for each server.

use std::sync::Arc;

use super::level::Level;
use super::{Kind, RetryBudget};
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("retry budget");

/// Everything is counted in thousandths, as there.
const TOKEN: u64 = 1_000;
const MAX_TOKENS: u64 = 10 * TOKEN;
const TOKEN_RATIO: u64 = TOKEN / 10;

pub(super) struct Grpc {
    level: Level,
    /// What a success pays in.
    ratio: u64,
}

impl RetryBudget {
    /// The retry throttling of gRPC, with the numbers of its proposal: 10 tokens at first and at most. An
    /// attempt that fails takes one away, a success adds 0.1, and a retry is made only while more than half of
    /// them are there. The retry itself costs nothing.
    ///
    /// A failure counts if it is worth a retry or the dependency's fault. So a server that asks not to be
    /// retried ([`Classification::stop`](crate::Classification::stop) of, say,
    /// [`ServiceUnavailable`](crate::Category::ServiceUnavailable)) counts; a wrong argument does not.
    ///
    /// Five failures in a row end all retries, and fifty successes bring back the five. A caller never
    /// [waits](crate::OnEmptyBudget::Wait) for it. Keep one for each server name.
    ///
    /// Source: gRPC proposal A6, "Throttling Retry Attempts and Hedged RPCs"; 10 and 0.1 are its example.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{RetryBudget, RetryPolicy, retry};
    ///
    /// let budget = RetryBudget::grpc();
    /// let policy = RetryPolicy::builder().max_attempts(9).budget(budget.clone()).build().unwrap();
    /// retry(async || Err::<(), _>("reset")).policy(&policy).await.unwrap_err();
    /// assert_eq!(budget.tokens(), 5, "the fifth failure is not repeated");
    /// # }
    /// ```
    #[must_use]
    pub fn grpc() -> Self {
        Self::throttling(MAX_TOKENS, TOKEN_RATIO)
    }

    /// As [`grpc`](Self::grpc), with other numbers: the `maxTokens` and `tokenRatio` of a service config. Both
    /// count in thousandths.
    ///
    /// ```
    /// use recoup::RetryBudget;
    ///
    /// assert_eq!(RetryBudget::grpc_with(100.0, 0.5)?.tokens(), 100);
    /// assert_eq!(RetryBudget::grpc_with(1_001.0, 0.5).unwrap_err().setting, "max_tokens");
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SettingError`] if `max_tokens` is not above 0 and at most 1,000 (the bound of the proposal), or
    /// `token_ratio` is not at least a thousandth and at most 1,000.
    pub fn grpc_with(max_tokens: f64, token_ratio: f64) -> Result<Self, SettingError> {
        let thousandths = |setting, number: f64, allowed| {
            let counted = number * 1e3;
            // What is not a number fails both comparisons.
            let fits = counted >= 1.0 && number <= 1e3;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 10^6")]
            let units = || counted.round() as u64;
            fits.then(units).ok_or_else(|| CHECK.refuse(setting, number, allowed))
        };
        let max_tokens = thousandths("max_tokens", max_tokens, "at least 0.001 and at most 1000")?;
        let ratio = thousandths("token_ratio", token_ratio, "at least 0.001 and at most 1000")?;
        Ok(Self::throttling(max_tokens, ratio))
    }

    fn throttling(most: u64, ratio: u64) -> Self {
        Self(Kind::Grpc(Arc::new(Grpc { level: Level::new(most, most), ratio })))
    }
}

impl Grpc {
    pub(super) fn tokens(&self) -> u32 {
        u32::try_from(self.level.units() / TOKEN).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn deposit(&self) {
        self.level.add(self.ratio);
    }

    pub(super) fn failed(&self) {
        self.level.lower(TOKEN);
    }

    pub(super) fn allows(&self) -> bool {
        2 * self.level.units() > self.level.capacity()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::classification::{Category, Classification};
    use crate::time;

    fn allows(budget: &RetryBudget) -> bool {
        budget.reserve(Category::Network, time::now()).is_some()
    }

    #[test]
    fn retries_are_made_above_half_of_the_tokens_and_not_at_it() {
        let budget = RetryBudget::grpc();
        let reset = Classification::of(Category::Network);
        for left in [9, 8, 7, 6] {
            budget.failed(&reset);
            assert_eq!((budget.tokens(), allows(&budget)), (left, true));
        }
        budget.failed(&reset);
        assert_eq!((budget.tokens(), allows(&budget)), (5, false));
        assert_eq!(budget.next_token_in(Category::Network, time::now()), None);
        budget.deposit(false);
        assert!(allows(&budget), "5.1 is more than half");
        (0..20).for_each(|_| budget.failed(&reset));
        (0..50).for_each(|_| budget.deposit(true));
        assert!(!allows(&budget), "from nothing, fifty successes are half and no more");
        budget.deposit(false);
        assert!(allows(&budget));
    }

    #[test]
    fn what_counts_is_worth_a_retry_or_the_fault_of_the_dependency() {
        for (answer, counts) in [
            (Classification::of(Category::Network), true),
            (Classification::of(Category::ServiceUnavailable).stop(), true),
            (Classification::of(Category::RateLimited).retry_after(Duration::MAX), true),
            (Classification::of(Category::Conflict).retry(), true),
            (Classification::of(Category::Conflict), false),
            (Classification::of(Category::Validation), false),
        ] {
            let budget = RetryBudget::grpc();
            budget.failed(&answer);
            assert_eq!(budget.tokens(), if counts { 9 } else { 10 }, "{answer:?}");
        }
    }

    #[test]
    fn numbers_of_a_service_config_count_in_thousandths() {
        let budget = RetryBudget::grpc_with(0.003, 0.001).unwrap();
        assert!(allows(&budget));
        budget.failed(&Classification::of(Category::Network));
        (0..1).for_each(|_| budget.deposit(false));
        assert!(!allows(&budget), "a third is not more than half");
        budget.deposit(false);
        assert!(allows(&budget), "two thirds are");
        for bad in [0.0, -1.0, 0.000_9, 1_000.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(RetryBudget::grpc_with(bad, 0.1).unwrap_err().setting, "max_tokens");
            assert_eq!(RetryBudget::grpc_with(10.0, bad).unwrap_err().setting, "token_ratio");
        }
    }

    proptest! {
        #[test]
        fn any_history_matches_a_naive_model(steps in prop::collection::vec(any::<bool>(), 0..400)) {
            let (budget, mut tenths) = (RetryBudget::grpc(), 100_i32);
            for failed in steps {
                if failed {
                    budget.failed(&Classification::of(Category::Unknown));
                } else {
                    budget.deposit(false);
                }
                tenths = (tenths + if failed { -10 } else { 1 }).clamp(0, 100);
                prop_assert_eq!(allows(&budget), tenths > 50);
            }
        }
    }
}
