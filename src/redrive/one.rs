//! One letter, by its number.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::lease::{Hold, LEASE};
use super::report::RedriveError;
use crate::attempt::Attempt;
use crate::dead_letter::{DeadLetter, LetterFilter, LetterId, SettleError, Settled};
use crate::error::RecoveryError;
use crate::recovery::Recovery;

/// Makes the call of one letter again, as [`redrive`](super::redrive) does, and says what it gave. Takes the
/// letter also if it is quarantined; it is quarantined again then unless the call succeeds.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, MemoryQueue, Recovery, Settled, redrive_one};
///
/// let queue = MemoryQueue::default();
/// let id = queue.push(DeadLetter::new("charge")).await?.id;
/// let recovery = Recovery::<std::io::Error>::builder("payments").dead_letters(queue).build()?;
///
/// let redriven = redrive_one(&recovery, id, |letter, _attempt| async move { Ok(letter.id.get()) }).await?;
/// assert_eq!(redriven.result?, 1);
/// assert_eq!(redriven.settled, Ok(Settled::Removed));
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`RedriveError`], if no call was made. How the call went is in [`Redriven`].
///
/// # Cancel safety
///
/// As [`redrive`](super::redrive).
pub fn redrive_one<E, F, Fut, T>(recovery: &Recovery<E>, id: LetterId, op: F) -> RedriveOne<'_, E, F>
where
    F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    RedriveOne { recovery, id, op, lease: LEASE }
}

/// What [`redrive_one`] is about to do. Awaiting it does it.
#[must_use = "a redrive does nothing unless awaited"]
pub struct RedriveOne<'r, E, F> {
    recovery: &'r Recovery<E>,
    id: LetterId,
    op: F,
    lease: Duration,
}

impl<E, F> RedriveOne<'_, E, F> {
    /// How long the letter is leased (see [`Redrive::lease`](super::Redrive::lease)). Default: 5 min.
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease = time;
        self
    }

    /// Does it. The same as awaiting it, for an operation whose future is not `Send`.
    ///
    /// # Errors
    ///
    /// As [`redrive_one`].
    ///
    /// # Cancel safety
    ///
    /// As [`redrive_one`].
    pub async fn run<Fut, T>(mut self) -> Result<Redriven<T, E>, RedriveError>
    where
        F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let queue = self.recovery.dead_letters().ok_or(RedriveError::NoQueue)?;
        let filter = LetterFilter::new().any_state().id(self.id);
        match Hold::take(queue, &filter, self.lease).await? {
            Some(hold) => Ok(hold.call(self.recovery, queue, None, &mut self.op).await),
            None => Err(RedriveError::NotAvailable(self.id)),
        }
    }
}

impl<'r, E, F, Fut, T> IntoFuture for RedriveOne<'r, E, F>
where
    E: Send + 'r,
    F: FnMut(Arc<DeadLetter>, Attempt) -> Fut + Send + 'r,
    Fut: Future<Output = Result<T, E>> + Send + 'r,
    T: Send + 'r,
{
    type Output = Result<Redriven<T, E>, RedriveError>;
    type IntoFuture = BoxFuture<'r, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

impl<E, F> fmt::Debug for RedriveOne<'_, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedriveOne").field("id", &self.id).field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// What became of one letter and its call.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, MemoryQueue, Recovery, Settled, redrive_one};
///
/// let queue = MemoryQueue::default();
/// let id = queue.push(DeadLetter::new("charge")).await?.id;
/// let recovery = Recovery::<std::io::Error>::builder("payments").dead_letters(queue).build()?;
///
/// let fails = |_, _| async { Err::<(), _>(std::io::Error::other("still down")) };
/// let redriven = redrive_one(&recovery, id, fails).await?;
/// assert_eq!(redriven.result.unwrap_err().dead_letter(), Some(id));
/// assert_eq!(redriven.settled, Ok(Settled::Released), "it can be redriven again");
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "the call may have failed"]
pub struct Redriven<T, E> {
    /// The letter.
    pub letter: LetterId,
    /// What the call gave. Its error names this letter as its [dead letter](RecoveryError::dead_letter).
    pub result: Result<T, RecoveryError<E>>,
    /// What became of the letter: gone, back in the queue, or quarantined. An error if the queue would not be told,
    /// as when the lease had run out; the letter of a call that succeeded may then come again, under the same
    /// idempotency key.
    pub settled: Result<Settled, SettleError>,
}
