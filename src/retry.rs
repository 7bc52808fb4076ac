//! Whether a failed attempt is worth another one, and when.

mod budget;
mod decide;
mod policy;
mod rules;

pub(crate) use self::budget::Token;
pub use self::budget::{RetryBudget, RetryBudgetBuilder};
pub(crate) use self::decide::{Progress, Stop};
pub use self::policy::{RetryPolicy, RetryPolicyBuilder, Timed, Untimed};
pub(crate) use self::rules::RetryRules;
pub use self::rules::{Nested, OnEmptyBudget};
