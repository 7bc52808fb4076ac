//! The settings of a bulkhead.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::gate::Gate;
use super::order::QueueOrder;
use super::pool::{Pool, ROUNDING};
use super::seat::Seat;
use super::{Bulkhead, Settings};
use crate::event::{Observer, Observers};
use crate::priority::{Priority, Reserves};
use crate::setting::{Check, SettingError};
use crate::sync::Lock;

pub(super) const CHECK: Check = Check("bulkhead");

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
    order: QueueOrder,
    reserves: Reserves,
    partitions: Vec<(Arc<str>, f64)>,
    observers: Vec<Arc<dyn Observer>>,
}

impl BulkheadBuilder {
    pub(super) const fn new(slots: usize) -> Self {
        Self {
            slots,
            name: None,
            queue: 0,
            max_wait: Duration::MAX,
            order: QueueOrder::Fifo,
            reserves: Reserves::NONE,
            partitions: Vec::new(),
            observers: Vec::new(),
        }
    }

    /// What errors and events call it. Default: `bulkhead`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many callers may wait for a slot, up to [`u32::MAX`]; in each [partition](Self::partition), if there
    /// are any. Default: 0, so that a call without a free slot is refused at once.
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

    /// Who of those that wait, and matter the same, is next. Default: [`QueueOrder::Fifo`]. Of no effect without
    /// a [`queue`](Self::queue).
    pub const fn order(mut self, order: QueueOrder) -> Self {
        self.order = order;
        self
    }

    /// Keeps a share of the slots for calls of `priority` and above, from 0.0 to 1.0: 0.1 of 64 keeps seven, as
    /// parts of a slot are rounded up. Reserves of several priorities add up. Default: nothing is kept.
    ///
    /// Whatever is kept, one slot of an idle bulkhead is for everybody. Nothing can be kept for
    /// [`Priority::Low`], from whom nobody could take it.
    ///
    /// To take a slot of a bulkhead with reserves takes a lock.
    ///
    /// ```
    /// use recoup::{Bulkhead, Priority};
    /// let bulkhead = Bulkhead::builder(10).reserve(Priority::High, 0.2).build().unwrap();
    /// let normal: Vec<_> = (0..10).filter_map(|_| bulkhead.try_acquire().ok()).collect();
    /// assert_eq!(normal.len(), 8);
    /// assert!(bulkhead.at(Priority::High).try_acquire().is_ok());
    /// ```
    pub const fn reserve(mut self, priority: Priority, share: f64) -> Self {
        self.reserves = self.reserves.keep(priority, share);
        self
    }

    /// Guarantees a share of the slots, above 0.0, to the calls that come in by this name: through
    /// [`Bulkhead::partition`], or with a [`CallContext::partition`](crate::CallContext::partition) through a
    /// [`Recovery`](crate::Recovery). Default: no partitions.
    ///
    /// What a partition does not use is lent to others, up to all slots. But as long as it has fewer than the
    /// whole slots of its share, the next slot that comes back goes to its own calls before all others. A slot
    /// is lent to the highest priority, and of equals to whose partition has the least of its share. What no
    /// partition is guaranteed is for calls that name none, who share by the same rules.
    ///
    /// Each partition has a [`queue`](Self::queue) of its own, so none can fill that of another. Without a queue
    /// a guarantee is worth less: what was lent is not there when it is asked for.
    ///
    /// What is [reserved](Self::reserve) is reserved in all partitions: their guarantee goes as far as the
    /// priority of their calls does.
    ///
    /// To take a slot of a bulkhead with partitions takes a lock.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::Bulkhead;
    ///
    /// let bulkhead = Bulkhead::builder(4).queue(8).partition("tenant-a", 0.5).build().unwrap();
    /// let mut others: Vec<_> = (0..4).map(|_| bulkhead.try_acquire().unwrap()).collect();
    /// let tenant_a = bulkhead.partition("tenant-a").unwrap();
    /// assert!(tenant_a.try_acquire().is_err(), "its slots are lent");
    ///
    /// let (first, second, ()) = tokio::join!(bulkhead.acquire(), tenant_a.acquire(), async {
    ///     drop(others.pop());
    ///     assert_eq!(bulkhead.snapshot().partitions[0].in_use, 1, "and the next is its own");
    ///     drop(others.pop());
    ///     drop(others.pop());
    /// });
    /// assert!(first.is_ok() && second.is_ok());
    /// # }
    /// ```
    pub fn partition(mut self, name: impl Into<Arc<str>>, share: f64) -> Self {
        self.partitions.push((name.into(), share));
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
        self.order.check()?;
        self.reserves.check(CHECK)?;
        check_partitions(&self.partitions)?;
        let observers = Observers::default();
        self.observers.into_iter().for_each(|observer| observers.add(observer));
        let (gate, partitions) = gates(slots, self.order, self.reserves, &self.partitions);
        let name = self.name.unwrap_or_else(|| "bulkhead".into());
        let settings = Settings { name, queue, max_wait: self.max_wait, partitions, observers };
        Ok(Bulkhead { gate, settings: Arc::new(settings) })
    }
}

/// The gate of those who name no partition, and those of the partitions.
fn gates(
    slots: u32,
    order: QueueOrder,
    reserves: Reserves,
    partitions: &[(Arc<str>, f64)],
) -> (Arc<Gate>, BTreeMap<Arc<str>, Arc<Gate>>) {
    if partitions.is_empty() && reserves == Reserves::NONE {
        return (Arc::new(Gate::new(slots, order)), BTreeMap::new());
    }
    let pool = Arc::new(Lock::new(Pool::new(slots, order, reserves, partitions)));
    let gate = |part| Arc::new(Gate::of_pool(Seat::new(Arc::clone(&pool), part)));
    let named = partitions.iter().enumerate().map(|(at, (name, _))| (Arc::clone(name), gate(at + 1)));
    (gate(0), named.collect())
}

fn check_partitions(partitions: &[(Arc<str>, f64)]) -> Result<(), SettingError> {
    let mut names = BTreeSet::new();
    for (name, share) in partitions {
        CHECK.share("partition", *share)?;
        if !names.insert(name) {
            return Err(CHECK.refuse("partition", name, "a name of its own"));
        }
    }
    let sum: f64 = partitions.iter().map(|(_, share)| share).sum();
    if sum > 1.0 + ROUNDING {
        return Err(CHECK.refuse("partition", sum, "at most 1.0 over all partitions"));
    }
    Ok(())
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
            .field("order", &self.order)
            .field("reserves", &self.reserves)
            .field("partitions", &self.partitions)
            .field("observers", &self.observers.len())
            .finish()
    }
}
