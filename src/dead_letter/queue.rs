//! What a queue of dead letters promises.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::dead_letter::by_hand::{Act, ByHand};
use crate::dead_letter::error::{PushError, QueueError, SettleError};
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::groups::{Grouping, LetterGroup};
pub(super) use crate::dead_letter::lease::{LeaseToken, Leased, Receipt};
use crate::dead_letter::letter::{DeadLetter, LetterId};
use crate::dead_letter::restore;
use crate::dead_letter::runs::RunBook;
use crate::dead_letter::settlement::{Settled, Settlement};
use crate::dead_letter::stats::QueueStats;

/// So many leases of one letter may run out with nothing said; then it is quarantined. A letter that kills the
/// process which works on it cannot do so for ever.
pub const MAX_UNSETTLED: u32 = 3;

/// Keeps dead letters until they are delivered, discarded or expired.
///
/// Whoever implements it promises this; the numbers are the names of the tests.
///
/// - **D1** `push` says `Ok` only once the letter would survive what this queue says it survives. It is then
///   held until it is delivered, evicted, expired or discarded.
/// - **D2** A letter comes out as it went in, byte for byte, apart from what the queue itself counts: `id`,
///   `state`, `deliveries`, `redrives`, `unsettled`. `push` starts these anew, whatever the letter says.
/// - **D3** A letter and all numbers about it change together, or not at all.
/// - **D4** Ids only grow and are never used twice, not even after a restart.
/// - **D5** A letter has one live lease at most.
/// - **D6** A settlement with the token of a lease that is over changes nothing: [`SettleError::Fenced`].
/// - **D7** A lease that is not settled runs out, and the letter can be leased again. The delivery is counted,
///   as safely as D1 says, before `lease` gives the letter out.
/// - **D8** A delivered letter is never seen again.
/// - **D9** Only [`Settlement::Delivered`] removes a leased letter for its holder; a holder says it after the
///   destination said so. `lease` gives out the idempotency key that was stored, every time.
/// - **D10** A letter whose redrives failed too often, or that had [`MAX_UNSETTLED`] leases run out, is quarantined.
///   Only [`reinstate`](Self::reinstate) makes it ready again. One that is leased on request while quarantined is quarantined
///   again unless it is delivered.
/// - **D11** A letter whose time is over is not given out, and is counted as expired. A live lease puts that
///   off, and so does being quarantined. A step of the wall clock alone expires nothing in a running process.
/// - **D12** The limits on number and bytes hold at every moment. What is dropped to make room is ready, is
///   counted and is named in the [`Receipt`]; a refusal changes nothing and hands the letter back.
/// - **D13** After an error of its storage a queue does not report success over what is not there.
/// - **D14** A damaged letter is never given out as a good one, and does not hide others.
/// - **D15** At rest, pushed = ready + leased + quarantined + delivered + evicted + expired + discarded.
/// - **D16** What was redacted or encrypted is in no file.
/// - **D17** What is exported and imported is the same, and importing twice changes nothing.
/// - **D18** Dropping a future at any point leaves all of this true.
/// - **D19** A redrive that fails changes its letter and makes no second one.
///
/// D13, D14 and D16 ask something only of queues that store outside the process, D17 of those that export.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, Payload, Settlement};
///
/// let queue = MemoryQueue::default();
/// queue.push(DeadLetter::new("charge").payload(Payload::text("3 EUR"))).await?;
///
/// for leased in queue.lease(&LetterFilter::new(), 10, Duration::from_secs(30)).await? {
///     assert_eq!(leased.letter.deliveries, 1);
///     // … the destination takes it …
///     queue.settle(leased.token, Settlement::Delivered).await?;
/// }
/// assert_eq!(queue.stats().await?.delivered, 1);
/// # Ok(()) }
/// ```
pub trait DeadLetterQueue: Send + Sync {
    /// Stores a letter (D1, D2, D4, D12).
    ///
    /// # Errors
    ///
    /// [`PushError`] hands the letter back: the queue is full, closed or cannot store, or the letter is too
    /// large.
    ///
    /// # Cancel safety
    ///
    /// A dropped push has stored the whole letter or nothing of it, and nobody knows which.
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>>;

    /// Up to `limit` letters that the filter means, ordered by id. Leases and counts nothing. For the next
    /// page, set the filter's [`after`](LetterFilter::after) to the last id.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so dropping it changes nothing.
    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>>;

    /// Gives out up to `limit` ready letters that the filter means, ordered by id, each to nobody else for
    /// `time` (D5, D7). Quarantined letters are among them only if the filter means such (D10).
    ///
    /// # Errors
    ///
    /// [`QueueError::ZeroLease`] if `time` is zero, and others if the queue cannot be used.
    ///
    /// # Cancel safety
    ///
    /// A dropped lease may have taken letters: they come back when their leases run out, the delivery counted.
    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>>;

    /// Tells what became of a leased letter (D6, D8, D9, D10, D19).
    ///
    /// # Errors
    ///
    /// [`SettleError::Fenced`] if the lease is over, [`SettleError::Gone`] if the letter is not there any
    /// more, [`SettleError::ZeroLease`] for an extension of zero, and others if the queue cannot be used.
    /// Nothing was changed then.
    ///
    /// # Cancel safety
    ///
    /// A dropped settlement has happened in full or not at all. Saying it again with the same token is safe:
    /// `Gone` or `Fenced` tells that it had happened, or that the lease ran out.
    fn settle(
        &self,
        token: LeaseToken,
        settlement: Settlement,
    ) -> BoxFuture<'_, Result<Settled, SettleError>>;

