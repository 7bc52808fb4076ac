//! Leave to make one call.

use std::fmt;

use super::core::Core;
use crate::classification::Outcome;
use crate::time::{Instant, Now};

/// A place under a limit, or none any more: gives it back when dropped, and tells nothing then.
#[derive(Default)]
pub(crate) struct Leave<'l>(Option<&'l Core>);

impl<'l> Leave<'l> {
    /// For one who has just taken a place.
    #[inline]
    pub(super) const fn taken(core: &'l Core) -> Self {
        Self(Some(core))
    }

    /// Gives the place back and tells how the call ended that was begun at `entered`. A failure that is no
    /// `overload` tells nothing.
    #[inline]
    pub(crate) fn settle(&mut self, entered: Instant, outcome: Outcome, overload: bool, now: &Now) {
        if let Some(core) = self.0.take() {
            core.settle(entered, outcome, overload, now);
        }
    }
}

// Who is done gives back in person; what is left to a drop is the rest, out of everybody's way.
impl Drop for Leave<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(core) = self.0 {
            core.leave();
        }
    }
}

impl fmt::Debug for Leave<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leave").field(&self.0.map(Core::name)).finish()
    }
}

/// Leave to make one call under a [`ConcurrencyLimit`](super::ConcurrencyLimit). Dropped unsettled, it gives its
/// place back and tells nothing: a call that its caller gave up on says nothing about the dependency.
///
/// ```
/// use recoup::{ConcurrencyLimit, Outcome, Priority};
///
/// let limit = ConcurrencyLimit::aimd().build()?;
/// let call = limit.try_enter(Priority::Normal).unwrap();
/// assert_eq!(limit.in_flight(), 1);
/// call.settle(Outcome::Success);
/// drop(limit.try_enter(Priority::Normal).unwrap());
/// assert_eq!((limit.in_flight(), limit.snapshot().samples), (0, 1));
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[must_use = "dropped at once, it limits nothing"]
pub struct InFlight<'l> {
    leave: Leave<'l>,
    entered: Instant,
}

impl<'l> InFlight<'l> {
    pub(super) const fn new(leave: Leave<'l>, entered: Instant) -> Self {
        Self { leave, entered }
    }

    /// Gives the place back and tells how the call ended:
    ///
    /// - [`Outcome::Success`]: it was answered, and how long that took is a sample.
    /// - [`Outcome::Failure`]: it met overload: a time-out, a refused connection, a 429 or 503.
    /// - [`Outcome::Ignored`], [`Outcome::Abandoned`]: nothing, as a drop. So is any other error: a quick "no such
    ///   row" is not a fast answer.
    pub fn settle(self, outcome: Outcome) {
        self.settle_at(outcome, &Now::unread());
    }

    #[inline]
    pub(super) fn settle_at(mut self, outcome: Outcome, now: &Now) {
        self.leave.settle(self.entered, outcome, true, now);
    }
}

impl fmt::Debug for InFlight<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InFlight").field(&self.leave).finish()
    }
}
