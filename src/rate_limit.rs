//! At most so many calls in a span of time.

mod acquire;
mod booking;
mod bucket;
mod builder;
mod call;
mod line;
#[cfg(test)]
mod model;
mod rejected;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
mod snapshot;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use self::acquire::AcquireRate;
pub use self::booking::Booking;
use self::bucket::{Asked, Bucket};
pub use self::builder::RateLimiterBuilder;
pub use self::call::RateLimiterCall;
use self::line::{Rooms, Span, Who};
pub use self::rejected::{RateLimitReason, RateLimited};
pub use self::snapshot::RateSnapshot;
use crate::event::{Event, Observer, Observers};
use crate::priority::{Priority, Reserves};
use crate::setting::SettingError;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::{self, Instant, Now, later_or_far};

/// At most so many calls in a span of time, evenly, and at most a [burst](RateLimiterBuilder::burst) at once.
///
/// In no span of time are more let through than the burst and what the rate brings in that span. It is the
/// generic cell rate algorithm (ITU-T I.371), kept in one number: to let a call through takes one
/// compare-and-swap, no lock, no task and no timer. Only those who [wait](RateLimiterBuilder::max_wait) stand
/// in a line, first come, first served; nothing is taken for them before their moment, so when one of them goes
/// away, those behind move up.
///
/// A handle: clones share the limit. Each handle asks with one [`Priority`], `Normal` unless it was made by
/// [`with_priority`](Self::with_priority).
///
/// Time is counted in whole nanoseconds from one call to the next, rounded up: a rate of a million calls in a
/// second is at most a tenth of a percent slower than asked for, and lower rates are nearer to it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use recoup::{Priority, RateLimiter};
///
/// let limiter = RateLimiter::builder(10, Duration::from_secs(1))
///     .burst(5)
///     .reserve(Priority::High, 0.2)
///     .name("search")
///     .build()
///     .unwrap();
/// assert_eq!(limiter.call(async || Ok::<_, ()>(7)).await, Ok(7));
///
/// limiter.try_acquire_many(3).unwrap();
/// let limited = limiter.try_acquire().unwrap_err();
/// assert_eq!(limited.retry_in(), Duration::from_millis(100));
/// assert!(limiter.with_priority(Priority::High).try_acquire().is_ok(), "one of five is kept for it");
///
/// tokio::time::sleep(limited.retry_in()).await;
/// assert!(limiter.try_acquire().is_err(), "somebody else has asked");
/// # }
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
    priority: Priority,
}

struct Shared {
    bucket: Bucket,
    /// As it was set, in calls for each second: the bits of an `f64`. To be shown, not to be counted with.
    rate: AtomicU64,
    origin: Instant,
    settings: Settings,
}

struct Settings {
    name: Arc<str>,
    max_wait: Duration,
    reserves: Reserves,
    observers: Observers,
}

impl RateLimiter {
    /// Begins a limiter that lets `calls` through in each span of `per`: 100 in a second, 0.5 in a minute.
    pub fn builder(calls: impl Into<f64>, per: Duration) -> RateLimiterBuilder {
        RateLimiterBuilder::new(calls.into(), per)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.shared.settings.name
    }

    /// A handle to the same limit that asks with another priority.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recoup::{Priority, RateLimiter};
    ///
    /// let limiter = RateLimiter::builder(1, Duration::from_secs(1)).burst(2).reserve(Priority::Critical, 0.5);
    /// let limiter = limiter.build().unwrap();
    /// limiter.try_acquire().unwrap();
    /// assert!(limiter.try_acquire().is_err());
    /// assert!(limiter.with_priority(Priority::Critical).try_acquire().is_ok());
    /// ```
    #[must_use]
    pub fn with_priority(&self, priority: Priority) -> Self {
        Self { shared: Arc::clone(&self.shared), priority }
    }

