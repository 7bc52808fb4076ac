//! The queue as its users hold it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::builder::RedbQueueBuilder;
use super::by_hand::{Order, Progress};
use super::clock::Clock;
use super::command::{Command, Pushing, Request};
use super::fault::{Fault, Io};
use super::find::Found;
use super::gauge::Gauge;
use super::open_error::OpenError;
use super::prepared::Prepared;
use super::reader::Question;
use super::rules::Rules;
use super::tables::{Reading, Tables};
use crate::dead_letter::{
    Act, ByHand, DeadLetter, DeadLetterQueue, Deed, LeaseToken, Leased, LetterFilter, LetterGroup, LetterId,
    Origin, PushError, PushErrorKind, QueueError, QueueStats, Receipt, SettleError, Settled, Settlement,
    Survives,
};
use crate::sync::oneshot;
use crate::sync::permits::Semaphore;
use crate::time;

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
/// `.ballast`. It is removed when the disk is full, so that letters can still be taken out.
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
#[derive(Clone)]
pub struct RedbQueue {
    shared: Arc<Shared>,
}

struct Shared {
    gauge: Arc<Gauge>,
    threads: Threads,
    clock: Clock,
    rules: Rules,
    id: u128,
    under_way: Arc<Semaphore>,
}

/// The ways to the threads of a queue. They end when this is dropped.
pub(super) struct Threads {
    /// To the writer, unless the file is open for reading only.
    pub(super) requests: Option<mpsc::Sender<Request>>,
    pub(super) questions: mpsc::Sender<Question>,
}

/// Why there is no answer.
enum Unanswered {
    Closed,
    Failed(Fault),
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
        Self { shared: Arc::new(Shared { gauge, threads, clock, rules, id, under_way }) }
    }

    /// The random number that the queue was given when it was made: the [`Origin`] of letters that go elsewhere.
    #[must_use]
    pub fn queue_id(&self) -> u128 {
        self.shared.id
    }

    /// The number of the letter that came from there, whether it is still held or is gone since less than the
    /// time to live. Pushing a letter with this origin stores nothing and names that letter.
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

    /// Has the writer do something, and waits for its answer.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer)).await?;
        answered.await.map_err(|_| Unanswered::Closed)
    }

    async fn send(&self, command: Command) -> Result<(), Unanswered> {
        let shared = &self.shared;
        let Some(requests) = &shared.threads.requests else {
            return Err(Unanswered::Failed(Fault::new("the file is open for reading only")));
        };
        let permit = Arc::clone(&shared.under_way).acquire_owned().await.ok();
        if shared.gauge.is_closed() {
            return Err(Unanswered::Closed);
        }
        let sent = requests.send(Request { now: time::now(), command, permit });
        sent.map_err(|_| Unanswered::Closed)
    }

    /// Ends the leases and drops the letters whose time is over, if there are any.
    async fn sweep(&self) -> Result<(), QueueError> {
        while self.shared.threads.requests.is_some()
            && self.shared.clock.at(time::now()) >= self.shared.gauge.due()
        {
            self.ask(|answer| Command::Sweep { answer }).await.unwrap_or_else(|why| Err(why.into()))?;
        }
        Ok(())
    }

    /// Has something looked up in the tables.
    async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Tables<Reading>) -> Io<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        if self.shared.gauge.is_closed() {
            return Err(QueueError::Closed);
        }
        self.sweep().await?;
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |tables| {
            if !answer.is_closed() {
                drop(answer.send(tables.and_then(question)));
            }
        });
        self.shared.threads.questions.send(question).map_err(|_| QueueError::Closed)?;
        let unanswered = || Err(Fault::new("the database failed over a damaged file"));
        answered.await.unwrap_or_else(|_| unanswered()).map_err(|fault| QueueError::Storage(fault.text))
    }

    /// Opens what was found. What cannot be read is put aside, where it hides no other.
    async fn opened(&self, found: Vec<Found>, damaged: Vec<u64>) -> Vec<(u64, DeadLetter)> {
        let (mut letters, mut damaged) = (Vec::with_capacity(found.len()), damaged);
        for found in found {
            match found.open() {
                Some(letter) => letters.push((found.row.fence, letter)),
                None => damaged.push(found.id),
            }
        }
        if !damaged.is_empty() {
            // Nothing depends on it: whoever meets them next puts them aside as well.
            drop(self.send(Command::SetAside(damaged)).await);
        }
        letters
    }

    /// Does something to all that a filter means, part by part.
    async fn obey(&self, deed: Deed, filter: &LetterFilter, by: &ByHand) -> Result<u64, QueueError> {
        let (filter, by, at) = (filter.clone(), by.clone(), time::wall(time::now()));
        let mut order = Order { deed, filter, by, at, progress: Progress::default() };
        while !order.progress.complete {
            let part = Box::new(order.clone());
            let asked = self.ask(|answer| Command::Obey { order: part, answer }).await;
            order.progress = asked.unwrap_or_else(|why| Err(why.into()))?;
        }
        Ok(order.progress.letters)
    }

    async fn store(
        &self,
        letters: Vec<Prepared>,
        replaces: Option<(LetterId, &ByHand)>,
    ) -> Vec<Result<Receipt, PushError>> {
        let at = time::wall(time::now());
        let replaces = replaces.map(|(old, by)| (old, by.clone(), at));
        let (answer, answered) = oneshot::channel();
        let pushing = Pushing { letters, replaces, answer: Some(answer) };
        // Not sent, it is dropped, and then it hands back the letters by its own answer.
        drop(self.send_letters(pushing).await);
        answered.await.expect("letters are stored or handed back")
    }

    async fn send_letters(&self, pushing: Pushing) -> Result<(), Unanswered> {
        if self.shared.threads.requests.is_none() {
            let text = "the file is open for reading only".to_owned();
            pushing.refused(&PushErrorKind::Storage(text));
            return Ok(());
        }
        self.send(Command::Push(pushing)).await
    }
}

impl From<Unanswered> for QueueError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Closed => Self::Closed,
            Unanswered::Failed(fault) => Self::Storage(fault.text),
        }
    }
}

impl From<Unanswered> for SettleError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Closed => Self::Closed,
            Unanswered::Failed(fault) => Self::Storage(fault.text),
        }
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
            let mut answers = self.store(vec![Prepared::of(letter)], None).await;
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
            let mut answers = self.store(vec![Prepared::of(letter)], Some((old, by))).await;
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

    fn survives(&self) -> Survives {
        Survives::PowerLoss
    }

    fn push_all(&self, letters: Vec<DeadLetter>) -> BoxFuture<'_, Vec<Result<Receipt, PushError>>> {
        async move {
            let letters = letters.into_iter().map(Prepared::of).collect();
            self.store(letters, None).await
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
                Err(Unanswered::Failed(_)) => {
                    self.shared.gauge.set_closed();
                    drop(self.shared.gauge.hide(Fault::new("the queue is closed")));
                    Ok(())
                }
            }
        }
        .boxed()
    }
}
