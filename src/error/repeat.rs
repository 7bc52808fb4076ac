//! Why a call must not be made again.

use std::error::Error;
use std::fmt;

/// Why a call must not be made again, although its error was worth another attempt: what a
/// [`repeat_if`](crate::ExecuteWithRecovery::repeat_if) answers.
///
/// ```
/// use recoup::CannotRepeat;
/// assert_eq!(CannotRepeat::NotIdempotent.name(), "not_idempotent");
/// assert_eq!(CannotRepeat::NotReplayable.to_string(), "what it sent is not there to be sent again");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CannotRepeat {
    /// Made twice it may do its work twice, and nobody can say that the first time did nothing.
    NotIdempotent,
    /// What it sent is gone: a stream that was not kept, or not wholly.
    NotReplayable,
    /// Its answer has begun to arrive.
    Committed,
}

impl CannotRepeat {
    /// The reason in one word, as it stands in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIdempotent => "not_idempotent",
            Self::NotReplayable => "not_replayable",
            Self::Committed => "committed",
        }
    }
}

impl fmt::Display for CannotRepeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotIdempotent => "it may have been done, and must not be done twice",
            Self::NotReplayable => "what it sent is not there to be sent again",
            Self::Committed => "its answer has begun",
        })
    }
}

impl Error for CannotRepeat {}
