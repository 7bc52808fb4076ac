//! The quota of retries that the AWS SDKs keep in their standard mode.

use std::sync::Arc;

use super::level::Level;
use super::{Kind, RetryBudget};
use crate::classification::Category;

const CAPACITY: u64 = 500;

/// What a success pays in that is not one of a retry.
const SUCCESS: u64 = 1;

/// Of a retry after a refusal, and after everything else. Until 2026 it was 5, and 10 after a timeout.
const THROTTLED: u64 = 5;
const TRANSIENT: u64 = 14;

pub(super) struct Aws(Level);

impl RetryBudget {
    /// The quota of the AWS SDKs in their standard mode, with the costs of 2026: 500 tokens at first and at
    /// most. A retry costs 5 after a refusal (429, 503: [`Category::RateLimited`],
    /// [`Category::ServiceUnavailable`]) and 14 after anything else, a timeout too. A success pays 1; the
    /// success of a retry gives back what that retry cost, instead.
    ///
    /// 35 retries can fail before the first success. Nothing comes by time, so a pool of workers that only
    /// retry empties it for good, and a caller never [waits](crate::OnEmptyBudget::Wait) for it.
    ///
    /// Source: `token_bucket.rs` and the standard retry strategy of smithy-rs; the costs of 2026 are those of
    /// the SDKs' `AWS_NEW_RETRIES_2026`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{RetryBudget, RetryPolicy, retry};
    ///
    /// let budget = RetryBudget::aws_standard();
    /// let policy = RetryPolicy::builder().max_attempts(3).budget(budget.clone()).build().unwrap();
    /// retry(async || Err::<(), _>("reset")).policy(&policy).await.unwrap_err();
    /// assert_eq!(budget.tokens(), 500 - 2 * 14);
    /// # }
    /// ```
    #[must_use]
    pub fn aws_standard() -> Self {
        Self(Kind::Aws(Arc::new(Aws(Level::new(CAPACITY, CAPACITY)))))
    }
}

impl Aws {
    pub(super) fn tokens(&self) -> u32 {
        u32::try_from(self.0.units()).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn deposit(&self) {
        self.0.add(SUCCESS);
    }

    /// Takes what the retry costs, and says how much.
    pub(super) fn take(&self, failed: Category) -> Option<u64> {
        let cost = cost(failed);
        self.0.take(cost).then_some(cost)
    }

    pub(super) fn affords(&self, failed: Category) -> bool {
        self.0.units() >= cost(failed)
    }

    pub(super) fn give_back(&self, cost: u64) {
        self.0.add(cost);
    }
}

fn cost(failed: Category) -> u64 {
    match failed {
        Category::RateLimited | Category::ServiceUnavailable => THROTTLED,
        _ => TRANSIENT,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Token;
    use super::*;
    use crate::time;

    #[derive(Clone, Debug)]
    enum Step {
        Success,
        Reserve(Category),
        Drop,
        Spend,
    }

    fn step() -> impl Strategy<Value = Step> {
        let category = prop::sample::select(Category::ALL.to_vec());
        prop_oneof![
            3 => Just(Step::Success),
            4 => category.prop_map(Step::Reserve),
            1 => Just(Step::Drop),
            3 => Just(Step::Spend),
        ]
    }

    #[test]
    fn thirty_five_retries_may_fail_or_a_hundred_that_were_throttled() {
        for (category, retries) in [(Category::Timeout, 35), (Category::RateLimited, 100)] {
            let budget = RetryBudget::aws_standard();
            let made = std::iter::from_fn(|| budget.reserve(category, time::now())).map(Token::spend).count();
            assert_eq!(made, retries, "{category}");
            assert_eq!(budget.next_token_in(category, time::now()), None);
        }
    }

    proptest! {
        #[test]
        fn any_history_matches_a_naive_model(steps in prop::collection::vec(step(), 0..600)) {
            let budget = RetryBudget::aws_standard();
            let (mut tokens, mut held) = (500_u32, Vec::new());
            for step in steps {
                match step {
                    Step::Success => {
                        budget.deposit(false);
                        tokens = 500.min(tokens + 1);
                    }
                    Step::Reserve(failed) => {
                        let throttled = matches!(failed, Category::RateLimited | Category::ServiceUnavailable);
                        let cost = if throttled { 5 } else { 14 };
                        let got = budget.reserve(failed, time::now());
                        prop_assert_eq!(got.is_some(), tokens >= cost);
                        if let Some(got) = got {
                            held.push((got, cost));
                            tokens -= cost;
                        }
                    }
                    Step::Drop => if let Some((_, cost)) = held.pop() {
                        // As the success of a retry does, which pays in nothing else.
                        budget.deposit(true);
                        tokens = 500.min(tokens + cost);
                    },
                    Step::Spend => if let Some((got, _)) = held.pop() {
                        got.spend();
                    },
                }
                prop_assert_eq!(budget.tokens(), tokens);
            }
        }
    }
}
