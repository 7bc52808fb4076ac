//! Where a hedge and a retry meet: the budget that both pay from.

use std::sync::Arc;

use crate::hedge::{HedgeBuilder, Spare};
use crate::retry::{RetryBudget, Token};
use crate::time::Instant;

impl HedgeBuilder {
    /// Takes a token out of `budget` for each hedge, so that hedges and retries together add no more to the
    /// load of a dependency than the budget allows. Default: none.
    ///
    /// While it is empty no hedge is launched, and nothing else happens: attempts under way go on, nobody
    /// waits, and what the call ends with is its own. A hedge that was launched has spent its token, whether it
    /// wins or not. A [call](crate::hedge::Hedge::call) that succeeds pays in as a retry does.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Hedge, Idempotent, RetryBudget};
    ///
    /// let empty = RetryBudget::builder().reserve(0).build().unwrap();
    /// let hedge = Hedge::after(Duration::from_millis(10)).no_max_extra().budget(&empty).build().unwrap();
    /// let answer = hedge.call(Idempotent(|_| async {
    ///     tokio::time::sleep(Duration::from_millis(90)).await;
    ///     Ok::<_, ()>("slow, but there")
    /// }));
    /// assert_eq!(answer.await, Ok("slow, but there"));
    /// assert_eq!((hedge.snapshot().launched, hedge.snapshot().suppressed), (0, 1));
    /// # }
    /// ```
    pub fn budget(self, budget: &RetryBudget) -> Self {
        self.paid_from(Arc::new(budget.clone()))
    }
}

impl Spare for RetryBudget {
    fn take(&self, now: Instant) -> bool {
        self.reserve(now).map(Token::spend).is_some()
    }

    fn earn(&self) {
        self.deposit();
    }
}
