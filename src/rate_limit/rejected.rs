//! A rate limiter said no, and when to come back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::time::{self, Instant};

/// The rate limiter let no more through: the call was not made, and nothing was taken for it.
///
/// ```
/// use std::time::Duration;
/// use recoup::{RateLimitReason, RateLimiter};
///
/// let limiter = RateLimiter::builder(2, Duration::from_secs(1)).burst(1).name("mail").build().unwrap();
/// limiter.try_acquire().unwrap();
/// let limited = limiter.try_acquire().unwrap_err();
/// assert_eq!((&*limited.limiter, limited.reason), ("mail", RateLimitReason::UsedUp));
/// assert!(limited.retry_in() <= Duration::from_millis(500));
/// assert_eq!(limited.to_string(), "rate limit `mail` is used up");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("rate limit `{limiter}` {reason}")]
#[non_exhaustive]
pub struct RateLimited {
    /// The name of the limiter.
    pub limiter: Arc<str>,
    /// When it is worth asking again: to ask the same at this moment succeeds if nobody else has asked in
    /// between and no setting was changed. Some thirty years away for [`RateLimitReason::TooMany`].
    pub until: Instant,
    /// Why it was not let through.
    pub reason: RateLimitReason,
}

impl RateLimited {
    /// How long until it is worth asking again; zero if that moment has come.
    #[must_use]
    pub fn retry_in(&self) -> Duration {
        self.until.saturating_duration_since(time::now())
    }
}

/// Why a rate limiter let a call not through.
///
/// ```
/// use std::time::Duration;
/// use recoup::{RateLimitReason, RateLimiter};
///
/// let limiter = RateLimiter::builder(1, Duration::from_secs(1)).burst(5).build().unwrap();
/// assert_eq!(limiter.try_acquire_many(6).unwrap_err().reason, RateLimitReason::TooMany);
/// assert!(limiter.try_acquire_many(5).is_ok(), "it took nothing");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RateLimitReason {
    /// The rate is used up for now, and the caller does not wait.
    UsedUp,
    /// It would be, or has become, a longer wait than a caller may have.
    WaitTooLong,
    /// The caller asked for more at once than the burst leaves to its priority: it will never be let through.
    TooMany,
}

impl fmt::Display for RateLimitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UsedUp => "is used up",
            Self::WaitTooLong => "would take too long to wait for",
            Self::TooMany => "never lets so many through at once",
        })
    }
}
