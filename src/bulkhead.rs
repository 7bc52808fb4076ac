//! At most so many calls at once.

mod acquire;
mod builder;
mod call;
mod gate;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
#[cfg(test)]
mod storms;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use self::acquire::Acquire;
pub use self::builder::BulkheadBuilder;
pub use self::call::BulkheadCall;
use self::gate::Gate;
pub(crate) use self::gate::Hold;
use crate::event::{Event, Observer, Observers};
use crate::setting::SettingError;

/// At most so many calls at once, and at most so many that wait for their turn.
///
/// Whoever gets a [`Slot`] holds it until it is dropped. Those who wait are served first come, first served,
/// and nobody passes them. A slot is taken and given back without a lock while nobody waits.
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

    /// Takes a slot if one is free and nobody waits for it. Never waits.
    ///
    /// # Errors
    ///
    /// [`Full`], with [`FullReason::QueueFull`] or [`FullReason::Closed`].
    pub fn try_acquire(&self) -> Result<Slot<'_>, Full> {
        match self.gate.try_take() {
            Ok(()) => Ok(self.slot(Hold::taken(&self.gate))),
            Err(reason) => Err(self.refuse(reason)),
        }
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller who will wait if there is none: refusing is not
    /// told to anybody.
    #[inline]
    pub(crate) fn take(&self) -> Option<Hold<'_>> {
        self.gate.try_take().ok().map(|()| Hold::taken(&self.gate))
    }

    /// Takes a slot, and waits in the queue for one if it has to.
    ///
    /// The place in the queue is taken at the first poll.
    ///
    /// # Errors
    ///
    /// [`Full`]: no slot is free and the queue is full, the wait got too long, or the bulkhead closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it gives its place in the queue back at once. A slot that it had been given but not taken yet
    /// goes to the next in the queue.
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire::new(self)
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
        BulkheadCall::new(self, op)
    }

    /// How many calls may wait at once.
    #[must_use]
    pub fn queue(&self) -> usize {
        self.settings.queue as usize
    }

    /// How many calls may be let through at once.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.gate.counts().0
    }

    /// How many slots are taken. More than [`slots`](Self::slots) while a lowered limit drains.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.gate.counts().1
    }

    /// How many wait for a slot.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.gate.counts().2
    }

    /// Changes how many calls may be let through at once, from 1 to [`u32::MAX`], for all clones.
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

    fn slot<'b>(&'b self, hold: Hold<'b>) -> Slot<'b> {
        Slot { bulkhead: self, hold }
    }

    #[cold]
    fn refuse(&self, reason: FullReason) -> Full {
        let policy = self.name();
        self.settings.observers.tell(|| Event::Rejected { policy, reason: reason.word() });
        Full { bulkhead: Arc::clone(policy), reason }
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { name, queue, max_wait, observers } = &*self.settings;
        f.debug_struct("Bulkhead")
            .field("name", name)
            .field("gate", &self.gate)
            .field("queue", queue)
            .field("max_wait", max_wait)
            .field("observers", observers)
            .finish()
    }
}

/// Leave to make one call. Dropped, it goes to whoever waits longest, or back.
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

/// The bulkhead let no more in: the call was not made.
///
/// ```
/// use recoup::{Bulkhead, FullReason};
/// let bulkhead = Bulkhead::builder(1).name("db").build().unwrap();
/// bulkhead.close();
/// let full = bulkhead.try_acquire().unwrap_err();
/// assert_eq!((&*full.bulkhead, full.reason), ("db", FullReason::Closed));
/// assert_eq!(full.to_string(), "bulkhead `db` is closed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("bulkhead `{bulkhead}` {reason}")]
#[non_exhaustive]
pub struct Full {
    /// The name of the bulkhead.
    pub bulkhead: Arc<str>,
    /// Why there was no slot.
    pub reason: FullReason,
}

/// Why a bulkhead let no more in.
///
/// ```
/// use recoup::{Bulkhead, FullReason};
/// let bulkhead = Bulkhead::builder(1).build().unwrap();
/// let _slot = bulkhead.try_acquire().unwrap();
/// assert_eq!(bulkhead.try_acquire().unwrap_err().reason, FullReason::QueueFull);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FullReason {
    /// No slot was free, and no place in the queue either; or the caller would not wait.
    QueueFull,
    /// No slot came free for as long as a caller may wait.
    WaitedTooLong,
    /// The bulkhead is closed.
    Closed,
}

impl FullReason {
    /// For events.
    const fn word(self) -> &'static str {
        match self {
            Self::QueueFull | Self::WaitedTooLong => "full",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for FullReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "is full",
            Self::WaitedTooLong => "had no slot in time",
            Self::Closed => "is closed",
        })
    }
}
