//! Whether retrying is limited in time, told by a type.

use std::time::Duration;

/// Whether time is limited: [`Untimed`] or [`Timed`], and nothing else. For code that takes policies of both
/// kinds:
///
/// ```
/// use std::time::Duration;
/// use recoup::{RetryPolicy, TimeLimits};
///
/// fn attempts<L: TimeLimits>(policy: &RetryPolicy<L>) -> Option<u32> {
///     policy.max_attempts()
/// }
/// let untimed = RetryPolicy::default();
/// let timed = RetryPolicy::builder().deadline(Duration::from_secs(1)).build()?;
/// assert_eq!((attempts(&untimed), attempts(&timed)), (Some(4), Some(4)));
/// # Ok::<(), recoup::SettingError>(())
/// ```
pub trait TimeLimits: sealed::Limits {}

/// Marks a policy without time limits: `retry` ends in the operation's own error.
#[derive(Clone, Copy, Debug)]
pub enum Untimed {}

/// Marks a policy with time limits: `retry` ends in a [`RecoveryError`](crate::RecoveryError).
#[derive(Clone, Copy, Debug)]
pub enum Timed {}

impl TimeLimits for Untimed {}
impl TimeLimits for Timed {}

/// The limits of one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallLimits {
    /// For one attempt.
    pub(crate) attempt: Option<Duration>,
    /// For the whole call, from when it first had to wait.
    pub(crate) call: Option<Duration>,
}

pub(crate) mod sealed {
    use super::{CallLimits, Timed, Untimed};
    use crate::timer::{Timer, TimerPlace};

    /// A call without limits keeps none: it has no room for them, and nothing to ask.
    pub trait Limits {
        /// Where it keeps its timer.
        type Timer: TimerPlace + Send + Sync;
        /// What a call keeps.
        type Kept: Copy + Send + Sync + Unpin + std::fmt::Debug;
        /// What it keeps of these.
        fn keep(limits: CallLimits) -> Self::Kept;
        /// As they are asked for.
        fn get(kept: Self::Kept) -> CallLimits;
    }

    impl Limits for Untimed {
        type Timer = ();
        type Kept = ();

        #[inline]
        fn keep(_: CallLimits) {}

        #[inline]
        fn get((): ()) -> CallLimits {
            CallLimits { attempt: None, call: None }
        }
    }

    impl Limits for Timed {
        type Timer = Timer;
        type Kept = CallLimits;

        #[inline]
        fn keep(limits: CallLimits) -> CallLimits {
            limits
        }

        #[inline]
        fn get(kept: CallLimits) -> CallLimits {
            kept
        }
    }
}
