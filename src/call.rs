//! One call: the only place that knows every policy.

mod aside;
pub(crate) mod attempt;
mod bury;
mod context;
mod drive;
mod drive_mut;
mod hooks;
mod judge;
mod pass;
pub(crate) mod plan;
mod policies;
mod queue;

pub(crate) use self::bury::{Describe, Graveyard};
pub use self::context::CallContext;
pub(crate) use self::context::Own;
pub(crate) use self::drive::Drive;
pub use self::drive_mut::LendingOperation;
pub(crate) use self::drive_mut::drive_mut;
pub use self::hooks::FailedAttempt;
pub(crate) use self::hooks::{BeforeRetry, GiveUp};
pub use self::judge::{AnyValue, Judging, Lent, Repeating, Until, When};
pub(crate) use self::judge::{Judge, Refines, Repeats};
pub(crate) use self::pass::Held;
pub(crate) use self::policies::{Gives, Limits, Policies};
