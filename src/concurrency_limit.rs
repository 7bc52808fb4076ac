//! As many calls at once as the dependency bears, found out from how they end.

mod baseline;
mod builder;
mod call;
mod control;
mod core;
mod formula;
mod gate;
mod leave;
mod owned;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
#[cfg(test)]
mod simulation;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use self::builder::{Aimd, ConcurrencyLimitBuilder, Gradient2, Vegas};
pub use self::call::ConcurrencyLimitCall;
use self::core::Core;
pub use self::leave::InFlight;
pub(crate) use self::leave::Leave;
pub use self::owned::OwnedInFlight;
use crate::event::Observer;
use crate::priority::Priority;
use crate::setting::SettingError;
use crate::time::Now;

/// As many calls at once as the dependency bears, and no more.
///
/// What it bears is found out from how calls end. Answers that come as fast as when nobody waits raise the
/// limit; answers that come slower, time-outs and refusals lower it. A call above the limit is refused at once.
/// There is no queue: a queue would hide from the limit what it is there to see.
///
/// | | learns from | take it when |
/// |---|---|---|
/// | [`aimd`](Self::aimd) | refusals, time-outs, calls that take longer than a threshold | many clients share the dependency, or it says itself when it is full |
/// | [`vegas`](Self::vegas) | latency, in calls that wait | calls are alike, and this is the main client |
/// | [`gradient2`](Self::gradient2) | latency, as a share | latencies scatter |
///
/// The formulas are those of Netflix's concurrency-limits, with three differences, so that a limit neither
/// drifts off nor falls down:
///
/// - It moves once in a [window](ConcurrencyLimitBuilder::window) of calls, and by latencies only if it was at
///   least half used. Idle times and a few health checks move nothing.
/// - The latency when nobody waits is measured: every [half a minute](ConcurrencyLimitBuilder::probe_every) or
///   less, and whenever latencies have brought the limit down by three tenths, it is lowered by three tenths for
///   about two windows, or further. If the latency does not follow, the calls themselves have become slower, and
///   the limit comes back.
/// - Overload [lowers](ConcurrencyLimitBuilder::backoff) it once in a window, and only if it was more than a
///   [tolerated share](ConcurrencyLimitBuilder::tolerated_drops) of the calls.
///
/// What one client can measure is what it can change. Where many hold one queue full, each of them sees the
/// queue of the others as the dependency's own time, and only refusals or a threshold keep them all in check:
/// `aimd` is for that.
///
/// A handle: clones share the limit. To enter and to leave takes no lock.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{CallError, ConcurrencyLimit, Priority};
///
/// let limit = ConcurrencyLimit::gradient2().name("search").initial(2).build().unwrap();
/// assert_eq!(limit.call(async || Ok::<_, ()>(7)).await, Ok(7));
///
/// let calls = [limit.try_enter(Priority::Normal).unwrap(), limit.try_enter(Priority::Normal).unwrap()];
/// let refused = limit.call(async || Ok::<_, ()>(7)).await;
/// let Err(CallError::Rejected(saturated)) = refused else { panic!("two at a time") };
/// assert_eq!(saturated.to_string(), "concurrency limit `search` of 2 is reached");
///
/// drop(calls);
/// assert_eq!(limit.in_flight(), 0);
/// # }
/// ```
#[derive(Clone)]
pub struct ConcurrencyLimit {
    core: Arc<Core>,
}

impl ConcurrencyLimit {
    /// Additive increase, multiplicative decrease (Chiu and Jain, 1989): one more in each window, and a tenth
    /// less after one with overload. A call that takes longer than [`slow_after`](ConcurrencyLimitBuilder::slow_after)
    /// counts as overload; without refusals or time-outs that threshold is all it has to go by.
    pub fn aimd() -> ConcurrencyLimitBuilder<Aimd> {
        ConcurrencyLimitBuilder::aimd()
    }

    /// As TCP Vegas (Brakmo and Peterson, 1995): keeps a few calls waiting in the dependency, a number that
    /// grows with the logarithm of the limit.
    pub fn vegas() -> ConcurrencyLimitBuilder<Vegas> {
        ConcurrencyLimitBuilder::vegas()
    }

    /// Follows how much slower calls are than when nobody waits, smoothed over windows.
    pub fn gradient2() -> ConcurrencyLimitBuilder<Gradient2> {
        ConcurrencyLimitBuilder::gradient2()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        self.core.name()
    }

