//! The settings of a rate limiter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::bucket::Bucket;
use super::line::{Rooms, Terms};
use super::{RateLimiter, Settings, Shared};
use crate::event::{Observer, Observers};
use crate::priority::{Priority, Reserves};
use crate::setting::{Check, SettingError};
use crate::sync::atomic::AtomicU64;
use crate::time;

const CHECK: Check = Check("rate limiter");

/// Thirty years, in nanoseconds: what is longer is for ever.
const FOR_EVER: u64 = 60 * 60 * 24 * 365 * 30 * 1_000_000_000;

/// Builds a [`RateLimiter`].
///
/// ```
/// use std::time::Duration;
/// use recoup::{Priority, RateLimiter};
///
/// let limiter = RateLimiter::builder(5_000, Duration::from_secs(3600))
///     .burst(50)
///     .max_wait(Duration::from_secs(2))
///     .reserve(Priority::High, 0.2)
///     .build()
///     .unwrap();
/// assert_eq!(limiter.snapshot().available, 40, "ten of them are not for everybody");
///
/// let error = RateLimiter::builder(0, Duration::from_secs(1)).build().unwrap_err();
/// assert_eq!(error.setting, "calls");
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct RateLimiterBuilder {
    calls: f64,
    per: Duration,
    burst: Option<u32>,
    name: Option<Arc<str>>,
    max_wait: Duration,
    reserves: Reserves,
    observers: Vec<Arc<dyn Observer>>,
}

impl RateLimiterBuilder {
    pub(super) const fn new(calls: f64, per: Duration) -> Self {
        let (max_wait, reserves) = (Duration::ZERO, Reserves::NONE);
        Self { calls, per, burst: None, name: None, max_wait, reserves, observers: Vec::new() }
    }

    /// How many calls may be let through at once after a pause, at least 1. In no span of time are more let
    /// through than this and what the rate brings in it. Default: what the rate brings in one second, rounded
    /// up.
    ///
    /// Those who wait leave when tokio's timers tick, once a millisecond. They are counted as of their own
    /// moment, so this costs nothing of the rate.
    pub const fn burst(mut self, calls: u32) -> Self {
        self.burst = Some(calls);
        self
    }

    /// What errors and events call it. Default: `rate limiter`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long a caller may wait. Who would have to wait longer is refused at once, without waiting. Default:
    /// zero, so that whoever cannot go now is refused; from thirty years on it is for ever.
    ///
    /// To wait takes a tokio runtime with its clock enabled.
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Keeps a `share` of the limit, from 0.0 to 1.0, for `priority` and those above it. Default: none.
    ///
    /// Those below find an idle bucket smaller by that share of the burst, in whole calls and rounded up; the
    /// last one of an idle bucket is for everybody. They take only what the rate brings above it, and those
    /// above them pass them in the line: so as long as some of the burst is kept, as much of the rate as the
    /// share, and more, is there for whom it was kept for.
    pub const fn reserve(mut self, priority: Priority, share: f64) -> Self {
        self.reserves = self.reserves.keep(priority, share);
        self
    }

    /// Adds one who is told of each call that is refused. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// The limiter, with its whole burst.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work: `calls` that are not a number above zero, or
    /// more than one for each nanosecond, or fewer than one in thirty years; a `per` of zero; a `burst` of zero,
    /// or one that takes longer than thirty years to come back; a `reserve` that is no share, or shares that
    /// are more than the whole together.
    pub fn build(self) -> Result<RateLimiter, SettingError> {
        let interval = check_rate(self.calls, self.per)?;
        let burst = self.burst.unwrap_or_else(|| in_one_second(interval));
        check_burst(burst, interval)?;
        self.reserves.check(CHECK)?;
        let terms = Terms { interval, rooms: rooms(self.reserves, burst) };
        let name = self.name.unwrap_or_else(|| "rate limiter".into());
        let Self { reserves, max_wait, .. } = self;
        let settings = Settings { name, max_wait, reserves, observers: Observers::default() };
        let rate = AtomicU64::new(per_second(self.calls, self.per).to_bits());
        let shared = Shared { bucket: Bucket::new(terms), rate, origin: time::now(), settings };
        let limiter = RateLimiter { shared: Arc::new(shared), priority: Priority::default() };
        self.observers.into_iter().for_each(|observer| limiter.observe(observer));
        Ok(limiter)
    }
}

/// The nanoseconds from one call to the next.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a span is divided by a real number, and what came of it is checked"
)]
pub(super) fn check_rate(calls: f64, per: Duration) -> Result<u64, SettingError> {
    if !(calls > 0.0 && calls.is_finite()) {
        return Err(CHECK.refuse("calls", calls, "a number above zero"));
    }
    CHECK.longer_than_zero("per", per)?;
    let interval = per.as_nanos() as f64 / calls;
    if interval < 1.0 {
        return Err(CHECK.refuse("calls", calls, "at most one for each nanosecond"));
    }
    if interval > FOR_EVER as f64 {
        return Err(CHECK.refuse("calls", calls, "at least one in thirty years"));
    }
    // Rounded up: an interval too short by a nanosecond would let too many through. But a division that is off
    // by its last bit must not cost a whole one.
    Ok((interval * (1.0 - f64::EPSILON)).ceil() as u64)
}

pub(super) fn check_burst(burst: u32, interval: u64) -> Result<(), SettingError> {
    CHECK.at_least_one("burst", burst)?;
    if interval.saturating_mul(u64::from(burst)) > FOR_EVER {
        return Err(CHECK.refuse("burst", burst, "what the rate brings back within thirty years"));
    }
    Ok(())
}

/// What each priority finds in an idle bucket.
pub(super) fn rooms(reserves: Reserves, burst: u32) -> Rooms {
    let whole = u64::from(burst);
    Priority::ALL.map(|priority| whole - reserves.kept_from(priority, whole))
}

pub(super) fn per_second(calls: f64, per: Duration) -> f64 {
    calls / per.as_secs_f64()
}

fn in_one_second(interval: u64) -> u32 {
    u32::try_from(1_000_000_000_u64.div_ceil(interval)).unwrap_or(u32::MAX)
}

impl TryFrom<RateLimiterBuilder> for RateLimiter {
    type Error = SettingError;

    fn try_from(builder: RateLimiterBuilder) -> Result<Self, SettingError> {
        builder.build()
    }
}

impl fmt::Debug for RateLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiterBuilder")
            .field("calls", &self.calls)
            .field("per", &self.per)
            .field("burst", &self.burst)
            .field("name", &self.name)
            .field("max_wait", &self.max_wait)
            .field("reserves", &self.reserves)
            .field("observers", &self.observers.len())
            .finish()
    }
}
