//! All letters that a filter means.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::lease::{Hold, LEASE};
use super::one::Redriven;
use super::report::{RedriveError, RedriveReport, Stopped};
use crate::attempt::Attempt;
use crate::dead_letter::{
    DeadLetter, DeadLetterQueue, LetterFilter, LetterId, LetterState, QueueError, SettleError, Settled,
};
use crate::error::{Reason, RecoveryError};
use crate::recovery::Recovery;

/// How many letters are looked at together when the run begins.
const PAGE: usize = 64;

/// Makes the calls of dead letters again, one after the other in the order of their numbers: those letters of
/// the recovery's queue that `filter` means. What `filter` says of states holds, so a new one leaves quarantined
/// letters alone. Which letters these are is settled when the run begins: one that fails again is not chased,
/// nor one that comes in meanwhile.
///
/// Each call goes through all of the recovery's policies, with a fresh allowance of attempts and the
/// idempotency key that it had the first time. `op` is lent the letter, whose key is always set: a letter
/// that was stored without one is given one that stays the same. A letter is removed once its call succeeded
/// and not before. If it fails, no second letter is written: its own is told the attempts and the error, the
/// redrive is counted, and after as many as the queue allows it is quarantined.
///
/// The run stops when a policy of ours lets no more calls through, such as an open circuit, and at a
/// shutdown: the report says why, and whatever was not tried is not counted against its letter.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{CallContext, LetterFilter, MemoryQueue, Payload, Recovery, execute_with_recovery, redrive};
///
/// let recovery =
///     Recovery::<std::io::Error>::builder("payments").dead_letters(MemoryQueue::default()).build()?;
/// let call = CallContext::new("charge").payload(|| Payload::text("3 EUR"));
/// let fails = |_| async { Err::<(), _>(std::io::Error::other("down")) };
/// execute_with_recovery(recovery.with_context(&call), fails).await.unwrap_err();
///
/// let report = redrive(&recovery, &LetterFilter::new().operation("charge"), |letter, _attempt| {
///     assert_eq!(letter.idempotency_key.as_deref(), Some(call.idempotency_key()));
///     async move {
///         let body = letter.payload.as_ref().map(|payload| payload.bytes.len());
///         assert_eq!(body, Some(5));
///         Ok(())
///     }
/// })
/// .await?;
/// assert_eq!((report.delivered, report.is_complete()), (1, true));
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`RedriveError`], if the run could not begin. What happens later is in the [`RedriveReport`].
///
/// # Cancel safety
///
/// Dropped, it drops the call under way. That letter comes back when its lease ends, and counts as one lease
/// that ran out with nothing said; letters whose turn had not come are untouched. An attempt that had reached
/// its destination, or a call whose success the queue had not been told yet, is made again by a later run
/// under the same idempotency key.
pub fn redrive<'r, E, F, Fut, T>(recovery: &'r Recovery<E>, filter: &LetterFilter, op: F) -> Redrive<'r, E, F>
where
    F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    Redrive { recovery, filter: filter.clone(), op, lease: LEASE }
}

/// What [`redrive`] is about to do. Awaiting it does it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, Recovery, redrive};
///
/// let queue = MemoryQueue::default();
/// queue.push(DeadLetter::new("charge")).await?;
/// let recovery = Recovery::<std::io::Error>::builder("payments").dead_letters(queue).build()?;
///
/// let hangs = |_, _| std::future::pending::<std::io::Result<()>>();
/// let report = redrive(&recovery, &LetterFilter::new(), hangs).lease(Duration::from_secs(10)).await?;
/// assert_eq!(report.failed, 1, "after nine seconds");
/// # Ok(()) }
/// ```
#[must_use = "a redrive does nothing unless awaited"]
pub struct Redrive<'r, E, F> {
    recovery: &'r Recovery<E>,
    filter: LetterFilter,
    op: F,
    lease: Duration,
}

