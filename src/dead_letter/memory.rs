//! A queue of dead letters in the memory of this process.

mod book;
mod ledger;
mod line;
mod origins;
mod push;
mod restoring;
mod rules;
mod slots;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::dead_letter::by_hand::{Act, ByHand};
use crate::dead_letter::error::{PushError, QueueError, SettleError};
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::letter::{DeadLetter, LetterId};
use crate::dead_letter::memory::ledger::Ledger;
use crate::dead_letter::memory::rules::{Rules, wide};
use crate::dead_letter::queue::{DeadLetterQueue, LeaseToken, Leased, Receipt};
use crate::dead_letter::runs::RunBook;
use crate::dead_letter::settlement::{Settled, Settlement};
use crate::dead_letter::stats::QueueStats;
use crate::setting::{Check, SettingError};
use crate::sync::Lock;
use crate::time::{self, Instant};

/// Called outside the lock with a letter that the queue let go of by itself.
type OnLoss = Arc<dyn Fn(&DeadLetter, Loss) + Send + Sync>;

/// Called outside the lock when the queue fills up.
type OnFilling = Arc<dyn Fn(&QueueStats) + Send + Sync>;

/// A queue in the memory of this process. Clones share it.
///
/// It promises to survive nothing beyond the process: a crash or a restart loses every letter. It is for
/// tests, for programs that can afford that, and for looking at what fails.
///
/// Nothing runs in the background: leases and letters whose time is over are dealt with when the queue is
/// next used, before it answers. Both are measured on the monotonic clock.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue};
///
/// let queue = MemoryQueue::builder().capacity(1000).build()?;
/// let receipt = queue.push(DeadLetter::new("charge")).await?;
/// let letters = queue.peek(&LetterFilter::new(), 10).await?;
/// assert_eq!(letters[0].id, receipt.id);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

struct Shared {
    ledger: Lock<Ledger>,
    when_full: WhenFull,
    on_loss: Option<OnLoss>,
    on_filling: Option<OnFilling>,
}

impl MemoryQueue {
    /// Begins with the defaults.
    pub fn builder() -> MemoryQueueBuilder {
        MemoryQueueBuilder::default()
    }

    fn of(builder: MemoryQueueBuilder) -> Self {
        let MemoryQueueBuilder { rules, on_loss, on_filling } = builder;
        let ledger = Lock::new(Ledger::new(rules));
        Self { shared: Arc::new(Shared { ledger, when_full: rules.when_full, on_loss, on_filling }) }
    }

    /// Deals with what is over, then acts. Whoever waits for the room that this made is woken, and whatever is
    /// let go of is told of and dropped, outside the lock.
    fn with<R>(&self, act: impl FnOnce(&mut Ledger, Instant) -> R) -> R {
        let now = time::now();
        let (answer, next, lost, filling) = {
            let mut ledger = self.shared.ledger.lock();
            let waiting = !ledger.line.is_empty();
            let before = waiting.then(|| ledger.load());
            ledger.sweep(now);
            let answer = act(&mut ledger, now);
            let next =
                before.filter(|&before| has_room(before, ledger.load())).and_then(|_| ledger.line.first());
            (answer, next, ledger.take_lost(), ledger.take_filling())
        };
        if let Some(next) = next {
            next.wake();
        }
        if let (Some(on_filling), Some(stats)) = (&self.shared.on_filling, filling) {
            on_filling(&stats);
        }
        if let Some(on_loss) = &self.shared.on_loss {
            for (letter, loss) in &lost {
                on_loss(letter, *loss);
            }
        }
        answer
    }
}

/// Whether one who waits may find room now, or sooner than it was.
fn has_room(before: (usize, u64, Option<Instant>), after: (usize, u64, Option<Instant>)) -> bool {
    let sooner = after.2.is_some_and(|after| before.2.is_none_or(|before| after < before));
    after.0 < before.0 || after.1 < before.1 || sooner
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::of(MemoryQueueBuilder::default())
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.shared.ledger.lock().held();
        f.debug_struct("MemoryQueue").field("held", &held).finish_non_exhaustive()
    }
}

// None of these futures waits but a push that was told to, so each does all of its work in its first poll, or
// nothing if it is never polled. Letters are cloned outside the lock: they may be large.
impl DeadLetterQueue for MemoryQueue {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        self.store(letter).boxed()
    }

    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        async move {
            let found = self.with(|ledger, _| ledger.peek(filter, limit));
            Ok(found.into_iter().map(Arc::unwrap_or_clone).collect())
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
            let found = self.with(|ledger, now| ledger.lease(filter, limit, time, now));
            let leased = |(letter, token)| Leased::new(Arc::unwrap_or_clone(letter), token);
            Ok(found.into_iter().map(leased).collect())
        }
        .boxed()
    }

    fn settle(
        &self,
        token: LeaseToken,
        settlement: Settlement,
    ) -> BoxFuture<'_, Result<Settled, SettleError>> {
        async move { self.with(|ledger, now| ledger.settle(token, settlement, now)) }.boxed()
    }

    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        async move { Ok(self.with(|ledger, now| ledger.quarantine(filter, by, now))) }.boxed()
    }

    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        async move { Ok(self.with(|ledger, now| ledger.reinstate(filter, by, now))) }.boxed()
    }

    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        async move {
            let removed = self.with(|ledger, now| ledger.discard(filter, by, now));
            Ok(wide(removed.len()))
        }
        .boxed()
    }

    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        async move { self.with(|ledger, now| ledger.replace(old, letter, by, now)) }.boxed()
    }

    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        async move { Ok(self.with(|ledger, _| ledger.acts(limit))) }.boxed()
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        async move { Ok(self.with(|ledger, _| ledger.stats())) }.boxed()
    }

    fn identity(&self) -> Option<u128> {
        Some(self.shared.ledger.lock().identity())
    }

    fn restore<'a>(
        &'a self,
        letters: Vec<DeadLetter>,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Vec<Result<Option<Receipt>, PushError>>> {
        async move { self.with(|ledger, now| ledger.restore(letters, by, now)) }.boxed()
    }

    fn runs(&self) -> Option<&dyn RunBook> {
        Some(self)
    }
}

