//! What a protocol asks of a recovery, and says of a call, beyond what a classifier knows.

use super::{ExecuteWithRecovery, Judged, Recovery, Shard};
use crate::call::{Judge, Limits, Refines, Repeats};
use crate::classification::Classification;
use crate::error::CannotRepeat;

impl<E> Recovery<E> {
    /// The limits in time of its calls.
    pub(crate) fn limits(&self) -> Limits {
        self.parts.limits
    }

    /// Its whole, but for its throttle: for calls that have a budget instead.
    pub(crate) fn unthrottled(&self) -> Shard {
        Shard { throttle: None, breaker: self.parts.whole.breaker.clone() }
    }

    /// What its classifier says of an error.
    pub(crate) fn classify(&self, error: &E) -> Classification {
        self.parts.classifier.classify(error)
    }
}

/// What `inner` says; and of errors the closure has the last word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refining<C, R> {
    inner: C,
    refine: R,
}

impl<'r, F, Fut, T, E, J> ExecuteWithRecovery<'r, F, Fut, T, E, J> {
    /// Lets `refine` change what the classifier says of an error.
    pub(crate) fn refine<R>(self, refine: R) -> ExecuteWithRecovery<'r, F, Fut, T, E, Refining<J, R>>
    where
        R: Fn(&E, Classification) -> Classification,
    {
        let change = |Judged { using, judge: inner }| Judged { using, judge: Refining { inner, refine } };
        ExecuteWithRecovery { drive: self.drive.under(change) }
    }
}

impl<T, C: Judge<T>, R> Judge<T> for Refining<C, R> {
    fn judge(&self, value: &T) -> Option<Classification> {
        self.inner.judge(value)
    }
}

impl<C: Repeats, R> Repeats for Refining<C, R> {
    fn may_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat> {
        self.inner.may_repeat(failed)
    }
}

impl<E, C: Refines<E>, R: Fn(&E, Classification) -> Classification> Refines<E> for Refining<C, R> {
    fn refine(&self, error: &E, answer: Classification) -> Classification {
        (self.refine)(error, self.inner.refine(error, answer))
    }
}