impl<E, F> Redrive<'_, E, F> {
    /// How long each letter is leased, from just before its call. The call may take nine tenths of that, all
    /// its attempts and waits included, so that there is time left to tell the queue how it went and nobody
    /// else makes the same call at once. Zero is refused by the queue. Default: 5 min.
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease = time;
        self
    }

    /// Does it. The same as awaiting it, for an operation whose future is not `Send`.
    ///
    /// # Errors
    ///
    /// As [`redrive`].
    ///
    /// # Cancel safety
    ///
    /// As [`redrive`].
    pub async fn run<Fut, T>(self) -> Result<RedriveReport, RedriveError>
    where
        F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let Self { recovery, filter, mut op, lease } = self;
        let queue = recovery.dead_letters().ok_or(RedriveError::NoQueue)?;
        let (ids, leased) = meant(queue, &filter).await?;
        let mut report = RedriveReport { skipped: leased, ..RedriveReport::default() };
        let mut turns = ids.into_iter();
        while report.stopped.is_none() {
            let Some(id) = turns.next() else { break };
            if recovery.shutdown().is_some_and(crate::shutdown::Shutdown::is_triggered) {
                report.untouched += 1;
                report.stopped = Some(Stopped::Call(Reason::ShutDown));
                break;
            }
            // Only if it is still meant: it may have changed since.
            match Hold::take(queue, &filter.clone().id(id), lease).await {
                Ok(Some(hold)) => report.count(hold.call(recovery, queue, &mut op).await),
                Ok(None) => report.skipped += 1,
                Err(error) => {
                    report.untouched += 1;
                    report.stopped = Some(Stopped::Queue(error));
                }
            }
        }
        report.untouched += turns.map(|_| 1).sum::<u64>();
        Ok(report)
    }
}

impl<'r, E, F, Fut, T> IntoFuture for Redrive<'r, E, F>
where
    E: Send + 'r,
    F: FnMut(Arc<DeadLetter>, Attempt) -> Fut + Send + 'r,
    Fut: Future<Output = Result<T, E>> + Send + 'r,
    T: Send + 'r,
{
    type Output = Result<RedriveReport, RedriveError>;
    type IntoFuture = BoxFuture<'r, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

impl<E, F> fmt::Debug for Redrive<'_, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lease = &self.lease;
        f.debug_struct("Redrive").field("filter", &self.filter).field("lease", lease).finish_non_exhaustive()
    }
}

/// The letters that are meant now, and how many of them somebody works on. Only their numbers are kept.
async fn meant(
    queue: &dyn DeadLetterQueue,
    filter: &LetterFilter,
) -> Result<(Vec<LetterId>, u64), QueueError> {
    let (mut ids, mut leased, mut filter) = (Vec::new(), 0, filter.clone());
    loop {
        let page = queue.peek(&filter, PAGE).await?;
        let Some(last) = page.last() else { return Ok((ids, leased)) };
        filter = filter.after(last.id);
        for letter in page {
            match letter.state {
                LetterState::Leased => leased += 1,
                LetterState::Ready | LetterState::Quarantined => ids.push(letter.id),
            }
        }
    }
}

impl RedriveReport {
    /// One letter had its turn.
    fn count<T, E>(&mut self, Redriven { letter, result, settled }: Redriven<T, E>) {
        let untried = result.as_ref().is_err_and(|error| error.attempts() == 0);
        match settled {
            Ok(_) if untried => self.untouched += 1,
            Ok(Settled::Removed) => self.delivered += 1,
            Ok(Settled::Quarantined) => self.quarantined += 1,
            Ok(_) => self.failed += 1,
            Err(SettleError::Gone) if untried => self.skipped += 1,
            Err(_) => self.unsettled.push(letter),
        }
        self.stopped = match (result, settled) {
            (_, Err(error @ (SettleError::Closed | SettleError::Storage(_)))) => {
                Some(Stopped::Settle(letter, error))
            }
            (Err(error), _) => ends_the_run(error).map(Stopped::Call),
            (Ok(_), _) => None,
        };
    }
}

/// Whether the next letter would fare no better, whatever is in it. An empty retry budget is not among
/// these: an attempt was made. If the run ended there, a letter that can never be delivered would be tried
/// first by each later run, use up the budget, and keep the others from their turn.
fn ends_the_run<E>(error: RecoveryError<E>) -> Option<Reason> {
    let ends = error.is_rejection() || error.attempts() == 0 || error.reason == Reason::ShutDown;
    ends.then_some(error.reason)
}
