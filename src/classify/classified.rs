//! An error that carries its answer with it.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use crate::classification::Classification;
use crate::classify::{AsError, ErrorClassifier, Or};

thread_local! {
    // The answer of the last `Classified` whose source was asked for on this thread. An answer cannot be reached
    // from a `dyn Error` otherwise: a downcast would have to name the type of what is wrapped.
    static ANSWER: Cell<Option<Classification>> = const { Cell::new(None) };
}

/// The source of an error, and the answer that the error carries if it is a [`Classified`] or hands on the
/// source of one.
pub(super) fn source_and_answer<'a>(
    error: &'a (dyn Error + 'static),
) -> (Option<&'a (dyn Error + 'static)>, Option<Classification>) {
    ANSWER.set(None);
    let source = error.source();
    (source, ANSWER.take())
}

fn source_of<By, E: AsError<By>>(error: &E) -> Option<&(dyn Error + 'static)> {
    error.as_error().source()
}

/// An error together with the answer about it, given where the error came up and is understood best.
///
/// It looks like the error that it wraps: the same text, and the same source. Read back by
/// [`ClassifiedErrors`], and by [`SourceChain`](crate::SourceChain) wherever it stands in the chain.
///
/// ```
/// use std::error::Error;
/// use recoup::{Category, Classified, ClassifiedErrors, ErrorClassifier};
///
/// let cause = "a,b".parse::<u16>().unwrap_err();
/// let error = Classified::new(cause.clone(), Category::Validation);
/// assert_eq!(ClassifiedErrors.classify(&error).category(), Category::Validation);
/// assert_eq!(error.to_string(), cause.to_string());
/// assert!(error.source().is_none());
/// assert_eq!(error.into_error(), cause);
/// ```
#[derive(Clone)]
pub struct Classified<E> {
    error: E,
    classification: Classification,
    // Chosen where the error is wrapped, since a `Box<dyn Error>` has a source and yet is no error itself.
    source: fn(&E) -> Option<&(dyn Error + 'static)>,
}

impl<E> Classified<E> {
    /// Joins an error and the answer about it. The error is a type that implements `Error`, a
    /// `Box<dyn Error>` or an `anyhow::Error`.
    pub fn new<By>(error: E, classification: impl Into<Classification>) -> Self
    where
        E: AsError<By>,
    {
        Self { error, classification: classification.into(), source: source_of::<By, E> }
    }

    /// The answer.
    #[must_use]
    pub const fn classification(&self) -> Classification {
        self.classification
    }

    /// The error.
    #[must_use]
    pub const fn error(&self) -> &E {
        &self.error
    }

    /// The error, without the answer.
    #[must_use]
    pub fn into_error(self) -> E {
        self.error
    }
}

impl<E: fmt::Debug> fmt::Debug for Classified<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classified")
            .field("error", &self.error)
            .field("classification", &self.classification)
            .finish_non_exhaustive()
    }
}

impl<E: fmt::Display> fmt::Display for Classified<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: fmt::Debug + fmt::Display> Error for Classified<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = (self.source)(&self.error);
        // After the call: a `Classified` within this one has just left its own answer, and the outer one counts.
        ANSWER.set(Some(self.classification));
        source
    }
}

/// Reads the answer that a [`Classified`] carries.
///
/// ```
/// use recoup::{Category, ClassifiedErrors, ClassifyError, ErrorClassifier};
/// let error = std::fmt::Error.classified(Category::Internal);
/// assert_eq!(ClassifiedErrors.classify(&error).category(), Category::Internal);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassifiedErrors;

impl ClassifiedErrors {
    /// As [`ErrorClassifier::or`], without having to know yet what error it will be asked about.
    #[must_use]
    pub fn or<C>(self, next: C) -> Or<Self, C> {
        Or::new(self, next)
    }
}

impl<E> ErrorClassifier<Classified<E>> for ClassifiedErrors {
    fn classify(&self, error: &Classified<E>) -> Classification {
        error.classification
    }
}

/// Says what the error of a result is, in passing. Brings [`classify_as`](Classify::classify_as) to `Result`.
///
/// ```
/// use recoup::{Category, Classified, Classify};
///
/// fn port(text: &str) -> Result<u16, Classified<std::num::ParseIntError>> {
///     let port = text.parse::<u16>().classify_as(Category::Validation)?;
///     Ok(port)
/// }
/// assert_eq!(port("80").ok(), Some(80));
/// assert_eq!(port("http").unwrap_err().classification().category(), Category::Validation);
/// ```
pub trait Classify<By> {
    /// The value of the result.
    type Value;
    /// The error of the result.
    type Error;

    /// Wraps the error, if there is one, with the answer about it.
    ///
    /// # Errors
    ///
    /// The error of this result, as a [`Classified`].
    fn classify_as(
        self,
        classification: impl Into<Classification>,
    ) -> Result<Self::Value, Classified<Self::Error>>;
}