    /// Takes leave for one call, if it is there and nobody waits for it. Never waits.
    ///
    /// # Errors
    ///
    /// [`RateLimited`], which says when to come back.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), RateLimited> {
        self.try_acquire_many(1)
    }

    /// Takes leave for `n` calls at once, or none. Never waits; nothing is always there.
    ///
    /// # Errors
    ///
    /// [`RateLimited`], with [`RateLimitReason::TooMany`] if `n` is more than the burst leaves to this priority.
    #[inline]
    pub fn try_acquire_many(&self, n: u32) -> Result<(), RateLimited> {
        self.begin(n, self.priority, &Now::unread(), Some(Duration::ZERO)).map(|_| ())
    }

    /// Takes leave for one call, and waits for it if it has to, for at most
    /// [`max_wait`](RateLimiterBuilder::max_wait).
    ///
    /// The place in the line is taken at the first poll. A wait that would be too long is not begun.
    ///
    /// # Errors
    ///
    /// [`RateLimited`]: it would be too long a wait, or has become one, because others who matter more came or
    /// the rate was lowered.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it has taken nothing, and all behind it move up. Dropped in the moment between
    /// its turn and its next poll, what it was let through with comes back as that of a [`Booking`] does.
    pub fn acquire(&self) -> AcquireRate<'_> {
        self.acquire_many(1)
    }

    /// Takes leave for `n` calls at once, and waits as [`acquire`](Self::acquire) does.
    ///
    /// # Errors
    ///
    /// As those of `acquire`, and [`RateLimitReason::TooMany`] at once if `n` is more than the burst leaves to
    /// this priority.
    ///
    /// # Cancel safety
    ///
    /// As that of `acquire`.
    pub fn acquire_many(&self, n: u32) -> AcquireRate<'_> {
        AcquireRate::new(self, n)
    }

    /// Books the next moment at which `n` calls are let through, within
    /// [`max_wait`](RateLimiterBuilder::max_wait), for a caller who has something else to do until then.
    ///
    /// # Errors
    ///
    /// [`RateLimited`]: that would be too long a wait, or it is more than the burst leaves to this priority.
    pub fn book(&self, n: u32) -> Result<Booking, RateLimited> {
        let now = Now::unread();
        let begun = self.begin(n, self.priority, &now, None)?;
        Ok(match begun {
            Some((asked, latest)) => Booking::new(&self.shared, &asked, now.get(), latest),
            None => Booking::used(&self.shared, now.get()),
        })
    }

    /// Runs `op` when the rate allows it, and waits for that as [`acquire`](Self::acquire) does.
    ///
    /// `op` is not called before. However it ends, it was one of the calls.
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`](crate::rejection::CallError::Rejected) with [`RateLimited`] if it was not let
    /// through, `CallError::Operation` if `op` failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the line as `acquire` does. Dropped while `op` runs, it drops that; the
    /// call was made and stays counted.
    pub fn call<F, Fut, T, E>(&self, op: F) -> RateLimiterCall<'_, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        RateLimiterCall::new(self, op)
    }

    /// Changes the rate for all handles. The burst stays as many calls as it was.
    ///
    /// What is used stays used: as many calls as were used of the burst before. Those who wait keep their places;
    /// they leave earlier or later, and one who would now wait too long is refused when its old moment comes.
    ///
    /// # Errors
    ///
    /// [`SettingError`] as that of [`build`](RateLimiterBuilder::build); nothing changes then.
    pub fn set_rate(&self, calls: impl Into<f64>, per: Duration) -> Result<(), SettingError> {
        let calls = calls.into();
        let interval = builder::check_rate(calls, per)?;
        let shared = &self.shared;
        shared.bucket.set_interval(interval, shared.age(time::now()), |rooms| {
            builder::check_burst(burst(rooms), interval)?;
            shared.rate.store(builder::per_second(calls, per).to_bits(), Ordering::Relaxed);
            Ok(())
        })
    }

    /// Changes the burst for all handles, and with it what is kept for some.
    ///
    /// What is used stays used. Raised, the difference is there at once. Lowered below what is used, nobody is
    /// let through until that has drained. Those who wait already are served, even for more calls than it now is.
    ///
    /// # Errors
    ///
    /// [`SettingError`] as that of [`build`](RateLimiterBuilder::build); nothing changes then.
    pub fn set_burst(&self, burst: u32) -> Result<(), SettingError> {
        let rooms = builder::rooms(self.shared.settings.reserves, burst);
        let now = self.shared.age(time::now());
        self.shared.bucket.set_rooms(rooms, now, |interval| builder::check_burst(burst, interval))
    }

    /// How it stands now, for this handle's priority.
    #[must_use]
    pub fn snapshot(&self) -> RateSnapshot {
        let now = time::now();
        let who = self.shared.who(1, self.priority);
        let (available, waiting, due) = self.shared.bucket.levels(who, self.shared.age(now));
        RateSnapshot {
            rate: f64::from_bits(self.shared.rate.load(Ordering::Relaxed)),
            burst: burst(self.shared.bucket.terms().rooms),
            available: u32::try_from(available).unwrap_or(u32::MAX),
            next_free: self.shared.moment(due, now),
            waiting,
        }
    }

    /// Leave for `weight` calls: `None` to go now, or the booking to wait for. Once its moment has come, the
    /// booking itself is asked whether to [leave](Booking::leave_at).
    pub(crate) fn ask(
        &self,
        weight: u32,
        priority: Priority,
        now: &Now,
    ) -> Result<Option<Booking>, RateLimited> {
        Ok(match self.begin(weight, priority, now, None)? {
            Some((asked @ Asked::Waits(..), latest)) => {
                Some(Booking::new(&self.shared, &asked, now.get(), latest))
            }
            _ => None,
        })
    }

    /// What was taken or booked, and when it has to be served at the latest; `None` if nothing was asked for.
    #[inline]
    fn begin(
        &self,
        weight: u32,
        priority: Priority,
        now: &Now,
        max_wait: Option<Duration>,
    ) -> Result<Option<(Asked, u64)>, RateLimited> {
        if weight == 0 {
            return Ok(None);
        }
        let shared = &*self.shared;
        let who = shared.who(weight, priority);
        let age = shared.age(now.get());
        let max_wait = max_wait.unwrap_or(shared.settings.max_wait);
        let latest = age.saturating_add(nanos(max_wait));
        match shared.bucket.ask(who, age, latest) {
            Ok(asked) => Ok(Some((asked, latest))),
            Err(due) => {
                let (due, reason) = match due {
                    None => (u64::MAX, RateLimitReason::TooMany),
                    Some(due) if max_wait.is_zero() => (due, RateLimitReason::UsedUp),
                    Some(due) => (due, RateLimitReason::WaitTooLong),
                };
                Err(shared.refuse(shared.moment(due, now.get()), reason))
            }
        }
    }

    /// Adds an observer, unless it is there already.
    pub(crate) fn observe(&self, observer: Arc<dyn Observer>) {
        self.shared.settings.observers.add(observer);
    }
}

impl Shared {
    fn who(&self, weight: u32, priority: Priority) -> Who {
        Who { weight: u64::from(weight), priority, rank: self.settings.reserves.rank(priority) }
    }

    /// A moment as the bucket counts.
    fn age(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.origin)).min(Span::LAST)
    }

    /// The moment that the bucket calls `due`. Counted from now, not from the origin: so nothing that is near is
    /// put off or brought forward after thirty years.
    fn moment(&self, due: u64, now: Instant) -> Instant {
        later_or_far(now, Duration::from_nanos(due.saturating_sub(self.age(now))))
    }

    #[cold]
    fn refuse(&self, until: Instant, reason: RateLimitReason) -> RateLimited {
        let policy = &self.settings.name;
        self.settings.observers.tell(|| Event::Rejected { policy, reason: "rate" });
        RateLimited { limiter: Arc::clone(policy), until, reason }
    }
}

/// Nothing is kept from the highest priority, so it finds the whole burst.
fn burst(rooms: Rooms) -> u32 {
    u32::try_from(rooms[Priority::Critical as usize]).unwrap_or(u32::MAX)
}

/// What is longer than 64 bits of nanoseconds is for ever.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { name, max_wait, reserves, observers } = &self.shared.settings;
        f.debug_struct("RateLimiter")
            .field("name", name)
            .field("priority", &self.priority)
            .field("bucket", &self.shared.bucket)
            .field("max_wait", max_wait)
            .field("reserves", reserves)
            .field("observers", observers)
            .finish()
    }
}
