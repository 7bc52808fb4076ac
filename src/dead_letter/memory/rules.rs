//! The settings of a memory queue.

use std::time::Duration;

use crate::dead_letter::memory::WhenFull;
use crate::setting::{Check, SettingError};

/// The settings of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) capacity: usize,
    pub(super) max_bytes: usize,
    pub(super) max_payload: usize,
    pub(super) when_full: WhenFull,
    pub(super) time_to_live: Option<Duration>,
    pub(super) quarantine_after: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_bytes: 256 << 20,
            max_payload: 1 << 20,
            when_full: WhenFull::Refuse,
            time_to_live: None,
            quarantine_after: 3,
        }
    }
}

impl Rules {
    pub(super) fn check(&self, check: Check) -> Result<(), SettingError> {
        check.at_least_one("capacity", wide(self.capacity))?;
        check.at_least_one("max_bytes", wide(self.max_bytes))?;
        check.at_least_one("quarantine_after", self.quarantine_after)?;
        self.when_full.check(check)?;
        self.time_to_live.map_or(Ok(()), |time| check.longer_than_zero("time_to_live", time))
    }
}

impl WhenFull {
    /// Whether there is time to wait, if it is to wait.
    pub(crate) fn check(self, check: Check) -> Result<(), SettingError> {
        let Self::Wait(time) = self else { return Ok(()) };
        check.longer_than_zero("when_full", time)
    }
}

/// A count or size in the width of the numbers that users see.
pub(super) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
