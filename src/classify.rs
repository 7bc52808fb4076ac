//! What kind of trouble an error is: the question that is asked once for every failed attempt.
//!
//! A classifier is a closure, or a type that implements [`ErrorClassifier`]. Ready-made are [`Transient`]
//! and [`Permanent`] for every error, [`IoErrors`] for `std::io::Error`, [`SourceChain`] for errors that wrap
//! others, and [`ClassifiedErrors`] for errors that carry their answer with them.

mod as_error;
mod chain;
mod classified;
mod io;
mod source;

use std::rc::Rc;
use std::sync::Arc;

use crate::classification::{Category, Classification, Severity};

pub use crate::classify::as_error::{AsError, BoxedError, PlainError};
pub use crate::classify::chain::Or;
pub use crate::classify::classified::{Classified, ClassifiedErrors, Classify, ClassifyError};
pub use crate::classify::io::IoErrors;
pub use crate::classify::source::SourceChain;

/// Says what an error is.
///
/// It is asked in the task of the call, once for each failed attempt: it should be quick, and it should give
/// the same answer for the same error. An answer of [`Category::Unknown`] means that it cannot say.
///
/// # Closures
///
/// A closure that takes the error by reference is a classifier. It may give back a [`Category`], a
/// [`Classification`], or an `Option` of either, where `None` is [`Category::Unknown`]. The type of its
/// argument has to be written, or at least its `&_`:
///
/// ```
/// use recoup::{Category, Classification, ErrorClassifier};
///
/// let by_status = |status: &u16| match *status {
///     429 => Some(Category::RateLimited),
///     503 => Some(Category::ServiceUnavailable),
///     _ => None,
/// };
/// assert_eq!(by_status.classify(&429).category(), Category::RateLimited);
/// assert_eq!(by_status.classify(&418).category(), Category::Unknown);
/// ```
///
/// # Types
///
/// ```
/// use std::time::Duration;
/// use recoup::{Advice, Category, Classification, ErrorClassifier};
///
/// enum PaymentError { Declined, Busy { retry_after: Duration } }
/// struct PaymentErrors;
///
/// impl ErrorClassifier<PaymentError> for PaymentErrors {
///     fn classify(&self, error: &PaymentError) -> Classification {
///         match error {
///             PaymentError::Declined => Category::BusinessRule.into(),
///             PaymentError::Busy { retry_after } => {
///                 Classification::of(Category::ServiceUnavailable).retry_after(*retry_after)
///             }
///         }
///     }
/// }
///
/// let busy = PaymentError::Busy { retry_after: Duration::from_secs(2) };
/// assert_eq!(PaymentErrors.classify(&busy).advice(), Advice::RetryAfter(Duration::from_secs(2)));
/// assert_eq!(PaymentErrors.classify(&PaymentError::Declined).advice(), Advice::Stop);
/// ```
///
/// # Sharing
///
/// `Arc<C>` and `Rc<C>` are classifiers when `C` is one, and so are `&dyn ErrorClassifier<E>` and
/// `Box<dyn ErrorClassifier<E>>`, with or without `Send + Sync`. A reference to a closure is one too. A plain
/// `&C` to a type is not: a reference to any `Fn` is itself a `Fn`, and the compiler cannot tell the two
/// apart. Write `&c as &dyn ErrorClassifier<_>`, or `|error: &E| c.classify(error)`.
pub trait ErrorClassifier<E: ?Sized> {
    /// The answer about this error.
    fn classify(&self, error: &E) -> Classification;

    /// Asks `next` where this classifier answers [`Category::Unknown`]. If nobody knows, the answer of the
    /// last one stands.
    ///
    /// ```
    /// use std::io;
    /// use recoup::{Advice, Category, ErrorClassifier, IoErrors, Permanent};
    ///
    /// // A socket of std reports its read timeout as `WouldBlock` on Unix. What nobody knows is not retried.
    /// let classifier = (|error: &io::Error| {
    ///     (error.kind() == io::ErrorKind::WouldBlock).then_some(Category::Timeout)
    /// })
    /// .or(IoErrors)
    /// .or(Permanent);
    ///
    /// let of = |kind: io::ErrorKind| classifier.classify(&kind.into());
    /// assert_eq!(of(io::ErrorKind::WouldBlock).category(), Category::Timeout);
    /// assert_eq!(of(io::ErrorKind::ConnectionReset).category(), Category::Network);
    /// assert_eq!(of(io::ErrorKind::Other).advice(), Advice::Stop);
    /// ```
    fn or<C>(self, next: C) -> Or<Self, C>
    where
        Self: Sized,
        C: ErrorClassifier<E>,
    {
        Or::new(self, next)
    }
}

impl<E, F, R> ErrorClassifier<E> for F
where
    E: ?Sized,
    F: Fn(&E) -> R,
    R: Into<Classification>,
{
    fn classify(&self, error: &E) -> Classification {
        self(error).into()
    }
}

impl<E: ?Sized, C: ErrorClassifier<E> + ?Sized> ErrorClassifier<E> for Arc<C> {
    fn classify(&self, error: &E) -> Classification {
        (**self).classify(error)
    }
}

impl<E: ?Sized, C: ErrorClassifier<E> + ?Sized> ErrorClassifier<E> for Rc<C> {
    fn classify(&self, error: &E) -> Classification {
        (**self).classify(error)
    }
}

impl<E: ?Sized> ErrorClassifier<E> for &(dyn ErrorClassifier<E> + '_) {
    fn classify(&self, error: &E) -> Classification {
        (**self).classify(error)
    }
}

impl<E: ?Sized> ErrorClassifier<E> for &(dyn ErrorClassifier<E> + Send + Sync + '_) {
    fn classify(&self, error: &E) -> Classification {
        (**self).classify(error)
    }
}

