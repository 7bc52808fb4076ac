//! The queue as its users hold it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::asking::Unanswered;
use super::builder::RedbQueueBuilder;
use super::clock::Clock;
use super::command::{Command, Request};
use super::gauge::Gauge;
use super::open_error::OpenError;
use super::prepared::Prepared;
use super::reader::Question;
use super::rules::Rules;
use super::tables::Tables;
use crate::dead_letter::{
    Act, ByHand, DeadLetter, DeadLetterQueue, Deed, LeaseToken, Leased, LetterFilter, LetterGroup, LetterId,
    Origin, PushError, QueueError, QueueStats, Receipt, RunBook, SettleError, Settled, Settlement, Survives,
};
use crate::sync::oneshot;
use crate::sync::permits::Semaphore;

/// So many commands may be under way; more wait in order.
const UNDER_WAY: usize = 4096;

/// A queue in a file of the embedded database redb, that survives a loss of power. Clones share it.
///
/// What is acknowledged is on the disk: a push, a lease and a settlement answer when their transaction is durable.
/// Whatever comes in while the disk is busy shares the next transaction, so many tasks at once are much faster
/// than one after the other. One thread writes and one reads; no task waits for the disk on its own thread.
///
/// Nothing runs in the background but them: leases and letters whose time is over are dealt with when the queue is
/// next used, before it answers. Both are measured on the monotonic clock while the file is open, and by the wall
/// clock from one run to the next.
///
/// One process has the file open at a time. The last clone that is dropped closes it, in the background;
/// [`close`](DeadLetterQueue::close) waits for that. Beside the file there is one of 4 MiB with the ending
/// `.ballast`. It is removed when the disk is full, so that letters can still be taken out. A new file has the
/// ending `.making` until it is whole, so that a process that ends meanwhile leaves nothing half made.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("recoup-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("letters.redb");
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, RedbQueue};
///
/// let queue = RedbQueue::open(&path).await?;
/// let receipt = queue.push(DeadLetter::new("charge").destination("payments")).await?;
/// queue.close().await?;
///
/// let queue = RedbQueue::builder().capacity(1_000_000).open(&path).await?;
/// let letters = queue.peek(&LetterFilter::new().destination("payments"), 10).await?;
/// assert_eq!(letters[0].id, receipt.id);
/// # queue.close().await?;
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(()) }
/// ```
#[doc = include_str!("operating.md")]
#[derive(Clone)]
pub struct RedbQueue {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) gauge: Arc<Gauge>,
    pub(super) threads: Threads,
    pub(super) clock: Clock,
    pub(super) rules: Rules,
    pub(super) id: u128,
    pub(super) under_way: Arc<Semaphore>,
    /// Whoever waits for room waits for this first; one at a time is at the head.
    pub(super) line: Semaphore,
}

/// The ways to the threads of a queue. They end when this is dropped.
pub(super) struct Threads {
    /// To the writer, unless the file is open for reading only.
    pub(super) requests: Option<mpsc::Sender<Request>>,
    pub(super) questions: mpsc::Sender<Question>,
}

impl RedbQueue {
    /// Opens the file, or makes it, with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// [`OpenError`] names the file and says why it cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file is opened, perhaps made, and closed again.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::builder().open(path).await
    }

    /// Opens a file for looking at only, as [`RedbQueueBuilder::open_read_only`] does.
    ///
    /// # Errors
    ///
    /// [`OpenError`] names the file and says why it cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn open_read_only(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::builder().open_read_only(path).await
    }

    /// Begins with the defaults.
    pub fn builder() -> RedbQueueBuilder {
        RedbQueueBuilder::default()
    }

    pub(super) fn new(gauge: Arc<Gauge>, threads: Threads, clock: Clock, rules: Rules, id: u128) -> Self {
        let under_way = Arc::new(Semaphore::new(UNDER_WAY));
        Self {
            shared: Arc::new(Shared { gauge, threads, clock, rules, id, under_way, line: Semaphore::new(1) }),
        }
    }

    /// The most letters that it holds. Of a file that is open for looking at, what its owner said last.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shared.rules.capacity
    }

    /// The most bytes that its letters carry together, in the same way.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.shared.rules.max_bytes
    }

    /// How long a letter is kept, in the same way; `None` if for ever.
    #[must_use]
    pub fn time_to_live(&self) -> Option<Duration> {
        self.shared.rules.time_to_live
    }

    /// The number of the latest letter that came from there, whether it is still held or is gone since less than
    /// the time to live. [`restore`](DeadLetterQueue::restore) leaves out what came from there as well.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so dropping it changes nothing.
    pub async fn find_origin(&self, origin: Origin) -> Result<Option<LetterId>, QueueError> {
        self.look(move |tables| Ok(tables.known(origin)?.map(LetterId::new))).await
    }

    /// Writes down something that was done by hand, for [`acts`](DeadLetterQueue::acts) to tell: an order to
    /// redrive, an import.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have been written down or not.
    pub async fn note(&self, act: Act) -> Result<(), QueueError> {
        let asked = self.ask(|answer| Command::Note { act: Box::new(act), answer }).await;
        asked.unwrap_or_else(|why| Err(why.into()))
    }
}

