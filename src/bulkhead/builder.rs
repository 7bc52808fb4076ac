//! The settings of a bulkhead.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::gate::Gate;
use super::{Bulkhead, Settings};
use crate::event::{Observer, Observers};
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("bulkhead");

/// Builds a [`Bulkhead`].
///
/// ```
/// use std::time::Duration;
/// use recoup::Bulkhead;
///
/// let bulkhead = Bulkhead::builder(8).queue(16).max_wait(Duration::from_millis(50)).build().unwrap();
/// assert_eq!((bulkhead.slots(), bulkhead.queued()), (8, 0));
///
/// let error = Bulkhead::builder(0).build().unwrap_err();
/// assert_eq!(error.setting, "slots");
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct BulkheadBuilder {
    slots: usize,
    name: Option<Arc<str>>,
    queue: usize,
    max_wait: Duration,
    observers: Vec<Arc<dyn Observer>>,
}

impl BulkheadBuilder {
    pub(super) const fn new(slots: usize) -> Self {
        Self { slots, name: None, queue: 0, max_wait: Duration::MAX, observers: Vec::new() }
    }

    /// What errors and events call it. Default: `bulkhead`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many callers may wait for a slot, up to [`u32::MAX`]. Default: 0, so that a call without a free
    /// slot is refused at once.
    pub const fn queue(mut self, callers: usize) -> Self {
        self.queue = callers;
        self
    }

    /// How long a caller may wait for a slot, longer than zero. Default: [`Duration::MAX`], which is for ever,
    /// as is anything from thirty years. Of no effect without a [`queue`](Self::queue).
    ///
    /// To wait for a limited time takes a tokio runtime with its clock enabled.
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Adds one who is told of each call that is refused. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// The bulkhead.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build(self) -> Result<Bulkhead, SettingError> {
        let slots = check_slots(self.slots)?;
        let Ok(queue) = u32::try_from(self.queue) else {
            return Err(CHECK.refuse("queue", self.queue, "at most 4294967295"));
        };
        CHECK.longer_than_zero("max_wait", self.max_wait)?;
        let observers = Observers::default();
        self.observers.into_iter().for_each(|observer| observers.add(observer));
        let name = self.name.unwrap_or_else(|| "bulkhead".into());
        let settings = Settings { name, queue, max_wait: self.max_wait, observers };
        Ok(Bulkhead { gate: Arc::new(Gate::new(slots)), settings: Arc::new(settings) })
    }
}

pub(super) fn check_slots(slots: usize) -> Result<u32, SettingError> {
    match u32::try_from(slots) {
        Ok(slots @ 1..) => Ok(slots),
        _ => Err(CHECK.refuse("slots", slots, "from 1 to 4294967295")),
    }
}

impl TryFrom<BulkheadBuilder> for Bulkhead {
    type Error = SettingError;

    fn try_from(builder: BulkheadBuilder) -> Result<Self, SettingError> {
        builder.build()
    }
}

impl fmt::Debug for BulkheadBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadBuilder")
            .field("slots", &self.slots)
            .field("name", &self.name)
            .field("queue", &self.queue)
            .field("max_wait", &self.max_wait)
            .field("observers", &self.observers.len())
            .finish()
    }
}
