//! What one call takes of a recovery.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::{Parts, Recovery, Shard};
use crate::bulkhead::Bulkhead;
use crate::call::{
    AnyValue, CallContext, FailedAttempt, Gives, Graveyard, Held, Judge, Limits, Own, Policies, Refines,
    Repeats,
};
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
use crate::timer::Timer;

/// A recovery about to be used for one call: `&recovery`,
/// [`recovery.with_context(&call)`](Recovery::with_context), or [`recovery.on(&shard)`](Recovery::on).
pub struct Using<'r, E> {
    pub(super) parts: &'r Parts<E>,
    pub(super) context: Option<&'r CallContext<'r>>,
    // What the recovery knows of its dependency as a whole, if no shard of it is called.
    pub(super) shard: &'r Shard,
}

impl<'r, E> Using<'r, E> {
    /// The same, for a call to one shard.
    #[must_use]
    pub fn on(self, shard: &'r Shard) -> Self {
        Self { shard, ..self }
    }

    /// The same, for a call about which this is known, whatever was said of it before.
    #[must_use]
    pub fn about(self, context: &'r CallContext<'_>) -> Self {
        Self { context: Some(context), ..self }
    }

    /// What is known of the call, if anything was said of it.
    #[must_use]
    pub fn context(&self) -> Option<&'r CallContext<'r>> {
        self.context
    }
}

impl<'r, E> From<&'r Recovery<E>> for Using<'r, E> {
    fn from(recovery: &'r Recovery<E>) -> Self {
        let parts = &*recovery.parts;
        Self { parts, context: None, shard: &parts.whole }
    }
}

impl<E> Clone for Using<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Using<'_, E> {}

impl<E> fmt::Debug for Using<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Using").field("name", &self.parts.name).field("context", &self.context).finish()
    }
}

/// The policies of one call of a recovery, and what is said of its values.
pub(crate) struct Judged<'r, E, J> {
    pub(super) using: Using<'r, E>,
    pub(super) judge: J,
}

impl<'r, E> Judged<'r, E, AnyValue> {
    pub(super) fn any(using: Using<'r, E>) -> Self {
        Self { using, judge: AnyValue }
    }
}

impl<E, J> Judged<'_, E, J> {
    /// What this one call has instead of its recovery's.
    fn own(&self) -> Option<&Own> {
        self.using.context?.own()
    }
}

impl<T, E, J: Judge<T>> Judge<T> for Judged<'_, E, J> {
    fn judge(&self, value: &T) -> Option<Classification> {
        self.judge.judge(value)
    }
}

impl<'r, E, J> Gives for Judged<'r, E, J> {
    type Pass = Held<'r>;
    type Timer = Timer;
    type Hooks = ();
}

impl<'r, E: 'r, J: Repeats + Refines<E>> Policies<'r, E> for Judged<'r, E, J> {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.using.parts.name)
    }

    fn info(&self) -> CallInfo<'_> {
        let name = &*self.using.parts.name;
        match self.using.context {
            Some(context) => context.info(name),
            None => CallInfo { name, ..CallInfo::default() },
        }
    }

    fn rules(&self) -> &RetryRules {
        let own = self.own().and_then(|own| own.retry.as_ref());
        own.unwrap_or(&self.using.parts.retry).rules()
    }

    fn throttle(&self) -> Option<&Throttle> {
        self.using.shard.throttle.as_ref()
    }

    fn budget(&self) -> Option<&RetryBudget> {
        match self.own() {
            Some(Own { budget: Some(budget), .. }) => Some(budget),
            _ => self.using.parts.retry.budget(),
        }
    }

    fn priority(&self) -> Priority {
        self.using.context.map_or(Priority::Normal, CallContext::priority)
    }

    fn partition(&self) -> Option<&str> {
        self.using.context?.named_partition()
    }

    fn limits(&self) -> Limits {
        let Using { parts, context, .. } = self.using;
        let Some(context) = context else { return parts.limits };
        Limits {
            until: context.latest_end(),
            attempt: shorter(parts.limits.attempt, context.shortest_attempt()),
            ..parts.limits
        }
    }

    fn at_most(&self) -> Option<u32> {
        self.using.context?.most_attempts()
    }

    fn may_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat> {
        self.judge.may_repeat(failed)
    }

    fn slow_after(&self) -> Option<Duration> {
        self.using.parts.slow_after
    }

    fn first_look(&self) -> Option<Duration> {
        self.using.parts.first_look
    }

    #[inline(always)]
    fn is_plain(&self) -> bool {
        let Using { parts, context, .. } = self.using;
        parts.plain && context.is_none_or(CallContext::leaves_all)
    }

    fn classify(&self, error: &E) -> Classification {
        self.judge.refine(error, self.using.parts.classifier.classify(error))
    }

    fn breaker(&self) -> Option<&'r CircuitBreaker> {
        self.using.shard.breaker.as_ref()
    }

    fn is_limited(&self) -> bool {
        self.using.parts.limiting.is_some()
    }

    fn rate_limiter(&self) -> Option<&'r RateLimiter> {
        self.using.parts.limiting.as_ref()?.rate_limiter.as_ref()
    }

    fn concurrency_limit(&self) -> Option<&'r ConcurrencyLimit> {
        self.using.parts.limiting.as_ref()?.concurrency_limit.as_ref()
    }

    fn bulkhead(&self) -> Option<&'r Bulkhead> {
        self.using.parts.bulkhead.as_ref()
    }

    fn cooldown(&self) -> Option<&'r Cooldown> {
        self.using.parts.cooldown.as_ref()
    }

    fn shutdown(&self) -> Option<&'r Shutdown> {
        self.using.parts.shutdown.as_ref()
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.using.parts.observers)
    }

    fn graveyard(&self) -> Option<Graveyard<'r, E>> {
        let Using { parts, context, .. } = self.using;
        let letters = parts.letters.as_ref()?;
        Some(Graveyard {
            queue: &letters.queue,
            describe: &*letters.describe,
            context,
            name: &parts.name,
            patience: parts.letter_timeout,
        })
    }

    fn before_retry(
        &self,
        (): &mut (),
        failed: FailedAttempt<'_, E>,
    ) -> Option<BoxFuture<'r, ControlFlow<()>>> {
        self.using.parts.before_retry.as_ref().map(|hook| hook(failed))
    }

    fn gave_up(&self, _: Option<&mut ()>, error: &RecoveryError<E>) {
        if let Some(hook) = &self.using.parts.on_give_up {
            hook(error);
        }
    }
}

/// The shorter of two limits of which either may not be there.
fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
