//! What the kit has to know of a queue.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::dead_letter::{DeadLetterQueue, LetterId, WhenFull};
use crate::time;

/// The settings that a queue is to be opened with.
///
/// ```
/// use recoup::testing::conformance::Settings;
/// assert_eq!(Settings::default().quarantine_after, 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The most letters held. Default: 10 000.
    pub capacity: usize,
    /// The most bytes that all letters together carry, as [`DeadLetter::size`](crate::DeadLetter::size) counts.
    /// Default: 256 MiB.
    pub max_bytes: usize,
    /// The most bytes of one payload. Default: 1 MiB.
    pub max_payload: usize,
    /// How long a letter is kept. Default: for ever.
    pub time_to_live: Option<Duration>,
    /// How many redrives may fail before a letter is quarantined. Default: 3.
    pub quarantine_after: u32,
    /// What a full queue does with a new letter. Default: it hands it back.
    pub when_full: WhenFull,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_bytes: 256 << 20,
            max_payload: 1 << 20,
            time_to_live: None,
            quarantine_after: 3,
            when_full: WhenFull::Refuse,
        }
    }
}

/// Where one queue lives: no two queues of a run are made at the same place, and a queue that is opened again
/// at its place finds its letters there.
///
/// A queue in a file takes `{case}-{nth}` for the name of the file, in a folder that no other run uses.
///
/// ```
/// use recoup::testing::conformance::{Place, Settings};
/// let place = Place::new("d1_pushed_letter_is_held", 0, Settings::default());
/// assert_eq!(format!("{place}.redb"), "d1_pushed_letter_is_held-0.redb");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The case that needs the queue.
    pub case: &'static str,
    /// Which queue of that case.
    pub nth: u32,
    /// What the queue is to be opened with: the same each time it is opened here.
    pub settings: Settings,
}

impl Place {
    /// The place of the nth queue of a case.
    #[must_use]
    pub const fn new(case: &'static str, nth: u32, settings: Settings) -> Self {
        Self { case, nth, settings }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.case, self.nth)
    }
}

/// How queues of one kind are opened, and what can be done to them.
///
/// An `async` closure from a [`Place`] to a queue is enough for a queue that lives in its process.
///
/// ```
/// use std::sync::Arc;
/// use futures::future::BoxFuture;
/// use recoup::testing::conformance::{Place, QueueUnderTest};
/// use recoup::{DeadLetterQueue, MemoryQueue};
///
/// struct InMemory;
///
/// impl QueueUnderTest for InMemory {
///     fn open<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
///         Box::pin(async { Arc::new(MemoryQueue::default()) as _ })
///     }
/// }
/// ```
pub trait QueueUnderTest: Send + Sync {
    /// Opens the queue at this place, with the settings that stand there. It is empty the first time.
    fn open<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>>;

    /// Opens a queue again that was [closed](DeadLetterQueue::close). Default: drops it and opens its place.
    fn restart<'a>(
        &'a self,
        place: &'a Place,
        queue: Arc<dyn DeadLetterQueue>,
    ) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        drop(queue);
        self.open(place)
    }

    /// Opens what is left of a queue that ended without being closed. Default: drops it and opens its place.
    fn crash<'a>(
        &'a self,
        place: &'a Place,
        queue: Arc<dyn DeadLetterQueue>,
    ) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        drop(queue);
        self.open(place)
    }

    /// Lets the clock go on by this much. Default: sleeps, which a paused clock turns into a jump.
    fn advance(&self, time: Duration) -> BoxFuture<'_, ()> {
        let until = time::later_or_far(time::now(), time);
        time::sleep_until(until).boxed()
    }

    /// Lets the next write of the queue at this place fail, and the queue know. Default: `false`, it cannot.
    fn fail_next_write(&self, place: &Place) -> bool {
        let _ = place;
        false
    }

    /// Damages what is stored of this letter and opens the queue again. Default: `None`, it cannot.
    fn damage<'a>(
        &'a self,
        place: &'a Place,
        queue: Arc<dyn DeadLetterQueue>,
        letter: LetterId,
    ) -> BoxFuture<'a, Option<Arc<dyn DeadLetterQueue>>> {
        let _ = (place, queue, letter);
        async { None }.boxed()
    }

    /// Runs one of many workers. Default: in the task that waits for them; a runtime with several threads
    /// makes more of it if this spawns a task and waits for that.
    fn in_a_task(&self, work: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        work
    }
}

impl<F, Fut, Q> QueueUnderTest for F
where
    F: Fn(Place) -> Fut + Send + Sync,
    Fut: Future<Output = Q> + Send,
    Q: DeadLetterQueue + 'static,
{
    fn open<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        async move { Arc::new(self(*place).await) as Arc<dyn DeadLetterQueue> }.boxed()
    }
}