/// What a full queue does with a new letter.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, MemoryQueue, WhenFull};
///
/// let queue = MemoryQueue::builder().capacity(1).when_full(WhenFull::DropOldest).build()?;
/// let first = queue.push(DeadLetter::new("charge")).await?;
/// let second = queue.push(DeadLetter::new("charge")).await?;
/// assert_eq!(second.evicted, [first.id]);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// Hands it back.
    #[default]
    Refuse,
    /// Drops the oldest ready letters until it fits, and says which. Leased and quarantined letters stay; if the
    /// ready ones are not enough, nothing is dropped and the letter is handed back.
    DropOldest,
    /// Waits for room, for so long at most and longer than zero, and then hands it back. Those who wait are
    /// served in the order in which they came. A [`replace`](DeadLetterQueue::replace) does not wait.
    Wait(Duration),
}

/// Why a queue let go of a letter by itself.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::mpsc;
/// use std::time::Duration;
/// use recoup::{DeadLetter, DeadLetterQueue, Loss, MemoryQueue};
///
/// let (tell, told) = mpsc::channel();
/// let queue = MemoryQueue::builder()
///     .time_to_live(Duration::from_secs(60))
///     .on_loss(move |letter, loss| tell.send((letter.operation.clone(), loss)).unwrap())
///     .build()?;
/// queue.push(DeadLetter::new("charge")).await?;
/// tokio::time::advance(Duration::from_secs(60)).await;
/// assert_eq!(queue.stats().await?.expired, 1);
/// assert_eq!(told.try_recv()?, ("charge".to_string(), Loss::Expired));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// To make room for a newer one.
    Evicted,
    /// Its time was over.
    Expired,
}

/// Builds a [`MemoryQueue`].
///
/// ```
/// use recoup::MemoryQueue;
/// let error = MemoryQueue::builder().capacity(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "memory queue: `capacity` is 0, but must be at least 1");
/// ```
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct MemoryQueueBuilder {
    rules: Rules,
    on_loss: Option<OnLoss>,
    on_filling: Option<OnFilling>,
}

impl MemoryQueueBuilder {
    /// The most letters held, at least 1. Default: 10 000.
    pub const fn capacity(mut self, letters: usize) -> Self {
        self.rules.capacity = letters;
        self
    }

    /// The most bytes that all letters together carry, at least 1 (see [`DeadLetter::size`]). Default: 256 MiB.
    ///
    /// A failed redrive whose texts do not fit any more is written down without them.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.rules.max_bytes = bytes;
        self
    }

    /// The most bytes of one payload; a letter above is handed back as too large. Default: 1 MiB.
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.rules.max_payload = bytes;
        self
    }

    /// What a full queue does with a new letter. Default: [`WhenFull::Refuse`].
    pub const fn when_full(mut self, rule: WhenFull) -> Self {
        self.rules.when_full = rule;
        self
    }

    /// How long a letter is kept, longer than zero, counted on the monotonic clock from when the queue took it
    /// or it was last reinstated. A quarantined letter is kept until somebody looks at it. Default: for ever.
    pub const fn time_to_live(mut self, time: Duration) -> Self {
        self.rules.time_to_live = Some(time);
        self
    }

    /// How many redrives of a letter may fail before it is quarantined, at least 1. Default: 3.
    pub const fn quarantine_after(mut self, redrives: u32) -> Self {
        self.rules.quarantine_after = redrives;
        self
    }

    /// Is called with each letter that the queue lets go of by itself, in the task that made it notice, after
    /// the fact and outside every lock. A panic in it reaches that task; the queue stays as it is. Default:
    /// nobody is called, and the numbers of [`stats`](DeadLetterQueue::stats) tell.
    pub fn on_loss(mut self, hook: impl Fn(&DeadLetter, Loss) + Send + Sync + 'static) -> Self {
        self.on_loss = Some(Arc::new(hook));
        self
    }

    /// Is called when the letters held, or their bytes, have come to 80 % of their limit, in the task that
    /// pushed, after the fact and outside every lock; again only after both have been under 70 %. A panic in
    /// it reaches that task. Default: nobody is called.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::mpsc;
    /// use recoup::{DeadLetter, DeadLetterQueue, MemoryQueue};
    ///
    /// let (tell, told) = mpsc::channel();
    /// let queue =
    ///     MemoryQueue::builder().capacity(10).on_filling(move |now| tell.send(now.held()).unwrap()).build()?;
    /// for _ in 0..10 {
    ///     queue.push(DeadLetter::new("charge")).await?;
    /// }
    /// assert_eq!(told.try_iter().collect::<Vec<_>>(), [8]);
    /// # Ok(()) }
    /// ```
    pub fn on_filling(mut self, hook: impl Fn(&QueueStats) + Send + Sync + 'static) -> Self {
        self.on_filling = Some(Arc::new(hook));
        self
    }

    /// Makes the queue.
    ///
    /// # Errors
    ///
    /// [`SettingError`] if a setting cannot work.
    pub fn build(self) -> Result<MemoryQueue, SettingError> {
        self.rules.check(Check("memory queue"))?;
        Ok(MemoryQueue::of(self))
    }
}

impl fmt::Debug for MemoryQueueBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueueBuilder").field("rules", &self.rules).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod deeds;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod model;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod waiting;
