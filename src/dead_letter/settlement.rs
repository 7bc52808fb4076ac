//! What became of a leased letter.

use std::time::Duration;

use crate::classification::{Category, Classification};
use crate::dead_letter::chain::ErrorChain;
use crate::dead_letter::history::{AttemptRecord, History};
use crate::dead_letter::reason::DeadReason;

/// What became of a leased letter, told to [`settle`](crate::DeadLetterQueue::settle).
///
/// ```
/// use std::time::SystemTime;
/// use recoup::{AttemptRecord, Settlement};
///
/// let failed = AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "still no answer");
/// let Settlement::Release { failed, redriven } = Settlement::redrive_failed(failed) else { unreachable!() };
/// assert_eq!(failed.unwrap().attempts.total(), 1);
/// assert!(redriven);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// The destination has it: the letter is removed. Say so only once the destination said so.
    Delivered,
    /// The letter goes back.
    Release {
        /// The failure to write down on the letter, if there was one.
        failed: Option<Box<Failed>>,
        /// Whether a redrive was made, which counts towards quarantine.
        redriven: bool,
    },
    /// The letter is put aside until somebody looks at it.
    Quarantine,
    /// The lease lasts for this long from now on, under the same token. Zero is refused.
    Extend(Duration),
}

impl Settlement {
    /// A redrive was made and failed like this: written down, counted, and the letter goes back.
    #[must_use]
    pub fn redrive_failed(failed: impl Into<Failed>) -> Self {
        Self::Release { failed: Some(Box::new(failed.into())), redriven: true }
    }

    /// Nothing was tried: the letter goes back as it was, and no redrive is counted.
    #[must_use]
    pub const fn untouched() -> Self {
        Self::Release { failed: None, redriven: false }
    }
}

/// What a settlement did.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, Settled, Settlement};
///
/// let queue = MemoryQueue::default();
/// queue.push(DeadLetter::new("charge")).await?;
/// let leased = queue.lease(&LetterFilter::new(), 1, Duration::from_secs(30)).await?.remove(0);
/// assert_eq!(queue.settle(leased.token, Settlement::Quarantine).await?, Settled::Quarantined);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settled {
    /// The letter is gone for good.
    Removed,
    /// The letter can be leased again.
    Released,
    /// The letter is quarantined: because that was asked for, because it was redriven too often, or because it was
    /// quarantined when it was leased.
    Quarantined,
    /// The lease goes on.
    Extended,
}

/// How a redrive failed. Made from an [`AttemptRecord`], or from the [`History`] of all its attempts.
///
/// ```
/// use std::time::SystemTime;
/// use recoup::{AttemptRecord, Category, Failed};
///
/// let record = AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "no answer").category(Category::Timeout);
/// assert_eq!(Failed::from(record).category, Some(Category::Timeout));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// The attempts of this redrive, added to the letter's.
    pub attempts: History,
    /// The error that ended it. `None` leaves the letter's.
    pub error: Option<ErrorChain>,
    /// Why it was given up. `None` leaves the letter's.
    pub reason: Option<DeadReason>,
    /// What kind of trouble it was. `None` leaves the letter's category and status.
    pub category: Option<Category>,
    /// The status code that the error carried; goes with the category.
    pub status: Option<u16>,
}

impl Failed {
    /// The error that ended the redrive.
    #[must_use]
    pub fn error(mut self, error: ErrorChain) -> Self {
        self.error = Some(error);
        self
    }

    /// Why the redrive was given up.
    #[must_use]
    pub const fn reason(mut self, reason: DeadReason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Takes the category and the status code from what the classifier said.
    #[must_use]
    pub const fn classified(mut self, classification: &Classification) -> Self {
        self.category = Some(classification.category());
        self.status = classification.status_code();
        self
    }

    /// The bytes of text it holds.
    pub(crate) fn size(&self) -> usize {
        self.attempts.size() + self.error.as_ref().map_or(0, ErrorChain::size)
    }

    /// Forgets what the errors said, and nothing else.
    pub(crate) fn forget_texts(&mut self) {
        self.attempts.forget_texts();
        self.error = None;
    }
}

impl From<AttemptRecord> for Failed {
    fn from(record: AttemptRecord) -> Self {
        Self::from(History::from_iter([record]))
    }
}

impl From<History> for Failed {
    fn from(attempts: History) -> Self {
        let category = attempts.last().and_then(|record| record.category);
        Self { attempts, category, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::dead_letter::letter::DeadLetter;

    #[test]
    fn failure_without_details_leaves_what_is_known() {
        let known = DeadLetter::new("op")
            .category(Category::Database)
            .status(500)
            .error(ErrorChain::from_display(&"first"))
            .reason(DeadReason::Exhausted);
        let mut letter = known.clone();
        letter.record(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "again").into());
        assert_eq!(letter.attempts_total(), 1);
        letter.attempts = History::default();
        assert_eq!(letter, known);
    }

    #[test]
    fn failure_with_details_replaces_what_was_known() {
        let mut letter = DeadLetter::new("op").category(Category::Database).status(500);
        let failed = Failed::default()
            .classified(&Category::Timeout.into())
            .error(ErrorChain::from_display(&"second"))
            .reason(DeadReason::Deadline);
        letter.record(failed);
        assert_eq!((letter.category, letter.status), (Some(Category::Timeout), None));
        assert_eq!((letter.error.to_string().as_str(), letter.reason), ("second", DeadReason::Deadline));
    }
}
