//! The time of a store: monotonic while it is open, never behind what it was before.

use std::time::{Duration, SystemTime};

use crate::time::{self, Instant};

/// Measures in nanoseconds, from 1970 by the wall clock at the moment when the store was opened, and from then
/// on by the monotonic clock: a step of the wall clock does nothing to a running process. A store is never opened
/// at an earlier time than it was last used, so a step back between two runs revives nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    opened: Instant,
    at: u64,
}

impl Clock {
    /// Opened now, having last been used at `high_water`.
    pub(super) fn opened(opened: Instant, high_water: u64) -> Self {
        let wall = time::wall(opened).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { opened, at: nanos(wall).max(high_water) }
    }

    /// The moment of this time; `None` if the clock does not go there.
    pub(super) fn moment(&self, time: u64) -> Option<Instant> {
        time::later(self.opened, Duration::from_nanos(time.saturating_sub(self.at)))
    }

    /// The time at this moment.
    pub(super) fn at(&self, now: Instant) -> u64 {
        self.at.saturating_add(nanos(now.saturating_duration_since(self.opened)))
    }
}

/// A length of time in nanoseconds; 584 years at most.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
