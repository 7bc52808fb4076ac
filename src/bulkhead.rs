//! At most so many calls at once.

mod acquire;
mod builder;
mod call;
mod entrance;
#[cfg(test)]
mod entrances;
mod full;
mod gate;
mod hold;
mod line;
mod order;
mod owned;
mod pool;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
mod seat;
mod snapshot;
#[cfg(test)]
mod storms;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use self::acquire::Acquire;
pub use self::builder::BulkheadBuilder;
pub use self::call::BulkheadCall;
pub use self::entrance::Entrance;
pub(crate) use self::entrance::Entrant;
pub use self::full::{Full, FullReason};
use self::gate::{Counts, Gate};
pub(crate) use self::hold::{Hold, Taken};
pub use self::order::QueueOrder;
pub use self::owned::OwnedSlot;
use self::pool::PartCounts;
pub use self::snapshot::{BulkheadSnapshot, PartitionSnapshot};
use crate::event::{Observer, Observers};
use crate::priority::Priority;
use crate::setting::SettingError;

/// At most so many calls at once, and at most so many that wait for their turn.
///
/// Whoever gets a [`Slot`] holds it until it is dropped. Of those who wait the highest
/// [priority](Self::at) is next, and of equals who came first, unless another
/// [`order`](BulkheadBuilder::order) was asked for; nobody who does not wait passes them. When the queue is
/// full, the newest of the lowest priority makes room for one who matters more.
///
/// A part of the slots can be [reserved](BulkheadBuilder::reserve) for those who matter more, and
/// [partitions](BulkheadBuilder::partition) can have their share guaranteed, to direct callers and to calls of a
/// [`Recovery`](crate::Recovery) alike. Without either, a slot is taken and given back without a lock while nobody
/// waits.
///
/// A handle: clones share the slots.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{Bulkhead, CallError, FullReason};
///
/// let bulkhead = Bulkhead::builder(1).name("reports").build().unwrap();
/// assert_eq!(bulkhead.call(async || Ok::<_, ()>(7)).await, Ok(7));
///
/// let slot = bulkhead.try_acquire().unwrap();
/// let refused = bulkhead.call(async || Ok::<_, ()>(7)).await;
/// let Err(CallError::Rejected(full)) = refused else { panic!("one at a time") };
/// assert_eq!(full.reason, FullReason::QueueFull);
/// assert_eq!(full.to_string(), "bulkhead `reports` is full");
///
/// drop(slot);
/// assert_eq!(bulkhead.in_use(), 0);
/// # }
/// ```
#[derive(Clone)]
pub struct Bulkhead {
    // Apart from the settings, so that a slot takes one step to its count.
    gate: Arc<Gate>,
    settings: Arc<Settings>,
}

struct Settings {
    name: Arc<str>,
    queue: u32,
    max_wait: Duration,
    partitions: BTreeMap<Arc<str>, Arc<Gate>>,
    observers: Observers,
}

impl Bulkhead {
    /// Begins a bulkhead that lets `slots` calls through at once, from 1 to [`u32::MAX`].
    pub fn builder(slots: usize) -> BulkheadBuilder {
        BulkheadBuilder::new(slots)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// The way in for calls that matter so much. Without it: [`Priority::Normal`].
    ///
    /// ```
    /// use recoup::{Bulkhead, Priority};
    /// let bulkhead = Bulkhead::builder(1).build().unwrap();
    /// assert!(bulkhead.at(Priority::High).try_acquire().is_ok());
    /// ```
    #[must_use]
    pub fn at(&self, priority: Priority) -> Entrance<'_> {
        self.entrance().at(priority)
    }

