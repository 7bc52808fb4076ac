//! A slot that goes where its bulkhead does not.

use std::fmt;
use std::sync::Arc;

use super::Slot;
use super::gate::Gate;

/// A [`Slot`] that borrows nothing: it can be kept in a value that outlives the caller, as the body of an answer
/// does. Dropped, it goes to whoever is next in the queue, or back.
///
/// Made by [`Slot::into_owned`].
///
/// ```
/// let bulkhead = recoup::Bulkhead::builder(2).build().unwrap();
/// let slot = bulkhead.try_acquire().unwrap().into_owned();
/// let watch = bulkhead.clone();
/// drop(bulkhead);
/// assert_eq!(watch.in_use(), 1);
/// drop(slot);
/// assert_eq!(watch.in_use(), 0);
/// ```
#[must_use = "a slot dropped at once limits nothing"]
pub struct OwnedSlot {
    name: Arc<str>,
    gate: Option<Arc<Gate>>,
}

impl Slot<'_> {
    /// The same slot, which borrows nothing any more.
    pub fn into_owned(self) -> OwnedSlot {
        OwnedSlot { name: Arc::clone(self.bulkhead.name()), gate: self.hold.hand_over() }
    }
}

impl Drop for OwnedSlot {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.give_back();
        }
    }
}

impl fmt::Debug for OwnedSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSlot").field("bulkhead", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use crate::bulkhead::Bulkhead;

    #[test]
    fn slot_that_became_owned_is_given_back_once_and_to_whoever_is_next() {
        let bulkhead = Bulkhead::builder(1).queue(1).build().unwrap();
        let owned = bulkhead.try_acquire().unwrap().into_owned();
        assert_eq!(bulkhead.in_use(), 1, "it is held on");
        let mut next = task::spawn(bulkhead.acquire());
        assert_pending!(next.poll());
        drop(owned);
        assert!(next.is_woken());
        drop(assert_ready!(next.poll()).unwrap());
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
    }

    #[test]
    fn slot_of_a_partition_goes_back_to_that_partition() {
        let bulkhead = Bulkhead::builder(4).partition("batch", 0.5).build().unwrap();
        let owned = bulkhead.partition("batch").unwrap().try_acquire().unwrap().into_owned();
        assert_eq!(bulkhead.snapshot().partitions[0].in_use, 1);
        drop(owned);
        assert_eq!(bulkhead.snapshot().partitions[0].in_use, 0);
    }
}
