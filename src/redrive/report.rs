//! How a redrive went.

use std::error::Error;
use std::fmt;

use crate::dead_letter::{ByHand, LetterGroup, LetterId, QueueError, RunId, SettleError};
use crate::error::Reason;
use crate::setting::SettingError;

/// How a [`redrive`](super::redrive) went. The numbers add up to [`meant`](Self::meant).
///
/// ```
/// use recoup::RedriveReport;
/// let report = RedriveReport::default();
/// assert!(report.is_complete() && report.meant() == 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RedriveReport {
    /// Letters whose call succeeded, and which are gone from the queue.
    pub delivered: u64,
    /// Letters whose call failed, and which are back in the queue.
    pub failed: u64,
    /// Letters whose call failed once too often, or that were quarantined before; they are put aside.
    pub quarantined: u64,
    /// Letters that were not there any more, or that somebody else had, when their turn came.
    pub skipped: u64,
    /// Letters whose call was made while the lease ran out, or whose outcome the queue would not take. Those
    /// that succeeded may come again, under the same idempotency key.
    pub unsettled: Vec<LetterId>,
    /// Letters that were left as they were, because the run stopped or was a dry one.
    pub untouched: u64,
    /// Why the run stopped before its end, if it did.
    pub stopped: Option<Stopped>,
    /// The number under which the run is [written down](crate::DeadLetterQueue::runs), if it is.
    pub run: Option<RunId>,
    /// Of a [dry run](super::Redrive::dry_run): what would be sent, the largest groups first.
    pub groups: Vec<LetterGroup>,
}

impl RedriveReport {
    /// How many letters the filter meant when the run began.
    #[must_use]
    pub fn meant(&self) -> u64 {
        let unsettled = u64::try_from(self.unsettled.len()).unwrap_or(u64::MAX);
        [self.delivered, self.failed, self.quarantined, self.skipped, unsettled, self.untouched]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Whether every letter had its turn.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.stopped.is_none()
    }
}

/// Why a redrive stopped before its end.
///
/// ```
/// use recoup::{Reason, Stopped};
/// assert_eq!(Stopped::Call(Reason::ShutDown).to_string(), "it was shut down");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stopped {
    /// A policy of ours let no more calls through, or there was a shutdown. The reason says when it is worth
    /// coming back, where that is known.
    Call(Reason),
    /// The queue gave out no more letters.
    Queue(QueueError),
    /// The queue would not be told what became of this letter.
    Settle(LetterId, SettleError),
    /// As many letters in a row failed as were [allowed to](super::Redrive::stop_after).
    Failures(u32),
    /// Somebody ended the run by hand.
    Cancelled(ByHand),
    /// Somebody else carries the run out: it was not saved for longer than its owner may be silent.
    TakenOver,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(reason) => reason.fmt(f),
            Self::Queue(error) => error.fmt(f),
            Self::Settle(id, error) => write!(f, "letter {id}: {error}"),
            Self::Failures(letters) => write!(f, "{letters} letters in a row failed"),
            Self::Cancelled(by) => write!(f, "it was cancelled by {by}"),
            Self::TakenOver => f.write_str("somebody else carries it out"),
        }
    }
}

/// A redrive could not begin. No call was made.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{LetterFilter, Recovery, RedriveError, redrive};
/// let recovery = Recovery::<&str>::builder("mail").build().unwrap();
/// let error = redrive(&recovery, &LetterFilter::new(), |_, _| async { Ok(()) }).await.unwrap_err();
/// assert_eq!(error, RedriveError::NoQueue);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedriveError {
    /// The recovery keeps no letters.
    NoQueue,
    /// The queue does not write redrives down.
    NoRuns,
    /// What was asked cannot work.
    Setting(SettingError),
    /// The letter is not in the queue, or somebody works on it.
    NotAvailable(LetterId),
    /// The queue could not be used.
    Queue(QueueError),
}

impl fmt::Display for RedriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoQueue => f.write_str("the recovery has no dead letter queue"),
            Self::NoRuns => f.write_str("the dead letter queue does not write redrives down"),
            Self::Setting(error) => error.fmt(f),
            Self::NotAvailable(id) => write!(f, "letter {id} is not in the queue, or leased"),
            Self::Queue(error) => error.fmt(f),
        }
    }
}

// What is inside is shown as it is, so it is not its own source.
impl Error for RedriveError {}

impl From<QueueError> for RedriveError {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl From<SettingError> for RedriveError {
    fn from(error: SettingError) -> Self {
        Self::Setting(error)
    }
}
