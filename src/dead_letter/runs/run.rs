//! One redrive that is written down.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::dead_letter::by_hand::ByHand;
use crate::dead_letter::fingerprint::Fingerprint;
use crate::dead_letter::letter::LetterId;
use crate::dead_letter::runs::order::RedriveOrder;

/// The number of a run in its queue. Numbers only grow and are never used twice.
///
/// ```
/// use recoup::RunId;
/// assert!(RunId::new(2) > RunId::new(1));
/// assert_eq!(RunId::new(7).to_string(), "7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(u64);

impl RunId {
    /// The run with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Where a run stands.
///
/// ```
/// use recoup::RunState;
/// let paused = RunState::Paused { why: "circuit breaker `bank` is open".to_owned() };
/// assert_eq!((paused.name(), paused.is_over()), ("paused", false));
/// assert_eq!(paused.to_string(), "paused: circuit breaker `bank` is open");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunState {
    /// Nobody has begun it.
    #[default]
    Waiting,
    /// Somebody carries it out.
    Running,
    /// It goes on later, by itself or with the next who carries out runs.
    Paused {
        /// What it waits for.
        why: String,
    },
    /// Every letter had its turn.
    Finished,
    /// It was ended by hand.
    Cancelled {
        /// By whom, and why.
        by: ByHand,
    },
    /// It ended before its end. What it left can be redriven by another run.
    Stopped {
        /// What ended it.
        why: String,
    },
}

impl RunState {
    /// The name in snake case, as it stands in stores and on screens.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused { .. } => "paused",
            Self::Finished => "finished",
            Self::Cancelled { .. } => "cancelled",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// Whether nobody will carry it on.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled { .. } | Self::Stopped { .. })
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused { why } | Self::Stopped { why } => write!(f, "{}: {why}", self.name()),
            Self::Cancelled { by } => write!(f, "{} by {by}", self.name()),
            Self::Waiting | Self::Running | Self::Finished => f.pad(self.name()),
        }
    }
}

/// Who carries a run out, and for how long they may be silent.
///
/// No moment is written down at which this ends: clocks of two machines differ, and any of them may be set
/// back by a year. Whoever wants to take the run over watches its
/// [revision](RedriveRun::revision) instead. If that stays the same for as long as `lease` on the
/// watcher's own monotonic clock, the owner is gone. Amazon's lock client for `DynamoDB` does it in this way.
///
/// ```
/// use std::time::Duration;
/// use recoup::RunOwner;
/// let owner = RunOwner::new("payments-1", Duration::from_secs(30));
/// assert_eq!(owner.who, "payments-1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RunOwner {
    /// A name that no other has.
    pub who: String,
    /// The owner saves the run more often than this.
    pub lease: Duration,
}

impl RunOwner {
    /// This owner.
    #[must_use]
    pub fn new(who: impl Into<String>, lease: Duration) -> Self {
        Self { who: who.into(), lease }
    }
}

/// How far a run came. The six kinds of letters add up to those that were meant.
///
/// ```
/// use recoup::RunProgress;
/// let mut progress = RunProgress::meaning(10);
/// assert_eq!((progress.untouched, progress.done()), (10, 0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunProgress {
    /// Letters that the order meant when it was begun.
    pub meant: u64,
    /// Letters whose call succeeded, and which are gone from the queue.
    pub delivered: u64,
    /// Letters whose call failed, and which are back in the queue.
    pub failed: u64,
    /// Letters whose call failed once too often, or that were quarantined before; they are put aside.
    pub quarantined: u64,
    /// Letters that were not there any more, or that somebody else had, when their turn came. After a crash
    /// also those that had their turn since the run was last saved and are gone: at most those of a second.
    pub skipped: u64,
    /// Letters whose outcome the queue would not take, as when their lease had run out. Those that succeeded
    /// may come again, under the same idempotency key.
    pub unsettled: u64,
    /// Letters whose turn has not come.
    pub untouched: u64,
    /// How many failed one after the other, up to now.
    pub in_a_row: u32,
    /// Every letter of the run up to this one has had its turn, but those in `open`.
    pub reached: LetterId,
    /// Letters up to `reached` whose turn is not over: under way, or given back to be tried later.
    pub open: Vec<LetterId>,
}

impl RunProgress {
    /// None of so many letters has had its turn.
    #[must_use]
    pub fn meaning(letters: u64) -> Self {
        Self { meant: letters, untouched: letters, ..Self::default() }
    }

    /// How many letters had their turn.
    #[must_use]
    pub fn done(&self) -> u64 {
        [self.delivered, self.failed, self.quarantined, self.skipped, self.unsettled]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// One redrive: what was asked, and how far it came. Read and changed through a [`RunBook`](crate::RunBook).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, RedriveOrder, RunBook, RunState};
///
/// let queue = MemoryQueue::default();
/// queue.push(DeadLetter::new("charge")).await?;
/// let run = queue.begin(RedriveOrder::builder(LetterFilter::new()).build()?, None).await?;
/// assert_eq!((run.state, run.progress.meant, run.up_to.get()), (RunState::Waiting, 1, 1));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RedriveRun {
    /// The number that the book gave it.
    pub id: RunId,
    /// What was asked.
    pub order: RedriveOrder,
    /// When it was begun, by the wall clock.
    pub created_at: SystemTime,
    /// The last letter that was in the queue then. None that came later is meant.
    pub up_to: LetterId,
    /// Where it stands.
    pub state: RunState,
    /// How far it came.
    pub progress: RunProgress,
    /// Who carries it out.
    pub owner: Option<RunOwner>,
    /// Of a dry run: how many letters of each [group](crate::LetterGroup) would be sent, for the hundred
    /// largest groups.
    pub groups: BTreeMap<Fingerprint, u64>,
    /// Counted up by the book each time the run is changed.
    pub revision: u64,
}

impl RedriveRun {
    /// A run that waits to be carried out. For those who write a book.
    #[must_use]
    pub fn new(id: RunId, order: RedriveOrder, created_at: SystemTime, up_to: LetterId, meant: u64) -> Self {
        let (state, owner) = (RunState::Waiting, None);
        let progress = RunProgress::meaning(meant);
        Self { id, order, created_at, up_to, state, progress, owner, groups: BTreeMap::new(), revision: 0 }
    }

    /// Whether it is this one who carries it out.
    pub(crate) fn is_of(&self, who: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.who == who)
    }
}