impl fmt::Debug for RedbQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbQueue").field("rules", &self.shared.rules).finish_non_exhaustive()
    }
}

impl DeadLetterQueue for RedbQueue {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        async move {
            let mut answers = self.store(vec![Prepared::of(letter)]).await;
            answers.pop().expect("one letter has one answer")
        }
        .boxed()
    }

    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        async move {
            let wanted = filter.clone();
            let search = self.look(move |tables| tables.peek(&wanted, limit)).await?;
            let letters = self.opened(search.found, search.damaged).await;
            Ok(letters.into_iter().map(|(_, letter)| letter).collect())
        }
        .boxed()
    }

    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>> {
        async move {
            if time.is_zero() {
                return Err(QueueError::ZeroLease);
            }
            let filter = filter.clone();
            let asked = self.ask(|answer| Command::Lease { filter, limit, time, answer }).await;
            let lent = asked.unwrap_or_else(|why| Err(why.into()))?;
            let letters = self.opened(lent.into_iter().map(|(found, _)| found).collect(), Vec::new()).await;
            let leased = |(fence, letter): (u64, DeadLetter)| {
                let token = LeaseToken::new(letter.id, fence);
                Leased::new(letter, token)
            };
            Ok(letters.into_iter().map(leased).collect())
        }
        .boxed()
    }

    fn settle(
        &self,
        token: LeaseToken,
        settlement: Settlement,
    ) -> BoxFuture<'_, Result<Settled, SettleError>> {
        async move {
            let settlements = vec![(token, settlement)];
            let asked = self.ask(|answer| Command::Settle { settlements, answer }).await;
            let settled = asked.map(|mut settled| settled.pop().unwrap_or(Err(SettleError::Closed)));
            settled.unwrap_or_else(|why| Err(why.into()))
        }
        .boxed()
    }

    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.obey(Deed::Quarantined, filter, by).boxed()
    }

    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.obey(Deed::Reinstated, filter, by).boxed()
    }

    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.obey(Deed::Discarded, filter, by).boxed()
    }

    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        async move {
            let mut answers = self.store_now(vec![Prepared::of(letter)], Some((old, by))).await;
            answers.pop().expect("one letter has one answer")
        }
        .boxed()
    }

    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        self.look(move |tables| tables.acts(limit)).boxed()
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        self.look(Tables::stats).boxed()
    }

    fn identity(&self) -> Option<u128> {
        Some(self.shared.id)
    }

    fn restore<'a>(
        &'a self,
        letters: Vec<DeadLetter>,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Vec<Result<Option<Receipt>, PushError>>> {
        self.bring_back(letters, by).boxed()
    }

    fn runs(&self) -> Option<&dyn RunBook> {
        Some(self)
    }

    fn survives(&self) -> Survives {
        Survives::PowerLoss
    }

    fn push_all(&self, letters: Vec<DeadLetter>) -> BoxFuture<'_, Vec<Result<Receipt, PushError>>> {
        async move {
            let letters = letters.into_iter().map(Prepared::of).collect();
            self.store(letters).await
        }
        .boxed()
    }

    fn settle_all(
        &self,
        settlements: Vec<(LeaseToken, Settlement)>,
    ) -> BoxFuture<'_, Vec<Result<Settled, SettleError>>> {
        async move {
            let number = settlements.len();
            let asked = self.ask(|answer| Command::Settle { settlements, answer }).await;
            asked.unwrap_or_else(|why| {
                let why = SettleError::from(why);
                (0..number).map(|_| Err(why.clone())).collect()
            })
        }
        .boxed()
    }

    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, QueueError>> {
        let filter = filter.clone();
        self.look(move |tables| tables.groups(&filter, limit)).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        async move {
            match self.ask(|answer| Command::Close { answer }).await {
                Ok(closed) => closed,
                Err(Unanswered::Closed) => Ok(()),
                // Nobody writes: the reader closes the file.
                Err(Unanswered::Failed(_)) => {
                    let (answer, closed) = oneshot::channel();
                    self.shared.gauge.set_closed();
                    let asked = self.shared.threads.questions.send(Question::Close(answer));
                    asked.map_err(|_| QueueError::Closed)?;
                    // An error says that it was closed before.
                    let _was_closed_before = closed.await;
                    Ok(())
                }
            }
        }
        .boxed()
    }
}
