//! The settings of retrying, checked, as calls read them.

use std::time::Duration;

use super::budget::RetryBudget;
use super::limits::CallLimits;
use super::throttle::Throttle;
use crate::backoff::{Backoff, Jitter};
use crate::classification::Category;
use crate::random::Dice;
use crate::setting::{Check, SettingError};

/// What a retry does when its operation failed because another retry inside of it has given up already, or
/// because a circuit breaker, a bulkhead or a cooldown of ours refused to make the call.
///
/// It is known if the operation fails in the same poll in which the inner call ended: an operation that hands
/// the inner error on does. It is not known across `tokio::spawn`, whose task has polls of its own, nor if the
/// operation awaits something else in between. An operation that goes on after the inner call failed and then
/// succeeds, or makes another call of ours, is not stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nested {
    /// Gives up as well: what the inner one could not mend in its attempts, more of them would not. The
    /// default, so that attempts of nested retries do not multiply.
    #[default]
    Stop,
    /// Goes on by its own rules.
    Allow,
}

/// What a call does when the retry budget is empty, or the throttle withholds a retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnEmptyBudget {
    /// Gives up at once with the operation's own error. The default.
    #[default]
    Fail,
    /// Waits for the trickle of the budget or the throttle before each retry, but no longer than this, which is
    /// longer than zero. For batches.
    Wait(Duration),
}

/// The settings, checked.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "settings, each a yes or a no of its own")]
pub(crate) struct RetryRules {
    pub(super) schedule: Schedule,
    pub(super) by_category: Vec<(Category, Schedule)>,
    pub(super) max_hint: Duration,
    pub(super) clamp_hints: bool,
    pub(super) restart_after_hint: bool,
    pub(super) dice: Dice,
    pub(crate) throttle: Option<Throttle>,
    pub(crate) budget: Option<RetryBudget>,
    /// Whether there is no budget, where it is asked for on the way of every call.
    pub(crate) is_plain: bool,
    pub(crate) on_empty: OnEmptyBudget,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) nested: Nested,
    pub(crate) wait_for_circuit: bool,
}

/// How often and after what delays.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// The first attempt included; `None` is without limit.
    pub(super) max_attempts: Option<u32>,
    pub(super) backoff: Backoff,
}

impl RetryRules {
    #[inline]
    pub(crate) fn limits(&self) -> CallLimits {
        CallLimits { attempt: self.attempt_timeout, call: self.deadline }
    }

    /// What `retry` uses when it is given no policy: without a throttle, for that would have to outlive the
    /// call, and nothing of ours does.
    pub(crate) const fn plain() -> Self {
        Self {
            schedule: Schedule {
                max_attempts: Some(3),
                backoff: Backoff::exponential(Duration::from_millis(100)).jitter(Jitter::Full),
            },
            by_category: Vec::new(),
            max_hint: Duration::from_secs(300),
            clamp_hints: false,
            restart_after_hint: false,
            dice: Dice::Fresh,
            throttle: None,
            budget: None,
            is_plain: true,
            on_empty: OnEmptyBudget::Fail,
            attempt_timeout: None,
            deadline: None,
            nested: Nested::Stop,
            wait_for_circuit: false,
        }
    }
}

impl Schedule {
    pub(super) fn check(&self, check: Check) -> Result<(), SettingError> {
        if let Some(attempts) = self.max_attempts {
            check.at_least_one("max_attempts", attempts)?;
        }
        self.backoff.check(check)
    }
}
