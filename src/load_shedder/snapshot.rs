//! How full a load shedder is, for those who operate it.

use std::time::Duration;

use super::ShedReason;
use super::line::Line;
use crate::time::Instant;

/// How full a [`LoadShedder`](crate::LoadShedder) is, and whom it has turned away.
///
/// ```
/// use recoup::{LoadShedder, ShedReason, Work};
/// let shedder = LoadShedder::builder(1).build().unwrap();
/// let serving = shedder.try_admit(Work::new()).unwrap();
/// let _shed = shedder.try_admit(Work::new());
///
/// let seen = shedder.snapshot();
/// assert_eq!((seen.slots, seen.in_service, seen.queued), (1, 1, 0));
/// assert_eq!((seen.shed(ShedReason::QueueFull), seen.shed_in_all()), (1, 1));
/// assert_eq!(seen.standing_since, None);
/// # drop(serving);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadShedderSnapshot {
    /// How many pieces of work may be under way at once.
    pub slots: usize,
    /// How many are.
    pub in_service: usize,
    /// How many wait.
    pub queued: usize,
    /// How long the one who waits longest had waited, at the least of any moment in the last one to two
    /// intervals. Zero if the queue was empty in between.
    pub minimum_sojourn: Duration,
    /// Since when a queue stands: since then the newest goes first.
    pub standing_since: Option<Instant>,
    shed: [u64; ShedReason::ALL.len()],
}

impl LoadShedderSnapshot {
    pub(super) fn of<T>(line: &Line<T>, now: Instant) -> Self {
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            slots: count(line.slots()),
            in_service: count(line.in_service()),
            queued: line.queued(),
            minimum_sojourn: line.minimum_sojourn(now),
            standing_since: line.standing_since(now),
            shed: ShedReason::ALL.map(|reason| line.shed(reason)),
        }
    }

    /// How many were turned away for that reason.
    #[must_use]
    pub const fn shed(&self, reason: ShedReason) -> u64 {
        self.shed[reason as usize]
    }

    /// How many were turned away.
    #[must_use]
    pub fn shed_in_all(&self) -> u64 {
        self.shed.iter().sum()
    }
}
