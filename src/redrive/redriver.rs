//! Who carries out the redrives of a queue.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::all::{OWNER_LEASE, owner_of};
use super::course::{Course, Manners};
use super::errand::Errand;
use super::lease::LEASE;
use super::operation::Operation;
use super::record::Record;
use super::report::{RedriveError, Stopped};
use super::survey::{Meant, WouldSend, between, wide};
use crate::attempt::Attempt;
use crate::dead_letter::{
    DeadLetter, DeadLetterQueue, LetterId, QueueError, RedriveRun, RunBook, RunError, RunId, RunOwner,
    RunState,
};
use crate::recovery::Recovery;
use crate::setting::{Check, SettingError};
use crate::shutdown::Shutdown;
use crate::time::{self, Instant, later_or_far};
use crate::timer::Timer;

/// How often the book is looked at, unless said otherwise.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Carries out the redrives that are written down in a recovery's queue, one after the other, the oldest first:
/// those that wait, those that were paused, and those whose owner is gone.
///
/// It is one line at the start of a program, `tokio::spawn(Redriver::new(&recovery, op).run())`, and stops when that
/// task is aborted, when the recovery's [`Shutdown`] is triggered, or when the queue is closed. Whoever has access to
/// the queue orders redrives with [`RunBook::begin`], watches them and cancels them, from this process or another.
///
/// `op` is what [`redrive`](super::redrive) takes, and each call goes through the recovery's policies in the same way.
/// When one of them lets nothing through, such as an open circuit, the run is
/// [paused](RunState::Paused): the letter goes back untouched with no redrive counted, and the
/// run goes on when the policy said it may be worth asking. One letter asks first; then the rate begins again
/// at its tenth.
///
/// A run that somebody left behind goes on from where it was last saved. Letters that were under way then come back
/// when their leases end, and have their turn in the same run. What had reached its destination without the
/// queue being told is sent again, under the same idempotency key. Several redrivers may work on one queue: each
/// run is with one of them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, Recovery, RedriveOrder, Redriver, RunBook, RunState};
///
/// let queue = MemoryQueue::default();
/// let recovery = Recovery::<std::io::Error>::builder("payments").dead_letters(queue.clone()).build()?;
/// let redriver = tokio::spawn(Redriver::new(&recovery, |_letter, _attempt| async { Ok(()) }).run());
///
/// queue.push(DeadLetter::new("charge")).await?;
/// let order = RedriveOrder::builder(LetterFilter::new().operation("charge")).rate(500.0).build()?;
/// let run = queue.begin(order, None).await?.id;
///
/// tokio::time::sleep(Duration::from_secs(2)).await;
/// let run = queue.run(run).await?.expect("it was begun");
/// assert_eq!((run.state, run.progress.delivered), (RunState::Finished, 1));
/// redriver.abort();
/// # Ok(()) }
/// ```
#[must_use = "a redriver does nothing unless it is run"]
pub struct Redriver<E, F> {
    recovery: Recovery<E>,
    op: F,
    lease: Duration,
    poll_every: Duration,
    takeover_after: Duration,
    takes: Option<Box<Takes>>,
}

type Takes = dyn Fn(&RedriveRun) -> bool + Send + Sync;

impl<E, F> Redriver<E, F> {
    /// Carries out the runs of the recovery's queue with `op`.
    pub fn new(recovery: &Recovery<E>, op: F) -> Self {
        Self {
            recovery: recovery.clone(),
            op,
            lease: LEASE,
            poll_every: POLL_EVERY,
            takeover_after: OWNER_LEASE,
            takes: None,
        }
    }

