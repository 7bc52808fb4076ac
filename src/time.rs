//! The one clock. Everything that recoup measures or waits for goes through here, so a paused tokio clock
//! drives all of it.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

pub use tokio::time::Instant;
pub(crate) use tokio::time::{Sleep, sleep_until};

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The present moment, read when somebody first asks and not again. One step of a call hands the same
/// `Now` to every policy: they agree on the time, and where none of them needs it, it is never read.
#[derive(Debug, Default)]
pub(crate) struct Now(Cell<Option<Instant>>);

impl Now {
    pub(crate) const fn unread() -> Self {
        Self(Cell::new(None))
    }

    pub(crate) fn get(&self) -> Instant {
        self.0.get().unwrap_or_else(|| {
            let now = now();
            self.0.set(Some(now));
            now
        })
    }
}

impl From<Instant> for Now {
    fn from(now: Instant) -> Self {
        Self(Cell::new(Some(now)))
    }
}

/// The moment `wait` after `start`, or `None` when that is beyond what the clock can count: for ever.
pub(crate) fn later(start: Instant, wait: Duration) -> Option<Instant> {
    start.checked_add(wait)
}

/// The moment `wait` after `start`; a wait beyond what the clock can count ends in about thirty years,
/// which is as good as never and still a valid moment.
pub(crate) fn later_or_far(start: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
    start.checked_add(wait.min(FAR)).unwrap_or(start)
}

/// The earlier of two limits, where `None` is no limit.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (limit, None) | (None, limit) => limit,
    }
}

/// What a wall clock showed at `at`. For people and for records that outlive the process; never used to
/// decide anything.
///
/// The system's wall clock is moved by as much as tokio's clock is ahead of the machine's: by nothing in
/// production, by what a test has advanced when the clock is paused.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn wall(at: Instant) -> SystemTime {
    let (real, system) = (std::time::Instant::now(), SystemTime::now());
    let at = at.into_std();
    match at.checked_duration_since(real) {
        Some(ahead) => system.checked_add(ahead),
        None => system.checked_sub(real.duration_since(at)),
    }
    .unwrap_or(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wall_clock_follows_the_paused_clock() {
        let before = wall(now());
        tokio::time::advance(Duration::from_secs(3600)).await;
        let passed = wall(now()).duration_since(before).unwrap();
        let off = passed.abs_diff(Duration::from_secs(3600));
        assert!(off < Duration::from_secs(30), "{passed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn now_is_read_once() {
        let unread = Now::unread();
        let first = unread.get();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(unread.get(), first);
    }

    #[test]
    fn waits_beyond_the_clock_saturate() {
        let start = now();
        assert_eq!(later(start, Duration::MAX), None);
        let year = Duration::from_secs(31_536_000);
        assert_eq!(later_or_far(start, Duration::MAX), start + 30 * year);
        assert_eq!(later_or_far(start, 29 * year), start + 29 * year);
        assert_eq!(earlier(None, Some(start)), Some(start));
    }
}
