//! The server's half: what cannot be answered in time is refused at once, the rest is answered in time.

mod admit;
mod builder;
mod call;
mod comeback;
mod door;
pub(crate) mod line;
#[cfg(test)]
mod promises;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
#[cfg(test)]
mod simulation;
mod snapshot;
mod standing;
mod waiting;
mod work;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use self::admit::Admit;
pub use self::builder::LoadShedderBuilder;
pub use self::call::LoadShedderCall;
use self::door::Door;
pub use self::door::Serving;
pub use self::snapshot::LoadShedderSnapshot;
pub use self::work::Work;

/// Keeps a server answering in time when more is asked of it than it can do.
///
/// At most so many pieces of work are under way; the others wait in a bounded queue. Which of them is next:
///
/// - The highest [priority](crate::Priority) first. Whoever is turned away, nobody of a lower priority is kept.
/// - Among equals, first come, first served, unless a queue *stands*: the one who waits longest has waited more
///   than the [target](LoadShedderBuilder::target) for a whole [interval](LoadShedderBuilder::interval). Then
///   the server is overloaded and not just busy. Until the queue is empty the newest goes first, and who has
///   waited longer than the target is refused.
/// - Whose deadline has passed is never started: nobody waits for the answer any more.
///
/// A queue that drains within the interval is a burst and does no harm. One that stands does nothing but let
/// everybody wait: served in order, each answer comes when its caller has gone. That signal, the minimum of
/// the wait over an interval, is that of `CoDel` (Nichols and Jacobson, "Controlling Queue Delay", 2012); the
/// newest first while it lasts is what Maurer tells of ("Fail at Scale", ACM Queue 2015).
///
/// A refusal says [when to come back](Shed::retry_in), each at another time, so that a crowd does not come back
/// as one.
///
/// A handle: clones share the slots and the queue.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use recoup::{CallError, LoadShedder, Priority, ShedReason, Work};
///
/// let shedder = LoadShedder::builder(1).queue(1).deadline(Duration::from_millis(200)).build().unwrap();
/// assert_eq!(shedder.call(async || Ok::<_, ()>("page")).await, Ok("page"));
///
/// let serving = shedder.admit(Work::new()).await.unwrap();
/// let (low, high, ()) = tokio::join!(
///     shedder.call(async || Ok::<_, ()>("prefetched")).work(Work::new().priority(Priority::Low)),
///     shedder.admit(Work::new().priority(Priority::High)),
///     async { drop(serving) },
/// );
/// assert!(high.is_ok());
/// let Err(CallError::Rejected(shed)) = low else { panic!("its place went to a higher priority") };
/// assert_eq!(shed.reason, ShedReason::QueueFull);
/// assert!(shed.retry_in >= Duration::from_millis(20));
/// # }
/// ```
#[derive(Clone)]
pub struct LoadShedder {
    door: Arc<Door>,
}

impl LoadShedder {
    /// Begins a load shedder that lets `slots` pieces of work be under way at once, at least 1.
    pub fn builder(slots: usize) -> LoadShedderBuilder {
        LoadShedderBuilder::new(slots)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        self.door.name()
    }

    /// Waits for a slot.
    ///
    /// The place in the queue is taken at the first poll. To wait takes a tokio runtime with its clock enabled.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{LoadShedder, Work};
    /// let shedder = LoadShedder::builder(1).build().unwrap();
    /// let serving = shedder.admit(Work::new()).await.unwrap();
    /// assert_eq!(shedder.snapshot().in_service, 1);
    /// drop(serving);
    /// assert_eq!(shedder.snapshot().in_service, 0);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Shed`]: the queue was full, the server is overloaded, or the deadline passed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it gives its place in the queue back at once. A slot that it had been given but not taken yet
    /// goes to the next.
    pub fn admit(&self, work: Work) -> Admit {
        Admit::new(Arc::clone(&self.door), work)
    }

