//! Breakers of which not all may be open at once.

use std::sync::Arc;

use crate::setting::{Check, SettingError};
use crate::sync::atomic::{AtomicU32, Ordering};

/// Breakers that stand for replicas of one service, of which at most a share may be open at once.
///
/// When every replica looks bad, sending to them beats sending nowhere: it is more likely that the view is
/// wrong than that all are gone. A breaker that would open beyond the share stays closed, empties its window
/// and tells its observers so. Opening by hand does not ask the group, and a breaker that is restored open
/// counts without being asked. One that lets every call in under another control does not count.
///
/// ```
/// use recoup::{BreakerGroup, CircuitBreaker, CircuitState, Outcome};
/// let group = BreakerGroup::new(0.5)?;
/// let replicas: Vec<_> = ["a", "b"].into_iter()
///     .map(|name| CircuitBreaker::builder(name).consecutive_failures(1).group(&group).build())
///     .collect::<Result<_, _>>()?;
/// for replica in &replicas {
///     replica.admit().expect("closed").settle(Outcome::Failure);
/// }
/// assert_eq!(replicas[0].state(), CircuitState::Open);
/// assert_eq!(replicas[1].state(), CircuitState::Closed, "one of two is half of them");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BreakerGroup(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max_open_share: f64,
    members: AtomicU32,
    open: AtomicU32,
}

impl BreakerGroup {
    /// A group of which at most `max_open_share` may be open at once, above 0.0 and at most 1.0.
    ///
    /// # Errors
    ///
    /// [`SettingError`] when the share is outside of that.
    pub fn new(max_open_share: f64) -> Result<Self, SettingError> {
        Check("breaker group").share("max_open_share", max_open_share)?;
        Ok(Self(Arc::new(Shared { max_open_share, members: AtomicU32::new(0), open: AtomicU32::new(0) })))
    }

    /// How many breakers are in the group.
    #[must_use]
    pub fn members(&self) -> u32 {
        self.0.members.load(Ordering::Relaxed)
    }

    /// How many of them the group has let open.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.0.open.load(Ordering::Relaxed)
    }

    pub(super) fn join(&self) -> Membership {
        self.0.members.fetch_add(1, Ordering::Relaxed);
        Membership { group: self.clone(), open: false }
    }
}

/// One breaker's place in its group. Gives back on drop what it holds.
#[derive(Debug)]
pub(super) struct Membership {
    group: BreakerGroup,
    open: bool,
}

impl Membership {
    /// Whether this member may open now; if so, it is counted as open.
    pub(super) fn try_open(&mut self) -> bool {
        if self.open {
            return true;
        }
        let shared = &self.group.0;
        let members = f64::from(shared.members.load(Ordering::Relaxed));
        self.open = shared
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                let would_be = f64::from(open) + 1.0;
                (would_be / members <= shared.max_open_share).then_some(open + 1)
            })
            .is_ok();
        self.open
    }

    /// Counts this member as open, whatever the group says: it was restored so.
    pub(super) fn open_unasked(&mut self) {
        if !std::mem::replace(&mut self.open, true) {
            self.group.0.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn closed(&mut self) {
        if std::mem::take(&mut self.open) {
            self.group.0.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.closed();
        self.group.0.members.fetch_sub(1, Ordering::Relaxed);
    }
}
