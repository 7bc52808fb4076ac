//! The refusal of a bulkhead.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

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
    /// The caller had waited for too long for an overload, with [`QueueOrder::CoDel`](crate::QueueOrder).
    Shed,
    /// The queue was full, and somebody came who matters more and took the place.
    Evicted,
    /// The bulkhead is closed.
    Closed,
    /// The call's [context](crate::CallContext::partition) names a partition that the bulkhead was built without,
    /// though it has others. A direct caller is told so by [`Bulkhead::partition`](crate::Bulkhead::partition).
    NoSuchPartition,
}

impl FullReason {
    /// For events.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::QueueFull | Self::WaitedTooLong => "full",
            Self::Shed => "shed",
            Self::Evicted => "evicted",
            Self::Closed => "closed",
            Self::NoSuchPartition => "no_such_partition",
        }
    }
}

impl fmt::Display for FullReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "is full",
            Self::WaitedTooLong => "had no slot in time",
            Self::Shed => "is overloaded",
            Self::Evicted => "needed the place for a call that matters more",
            Self::Closed => "is closed",
            Self::NoSuchPartition => "has no such partition",
        })
    }
}