    /// Lets a call through if the limit has room for its priority. Never waits. How long the call takes counts
    /// from here.
    ///
    /// # Errors
    ///
    /// [`Saturated`] if as many calls are in flight as the limit says, or if what is left is kept for those who
    /// matter more.
    pub fn try_enter(&self, priority: Priority) -> Result<InFlight<'_>, Saturated> {
        self.try_enter_at(priority, &Now::unread())
    }

    /// As [`try_enter`](Self::try_enter), for a call that outlives the caller: what it gets borrows nothing.
    ///
    /// # Errors
    ///
    /// [`Saturated`], as there.
    pub fn try_enter_owned(&self, priority: Priority) -> Result<OwnedInFlight, Saturated> {
        let now = Now::unread();
        self.core.enter(priority, &now)?;
        Ok(OwnedInFlight::taken(Arc::clone(&self.core), now.get()))
    }

    pub(crate) fn try_enter_at(&self, priority: Priority, now: &Now) -> Result<InFlight<'_>, Saturated> {
        let leave = self.enter(priority, now)?;
        Ok(InFlight::new(leave, now.get()))
    }

    /// As [`try_enter`](Self::try_enter), for a call that others decide about as well.
    #[inline]
    pub(crate) fn enter(&self, priority: Priority, now: &Now) -> Result<Leave<'_>, Saturated> {
        self.core.enter(priority, now)?;
        Ok(Leave::taken(&self.core))
    }

    /// Runs `op` if the limit has room for it, and learns from how long it takes.
    ///
    /// An `Ok` is a sample. An error tells nothing unless
    /// [`overload_when`](ConcurrencyLimitCall::overload_when) says that it is one of overload, for most errors
    /// come faster or slower than an answer and mean something else. The call is made with
    /// [`Priority::Normal`], or with what [`priority`](ConcurrencyLimitCall::priority) says.
    ///
    /// `op` is not called if there is no room.
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`](crate::rejection::CallError::Rejected) with [`Saturated`] if there was no room,
    /// `CallError::Operation` if `op` failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped while `op` runs, it drops that first and then gives the place back. Such a call tells nothing.
    pub fn call<F, Fut, T, E>(&self, op: F) -> ConcurrencyLimitCall<'_, F, Fut, fn(&E) -> bool>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        ConcurrencyLimitCall::new(self, op, |_| false)
    }

    /// How many calls may be in flight, leaving aside that the limit may be lowered for a moment to measure.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.core.limit() as usize
    }

    /// How many calls are in flight. More than [`limit`](Self::limit) while a limit that fell drains.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.core.in_flight() as usize
    }

    /// Changes the bounds of the limit for all clones. A limit outside of them moves to the nearer one; calls
    /// that run go on, and none is let in until fewer than that are left.
    ///
    /// # Errors
    ///
    /// [`SettingError`] if `min` is zero, if `max` is less than `min`, or above [`u32::MAX`]; nothing changes
    /// then.
    ///
    /// ```
    /// let limit = recoup::ConcurrencyLimit::vegas().initial(20).build()?;
    /// limit.set_bounds(1, 8)?;
    /// assert_eq!(limit.limit(), 8);
    /// assert_eq!(limit.set_bounds(9, 8).unwrap_err().setting, "max");
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    pub fn set_bounds(&self, min: usize, max: usize) -> Result<(), SettingError> {
        self.core.set_bounds(builder::check_bounds(min, max)?);
        Ok(())
    }

    /// What it believes, and what it has seen.
    #[must_use]
    pub fn snapshot(&self) -> ConcurrencySnapshot {
        self.core.snapshot()
    }

    /// Adds an observer, unless it is there already.
    pub(crate) fn observe(&self, observer: Arc<dyn Observer>) {
        self.core.observers.add(observer);
    }
}

impl fmt::Debug for ConcurrencyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimit")
            .field("name", self.name())
            .field("snapshot", &self.snapshot())
            .finish()
    }
}

/// What a [`ConcurrencyLimit`] believes, and what it has seen.
///
/// ```
/// let limit = recoup::ConcurrencyLimit::vegas().initial(30).build()?;
/// let snapshot = limit.snapshot();
/// assert_eq!((snapshot.limit, snapshot.in_flight, snapshot.baseline), (30, 0, None));
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConcurrencySnapshot {
    /// How many calls may be in flight.
    pub limit: usize,
    /// The same at this moment: less while it [measures](Self::measures).
    pub limit_now: usize,
    /// How many calls are in flight.
    pub in_flight: usize,
    /// The short latency: the mean over the last window that had an answer.
    pub latency: Option<Duration>,
    /// The long latency: how long a call takes when nobody waits. `None` until the limit was half used, and with
    /// AIMD, which does not ask.
    pub baseline: Option<Duration>,
    /// How many calls told their latency, ever.
    pub samples: u64,
    /// How many calls met overload, ever.
    pub dropped: u64,
    /// Whether the limit is lowered for a moment to measure the baseline.
    pub measures: bool,
}

/// As many calls are in flight as the dependency bears: the call was not made.
///
/// ```
/// use recoup::{ConcurrencyLimit, Priority};
/// let limit = ConcurrencyLimit::aimd().name("db").initial(1).build()?;
/// let _call = limit.try_enter(Priority::Normal).unwrap();
/// let saturated = limit.try_enter(Priority::Critical).unwrap_err();
/// assert_eq!((&*saturated.limit, saturated.limit_now), ("db", 1));
/// assert_eq!(saturated.to_string(), "concurrency limit `db` of 1 is reached");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("concurrency limit `{limit}` of {limit_now} is reached")]
#[non_exhaustive]
pub struct Saturated {
    /// The name of the limit.
    pub limit: Arc<str>,
    /// How many calls may be in flight now. A call that matters less may have been refused with fewer.
    pub limit_now: usize,
}
