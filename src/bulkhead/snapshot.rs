//! The counts of a bulkhead at one moment.

use std::sync::Arc;

/// What a [`Bulkhead`](crate::Bulkhead) holds at one moment.
///
/// ```
/// use recoup::Bulkhead;
///
/// let bulkhead = Bulkhead::builder(8).partition("batch", 0.25).build().unwrap();
/// let _slot = bulkhead.partition("batch").unwrap().try_acquire();
/// let snapshot = bulkhead.snapshot();
/// assert_eq!((snapshot.slots, snapshot.in_use, snapshot.queued), (8, 1, 0));
/// let batch = &snapshot.partitions[0];
/// assert_eq!((&*batch.name, batch.guaranteed, batch.in_use), ("batch", 2, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// How many calls may be let through at once.
    pub slots: usize,
    /// How many slots are taken. More than `slots` while a lowered limit drains.
    pub in_use: usize,
    /// How many wait for a slot.
    pub queued: usize,
    /// Its partitions, in the order in which they were added. What is in none of them is in the totals only.
    pub partitions: Vec<PartitionSnapshot>,
}

/// What one partition of a [`Bulkhead`](crate::Bulkhead) holds; in a [`BulkheadSnapshot`], which has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// How many slots are guaranteed to it: the whole ones of its share.
    pub guaranteed: usize,
    /// How many slots it has taken. More than `guaranteed` while others lend it theirs.
    pub in_use: usize,
    /// How many wait for a slot in it.
    pub queued: usize,
}
