//! Whether a failed attempt is worth another one, and when.

mod budget;
mod decide;
mod limits;
mod policy;
mod recent;
mod rules;
mod throttle;

pub(crate) use self::budget::{Active, Token};
pub use self::budget::{RetryBudget, RetryBudgetBuilder};
pub(crate) use self::decide::{Progress, Stop};
pub(crate) use self::limits::CallLimits;
pub use self::limits::{TimeLimits, Timed, Untimed};
pub use self::policy::{RetryPolicy, RetryPolicyBuilder};
pub(crate) use self::rules::RetryRules;
pub use self::rules::{Nested, OnEmptyBudget};
pub(crate) use self::throttle::{Attempted, Leave};
pub use self::throttle::{RetriesSeen, Throttle, ThrottleBuilder, ThrottleSnapshot, Throttled, Withheld};
