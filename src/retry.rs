//! Whether a failed attempt is worth another one, and when.

mod budget;
mod decide;
mod policy;

pub(crate) use self::budget::Token;
pub use self::budget::{RetryBudget, RetryBudgetBuilder};
pub(crate) use self::decide::{Progress, Stop};
pub(crate) use self::policy::RetryRules;
pub use self::policy::{Nested, OnEmptyBudget, RetryPolicy, RetryPolicyBuilder, Timed, Untimed};
