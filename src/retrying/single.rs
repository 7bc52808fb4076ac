//! What the plan is told of a call that has only a retry.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::call::{BeforeRetry, FailedAttempt, GiveUp, Judge, Limits, Policies};
use crate::classification::Classification;
use crate::classify::ErrorClassifier;
use crate::error::RecoveryError;
use crate::event::CallInfo;
use crate::retry::RetryRules;
use crate::shutdown::Shutdown;

/// The policies of a call that has only a retry.
pub(crate) struct Single<'p, E, C> {
    pub(super) rules: &'p RetryRules,
    pub(super) limits: Limits,
    pub(super) classifier: C,
    pub(super) shutdown: Option<&'p Shutdown>,
    pub(super) hooks: Option<Box<Hooks<'p, E>>>,
}

/// What few calls need: boxed, so that the others do not carry it.
pub(super) struct Hooks<'p, E> {
    pub(super) before_retry: Option<Box<BeforeRetry<'p, E>>>,
    pub(super) gave_up: Option<Box<GiveUp<'p, E>>>,
}

impl<E> Default for Hooks<'_, E> {
    fn default() -> Self {
        Self { before_retry: None, gave_up: None }
    }
}

impl<'p, E, C> Single<'p, E, C> {
    pub(super) fn new(rules: &'p RetryRules, classifier: C) -> Self {
        Self { rules, limits: Limits::default(), classifier, shutdown: None, hooks: None }
    }

    pub(super) fn judged_by<D>(self, change: impl FnOnce(C) -> D) -> Single<'p, E, D> {
        let Self { rules, limits, classifier, shutdown, hooks } = self;
        Single { rules, limits, classifier: change(classifier), shutdown, hooks }
    }
}

impl<'p, E: 'p, C: ErrorClassifier<E>> Policies<'p, E> for Single<'p, E, C> {
    fn name(&self) -> Arc<str> {
        Arc::from("retry")
    }

    fn info(&self) -> CallInfo<'_> {
        CallInfo { name: "retry", ..CallInfo::default() }
    }

    fn rules(&self) -> &RetryRules {
        self.rules
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn classify(&self, error: &E) -> Classification {
        self.classifier.classify(error)
    }

    fn shutdown(&self) -> Option<&'p Shutdown> {
        self.shutdown
    }

    fn before_retry(&mut self, failed: FailedAttempt<'_, E>) -> Option<BoxFuture<'p, ControlFlow<()>>> {
        self.hooks.as_mut()?.before_retry.as_mut()?(failed)
    }

    fn gave_up(&mut self, error: &RecoveryError<E>) {
        if let Some(hook) = self.hooks.as_mut().and_then(|hooks| hooks.gave_up.as_mut()) {
            hook(error);
        }
    }
}

impl<T, E, C: Judge<T>> Judge<T> for Single<'_, E, C> {
    fn judge(&self, value: &T) -> Option<Classification> {
        self.classifier.judge(value)
    }
}
