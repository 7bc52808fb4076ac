//! All letters that a filter means.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::course::{Course, Manners};
use super::errand::Errand;
use super::lease::LEASE;
use super::operation::Operation;
use super::record::Record;
use super::report::{RedriveError, RedriveReport};
use super::survey::{Meant, WouldSend, between, wide};
use crate::attempt::Attempt;
use crate::dead_letter::{
    ByHand, DeadLetter, DeadLetterQueue, LetterFilter, LetterId, QueueError, RedriveOrder,
    RedriveOrderBuilder, RunOwner, RunProgress,
};
use crate::random::Dice;
use crate::recovery::Recovery;
use crate::time;

/// How long the owner of a run may be silent, unless said otherwise.
pub(super) const OWNER_LEASE: Duration = Duration::from_secs(30);

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
/// shutdown: the report says why, and whatever was not tried is not counted against its letter. A
/// [`Redriver`](super::Redriver) waits instead, and goes on.
///
/// If the queue [writes redrives down](DeadLetterQueue::runs), this one is: it can be watched and cancelled by
/// the number in its report, and what a crash or a shutdown left of it is carried on by a `Redriver`, if the
/// program has one. It is saved every second and every 64 letters.
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
/// Dropped, it drops the calls under way. Their letters come back when their leases end, and each counts as one
/// lease that ran out with nothing said; letters whose turn had not come are untouched. An attempt that had
/// reached its destination, or a call whose success the queue had not been told yet, is made again by a later
/// run under the same idempotency key. A run that is written down is not ended by this: a redriver takes it
/// over half a minute later. To end it, [cancel](crate::RunBook::cancel) it.
pub fn redrive<'r, E, F, Fut, T>(recovery: &'r Recovery<E>, filter: &LetterFilter, op: F) -> Redrive<'r, E, F>
where
    F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    Redrive { recovery, order: RedriveOrder::builder(filter.clone()), op, lease: LEASE }
}

/// What [`redrive`] is about to do. Awaiting it does it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{ByHand, DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, Recovery, redrive};
///
/// let queue = MemoryQueue::default();
/// for _ in 0..100 {
///     queue.push(DeadLetter::new("charge")).await?;
/// }
/// let recovery = Recovery::<std::io::Error>::builder("payments").dead_letters(queue.clone()).build()?;
/// let (every, op) = (LetterFilter::new(), |_, _| async { Ok(()) });
///
/// let report = redrive(&recovery, &every, op).dry_run().await?;
/// assert_eq!((report.untouched, report.groups[0].letters), (100, 100), "nothing was sent");
///
/// let by = ByHand::of("ana").because("fixed in 1.4");
/// let report = redrive(&recovery, &every, op).rate(50.0).concurrency(4).stop_after(10).by(by.clone()).await?;
/// assert_eq!(report.delivered, 100);
/// assert_eq!(queue.acts(1).await?[0].by, by);
/// # Ok(()) }
/// ```
#[must_use = "a redrive does nothing unless awaited"]
pub struct Redrive<'r, E, F> {
    recovery: &'r Recovery<E>,
    order: RedriveOrderBuilder,
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

    /// The most letters begun in a second, above 0 and finite; a tenth of that in the first second, twice as many in
    /// each that follows until it is reached (see [`RedriveOrderBuilder::ramp`]). Default: as fast as it goes.
    pub fn rate(mut self, per_second: f64) -> Self {
        self.order = self.order.rate(per_second);
        self
    }

    /// The most calls under way at once, at least 1. Default: 1.
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.order = self.order.concurrency(calls);
        self
    }

    /// Only counts what would be sent: nothing is leased, called, written down or changed. Default: off.
    pub fn dry_run(mut self) -> Self {
        self.order = self.order.dry_run(true);
        self
    }

    /// Stops after so many failures in a row, at least 1. Default: never.
    pub fn stop_after(mut self, failures: u32) -> Self {
        self.order = self.order.stop_after(failures);
        self
    }

    /// The destination that the letters are sent to: in the call's context, and in the letter that the
    /// operation is lent. The stored letters keep their own. Default: each to its own.
    pub fn to(mut self, destination: impl Into<String>) -> Self {
        self.order = self.order.to(destination);
        self
    }

    /// Who asks for it, and why: it stands in the queue's [acts](DeadLetterQueue::acts). Default: nobody named.
    pub fn by(mut self, by: ByHand) -> Self {
        self.order = self.order.by(by);
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
        let Self { recovery, order, op, lease } = self;
        let order = order.build()?;
        let queue = &**recovery.dead_letters().ok_or(RedriveError::NoQueue)?;
        if order.dry_run() {
            return Ok(dry(queue, order.filter()).await?);
        }
        let record = match queue.runs() {
            Some(book) => {
                let owner = RunOwner::new(owner_of(recovery), OWNER_LEASE);
                let run = book.begin(order.clone(), Some(owner)).await?;
                Some(Record::new(book, run, time::now()))
            }
            None => None,
        };
        let run = record.as_ref().map(|record| &record.run);
        let (id, up_to) = run.map_or((None, LetterId::new(u64::MAX)), |run| (Some(run.id), run.up_to));
        let meant = Meant::by(queue, between(order.filter(), LetterId::UNASSIGNED, up_to)).await?;
        let begun = run.map_or(0, |run| run.progress.meant);
        let mut progress = RunProgress::meaning(begun.max(meant.len()));
        // Leased by others, or gone since it was begun.
        progress.skipped = progress.meant - wide(meant.free.len());
        let manners = Manners { saves: record.is_some(), ..Manners::default() };
        let mut course = Course::new(&order, meant.free, progress, manners, time::now());
        let errand = Errand { recovery, queue, op: &Operation::new(op), order: &order, lease };
        errand.carry_out(&mut course, record).await;
        Ok(RedriveReport { run: id, ..course.into_report() })
    }
}

/// A name that no other has.
pub(super) fn owner_of<E>(recovery: &Recovery<E>) -> String {
    format!("{}-{:032x}", recovery.name(), Dice::Fresh.bits())
}

/// What would be sent.
async fn dry(queue: &dyn DeadLetterQueue, filter: &LetterFilter) -> Result<RedriveReport, QueueError> {
    let WouldSend { letters, leased, groups } = WouldSend::by(queue, filter.clone()).await?;
    Ok(RedriveReport { untouched: letters, skipped: leased, groups, ..RedriveReport::default() })
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
        f.debug_struct("Redrive").field("order", &self.order).field("lease", lease).finish_non_exhaustive()
    }
}
