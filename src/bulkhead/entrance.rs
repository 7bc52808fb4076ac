//! By which partition, and with which priority, callers come in.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::gate::Gate;
use super::hold::Hold;
use super::{Acquire, Bulkhead, BulkheadCall, Full, FullReason, Slot};
use crate::event::Event;
use crate::priority::Priority;

/// A way into a [`Bulkhead`]: through a partition of it, or with a priority. Cheap to make, copy and drop.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{Bulkhead, Priority};
///
/// let bulkhead = Bulkhead::builder(2).reserve(Priority::Critical, 0.5).build().unwrap();
/// let _held = bulkhead.try_acquire().unwrap();
/// assert!(bulkhead.try_acquire().is_err(), "the other slot is kept");
/// let answer = bulkhead.at(Priority::Critical).call(async || Ok::<_, ()>(7)).await;
/// assert_eq!(answer, Ok(7));
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Entrance<'b> {
    pub(super) bulkhead: &'b Bulkhead,
    pub(super) gate: &'b Arc<Gate>,
    pub(super) priority: Priority,
}

/// Who comes in, as a call says it of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entrant<'n> {
    pub(crate) priority: Priority,
    pub(crate) partition: Option<&'n str>,
}

impl<'b> Entrance<'b> {
    /// The same way in, for calls that matter so much. Without it: [`Priority::Normal`].
    ///
    /// ```
    /// use recoup::{Bulkhead, Priority};
    /// let bulkhead = Bulkhead::builder(4).partition("batch", 0.5).build().unwrap();
    /// let prefetch = bulkhead.partition("batch").unwrap().at(Priority::Low);
    /// assert_eq!(prefetch.priority(), Priority::Low);
    /// ```
    #[must_use]
    pub const fn at(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// How much its calls matter.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// Takes a slot if there is one for who comes in here. Never waits. As [`Bulkhead::try_acquire`].
    ///
    /// # Errors
    ///
    /// [`Full`], with [`FullReason::QueueFull`] or [`FullReason::Closed`].
    pub fn try_acquire(&self) -> Result<Slot<'b>, Full> {
        match self.gate.take(|| self.priority) {
            Ok(()) => Ok(self.slot(Hold::taken(self.gate))),
            Err(reason) => Err(self.refuse(reason)),
        }
    }

    /// Takes a slot, and waits in the queue for one if it has to. As [`Bulkhead::acquire`].
    ///
    /// # Errors
    ///
    /// [`Full`], as there.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it gives its place and its slot to the next, as there.
    pub const fn acquire(&self) -> Acquire<'b> {
        Acquire::new(*self)
    }

    /// Runs `op` in a slot, waiting in the queue for one if it has to. As [`Bulkhead::call`].
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`](crate::rejection::CallError::Rejected) with [`Full`] if there was no slot,
    /// `CallError::Operation` if `op` failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue. Dropped while `op` runs, it drops that first and then gives
    /// the slot back.
    pub fn call<F, Fut, T, E>(&self, op: F) -> BulkheadCall<'b, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        BulkheadCall::new(*self, op)
    }

    pub(super) const fn slot(&self, hold: Hold<'b>) -> Slot<'b> {
        Slot { bulkhead: self.bulkhead, hold }
    }

    #[cold]
    pub(super) fn refuse(&self, reason: FullReason) -> Full {
        let policy = self.bulkhead.name();
        self.bulkhead.settings.observers.tell(|| Event::Rejected { policy, reason: reason.word() });
        Full { bulkhead: Arc::clone(policy), reason }
    }
}

impl fmt::Debug for Entrance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Entrance");
        out.field("bulkhead", self.bulkhead.name()).field("priority", &self.priority).finish_non_exhaustive()
    }
}