    /// How long each letter is leased (see [`Redrive::lease`](super::Redrive::lease)), longer than zero.
    /// Default: 5 min.
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease = time;
        self
    }

    /// How often the queue is asked for runs, longer than zero. A paused run of which nobody knows when to
    /// go on waits as long. Default: 1 s.
    pub fn poll_every(mut self, time: Duration) -> Self {
        self.poll_every = time;
        self
    }

    /// How long this one may be silent before another may take its run over, longer than zero. It says something
    /// three times as often. Default: 30 s.
    pub fn takeover_after(mut self, time: Duration) -> Self {
        self.takeover_after = time;
        self
    }

    /// Which runs it takes: for a queue that recoveries share. Default: every run.
    pub fn takes(mut self, which: impl Fn(&RedriveRun) -> bool + Send + Sync + 'static) -> Self {
        self.takes = Some(Box::new(which));
        self
    }

    /// Does it, until the recovery's shutdown.
    ///
    /// # Errors
    ///
    /// [`RedriveError`] if it cannot begin: no queue, one that writes no runs down, a setting that cannot work;
    /// or once the queue is closed. Other troubles of the queue are waited out.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it drops the calls under way, and says to nobody that it is gone. Another goes on with its run
    /// after [`takeover_after`](Self::takeover_after), and with the letters that were under way when their
    /// leases end. A shutdown is kinder: calls under way end, and the run can be taken on at once.
    pub async fn run<Fut, T>(self) -> Result<(), RedriveError>
    where
        F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.check()?;
        let Self { recovery, op, lease, poll_every, takeover_after, takes } = self;
        let queue = &**recovery.dead_letters().ok_or(RedriveError::NoQueue)?;
        let book = queue.runs().ok_or(RedriveError::NoRuns)?;
        let me = RunOwner::new(owner_of(&recovery), takeover_after);
        let (op, mut watch) = (Operation::new(op), Watch::default());
        while !recovery.shutdown().is_some_and(Shutdown::is_triggered) {
            let job = Job { recovery: &recovery, queue, book, op: &op, lease, patience: poll_every };
            let trouble = match take(book, &me, &mut watch, takes.as_deref()).await {
                Ok(Some(taken)) => job.carry_on(taken).await,
                Ok(None) => Err(None),
                Err(error) => Err(Some(error)),
            };
            match trouble {
                Ok(()) => {}
                Err(Some(QueueError::Closed)) => return Err(RedriveError::Queue(QueueError::Closed)),
                Err(_) => rest(poll_every, recovery.shutdown()).await,
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), SettingError> {
        const CHECK: Check = Check("redriver");
        CHECK.longer_than_zero("lease", self.lease)?;
        CHECK.longer_than_zero("poll_every", self.poll_every)?;
        CHECK.longer_than_zero("takeover_after", self.takeover_after)
    }
}

impl<E, F, Fut, T> IntoFuture for Redriver<E, F>
where
    E: Send + 'static,
    F: FnMut(Arc<DeadLetter>, Attempt) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<(), RedriveError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

impl<E, F> fmt::Debug for Redriver<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redriver")
            .field("recovery", &self.recovery)
            .field("lease", &self.lease)
            .field("poll_every", &self.poll_every)
            .field("takeover_after", &self.takeover_after)
            .finish_non_exhaustive()
    }
}

/// Since when the runs of others were seen to stand still.
#[derive(Debug, Default)]
struct Watch(BTreeMap<RunId, (u64, Instant)>);

impl Watch {
    /// Whether whoever owned the run is gone: its revision has been the same for as long as they may be silent.
    fn is_left_behind(&mut self, run: &RedriveRun, owner: &RunOwner, now: Instant) -> bool {
        let (revision, since) = self.0.entry(run.id).or_insert((run.revision, now));
        if *revision != run.revision {
            (*revision, *since) = (run.revision, now);
        }
        now.saturating_duration_since(*since) >= owner.lease
    }
}

/// A run that is ours now.
struct Taken {
    run: RedriveRun,
    /// Letters of the one who had it before may still be leased.
    left_behind: bool,
}

