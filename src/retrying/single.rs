//! What the plan is told of a call that has only a retry.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::call::{BeforeRetry, FailedAttempt, GiveUp, Gives, Judge, Limits, Policies};
use crate::classification::Classification;
use crate::classify::ErrorClassifier;
use crate::error::RecoveryError;
use crate::event::CallInfo;
use crate::retry::{CallLimits, RetryRules, TimeLimits, Untimed};
use crate::shutdown::Shutdown;

/// The policies of a call that has only a retry.
pub(crate) struct Single<'p, E, C, L: TimeLimits> {
    pub(super) rules: &'p RetryRules,
    pub(super) limits: L::Kept,
    pub(super) classifier: C,
    pub(super) shutdown: Option<&'p Shutdown>,
    pub(super) error: PhantomData<fn() -> E>,
}

/// What few calls have.
pub(crate) struct Hooks<'p, E> {
    pub(super) before_retry: Option<Box<BeforeRetry<'p, E>>>,
    pub(super) gave_up: Option<Box<GiveUp<'p, E>>>,
}

impl<E> Default for Hooks<'_, E> {
    fn default() -> Self {
        Self { before_retry: None, gave_up: None }
    }
}

impl<'p, E, C> Single<'p, E, C, Untimed> {
    #[inline]
    pub(super) fn new(rules: &'p RetryRules, classifier: C) -> Self {
        Self { rules, limits: (), classifier, shutdown: None, error: PhantomData }
    }
}

// Each of these hands everything on but one thing. They are inlined, so that a whole chain of setters comes
// to nothing but the settings.
impl<'p, E, C, L: TimeLimits> Single<'p, E, C, L> {
    #[inline]
    pub(super) fn judged_by<D>(self, change: impl FnOnce(C) -> D) -> Single<'p, E, D, L> {
        let Self { rules, limits, classifier, shutdown, error } = self;
        Single { rules, limits, classifier: change(classifier), shutdown, error }
    }

    #[inline]
    pub(super) fn limited<M: TimeLimits>(self, limits: M::Kept) -> Single<'p, E, C, M> {
        let Self { rules, limits: _, classifier, shutdown, error } = self;
        Single { rules, limits, classifier, shutdown, error }
    }
}

impl<'p, E, C, L: TimeLimits> Gives for Single<'p, E, C, L> {
    type Pass = ();
    type Timer = L::Timer;
    type Hooks = Hooks<'p, E>;
}

impl<'p, E: 'p, C: ErrorClassifier<E>, L: TimeLimits> Policies<'p, E> for Single<'p, E, C, L> {
    fn name(&self) -> Arc<str> {
        Arc::from("retry")
    }

    fn info(&self) -> CallInfo<'_> {
        CallInfo { name: "retry", ..CallInfo::default() }
    }

    fn rules(&self) -> &RetryRules {
        self.rules
    }

    #[inline]
    fn limits(&self) -> Limits {
        let CallLimits { attempt, call } = L::get(self.limits);
        Limits { attempt, call, until: None }
    }

    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.rules.is_plain
    }

    fn classify(&self, error: &E) -> Classification {
        self.classifier.classify(error)
    }

    fn shutdown(&self) -> Option<&'p Shutdown> {
        self.shutdown
    }

    fn before_retry(
        &self,
        hooks: &mut Hooks<'p, E>,
        failed: FailedAttempt<'_, E>,
    ) -> Option<BoxFuture<'p, ControlFlow<()>>> {
        hooks.before_retry.as_mut()?(failed)
    }

    fn gave_up(&self, hooks: Option<&mut Hooks<'p, E>>, error: &RecoveryError<E>) {
        if let Some(hook) = hooks.and_then(|hooks| hooks.gave_up.as_mut()) {
            hook(error);
        }
    }
}

impl<T, E, C: Judge<T>, L: TimeLimits> Judge<T> for Single<'_, E, C, L> {
    fn judge(&self, value: &T) -> Option<Classification> {
        self.classifier.judge(value)
    }
}
