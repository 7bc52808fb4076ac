//! The two ways in which a call through one policy ends without a value.

use std::error::Error;
use std::fmt;

/// Why a call through one policy did not give a value: the policy refused, or the operation failed.
///
/// `R` is the policy's own error, `E` the operation's, kept whole. Shown and traced, it is the one it holds.
///
/// ```
/// use recoup::CallError;
///
/// let failed: CallError<&str, &str> = CallError::Operation("no such row");
/// assert_eq!(failed.operation(), Some(&"no such row"));
/// assert_eq!(failed.rejected(), None);
/// assert_eq!(failed.to_string(), "no such row");
/// assert_eq!(failed.into_operation(), Some("no such row"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError<R, E> {
    /// The policy refused, or ended the operation before it answered.
    Rejected(R),
    /// The operation ran to its end and failed.
    Operation(E),
}

impl<R, E> CallError<R, E> {
    /// The policy's refusal, if it refused.
    #[must_use]
    pub const fn rejected(&self) -> Option<&R> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            Self::Operation(_) => None,
        }
    }

    /// The operation's error, if the operation failed.
    #[must_use]
    pub const fn operation(&self) -> Option<&E> {
        match self {
            Self::Rejected(_) => None,
            Self::Operation(error) => Some(error),
        }
    }

    /// The operation's error by value, if the operation failed.
    #[must_use]
    pub fn into_operation(self) -> Option<E> {
        match self {
            Self::Rejected(_) => None,
            Self::Operation(error) => Some(error),
        }
    }
}

impl<R: fmt::Display, E: fmt::Display> fmt::Display for CallError<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Operation(error) => error.fmt(f),
        }
    }
}

// `Display` is the held error's own, so that error is not its source: the chain goes on below it.
impl<R: Error + 'static, E: Error + 'static> Error for CallError<R, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rejected(rejection) => rejection.source(),
            Self::Operation(error) => error.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn chain_says_nothing_twice() {
        fn chain(error: &dyn Error) -> Vec<String> {
            std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect()
        }
        let outer = || Outer("x".parse::<u8>().unwrap_err());
        let alone = chain(&outer());
        assert_eq!(alone.len(), 2);
        assert_eq!(chain(&CallError::<Outer, fmt::Error>::Rejected(outer())), alone);
        assert_eq!(chain(&CallError::<fmt::Error, Outer>::Operation(outer())), alone);
    }

    #[test]
    fn either_a_refusal_or_an_error_is_in_it() {
        let refused = CallError::<u8, &str>::Rejected(1);
        assert_eq!((refused.rejected(), refused.operation()), (Some(&1), None));
        assert_eq!(refused.into_operation(), None);
        let failed = CallError::<u8, &str>::Operation("down");
        assert_eq!((failed.rejected(), failed.operation()), (None, Some(&"down")));
        assert_eq!(failed.into_operation(), Some("down"));
    }
}
