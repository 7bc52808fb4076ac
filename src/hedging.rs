//! Where a hedge and a retry meet: the budget, or the throttle, that both ask.

#[cfg(feature = "lab")]
mod anew;

use std::sync::Arc;

use crate::classification::Category;
use crate::hedge::{HedgeBuilder, Spare};
use crate::retry::{Attempted, Leave, RetryBudget, Throttle, Token};
use crate::time::{Instant, Now};

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

    /// Asks `throttle` too before a hedge is launched, as a retry of a timeout would: a slow answer may be one
    /// of a dependency that is overloaded, and then twice as many calls are no help. Default: none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Hedge, Idempotent, Throttle};
    ///
    /// let throttle = Throttle::fleet();
    /// let hedge = Hedge::after(Duration::from_millis(10)).no_max_extra().throttle(&throttle).build().unwrap();
    /// let answer = hedge.call(Idempotent(|_| async {
    ///     tokio::time::sleep(Duration::from_millis(90)).await;
    ///     Ok::<_, ()>("slow, but there")
    /// }));
    /// assert_eq!(answer.await, Ok("slow, but there"));
    /// assert_eq!(hedge.snapshot().suppressed, 1, "of a dependency that it knows nothing of");
    /// # }
    /// ```
    pub fn throttle(self, throttle: &Throttle) -> Self {
        self.paid_from(Arc::new(throttle.clone()))
    }
}

impl Spare for RetryBudget {
    fn take(&self, now: Instant) -> bool {
        self.reserve(Category::Timeout, now).map(Token::spend).is_some()
    }

    fn earn(&self, _: &Now) {
        self.deposit(false);
    }
}

impl Spare for Throttle {
    fn take(&self, now: Instant) -> bool {
        let slow = Attempted { overload: true, category: Some(Category::Timeout), ..Attempted::default() };
        self.reserve(None, &slow, &Now::from(now)).map(Leave::spend).is_ok()
    }

    fn earn(&self, now: &Now) {
        if !self.is_calm() {
            self.succeeded(&Attempted::default(), now);
        }
    }
}
