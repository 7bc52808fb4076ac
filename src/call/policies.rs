//! What the plan asks of whoever set a call up.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::bury::Graveyard;
use super::hooks::FailedAttempt;
use super::pass::Pass;
use crate::bulkhead::Bulkhead;
use crate::circuit_breaker::CircuitBreaker;
use crate::classification::Classification;
use crate::concurrency_limit::ConcurrencyLimit;
use crate::cooldown::Cooldown;
use crate::error::{CannotRepeat, RecoveryError};
use crate::event::{CallInfo, Observers};
use crate::priority::Priority;
use crate::rate_limit::RateLimiter;
use crate::retry::{RetryBudget, RetryRules, Throttle};
use crate::shutdown::Shutdown;
use crate::time::Instant;
use crate::timer::TimerPlace;

/// The limits of one call in time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// For one attempt.
    pub(crate) attempt: Option<Duration>,
    /// For the whole call, from when it first had to wait.
    pub(crate) call: Option<Duration>,
    /// When the call must have ended, whatever else is said.
    pub(crate) until: Option<Instant>,
}

impl Limits {
    /// The earliest of the limits that are counted from when a call first has to wait, and of this one, if it is
    /// longer than no time.
    pub(crate) fn first_look(&self, slow_after: Option<Duration>) -> Option<Duration> {
        let all = [slow_after, self.attempt, self.call];
        all.into_iter().flatten().min().filter(|first| !first.is_zero())
    }
}

/// What a call keeps for its policies.
pub(crate) trait Gives {
    /// What an attempt is given: [`Held`](super::Held), or nothing.
    type Pass: Default;
    /// Where it keeps its timer: [`Timer`](crate::timer::Timer), or nowhere, if its attempts have no limits.
    type Timer: TimerPlace;
    /// The user's hooks for this one call, kept with what has gone wrong.
    type Hooks: Default;
}

/// The policies of one call. What is not overridden does not exist for the call, and the compiler leaves it
/// out: a bare `retry` pays for no breaker.
pub(crate) trait Policies<'r, E: 'r>: Gives<Pass: Pass<'r>> {
    /// Who calls, in errors.
    fn name(&self) -> Arc<str>;
    fn info(&self) -> CallInfo<'_>;
    fn rules(&self) -> &RetryRules;
    fn limits(&self) -> Limits;
    fn classify(&self, error: &E) -> Classification;

    /// From when on an attempt that is under way is a slow one to the throttle, if it has a limit.
    fn slow_after(&self) -> Option<Duration> {
        self.throttle()?.slow_after(self.limits().attempt?)
    }

    /// From when on an attempt that is under way has to be looked at: the earliest of all that follows from the
    /// settings, if it is longer than no time.
    fn first_look(&self) -> Option<Duration> {
        self.limits().first_look(self.slow_after())
    }

    /// Whether a first attempt has to ask nobody but the throttle, the circuit and the bulkhead, and its success
    /// need be told to nobody else.
    fn is_plain(&self) -> bool {
        false
    }

    /// How many attempts this one call may make at most, whatever its policy allows.
    fn at_most(&self) -> Option<u32> {
        None
    }

    /// Whether the call may be made again at all, after an attempt that failed like this.
    fn may_repeat(&self, _failed: &Classification) -> Result<(), CannotRepeat> {
        Ok(())
    }

    /// How much the call matters.
    fn priority(&self) -> Priority {
        Priority::Normal
    }
    /// Whose slots the call takes, where a bulkhead keeps some for them.
    fn partition(&self) -> Option<&str> {
        None
    }
    fn throttle(&self) -> Option<&Throttle> {
        self.rules().throttle.as_ref()
    }
    fn budget(&self) -> Option<&RetryBudget> {
        self.rules().budget.as_ref()
    }
    fn breaker(&self) -> Option<&'r CircuitBreaker> {
        None
    }
    /// Whether there is a rate limiter or a concurrency limit, which few have.
    fn is_limited(&self) -> bool {
        false
    }
    fn rate_limiter(&self) -> Option<&'r RateLimiter> {
        None
    }
    fn concurrency_limit(&self) -> Option<&'r ConcurrencyLimit> {
        None
    }
    fn bulkhead(&self) -> Option<&'r Bulkhead> {
        None
    }
    fn cooldown(&self) -> Option<&'r Cooldown> {
        None
    }
    fn shutdown(&self) -> Option<&'r Shutdown> {
        None
    }
    fn observers(&self) -> Option<&Observers> {
        None
    }
    fn graveyard(&self) -> Option<Graveyard<'r, E>> {
        None
    }
    fn before_retry(
        &self,
        hooks: &mut Self::Hooks,
        failed: FailedAttempt<'_, E>,
    ) -> Option<BoxFuture<'r, ControlFlow<()>>>;
    /// A call that never waited has no hooks.
    fn gave_up(&self, hooks: Option<&mut Self::Hooks>, error: &RecoveryError<E>);
}
