//! The budget with settings of its own: a share of what succeeds, and a trickle over time.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::level::Level;
use super::{Kind, RetryBudget};
use crate::setting::{Check, SettingError};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::{self, Instant};

/// One token, in the unit that everything here is counted in.
pub(super) const TOKEN: u64 = 1_000_000;

/// A fifth. A tenth cannot carry a dependency that fails one attempt in ten by chance, because retries fail
/// too; a fifth can, and still adds no more than a fifth to the load of an outage.
const DEFAULT_SHARE: u64 = TOKEN / 5;

/// Enough for a program that has just started to ride out a hiccup before its first success.
const DEFAULT_RESERVE: u32 = 10;

/// What a good hour may save up for a bad minute.
const DEFAULT_CAPACITY: u32 = 100;

/// Keeps a pool of workers from being stuck for ever, and a fleet of a thousand from adding more than some
/// thirty attempts a second.
const DEFAULT_TRICKLE: Duration = Duration::from_secs(30);

/// The most tokens that one success may be worth.
const MAX_SHARE: f64 = 1_000.0;

/// A store of tokens.
pub(super) struct Bucket {
    /// What is in it, in millionths of a token.
    pub(super) level: Level,
    /// Up to where the trickle has been paid out, in nanoseconds since `start`: always whole periods, so
    /// that no part of one is lost.
    pub(super) paid_until: AtomicU64,
    pub(super) start: Instant,
    pub(super) share: u64,
    /// Nanoseconds for each token of the trickle.
    pub(super) period: Option<NonZeroU64>,
}

// Every order is relaxed: the two numbers guard no other memory, and each is only changed by
// compare-and-swap. All payments are capped sums, so it does not matter in which order they arrive, as long
// as the trickle is paid out before anything is taken.
impl Bucket {
    pub(super) fn tokens_at(&self, now: Instant) -> u32 {
        self.pay_trickle(now);
        self.tokens()
    }

    fn tokens(&self) -> u32 {
        u32::try_from(self.level.units() / TOKEN).unwrap_or(u32::MAX)
    }

    fn age(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(age).unwrap_or(u64::MAX)
    }

    /// Pays in for a success.
    #[inline]
    pub(super) fn deposit(&self) {
        self.level.add(self.share);
    }

    pub(super) fn take(&self, now: Instant) -> bool {
        self.pay_trickle(now);
        self.level.take(TOKEN)
    }

    pub(super) fn give_back(&self) {
        self.level.add(TOKEN);
    }

    pub(super) fn next_token_in(&self, now: Instant) -> Option<Duration> {
        if self.tokens_at(now) > 0 {
            return Some(Duration::ZERO);
        }
        let due = self.paid_until.load(Ordering::Relaxed).checked_add(self.period?.get())?;
        Some(Duration::from_nanos(due.saturating_sub(self.age(now))))
    }

    /// Pays in one token for each period that has ended. Who moves the mark owns those periods, so each is
    /// paid once; another who looks between the two steps may miss a token by that instant, but it comes.
    fn pay_trickle(&self, now: Instant) {
        let Some(period) = self.period else { return };
        let age = self.age(now);
        let mut paid = self.paid_until.load(Ordering::Relaxed);
        loop {
            let periods = age.saturating_sub(paid) / period;
            if periods == 0 {
                return;
            }
            let mark = paid + periods * period.get();
            match self.paid_until.compare_exchange_weak(paid, mark, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return self.level.add(periods.saturating_mul(TOKEN)),
                Err(actual) => paid = actual,
            }
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("tokens", &self.tokens())
            .field("capacity", &(self.level.capacity() / TOKEN))
            .finish_non_exhaustive()
    }
}

/// The settings of a [`RetryBudget`].
///
/// ```
/// use recoup::RetryBudget;
///
/// let error = RetryBudget::builder().capacity(5).build().unwrap_err();
/// assert_eq!(error.setting, "capacity"); // the default reserve of 10 does not fit
/// assert!(RetryBudget::builder().capacity(5).reserve(5).build().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct RetryBudgetBuilder {
    share: f64,
    reserve: u32,
    capacity: u32,
    trickle: Duration,
}

impl RetryBudgetBuilder {
    pub(super) const fn new() -> Self {
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
        let share = DEFAULT_SHARE as f64 / TOKEN as f64;
        Self { share, reserve: DEFAULT_RESERVE, capacity: DEFAULT_CAPACITY, trickle: DEFAULT_TRICKLE }
    }

    /// How many tokens each success pays in: 0.2 is one retry for five successes. At least a millionth and
    /// at most 1000.0; kept to the nearest millionth. Default: 0.2.
    pub const fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// How many tokens it starts with. May be zero: then nothing is repeated before something succeeded or
    /// trickled in. Default: 10.
    pub const fn reserve(mut self, tokens: u32) -> Self {
        self.reserve = tokens;
        self
    }

    /// The most tokens it holds; what is paid in beyond is lost. At least 1, and at least the reserve.
    /// Default: 100.
    pub const fn capacity(mut self, tokens: u32) -> Self {
        self.capacity = tokens;
        self
    }

    /// A token is added each time so much time has passed, whether anything succeeds or not, counted from
    /// when the budget is built. Longer than zero; `Duration::MAX` is none. Default: 30 s.
    ///
    /// It lets a pool whose every call fails try again now and then. Each member of a fleet has one of its
    /// own, so keep it slow.
    pub const fn trickle(mut self, period: Duration) -> Self {
        self.trickle = period;
        self
    }

    /// Nothing is added by time alone: a budget once empty stays empty until something succeeds.
    pub const fn no_trickle(mut self) -> Self {
        self.trickle = Duration::MAX;
        self
    }

    /// Opens the budget.
    ///
    /// # Errors
    ///
    /// Names the setting that cannot work: a `share` out of its range, a `capacity` of zero or below the
    /// reserve, a `trickle` of zero.
    pub fn build(self) -> Result<RetryBudget, SettingError> {
        let check = Check("retry budget");
        let least_share = 1.0 / f64::from(1_000_000);
        if !(least_share..=MAX_SHARE).contains(&self.share) {
            return Err(check.refuse("share", self.share, "at least 0.000001 and at most 1000.0"));
        }
        check.at_least_one("capacity", self.capacity)?;
        if self.capacity < self.reserve {
            return Err(check.refuse("capacity", self.capacity, "at least the reserve"));
        }
        check.longer_than_zero("trickle", self.trickle)?;
        Ok(self.open())
    }

    pub(super) fn open(self) -> RetryBudget {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 10^9")]
        let share = (self.share * 1e6).round() as u64;
        RetryBudget(Kind::Bucket(Arc::new(Bucket {
            level: Level::new(u64::from(self.reserve) * TOKEN, u64::from(self.capacity) * TOKEN),
            paid_until: AtomicU64::new(0),
            start: time::now(),
            share,
            // A period that 64 bits cannot count is longer than five centuries: never.
            period: u64::try_from(self.trickle.as_nanos()).ok().and_then(NonZeroU64::new),
        })))
    }
}