/// Takes the oldest run that is to be had.
async fn take(
    book: &dyn RunBook,
    me: &RunOwner,
    watch: &mut Watch,
    takes: Option<&Takes>,
) -> Result<Option<Taken>, QueueError> {
    let runs = book.unfinished().await?;
    watch.0.retain(|id, _| runs.iter().any(|run| run.id == *id));
    for mut run in runs {
        if takes.is_some_and(|takes| !takes(&run)) {
            continue;
        }
        let left_behind = match &run.owner {
            None => false,
            Some(owner) if owner.who == me.who => true,
            Some(owner) if watch.is_left_behind(&run, owner, time::now()) => true,
            Some(_) => continue,
        };
        (run.owner, run.state) = (Some(me.clone()), RunState::Running);
        match book.save(run.clone()).await {
            Ok(revision) => {
                run.revision = revision;
                return Ok(Some(Taken { run, left_behind }));
            }
            // Somebody was faster.
            Err(RunError::Changed | RunError::NoSuchRun(_)) => {}
            Err(RunError::Queue(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// What a run is carried out with.
struct Job<'r, E, F> {
    recovery: &'r Recovery<E>,
    queue: &'r dyn DeadLetterQueue,
    book: &'r dyn RunBook,
    op: &'r Operation<F>,
    lease: Duration,
    patience: Duration,
}

impl<E, F> Job<'_, E, F> {
    /// Carries a run on to its end, or as far as it goes. An error is a trouble to be waited out.
    async fn carry_on<Fut, T>(&self, taken: Taken) -> Result<(), Option<QueueError>>
    where
        F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let Taken { run, left_behind } = taken;
        let order = run.order.clone();
        if order.dry_run() {
            return self.count(run).await;
        }
        let mut progress = run.progress.clone();
        let meant = Meant::by(self.queue, between(order.filter(), progress.reached, run.up_to)).await?;
        let busy_until = left_behind.then(|| later_or_far(time::now(), self.lease));
        let mut letters = std::mem::take(&mut progress.open);
        letters.extend(meant.free);
        if left_behind {
            letters.extend(meant.leased);
        }
        // Whoever is not there any more and whose turn was not written down had it since the last save.
        let known = progress.done().saturating_add(wide(letters.len()));
        progress.skipped += progress.meant.saturating_sub(known);
        progress.meant = progress.meant.max(known);
        let manners = Manners { patience: Some(self.patience), busy_until, saves: true };
        let mut course = Course::new(&order, letters, progress, manners, time::now());
        let Self { recovery, queue, op, lease, .. } = *self;
        let record = Record::new(self.book, run, time::now());
        Errand { recovery, queue, op, order: &order, lease }.carry_out(&mut course, Some(record)).await;
        match course.stopped() {
            Some(Stopped::Queue(error)) => Err(Some(error.clone())),
            Some(Stopped::Settle(..)) => Err(None),
            _ => Ok(()),
        }
    }

    /// Writes down what a dry run found.
    async fn count(&self, mut run: RedriveRun) -> Result<(), Option<QueueError>> {
        let filter = between(run.order.filter(), LetterId::UNASSIGNED, run.up_to);
        let found = WouldSend::by(self.queue, filter).await?;
        run.progress.meant = found.letters + found.leased;
        (run.progress.untouched, run.progress.skipped) = (found.letters, found.leased);
        run.groups = found.groups.iter().map(|group| (group.fingerprint, group.letters)).collect();
        (run.state, run.owner) = (RunState::Finished, None);
        match self.book.save(run).await {
            // Cancelled meanwhile: there is nothing to add to that.
            Ok(_) | Err(RunError::Changed | RunError::NoSuchRun(_)) => Ok(()),
            Err(RunError::Queue(error)) => Err(Some(error)),
        }
    }
}

/// Waits for so long, or until the shutdown.
async fn rest(time: Duration, shutdown: Option<&Shutdown>) {
    let until = later_or_far(time::now(), time);
    let mut shutdown = shutdown.map(Shutdown::triggered);
    let mut timer = pin!(Timer::idle());
    poll_fn(|cx| {
        if shutdown.as_mut().is_some_and(|switch| switch.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(());
        }
        timer.as_mut().poll_until(until, cx)
    })
    .await;
}