    /// Takes a slot if one is free for work of this priority, and nobody waits who goes first. Never waits.
    ///
    /// ```
    /// use recoup::{LoadShedder, ShedReason, Work};
    /// let shedder = LoadShedder::builder(1).build().unwrap();
    /// let serving = shedder.try_admit(Work::new()).unwrap();
    /// assert_eq!(shedder.try_admit(Work::new()).unwrap_err().reason, ShedReason::QueueFull);
    /// # drop(serving);
    /// ```
    ///
    /// # Errors
    ///
    /// [`Shed`], with [`ShedReason::QueueFull`] or [`ShedReason::Expired`].
    pub fn try_admit(&self, work: Work) -> Result<Serving, Shed> {
        self.door.try_admit(work)
    }

    /// Runs `op` in a slot, waiting in the queue for one if it has to.
    ///
    /// `op` is not called before there is a slot. It is not broken off at the deadline: a
    /// [`timeout`](crate::timeout) does that.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{LoadShedder, Priority, Work};
    /// let shedder = LoadShedder::builder(8).build().unwrap();
    /// let answer = shedder.call(async || Ok::<_, ()>(7)).work(Work::new().priority(Priority::High)).await;
    /// assert_eq!(answer, Ok(7));
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`](crate::rejection::CallError::Rejected) with [`Shed`] if there was no slot,
    /// `CallError::Operation` if `op` failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue as [`admit`](Self::admit) does. Dropped while `op` runs, it
    /// drops that first and then gives the slot back.
    pub fn call<F, Fut, T, E>(&self, op: F) -> LoadShedderCall<F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        LoadShedderCall::new(Arc::clone(&self.door), op)
    }

    /// How full it is, and whom it has turned away.
    #[must_use]
    pub fn snapshot(&self) -> LoadShedderSnapshot {
        self.door.snapshot()
    }
}

impl fmt::Debug for LoadShedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadShedder").field("name", self.name()).field("snapshot", &self.snapshot()).finish()
    }
}

/// The server does not take this work: it was not begun.
///
/// ```
/// use recoup::{LoadShedder, Work};
/// let shedder = LoadShedder::builder(1).name("search").build().unwrap();
/// let _serving = shedder.try_admit(Work::new()).unwrap();
/// let shed = shedder.try_admit(Work::new()).unwrap_err();
/// assert_eq!(shed.to_string(), "load shedder `search` has no room");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("load shedder `{shedder}` {reason}")]
#[non_exhaustive]
pub struct Shed {
    /// The name of the load shedder.
    pub shedder: Arc<str>,
    /// How long the caller should stay away, for a `Retry-After`. Drawn by chance for each refusal, evenly
    /// between one and three times what the queue and those turned away lately take to be served, at the pace
    /// of the present.
    ///
    /// At least the [target](LoadShedderBuilder::target). At most a minute, or three times the target if that
    /// is longer.
    pub retry_in: Duration,
    /// Why it was refused.
    pub reason: ShedReason,
}

/// Why a load shedder refused.
///
/// ```
/// use recoup::{Instant, LoadShedder, ShedReason, Work};
/// let shedder = LoadShedder::builder(1).build().unwrap();
/// let late = shedder.try_admit(Work::new().deadline(Instant::now())).unwrap_err();
/// assert_eq!(late.reason, ShedReason::Expired);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ShedReason {
    /// No slot was free, and no place in the queue either: or the place was needed for work that goes first,
    /// or the caller would not wait.
    QueueFull,
    /// A queue stood, and this work waited longer than the target.
    Overloaded,
    /// Its deadline passed before it was begun.
    Expired,
}

impl ShedReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::Overloaded, Self::Expired];

    /// The name in snake case, as it stands in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Overloaded => "overloaded",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for ShedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "has no room",
            Self::Overloaded => "is overloaded",
            Self::Expired => "had no slot before the deadline",
        })
    }
}