impl<E: ?Sized> ErrorClassifier<E> for Box<dyn ErrorClassifier<E> + '_> {
    fn classify(&self, error: &E) -> Classification {
        (**self).classify(error)
    }
}

impl<E: ?Sized> ErrorClassifier<E> for Box<dyn ErrorClassifier<E> + Send + Sync + '_> {
    fn classify(&self, error: &E) -> Classification {
        (**self).classify(error)
    }
}

/// `None` is [`Category::Unknown`].
impl<C: Into<Classification>> From<Option<C>> for Classification {
    fn from(answer: Option<C>) -> Self {
        answer.map_or(Self::of(Category::Unknown), Into::into)
    }
}

/// Takes every error for [`Category::Unknown`], which is worth another attempt and counts as failure.
///
/// What is used where no classifier is given.
///
/// ```
/// use recoup::{Advice, ErrorClassifier, Transient};
/// assert_eq!(Transient.classify("any error").advice(), Advice::Retry);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transient;

impl<E: ?Sized> ErrorClassifier<E> for Transient {
    fn classify(&self, _: &E) -> Classification {
        Classification::of(Category::Unknown)
    }
}

/// Takes every error for one that is not worth another attempt: [`Category::Unknown`], persistent. It counts as
/// failure all the same.
///
/// At the end of an [`or`](ErrorClassifier::or), it keeps what nobody knows from being retried.
///
/// ```
/// use recoup::{Advice, ErrorClassifier, Health, Permanent};
/// let answer = Permanent.classify("any error");
/// assert_eq!((answer.advice(), answer.health()), (Advice::Stop, Health::Failure));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permanent;

impl<E: ?Sized> ErrorClassifier<E> for Permanent {
    fn classify(&self, _: &E) -> Classification {
        Classification::of(Category::Unknown).with_severity(Severity::Persistent).stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::{Advice, Health};

    #[derive(Debug)]
    struct Oops(u16);

    struct Database;

    impl ErrorClassifier<Oops> for Database {
        fn classify(&self, error: &Oops) -> Classification {
            Classification::of(Category::Database).status(error.0)
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a policy takes its classifier by value too")]
    fn ask(classifier: impl ErrorClassifier<Oops>) -> Classification {
        classifier.classify(&Oops(7))
    }

    #[test]
    fn closures_may_answer_in_four_ways() {
        let full = Classification::of(Category::Timeout).status(7);
        assert_eq!(ask(|_: &Oops| Category::Timeout), Category::Timeout.into());
        assert_eq!(ask(|error: &Oops| Classification::of(Category::Timeout).status(error.0)), full);
        assert_eq!(ask(|_: &Oops| Some(Category::Timeout)), Category::Timeout.into());
        assert_eq!(ask(|_: &Oops| Some(full)), full);
        assert_eq!(ask(|_: &Oops| None::<Category>), Category::Unknown.into());
        assert_eq!(ask(|_: &Oops| None::<Classification>), Category::Unknown.into());
    }

    #[test]
    fn functions_and_references_to_closures_classify() {
        fn conflict(_: &Oops) -> Category {
            Category::Conflict
        }
        let closure = |_: &Oops| Category::Security;
        assert_eq!(ask(conflict).category(), Category::Conflict);
        let borrowed = &closure;
        assert_eq!(ask(borrowed).category(), Category::Security);
        assert_eq!(ask(Box::new(closure)).category(), Category::Security);
    }

    #[test]
    fn every_way_of_sharing_a_classifier_gives_its_answer() {
        let expected = Classification::of(Category::Database).status(7);
        let shared: Arc<dyn ErrorClassifier<Oops> + Send + Sync> = Arc::new(Database);
        let local: Arc<dyn ErrorClassifier<Oops>> = Arc::new(Database);
        let boxed: Box<dyn ErrorClassifier<Oops>> = Box::new(Database);
        let sent: Box<dyn ErrorClassifier<Oops> + Send + Sync> = Box::new(Database);
        assert_eq!(ask(Arc::clone(&shared)), expected);
        assert_eq!(ask(&*shared), expected);
        assert_eq!(ask(&*local), expected);
        assert_eq!(ask(local), expected);
        assert_eq!(ask(Arc::new(Database)), expected);
        assert_eq!(ask(Rc::new(Database)), expected);
        assert_eq!(ask(boxed), expected);
        assert_eq!(ask(sent), expected);
        assert_eq!(ask(&Database as &dyn ErrorClassifier<Oops>), expected);
        assert_eq!(ask(|error: &Oops| Database.classify(error)), expected);
    }

    #[test]
    fn shared_classifier_crosses_threads() {
        let shared: Arc<dyn ErrorClassifier<Oops> + Send + Sync> =
            Arc::new((|_: &Oops| Category::Unknown).or(Database));
        let there = Arc::clone(&shared);
        let answer = std::thread::spawn(move || there.classify(&Oops(1))).join().expect("nothing panics");
        assert_eq!(answer, shared.classify(&Oops(1)));
    }

    #[test]
    fn unsized_errors_can_be_classified() {
        let by_text = |error: &str| error.contains("busy").then_some(Category::ServiceUnavailable);
        assert_eq!(by_text.classify("too busy").category(), Category::ServiceUnavailable);
    }

    #[test]
    fn transient_retries_and_permanent_does_not() {
        let (yes, no) = (ask(Transient), ask(Permanent));
        assert_eq!(yes, Classification::of(Category::Unknown));
        assert_eq!((yes.advice(), yes.severity()), (Advice::Retry, Severity::Transient));
        assert_eq!((no.category(), no.advice()), (Category::Unknown, Advice::Stop));
        assert_eq!((no.severity(), no.health()), (Severity::Persistent, Health::Failure));
    }
}
