//! Two ways to see a value as an error: it is one, or it points to one.

use std::error::Error;
use std::ops::Deref;

/// Marks types that are errors themselves. Found by the compiler; see [`AsError`].
///
/// ```
/// use recoup::{Category, ErrorClassifier, PlainError, SourceChain};
/// let chain: SourceChain<PlainError> = SourceChain::new();
/// assert_eq!(chain.classify(&std::fmt::Error).category(), Category::Unknown);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainError {}

/// Marks types that point to an error: `Box<dyn Error>` and `anyhow::Error`. Found by the compiler; see
/// [`AsError`].
///
/// ```
/// use std::{error::Error, io, sync::Arc};
/// use recoup::{BoxedError, Category, ErrorClassifier, SourceChain};
///
/// // An `Arc<dyn Error>` is an error and also points to one, so the way has to be named.
/// let chain: SourceChain<BoxedError> = SourceChain::new();
/// let error: Arc<dyn Error + Send + Sync> = Arc::new(io::Error::from(io::ErrorKind::TimedOut));
/// assert_eq!(chain.classify(&error).category(), Category::Timeout);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxedError {}

/// A value that can be looked at as `dyn Error`.
///
/// Implemented for every error as [`PlainError`], and for everything that derefs to a `dyn Error` as
/// [`BoxedError`]: `Box<dyn Error>` and `anyhow::Error` are no errors themselves. The parameter is only there
/// so that both can be; the compiler finds it, except for what is both, such as `Arc<dyn Error>`.
///
/// ```
/// use recoup::AsError;
/// use std::{error::Error, fmt};
///
/// fn text<By>(error: &impl AsError<By>) -> String {
///     error.as_error().to_string()
/// }
/// let boxed: Box<dyn Error + Send + Sync> = "no".into();
/// assert_eq!(text(&boxed), "no");
/// assert_eq!(text(&anyhow::anyhow!("never")), "never");
/// assert_eq!(text(&fmt::Error), fmt::Error.to_string());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no error and does not point to one",
    note = "it should implement `std::error::Error`, or deref to `dyn Error` as `Box<dyn Error>` does"
)]
pub trait AsError<By> {
    /// The error, with its type erased.
    fn as_error(&self) -> &(dyn Error + 'static);
}

impl<E: Error + 'static> AsError<PlainError> for E {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl<B> AsError<BoxedError> for B
where
    B: Deref,
    B::Target: AsError<BoxedError>,
{
    fn as_error(&self) -> &(dyn Error + 'static) {
        (**self).as_error()
    }
}

impl AsError<BoxedError> for dyn Error {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl AsError<BoxedError> for dyn Error + Send {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl AsError<BoxedError> for dyn Error + Send + Sync {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}
