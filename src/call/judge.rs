//! What is said of values: a call may end well and still not have what it wants.

use crate::classification::{Category, Classification, Health};
use crate::classify::{ErrorClassifier, Transient};
use crate::error::CannotRepeat;

/// Says of a value why it is not good enough yet, if it is not.
pub(crate) trait Judge<T> {
    fn judge(&self, _value: &T) -> Option<Classification> {
        None
    }
}

/// Says whether a call may be made again at all, after an attempt that failed like this.
pub(crate) trait Repeats {
    fn may_repeat(&self, _failed: &Classification) -> Result<(), CannotRepeat> {
        Ok(())
    }
}

/// Has the last word on what an error means, where a call knows more of it than its classifier.
pub(crate) trait Refines<E> {
    fn refine(&self, _error: &E, answer: Classification) -> Classification {
        answer
    }
}

/// Every value is good.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyValue;

impl<T> Judge<T> for AnyValue {}
impl<T> Judge<T> for Transient {}
impl Repeats for AnyValue {}
impl<E> Refines<E> for AnyValue {}

/// Errors for which the closure says `true` are transient, the others permanent.
#[derive(Clone, Copy, Debug)]
pub struct When<W>(pub(crate) W);

impl<T, W> Judge<T> for When<W> {}

impl<E, W: Fn(&E) -> bool> ErrorClassifier<E> for When<W> {
    fn classify(&self, error: &E) -> Classification {
        let answer = Classification::of(Category::Unknown);
        if (self.0)(error) { answer } else { answer.stop() }
    }
}

/// A classifier that was lent.
#[derive(Clone, Copy)]
pub struct Lent<'c, E>(pub(crate) &'c (dyn ErrorClassifier<E> + Send + Sync));

impl<T, E> Judge<T> for Lent<'_, E> {}

impl<E> ErrorClassifier<E> for Lent<'_, E> {
    fn classify(&self, error: &E) -> Classification {
        self.0.classify(error)
    }
}

impl<E> std::fmt::Debug for Lent<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

/// What `inner` says; a value that is good to it is good once the closure says so.
#[derive(Clone, Copy, Debug)]
pub struct Until<C, D> {
    pub(crate) inner: C,
    pub(crate) done: D,
}

impl<T, C: Judge<T>, D: Fn(&T) -> bool> Judge<T> for Until<C, D> {
    fn judge(&self, value: &T) -> Option<Classification> {
        // To have to ask again says nothing bad of who was asked.
        let unfinished = || Classification::of(Category::Unknown).counts_as(Health::Success);
        self.inner.judge(value).or_else(|| (!(self.done)(value)).then(unfinished))
    }
}

impl<E, C: ErrorClassifier<E>, D> ErrorClassifier<E> for Until<C, D> {
    fn classify(&self, error: &E) -> Classification {
        self.inner.classify(error)
    }
}

/// What `inner` says, and the closure of values that are good to it.
#[derive(Clone, Copy, Debug)]
pub struct Judging<C, J> {
    pub(crate) inner: C,
    pub(crate) judge: J,
}

impl<T, C: Judge<T>, J: Fn(&T) -> Option<Classification>> Judge<T> for Judging<C, J> {
    fn judge(&self, value: &T) -> Option<Classification> {
        self.inner.judge(value).or_else(|| (self.judge)(value))
    }
}

impl<E, C: ErrorClassifier<E>, J> ErrorClassifier<E> for Judging<C, J> {
    fn classify(&self, error: &E) -> Classification {
        self.inner.classify(error)
    }
}

impl<C: Repeats, J> Repeats for Judging<C, J> {
    fn may_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat> {
        self.inner.may_repeat(failed)
    }
}

impl<E, C: Refines<E>, J> Refines<E> for Judging<C, J> {
    fn refine(&self, error: &E, answer: Classification) -> Classification {
        self.inner.refine(error, answer)
    }
}

/// What `inner` says; and a call is made again only if the closure allows it, too.
#[derive(Clone, Copy, Debug)]
pub struct Repeating<C, R> {
    pub(crate) inner: C,
    pub(crate) may: R,
}

impl<T, C: Judge<T>, R> Judge<T> for Repeating<C, R> {
    fn judge(&self, value: &T) -> Option<Classification> {
        self.inner.judge(value)
    }
}

impl<C: Repeats, R: Fn(&Classification) -> Result<(), CannotRepeat>> Repeats for Repeating<C, R> {
    fn may_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat> {
        self.inner.may_repeat(failed)?;
        (self.may)(failed)
    }
}

impl<E, C: Refines<E>, R> Refines<E> for Repeating<C, R> {
    fn refine(&self, error: &E, answer: Classification) -> Classification {
        self.inner.refine(error, answer)
    }
}
