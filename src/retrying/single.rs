//! What the plan is told of a call that has only a retry.

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
    pub(super) hooks: Option<Box<dyn AsMut<Hooks<'p, E>> + Send + 'p>>,
}

/// What few calls need. Boxed, so that the others do not carry it, and behind `dyn`, so that to drop none is
/// one comparison.
pub(super) struct Hooks<'p, E> {
    pub(super) before_retry: Option<Box<BeforeRetry<'p, E>>>,
    pub(super) gave_up: Option<Box<GiveUp<'p, E>>>,
}

impl<'p, E> AsMut<Hooks<'p, E>> for Hooks<'p, E> {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl<'p, E, C> Single<'p, E, C, Untimed> {
    #[inline]
    pub(super) fn new(rules: &'p RetryRules, classifier: C) -> Self {
        Self { rules, limits: (), classifier, shutdown: None, hooks: None }
    }
}

// Each of these hands everything on but one thing. They are inlined, so that a whole chain of setters comes
// to nothing but the settings.
impl<'p, E, C, L: TimeLimits> Single<'p, E, C, L> {
    #[inline]
    pub(super) fn judged_by<D>(self, change: impl FnOnce(C) -> D) -> Single<'p, E, D, L> {
        let Self { rules, limits, classifier, shutdown, hooks } = self;
        Single { rules, limits, classifier: change(classifier), shutdown, hooks }
    }

    #[inline]
    pub(super) fn limited<M: TimeLimits>(self, limits: M::Kept) -> Single<'p, E, C, M> {
        let Self { rules, limits: _, classifier, shutdown, hooks } = self;
        Single { rules, limits, classifier, shutdown, hooks }
    }
}

impl<E, C, L: TimeLimits> Gives for Single<'_, E, C, L> {
    type Pass = ();
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

    fn classify(&self, error: &E) -> Classification {
        self.classifier.classify(error)
    }

    fn shutdown(&self) -> Option<&'p Shutdown> {
        self.shutdown
    }

    fn before_retry(&mut self, failed: FailedAttempt<'_, E>) -> Option<BoxFuture<'p, ControlFlow<()>>> {
        self.hooks.as_mut()?.as_mut().as_mut().before_retry.as_mut()?(failed)
    }

    fn gave_up(&mut self, error: &RecoveryError<E>) {
        if let Some(hook) = self.hooks.as_mut().and_then(|hooks| hooks.as_mut().as_mut().gave_up.as_mut()) {
            hook(error);
        }
    }
}

impl<T, E, C: Judge<T>, L: TimeLimits> Judge<T> for Single<'_, E, C, L> {
    fn judge(&self, value: &T) -> Option<Classification> {
        self.classifier.judge(value)
    }
}