    /// The way in through the partition of that name. A call of a [`Recovery`](crate::Recovery) names its
    /// own by [`CallContext::partition`](crate::CallContext::partition).
    ///
    /// # Errors
    ///
    /// [`SettingError`] if it was [built](BulkheadBuilder::partition) without one.
    pub fn partition(&self, name: &str) -> Result<Entrance<'_>, SettingError> {
        match self.settings.partitions.get(name) {
            Some(gate) => Ok(Entrance { gate, ..self.entrance() }),
            None => Err(builder::CHECK.refuse("partition", name, "one that the bulkhead was built with")),
        }
    }

    /// Takes a slot if one is free and nobody waits for it. Never waits.
    ///
    /// # Errors
    ///
    /// [`Full`], with [`FullReason::QueueFull`] or [`FullReason::Closed`].
    pub fn try_acquire(&self) -> Result<Slot<'_>, Full> {
        self.entrance().try_acquire()
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller who will wait if there is none: refusing is not
    /// told to anybody, and who it is that comes is asked only where it matters.
    #[inline]
    pub(crate) fn take<'n>(&self, who: impl FnOnce() -> Entrant<'n>) -> Option<Hold<'_>> {
        let gate = match self.gate.try_take() {
            Ok(()) => &self.gate,
            Err(reason) => self.take_behind(reason, who)?,
        };
        Some(Hold::taken(gate))
    }

    // Every call of a bulkhead with partitions or reserves comes here: their gates give nothing without a lock.
    #[cold]
    fn take_behind<'n>(&self, reason: FullReason, who: impl FnOnce() -> Entrant<'n>) -> Option<&Arc<Gate>> {
        let who = who();
        let gate = self.gate_of(who.partition)?;
        gate.take_behind(reason, || who.priority).is_ok().then_some(gate)
    }

    /// The way in of a call that says who it is. Refuses, and tells that, if it names a partition that is not
    /// among those that there are.
    #[cold]
    pub(crate) fn way_in(&self, who: Entrant<'_>) -> Result<Entrance<'_>, Full> {
        let entrance = self.at(who.priority);
        match self.gate_of(who.partition) {
            Some(gate) => Ok(Entrance { gate, ..entrance }),
            None => Err(entrance.refuse(FullReason::NoSuchPartition)),
        }
    }

    /// Where all share alike a name says nothing. Where they do not, one that nobody knows has no share.
    fn gate_of(&self, partition: Option<&str>) -> Option<&Arc<Gate>> {
        match partition {
            Some(name) if !self.settings.partitions.is_empty() => self.settings.partitions.get(name),
            _ => Some(&self.gate),
        }
    }

    /// Takes a slot if one is free and there is nothing more to it.
    #[inline(always)]
    pub(crate) fn take_plainly(&self) -> Option<Taken<'_>> {
        self.gate.try_take().is_ok().then(|| Taken::of(&self.gate))
    }

    /// Takes a slot, and waits in the queue for one if it has to.
    ///
    /// The place in the queue is taken at the first poll.
    ///
    /// # Errors
    ///
    /// [`Full`]: no slot is free and the queue is full or was taken over by who matters more, the wait got too
    /// long, or the bulkhead closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it gives its place in the queue back at once. A slot that it had been given but not taken yet
    /// goes to the next in the queue.
    pub fn acquire(&self) -> Acquire<'_> {
        self.entrance().acquire()
    }

    /// Runs `op` in a slot, waiting in the queue for one if it has to.
    ///
    /// `op` is not called before there is a slot.
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`](crate::rejection::CallError::Rejected) with [`Full`] if there was no slot,
    /// `CallError::Operation` if `op` failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue as [`acquire`](Self::acquire) does. Dropped while `op` runs,
    /// it drops that first and then gives the slot back.
    pub fn call<F, Fut, T, E>(&self, op: F) -> BulkheadCall<'_, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.entrance().call(op)
    }

    /// How many calls may wait at once; in each partition, if there are any.
    #[must_use]
    pub fn queue(&self) -> usize {
        self.settings.queue as usize
    }

    /// How many calls may be let through at once.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.gate.counts().slots
    }

    /// How many slots are taken. More than [`slots`](Self::slots) while a lowered limit drains.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.gate.counts().in_use
    }

    /// How many wait for a slot.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.gate.counts().queued
    }

    /// Its counts, and those of its partitions, at one moment.
    #[must_use]
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let (Counts { slots, in_use, queued }, parts) = self.gate.parts();
        let named = |PartCounts { name, guaranteed, in_use, queued }| {
            Some(PartitionSnapshot { name: name?, guaranteed, in_use, queued })
        };
        BulkheadSnapshot { slots, in_use, queued, partitions: parts.into_iter().filter_map(named).collect() }
    }

    /// Changes how many calls may be let through at once, from 1 to [`u32::MAX`], for all clones. Shares and
    /// reserves are of the new number from then on.
    ///
    /// Raised, it lets in those who wait. Lowered, it takes no slot away: calls that run go on, and none is
    /// let in until fewer than `slots` are left.
    ///
    /// # Errors
    ///
    /// [`SettingError`] if `slots` is out of range; nothing changes then.
    pub fn set_slots(&self, slots: usize) -> Result<(), SettingError> {
        self.gate.set_slots(builder::check_slots(slots)?);
        Ok(())
    }

    /// Refuses everyone who waits now or asks from now on, with [`FullReason::Closed`]. Calls that run go on.
    pub fn close(&self) {
        self.gate.close();
    }

    /// Whether it was [closed](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Adds an observer, unless it is there already.
    pub(crate) fn observe(&self, observer: Arc<dyn Observer>) {
        self.settings.observers.add(observer);
    }

    #[inline]
    const fn entrance(&self) -> Entrance<'_> {
        Entrance { bulkhead: self, gate: &self.gate, priority: Priority::Normal }
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { name, queue, max_wait, partitions, observers } = &*self.settings;
        f.debug_struct("Bulkhead")
            .field("name", name)
            .field("gate", &self.gate)
            .field("queue", queue)
            .field("max_wait", max_wait)
            .field("partitions", &partitions.keys())
            .field("observers", observers)
            .finish()
    }
}

/// Leave to make one call. Dropped, it goes to whoever is next in the queue, or back.
///
/// ```
/// let bulkhead = recoup::Bulkhead::builder(2).build().unwrap();
/// let slot = bulkhead.try_acquire().unwrap();
/// assert_eq!(bulkhead.in_use(), 1);
/// drop(slot);
/// assert_eq!(bulkhead.in_use(), 0);
/// ```
#[must_use = "a slot dropped at once limits nothing"]
pub struct Slot<'b> {
    bulkhead: &'b Bulkhead,
    hold: Hold<'b>,
}

impl<'b> Slot<'b> {
    /// The slot alone, for who knows where it is from.
    pub(crate) fn into_hold(self) -> Hold<'b> {
        self.hold
    }
}

impl fmt::Debug for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("bulkhead", self.bulkhead.name()).finish_non_exhaustive()
    }
}