    /// Puts every ready letter that the filter means into quarantine. Says how many.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have done so to some of them; each is counted.
    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>>;

    /// Makes quarantined letters ready again, with their redrives and lost leases counted from zero and their
    /// time to live from now: those to which everything of the filter applies but what it says of states. Says
    /// how many.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have done so to some of them; each is counted.
    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>>;

    /// Removes every letter that the filter means, leased ones too, whose holders are then told
    /// [`SettleError::Gone`]. Says how many.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have removed some of them; each is counted.
    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>>;

    /// Stores `letter` and removes the letter `old`, which it replaces, as one change: no moment sees both or
    /// neither. The old one counts as discarded.
    ///
    /// # Errors
    ///
    /// [`PushError`] hands the letter back, as [`push`](Self::push) does; with
    /// [`NotAvailable`](crate::PushErrorKind::NotAvailable) if `old` is not there or somebody works on it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has happened in full or not at all.
    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>>;

    /// The latest things that were done by hand, the newest first. A queue keeps at least a thousand.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so dropping it changes nothing.
    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>>;

    /// The numbers of the queue (D15).
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so dropping it changes nothing.
    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>>;

    /// The random number that tells this queue from every other, for as long as its letters are kept. It stands
    /// in the [`origin`](DeadLetter::origin) of letters that were brought from here. Default: `None`, the queue has
    /// no such number.
    fn identity(&self) -> Option<u128> {
        None
    }

    /// Stores letters that a queue held before, this one or another, for those who bring them from an archive
    /// (D17). Unlike [`push`](Self::push) it leaves `deliveries`, `redrives`, `unsettled` and `state` as the letters
    /// say; one that was leased is ready. It answers for each letter in their order, and writes down one act,
    /// [`Deed::Imported`](crate::Deed::Imported), for all that it stored.
    ///
    /// A letter whose [`origin`](DeadLetter::origin) the queue knows is left out: `Ok(None)`. A queue knows the origins of
    /// the letters that it holds, its own numbers up to the last one that it gave, and at least the latest
    /// 10 000 origins of letters that it held and holds no more.
    ///
    /// Default: for queues that keep no such account. It looks for the origins among the letters held, pushes
    /// what it does not find and quarantines what was quarantined: the counts begin anew, a letter that is
    /// gone is stored again, and no import is written down.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have stored some of them, each whole. Restoring all of them again is safe.
    fn restore<'a>(
        &'a self,
        letters: Vec<DeadLetter>,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Vec<Result<Option<Receipt>, PushError>>> {
        Box::pin(restore::by_pushing(self, letters, by))
    }

    /// What a stored letter survives. Default: [`Survives::Nothing`].
    fn survives(&self) -> Survives {
        Survives::Nothing
    }

    /// Stores letters, each as [`push`](Self::push) does, and answers for each in their order. A queue that
    /// writes to a disk makes them durable together. Default: one after the other.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have stored some of them, each whole.
    fn push_all(&self, letters: Vec<DeadLetter>) -> BoxFuture<'_, Vec<Result<Receipt, PushError>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(letters.len());
            for letter in letters {
                answers.push(self.push(letter).await);
            }
            answers
        })
    }

    /// Settles leases, each as [`settle`](Self::settle) does, and answers for each in their order. A queue that
    /// writes to a disk makes them durable together. Default: one after the other.
    ///
    /// # Cancel safety
    ///
    /// Dropped, some of them may have happened, each in full.
    fn settle_all(
        &self,
        settlements: Vec<(LeaseToken, Settlement)>,
    ) -> BoxFuture<'_, Vec<Result<Settled, SettleError>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(settlements.len());
            for (token, settlement) in settlements {
                answers.push(self.settle(token, settlement).await);
            }
            answers
        })
    }

    /// The letters that the filter means, grouped by what they died of: the `limit` largest groups, the largest
    /// first. Default: reads them all, a page at a time.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so dropping it changes nothing.
    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, QueueError>> {
        Box::pin(async move {
            let (mut filter, mut grouping) = (filter.clone(), Grouping::default());
            loop {
                let page = self.peek(&filter, PAGE).await?;
                let Some(last) = page.last() else { return Ok(grouping.largest(limit)) };
                filter = filter.after(last.id);
                for letter in page {
                    grouping.add(letter);
                }
            }
        })
    }

    /// Where redrives of this queue are written down, so that they can be watched, cancelled and carried on
    /// after a crash. Default: nowhere.
    fn runs(&self) -> Option<&dyn RunBook> {
        None
    }

    /// Ends the work of the queue: what was begun is finished, and what comes later is told that it is closed.
    /// Default: nothing to do.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if not all could be finished.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the queue may be open or closed; closing it again is safe.
    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(async { Ok(()) })
    }
}

/// How many letters are read together where all are.
pub(super) const PAGE: usize = 256;

/// What a stored letter survives.
///
/// ```
/// use recoup::{DeadLetterQueue, MemoryQueue, Survives};
/// assert_eq!(MemoryQueue::default().survives(), Survives::Nothing);
/// assert!(Survives::PowerLoss > Survives::Crash);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Survives {
    /// No end of the process.
    #[default]
    Nothing,
    /// The death of the process, but not that of the machine.
    Crash,
    /// The loss of power, too.
    PowerLoss,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn _object_safe(_: Box<dyn DeadLetterQueue>) {}

    fn _arc_of_dyn_is_a_queue(queue: Arc<dyn DeadLetterQueue>) -> impl DeadLetterQueue {
        queue
    }
}
