//! Where runs are written down.

use std::error::Error;
use std::fmt;

use futures::future::BoxFuture;

use crate::dead_letter::by_hand::ByHand;
use crate::dead_letter::error::QueueError;
use crate::dead_letter::runs::order::RedriveOrder;
use crate::dead_letter::runs::run::{RedriveRun, RunId, RunOwner};

/// Where the runs of a queue are written down: what [`DeadLetterQueue::runs`](crate::DeadLetterQueue::runs)
/// gives. What it says is as safe as the queue's letters.
///
/// A [`Redriver`](crate::Redriver) carries out what is begun here; the one who begins it need not be the
/// program that does the work.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{ByHand, LetterFilter, MemoryQueue, RedriveOrder, RunBook, RunState};
///
/// let book = MemoryQueue::default();
/// let run = book.begin(RedriveOrder::builder(LetterFilter::new()).build()?, None).await?;
/// let by = ByHand::of("ana").because("too early");
/// let cancelled = book.cancel(run.id, &by).await?;
/// assert_eq!(cancelled.state, RunState::Cancelled { by });
/// assert_eq!(book.latest(10).await?, [cancelled]);
/// # Ok(()) }
/// ```
pub trait RunBook: Send + Sync {
    /// Writes a run down, all at once: gives it its number, notes the last letter that is in the queue and how many
    /// letters are meant, and adds [`Deed::Redriven`](crate::Deed::Redriven) to the queue's acts, except for a dry
    /// run. With an owner it is [`Running`](crate::RunState::Running) at once, and nobody else takes it.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be used, or holds as many unfinished runs as it can.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the run is begun or not, and nobody knows which; [`latest`](Self::latest) tells.
    fn begin(
        &self,
        order: RedriveOrder,
        owner: Option<RunOwner>,
    ) -> BoxFuture<'_, Result<RedriveRun, QueueError>>;

    /// A run by its number.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so dropping it changes nothing.
    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RedriveRun>, QueueError>>;

    /// The latest runs, the newest first. A book keeps every run that is not over, and as many of the others as it
    /// has room for.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so dropping it changes nothing.
    fn latest(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RedriveRun>, QueueError>>;

    /// Replaces what is known of a run, if its revision is still the one in `run`, and counts the revision
    /// up. Gives the new one.
    ///
    /// # Errors
    ///
    /// [`RunError::Changed`] if somebody else changed it: read it again. [`RunError::NoSuchRun`], and
    /// [`RunError::Queue`] if the queue cannot be used. Nothing was changed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has happened in full or not at all.
    fn save(&self, run: RedriveRun) -> BoxFuture<'_, Result<u64, RunError>>;

    /// Ends a run by hand, before its next letter. Calls that are under way are left to end, and whoever makes them
    /// still writes down how they went. One that is over is left as it is. Gives the run as it is then.
    ///
    /// # Errors
    ///
    /// [`RunError::NoSuchRun`], and [`RunError::Queue`] if the queue cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has happened or not; cancelling it again is safe.
    fn cancel<'a>(&'a self, id: RunId, by: &'a ByHand) -> BoxFuture<'a, Result<RedriveRun, RunError>>;

    /// The runs that are not over, the oldest first. Default: looks through all of [`latest`](Self::latest).
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so dropping it changes nothing.
    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<RedriveRun>, QueueError>> {
        Box::pin(async move {
            let mut runs = self.latest(usize::MAX).await?;
            runs.retain(|run| !run.state.is_over());
            runs.reverse();
            Ok(runs)
        })
    }
}

/// A run could not be changed. It is as it was.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{LetterFilter, MemoryQueue, RedriveOrder, RunBook, RunError};
///
/// let book = MemoryQueue::default();
/// let run = book.begin(RedriveOrder::builder(LetterFilter::new()).build()?, None).await?;
/// assert_eq!(book.save(run.clone()).await?, run.revision + 1);
/// assert_eq!(book.save(run).await, Err(RunError::Changed), "somebody saved it before");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// Somebody else changed it since it was read: read it again.
    Changed,
    /// No run has this number.
    NoSuchRun(RunId),
    /// The queue could not be used.
    Queue(QueueError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the redrive was changed by somebody else"),
            Self::NoSuchRun(id) => write!(f, "there is no redrive {id}"),
            Self::Queue(error) => error.fmt(f),
        }
    }
}

// The queue's error is shown as it is, so it is not its own source.
impl Error for RunError {}

impl From<QueueError> for RunError {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn _object_safe(_: Box<dyn RunBook>) {}
}
