//! Leave to make one call, which goes where its limit does not.

use std::fmt;
use std::sync::Arc;

use super::core::Core;
use crate::classification::Outcome;
use crate::time::{Instant, Now};

/// An [`InFlight`](super::InFlight) that borrows nothing: it can be kept in a value that outlives the caller, as
/// the body of an answer does. Dropped unsettled, it gives its place back and tells nothing.
///
/// Made by [`ConcurrencyLimit::try_enter_owned`](super::ConcurrencyLimit::try_enter_owned).
///
/// ```
/// use recoup::{ConcurrencyLimit, Outcome, Priority};
///
/// let limit = ConcurrencyLimit::aimd().build()?;
/// let call = limit.try_enter_owned(Priority::Normal).unwrap();
/// assert_eq!(limit.in_flight(), 1);
/// call.settle(Outcome::Success);
/// drop(limit.try_enter_owned(Priority::Normal).unwrap());
/// assert_eq!((limit.in_flight(), limit.snapshot().samples), (0, 1));
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[must_use = "dropped at once, it limits nothing"]
pub struct OwnedInFlight {
    /// `None` once it is settled.
    core: Option<Arc<Core>>,
    entered: Instant,
}

impl OwnedInFlight {
    /// For one who has just taken a place.
    pub(super) const fn taken(core: Arc<Core>, entered: Instant) -> Self {
        Self { core: Some(core), entered }
    }

    /// Gives the place back and tells how the call ended, as [`InFlight::settle`](super::InFlight::settle) does.
    pub fn settle(mut self, outcome: Outcome) {
        if let Some(core) = self.core.take() {
            core.settle(self.entered, outcome, true, &Now::unread());
        }
    }
}

impl Drop for OwnedInFlight {
    fn drop(&mut self) {
        if let Some(core) = &self.core {
            core.leave();
        }
    }
}

impl fmt::Debug for OwnedInFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.core.as_ref().map(|core| core.name());
        f.debug_struct("OwnedInFlight").field("limit", &limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concurrency_limit::ConcurrencyLimit;
    use crate::priority::Priority;

    #[test]
    fn owned_place_comes_back_once_and_only_a_settled_one_tells_something() {
        let limit = ConcurrencyLimit::aimd().initial(2).build().unwrap();
        let told = |limit: &ConcurrencyLimit| (limit.snapshot().samples, limit.snapshot().dropped);
        let enter = || limit.try_enter_owned(Priority::Normal);
        let (first, second) = (enter().unwrap(), enter().unwrap());
        assert!(enter().is_err());
        drop(first);
        assert_eq!((limit.in_flight(), told(&limit)), (1, (0, 0)));
        second.settle(Outcome::Failure);
        assert_eq!((limit.in_flight(), told(&limit)), (0, (0, 1)));
        enter().unwrap().settle(Outcome::Ignored);
        assert_eq!((limit.in_flight(), told(&limit)), (0, (0, 1)));
    }
}
