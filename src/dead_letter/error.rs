//! What can go wrong with a queue of dead letters.

use std::error::Error;
use std::fmt;

use crate::dead_letter::letter::{DeadLetter, LetterId};

/// A letter could not be stored. It is handed back, and the queue is as it was.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, MemoryQueue, PushErrorKind};
///
/// let queue = MemoryQueue::builder().capacity(1).build()?;
/// queue.push(DeadLetter::new("first")).await?;
/// let error = queue.push(DeadLetter::new("second")).await.unwrap_err();
/// assert_eq!(error.kind, PushErrorKind::Full);
/// assert_eq!(error.to_string(), "dead letter queue is full");
/// assert_eq!(error.letter.operation, "second");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushError {
    /// The letter, as it was given.
    pub letter: Box<DeadLetter>,
    /// Why it was not stored.
    pub kind: PushErrorKind,
}

impl PushError {
    /// Hands `letter` back.
    #[must_use]
    pub fn new(letter: DeadLetter, kind: PushErrorKind) -> Self {
        Self { letter: Box::new(letter), kind }
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl Error for PushError {}

/// Why a letter was not stored.
///
/// ```
/// use recoup::PushErrorKind;
/// assert_eq!(PushErrorKind::TooLarge.to_string(), "dead letter is too large for its queue");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushErrorKind {
    /// The queue holds as much as it may. It may take the letter later.
    Full,
    /// The letter is larger than this queue ever takes.
    TooLarge,
    /// The letter that it should replace is not in the queue, or somebody works on it.
    NotAvailable(LetterId),
    /// The queue was closed.
    Closed,
    /// The queue did not answer in time. Nobody knows whether it holds the letter as well.
    TimedOut,
    /// Neither queue of a [`SpillQueue`](crate::SpillQueue) took it.
    Nowhere {
        /// Why the remote queue did not.
        remote: Box<PushErrorKind>,
        /// Why the local queue did not.
        local: Box<PushErrorKind>,
    },
    /// What the queue stores to failed, saying this.
    Storage(String),
}

impl fmt::Display for PushErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("dead letter queue is full"),
            Self::TooLarge => f.write_str("dead letter is too large for its queue"),
            Self::NotAvailable(id) => write!(f, "dead letter {id} is not in the queue, or leased"),
            Self::Closed => f.write_str("dead letter queue is closed"),
            Self::TimedOut => f.write_str("dead letter queue did not answer in time"),
            Self::Nowhere { remote, local } => write!(f, "neither queue took it: {remote}; {local}"),
            Self::Storage(message) => write!(f, "dead letter could not be stored: {message}"),
        }
    }
}

/// A queue could not answer. Nothing was changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use recoup::{DeadLetterQueue, LetterFilter, MemoryQueue, QueueError};
///
/// let queue = MemoryQueue::default();
/// let error = queue.lease(&LetterFilter::new(), 1, Duration::ZERO).await.unwrap_err();
/// assert_eq!(error, QueueError::ZeroLease);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueError {
    /// A lease of no time was asked for: it would be over before its letter is seen.
    ZeroLease,
    /// As many redrives are unfinished as the queue can hold. Cancel some.
    TooManyRuns,
    /// The queue was closed.
    Closed,
    /// What the queue stores to failed, saying this.
    Storage(String),
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroLease => f.write_str("a lease must last longer than zero"),
            Self::TooManyRuns => f.write_str("dead letter queue has too many unfinished redrives"),
            Self::Closed => f.write_str("dead letter queue is closed"),
            Self::Storage(message) => write!(f, "dead letter queue could not be used: {message}"),
        }
    }
}

impl Error for QueueError {}

/// A settlement did not count. Nothing was changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, SettleError, Settlement};
///
/// let queue = MemoryQueue::default();
/// queue.push(DeadLetter::new("charge")).await?;
/// let leased = queue.lease(&LetterFilter::new(), 1, Duration::from_secs(30)).await?.remove(0);
/// tokio::time::advance(Duration::from_secs(30)).await;
/// let late = queue.settle(leased.token, Settlement::Delivered).await;
/// assert_eq!(late, Err(SettleError::Fenced));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettleError {
    /// The lease is over: it ran out or was settled. Somebody else may hold the letter by now.
    Fenced,
    /// The letter is not in the queue any more: delivered, discarded, expired or evicted.
    Gone,
    /// The lease was to be extended by no time.
    ZeroLease,
    /// The queue was closed.
    Closed,
    /// What the queue stores to failed, saying this.
    Storage(String),
}

impl fmt::Display for SettleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced => f.write_str("the lease of this dead letter is over"),
            Self::Gone => f.write_str("the dead letter is not in its queue any more"),
            Self::ZeroLease => f.write_str("a lease must be extended by more than zero"),
            Self::Closed => f.write_str("dead letter queue is closed"),
            Self::Storage(message) => write!(f, "dead letter could not be settled: {message}"),
        }
    }
}

impl Error for SettleError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the errors say, the one about storage last.
    fn all() -> [Vec<String>; 3] {
        let storage = || "disk on fire".to_owned();
        let push = [
            PushErrorKind::Full,
            PushErrorKind::TooLarge,
            PushErrorKind::NotAvailable(LetterId::new(7)),
            PushErrorKind::Closed,
            PushErrorKind::TimedOut,
            PushErrorKind::Nowhere {
                remote: Box::new(PushErrorKind::TimedOut),
                local: Box::new(PushErrorKind::Full),
            },
            PushErrorKind::Storage(storage()),
        ];
        let queue = [
            QueueError::ZeroLease,
            QueueError::TooManyRuns,
            QueueError::Closed,
            QueueError::Storage(storage()),
        ];
        let settle = [
            SettleError::Fenced,
            SettleError::Gone,
            SettleError::ZeroLease,
            SettleError::Closed,
            SettleError::Storage(storage()),
        ];
        [
            push.iter().map(ToString::to_string).collect(),
            queue.iter().map(ToString::to_string).collect(),
            settle.iter().map(ToString::to_string).collect(),
        ]
    }

    #[test]
    fn each_error_says_what_failed_in_words_of_its_own() {
        for texts in all() {
            for text in &texts {
                assert!(text.starts_with(char::is_lowercase) && !text.ends_with('.'), "{text}");
                assert!(text.contains("dead letter") || text.contains("lease"), "{text}");
            }
            assert!(texts.last().is_some_and(|text| text.ends_with(": disk on fire")), "{texts:?}");
            assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len(), "{texts:?}");
        }
    }

    #[test]
    fn refused_letter_says_why_it_was_refused() {
        let error = PushError::new(DeadLetter::new("charge"), PushErrorKind::TooLarge);
        assert_eq!(error.to_string(), PushErrorKind::TooLarge.to_string());
    }
}