impl<T, E: AsError<By>, By> Classify<By> for Result<T, E> {
    type Value = T;
    type Error = E;

    fn classify_as(self, classification: impl Into<Classification>) -> Result<T, Classified<E>> {
        self.map_err(|error| Classified::new(error, classification))
    }
}

/// Says what an error is. Brings [`classified`](ClassifyError::classified) to every error.
///
/// ```
/// use recoup::{Category, ClassifyError};
/// let error = anyhow::anyhow!("two heads").classified(Category::StateCorruption);
/// assert_eq!(error.classification().category(), Category::StateCorruption);
/// assert_eq!(error.to_string(), "two heads");
/// ```
pub trait ClassifyError<By>: AsError<By> + Sized {
    /// Wraps the error with the answer about it.
    fn classified(self, classification: impl Into<Classification>) -> Classified<Self> {
        Classified::new(self, classification)
    }
}

impl<E: AsError<By>, By> ClassifyError<By> for E {}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::classification::{Advice, Category};
    use crate::classify::{Permanent, SourceChain};

    #[derive(Debug, Clone, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] fmt::Error);

    fn source_text(error: &dyn Error) -> Option<String> {
        error.source().map(ToString::to_string)
    }

    #[test]
    fn text_and_source_are_those_of_the_wrapped_error() {
        let error = Outer(fmt::Error).classified(Category::Internal);
        assert_eq!(error.to_string(), "outer");
        assert_eq!(source_text(&error), Some(fmt::Error.to_string()));
        assert_eq!(error.error().to_string(), "outer");
    }

    #[test]
    fn boxed_and_anyhow_errors_keep_their_source() {
        let inner = Some(fmt::Error.to_string());
        let local: Box<dyn Error> = Outer(fmt::Error).into();
        let sent: Box<dyn Error + Send + Sync> = Outer(fmt::Error).into();
        let context = anyhow::Error::new(fmt::Error).context("outer");
        assert_eq!(source_text(&Classified::new(local, Category::Internal)), inner);
        assert_eq!(source_text(&Classified::new(sent, Category::Internal)), inner);
        let context = context.classified(Category::Internal);
        assert_eq!(context.to_string(), "outer");
        assert_eq!(format!("{context:#}"), format!("outer: {}", fmt::Error), "format flags are passed on");
        assert_eq!(source_text(&context), inner);
    }

    #[test]
    fn results_pass_values_and_wrap_errors() {
        let answer = Classification::of(Category::RateLimited).status(429);
        let fine: Result<u8, fmt::Error> = Ok(1);
        assert_eq!(fine.classify_as(answer).ok(), Some(1));
        let failed: Result<u8, io::Error> = Err(io::ErrorKind::Other.into());
        let error = failed.classify_as(answer).unwrap_err();
        assert_eq!(ClassifiedErrors.classify(&error), answer);
        assert_eq!(error.into_error().kind(), io::ErrorKind::Other);
        let boxed: Result<u8, Box<dyn Error + Send + Sync>> = Err("no".into());
        assert_eq!(boxed.classify_as(Category::Conflict).unwrap_err().to_string(), "no");
    }

    #[test]
    fn question_mark_turns_it_into_any_box() {
        fn boxed() -> Result<(), Box<dyn Error + Send + Sync>> {
            Ok(Err(fmt::Error).classify_as(Category::Conflict)?)
        }
        fn any() -> anyhow::Result<()> {
            Ok(Err(fmt::Error).classify_as(Category::Conflict)?)
        }
        assert!(boxed().unwrap_err().is::<Classified<fmt::Error>>());
        assert!(any().unwrap_err().is::<Classified<fmt::Error>>());
    }

    #[test]
    fn carried_unknown_is_handed_on() {
        let careful = ClassifiedErrors.or(SourceChain::new()).or(Permanent);
        let error = Outer(fmt::Error).classified(Category::Unknown);
        assert_eq!(careful.classify(&error).advice(), Advice::Stop);
        let error = Outer(fmt::Error).classified(Category::Database);
        assert_eq!(careful.classify(&error).category(), Category::Database);
    }

    #[test]
    fn bent_answers_are_carried_whole() {
        let answer = Classification::of(Category::Database).stop();
        let error = fmt::Error.classified(answer);
        assert_eq!(ClassifiedErrors.classify(&error).advice(), Advice::Stop);
        assert_eq!(error.clone().classification(), answer);
        assert!(format!("{error:?}").contains("Database"));
    }

    #[test]
    fn answer_is_read_off_any_classified_and_off_nothing_else() {
        let error = fmt::Error.classified(Category::Conflict).classified(Category::Database);
        let (source, answer) = source_and_answer(&error);
        assert!(source.is_none());
        assert_eq!(answer, Some(Category::Database.into()), "the outer one counts");
        let _left_behind = error.source();
        assert_eq!(source_and_answer(&fmt::Error).1, None);
    }
}
