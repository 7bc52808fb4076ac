//! How a rate limiter stands.

use crate::time::Instant;

/// How a [`RateLimiter`](crate::RateLimiter) stood at one moment, for one priority.
///
/// ```
/// use std::time::Duration;
/// use recoup::RateLimiter;
///
/// let limiter = RateLimiter::builder(60, Duration::from_secs(60)).burst(5).build().unwrap();
/// limiter.try_acquire_many(2).unwrap();
/// let seen = limiter.snapshot();
/// assert_eq!((seen.rate, seen.burst, seen.available, seen.waiting), (1.0, 5, 3, 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RateSnapshot {
    /// How many calls are let through in a second, in the long run, as it was set.
    pub rate: f64,
    /// How many calls may be let through at once after a pause, by the highest priority.
    pub burst: u32,
    /// How many calls would be let through at once now: none while others wait who come first.
    pub available: u32,
    /// How many callers wait.
    pub waiting: usize,
    /// When one call would be let through if it asked now.
    pub next_free: Instant,
}
