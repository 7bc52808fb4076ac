//! Who of those in line is next.

use std::time::Duration;

use super::builder::CHECK;
use crate::setting::SettingError;

/// Who of those that wait for a slot, and matter the same, is next.
///
/// ```
/// use recoup::{Bulkhead, QueueOrder};
///
/// let newest_first = Bulkhead::builder(8).queue(64).order(QueueOrder::Lifo).build();
/// assert!(newest_first.is_ok());
/// let controlled = Bulkhead::builder(8).queue(64).order(QueueOrder::codel()).build();
/// assert!(controlled.is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueOrder {
    /// Who came first. Fair, but in an overload everybody waits as long as the queue is.
    #[default]
    Fifo,
    /// Who came last. In an overload most are served at once, and some hardly ever: bound their wait by
    /// [`max_wait`](crate::BulkheadBuilder::max_wait).
    Lifo,
    /// Who came first, until the queue has not been empty for `interval`: every slot that came back in that
    /// time found somebody waiting. From then on, until one finds nobody, who came last; and who has waited for
    /// `target` is refused, with [`FullReason::Shed`](crate::FullReason).
    ///
    /// So a short burst is served whole and in order, and in an overload those who are served have hardly
    /// waited. Nobody ever waits for longer than `interval`. A target that is shorter than the time between
    /// two slots that come back leaves slots unused.
    ///
    /// This is controlled delay (Nichols and Jacobson, "Controlling Queue Delay", 2012) as Maurer changed it
    /// for servers ("Fail at Scale", 2015), newest first included.
    ///
    /// To wait in this order takes a tokio runtime with its clock enabled.
    CoDel {
        /// How long one may wait in an overload: longer than zero, and not longer than `interval`. In
        /// [`codel`](Self::codel): 5 ms.
        target: Duration,
        /// How long the queue must not have been empty to be an overload: up to an hour. In
        /// [`codel`](Self::codel): 100 ms.
        interval: Duration,
    },
}

/// Longer is no controlled delay any more.
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl QueueOrder {
    /// [`CoDel`](Self::CoDel) with the times of both publications: a target of 5 ms and an interval of 100 ms.
    ///
    /// ```
    /// use recoup::QueueOrder;
    /// let QueueOrder::CoDel { target, interval } = QueueOrder::codel() else { panic!("it is") };
    /// assert_eq!((target.as_millis(), interval.as_millis()), (5, 100));
    /// ```
    #[must_use]
    pub const fn codel() -> Self {
        Self::CoDel { target: Duration::from_millis(5), interval: Duration::from_millis(100) }
    }

    /// # Errors
    ///
    /// Names `target` or `interval`.
    pub(super) fn check(self) -> Result<(), SettingError> {
        let Self::CoDel { target, interval } = self else { return Ok(()) };
        CHECK.longer_than_zero("interval", interval)?;
        if interval > LONGEST {
            return Err(CHECK.refuse("interval", interval, "at most an hour"));
        }
        CHECK.longer_than_zero("target", target)?;
        if target > interval {
            return Err(CHECK.refuse("target", target, "at most the interval"));
        }
        Ok(())
    }
}
