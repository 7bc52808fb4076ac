//! The settings of a load shedder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::LoadShedder;
use super::door::Door;
use super::line::{Line, Rules};
use crate::event::{Observer, Observers};
use crate::priority::{Priority, Reserves};
use crate::random::Dice;
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("load shedder");

/// Builds a [`LoadShedder`].
///
/// ```
/// use std::time::Duration;
/// use recoup::{LoadShedder, Priority};
///
/// let shedder = LoadShedder::builder(64)
///     .name("search")
///     .deadline(Duration::from_millis(500))
///     .queue(256)
///     .reserve(Priority::High, 0.1)
///     .build()
///     .unwrap();
/// assert_eq!(shedder.snapshot().slots, 64);
///
/// let error = LoadShedder::builder(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "load shedder: `slots` is 0, but must be at least 1");
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct LoadShedderBuilder {
    slots: usize,
    name: Option<Arc<str>>,
    deadline: Duration,
    target: Option<Duration>,
    interval: Duration,
    queue: usize,
    reserves: Reserves,
    seed: Option<u64>,
    observers: Vec<Arc<dyn Observer>>,
}

impl LoadShedderBuilder {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            name: None,
            deadline: Duration::from_secs(1),
            target: None,
            interval: Duration::from_millis(100),
            queue: 1024,
            reserves: Reserves::default(),
            seed: None,
            observers: Vec::new(),
        }
    }

    /// What errors and events call it. Default: `load shedder`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long callers usually wait for the answer, longer than zero: the deadline of work that does not say
    /// its own. [`Duration::MAX`] is for ever, as is anything from thirty years. Default: 1 s.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The wait in the queue that does no harm, longer than zero. It should be longer than the time between two
    /// slots that come free. Default: a tenth of the [deadline](Self::deadline).
    pub const fn target(mut self, wait: Duration) -> Self {
        self.target = Some(wait);
        self
    }

    /// For how long the longest wait must be above the [target](Self::target) until the queue stands, longer
    /// than zero: a burst that drains in this time is none of the shedder's business. Default: 100 ms, which is
    /// that of `CoDel`.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How much work may wait. With 0 nothing does. Default: 1024.
    ///
    /// It bounds the memory, and not the wait: that is bounded by the target while a queue stands.
    pub const fn queue(mut self, work: usize) -> Self {
        self.queue = work;
        self
    }

    /// Keeps a share of the slots for work of this priority and above it, 0.0 to 1.0. All shares together are
    /// at most 1.0, and none is for [`Priority::Low`]. Said again for the same priority, the last counts.
    /// Default: none.
    ///
    /// The lowest priority can always have the last slot of an idle server.
    pub const fn reserve(mut self, priority: Priority, share: f64) -> Self {
        self.reserves = self.reserves.keep(priority, share);
        self
    }

    /// Draws the [times to come back](super::Shed::retry_in) from this seed, so that a run can be repeated.
    /// Default: every draw is fresh.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Adds one who is told of each refusal. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// The load shedder.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build(self) -> Result<LoadShedder, SettingError> {
        let slots = u64::try_from(self.slots).unwrap_or(u64::MAX);
        CHECK.at_least_one("slots", slots)?;
        CHECK.longer_than_zero("deadline", self.deadline)?;
        let target = self.target.unwrap_or_else(|| (self.deadline / 10).max(Duration::from_nanos(1)));
        CHECK.longer_than_zero("target", target)?;
        CHECK.longer_than_zero("interval", self.interval)?;
        self.reserves.check(CHECK)?;
        let Self { interval, queue, reserves, .. } = self;
        let observers = Observers::default();
        self.observers.into_iter().for_each(|observer| observers.add(observer));
        let name = self.name.unwrap_or_else(|| "load shedder".into());
        let dice = self.seed.map_or(Dice::Fresh, Dice::seeded);
        let line = Line::new(Rules { slots, queue, target, interval, reserves }, dice);
        Ok(LoadShedder { door: Arc::new(Door::new(name, self.deadline, observers, line)) })
    }
}

impl TryFrom<LoadShedderBuilder> for LoadShedder {
    type Error = SettingError;

    fn try_from(builder: LoadShedderBuilder) -> Result<Self, SettingError> {
        builder.build()
    }
}

impl fmt::Debug for LoadShedderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadShedderBuilder")
            .field("slots", &self.slots)
            .field("name", &self.name)
            .field("deadline", &self.deadline)
            .field("target", &self.target)
            .field("interval", &self.interval)
            .field("queue", &self.queue)
            .field("reserves", &self.reserves)
            .field("seed", &self.seed)
            .field("observers", &self.observers.len())
            .finish()
    }
}
