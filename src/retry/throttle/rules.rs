//! The constants of the adaptive throttle, checked, as its cells read them.

use std::time::Duration;

use super::Throttle;
use crate::priority::{Priority, Reserves};
use crate::random::Dice;
use crate::setting::{Check, SettingError};
use crate::time::{self, Instant};

const CHECK: Check = Check("throttle");

/// The settings, as all cells that were made from one read them.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) settings: ThrottleBuilder,
    /// Ticks are counted from here.
    pub(super) origin: Instant,
    pub(super) dice: Dice,
}

/// Builds a [`Throttle`] that adapts. Every constant has a default that was chosen by simulating fleets in
/// faults of all kinds; the reason for each stands beside it.
///
/// ```
/// use std::time::Duration;
/// use recoup::Throttle;
///
/// let throttle = Throttle::builder().gate(5).memory(Duration::from_secs(120)).build()?;
/// assert_eq!(throttle.snapshot().admission, 1.0);
///
/// let error = Throttle::builder().share(f64::NAN).build().unwrap_err();
/// assert_eq!(error.to_string(), "throttle: `share` is NaN, but must be above 0.0 and at most 1.0");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ThrottleBuilder {
    pub(super) share: f64,
    pub(super) capacity: u32,
    pub(super) gate: u32,
    pub(super) history: u32,
    pub(super) without_history: f64,
    pub(super) overloaded_at: f64,
    pub(super) slow_from: f64,
    pub(super) cut: f64,
    pub(super) least_admission: f64,
    pub(super) probe_within: Duration,
    pub(super) memory: Duration,
    pub(super) trickle: Duration,
    pub(super) reserves: Reserves,
    pub(super) seed: Option<u64>,
}

impl ThrottleBuilder {
    /// The profile for a fleet.
    pub(super) const fn fleet() -> Self {
        Self {
            share: 0.2,
            capacity: 10,
            gate: 3,
            history: 8,
            without_history: 0.0,
            overloaded_at: 0.5,
            slow_from: 0.3,
            cut: 0.6,
            least_admission: 0.02,
            probe_within: Duration::from_secs(2),
            memory: Duration::from_secs(60),
            trickle: Duration::from_secs(30),
            reserves: Reserves::NONE,
            seed: None,
        }
    }

    /// How much of a token each success earns; a retry costs one. Above 0.0 and at most 1.0. Default: 0.2.
    ///
    /// A tenth cannot carry a dependency that fails one attempt in ten by chance, because retries fail too.
    pub const fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// The most tokens that are saved up, and how many there are at the start. At least 1. Default: 10.
    ///
    /// Tokens saved in good times are what an outage can be met with, by each member of a fleet.
    pub const fn capacity(mut self, tokens: u32) -> Self {
        self.capacity = tokens;
        self
    }

    /// Keeps this share of the tokens for retries of calls of this priority and above, from 0.0 to 1.0; together at
    /// most 1.0. Default: none is kept, and all are alike.
    ///
    /// ```
    /// use recoup::{Priority, Throttle};
    /// assert!(Throttle::builder().reserve(Priority::Critical, 0.3).build().is_ok());
    /// let error = Throttle::builder().reserve(Priority::High, f64::NAN).build().unwrap_err();
    /// assert_eq!(error.setting, "reserve");
    /// ```
    pub const fn reserve(mut self, priority: Priority, share: f64) -> Self {
        self.reserves = self.reserves.keep(priority, share);
        self
    }

    /// After so many failures in a row, on whatever calls, there are no retries until something succeeds.
    /// At least 1. Default: 3.
    ///
    /// A dependency that answers nothing gets first attempts only. Where more than 3 in 100 attempts fail by
    /// chance and are mended, one more is allowed: three in a row then mean nothing.
    pub const fn gate(mut self, failures: u32) -> Self {
        self.gate = failures;
        self
    }

    /// How many attempts must have ended within the memory before a retry of an overload is considered.
    /// At most 255. Default: 8.
    ///
    /// Who has seen less cannot tell a lost packet from an overload.
    pub const fn history(mut self, attempts: u32) -> Self {
        self.history = attempts;
        self
    }

    /// How likely a timeout or a refusal is retried by a client without [history](Self::history), from 0.0 to
    /// 1.0. Default: 0.0; [`Throttle::single_client`] has 1.0.
    ///
    /// This is a trade, and no value wins both sides of it. In a fleet whose members call every few minutes
    /// each timeout is a first one: retried with probability 0.1 they already triple the time that a backend
    /// takes to recover from a spike, with 0.2 it never does. Not retried, a lost packet is a failed call.
    pub const fn without_history(mut self, probability: f64) -> Self {
        self.without_history = probability;
        self
    }

    /// From what smoothed share of overload marks on the dependency counts as overloaded. Above 0.0 and at
    /// most 1.0. Default: 0.5.
    pub const fn overloaded_at(mut self, share: f64) -> Self {
        self.overloaded_at = share;
        self
    }

    /// From what part of the attempt's time limit on a success counts as slow, from 0.0 to 1.0: there it
    /// weighs nothing, at the limit as much as a timeout. Default: 0.3.
    pub const fn slow_from(mut self, part: f64) -> Self {
        self.slow_from = part;
        self
    }

    /// By what admission is multiplied while the dependency is overloaded, at most once in an attempt's
    /// time limit. Above 0.0 and at most 1.0; 1.0 never cuts. Default: 0.6.
    pub const fn cut(mut self, factor: f64) -> Self {
        self.cut = factor;
        self
    }

    /// The least share of first attempts that is still let through. Above 0.0 and at most 1.0. Default: 0.02.
    pub const fn least_admission(mut self, share: f64) -> Self {
        self.least_admission = share;
        self
    }

    /// While admission is cut, a first attempt goes through at least so often, if there is one: every ten of
    /// the client's own gaps between calls, but no later than this, give or take a quarter. At least 250 ms.
    /// Default: 2 s.
    pub const fn probe_within(mut self, wait: Duration) -> Self {
        self.probe_within = wait;
        self
    }

    /// Evidence older than this is forgotten. From 1 s to a day. Default: 60 s.
    pub const fn memory(mut self, span: Duration) -> Self {
        self.memory = span;
        self
    }

    /// How often a caller who [waits](crate::OnEmptyBudget::Wait) may retry though nothing succeeds.
    /// From 1 ms to a day. Default: 30 s.
    ///
    /// Each member of a fleet has a trickle of its own, so keep it slow.
    pub const fn trickle(mut self, period: Duration) -> Self {
        self.trickle = period;
        self
    }

    /// The seed of its draws, so that a run can be repeated. Default: fresh randomness.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks the settings and makes the throttle.
    ///
    /// # Errors
    ///
    /// [`SettingError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<Throttle, SettingError> {
        let shares = [
            ("share", self.share),
            ("overloaded_at", self.overloaded_at),
            ("cut", self.cut),
            ("least_admission", self.least_admission),
        ];
        for (setting, share) in shares {
            CHECK.share(setting, share)?;
        }
        for (setting, share) in [("without_history", self.without_history), ("slow_from", self.slow_from)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(CHECK.refuse(setting, share, "at least 0.0 and at most 1.0"));
            }
        }
        self.reserves.check(CHECK)?;
        CHECK.at_least_one("capacity", self.capacity)?;
        CHECK.at_least_one("gate", self.gate)?;
        if self.history > u32::from(u8::MAX) {
            return Err(CHECK.refuse("history", self.history, "at most 255"));
        }
        let spans = [
            ("probe_within", self.probe_within, Duration::from_millis(250), "from 250ms to a day"),
            ("memory", self.memory, Duration::from_secs(1), "from 1s to a day"),
            ("trickle", self.trickle, Duration::from_millis(1), "from 1ms to a day"),
        ];
        for (setting, span, least, allowed) in spans {
            if span < least || span > DAY {
                return Err(CHECK.refuse(setting, span, allowed));
            }
        }
        Ok(self.unchecked())
    }

    /// For settings that are known to work.
    pub(in crate::retry) fn unchecked(self) -> Throttle {
        let dice = self.seed.map_or(Dice::Fresh, Dice::seeded);
        Throttle::adaptive(Rules { settings: self, origin: time::now(), dice })
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl TryFrom<ThrottleBuilder> for Throttle {
    type Error = SettingError;

    fn try_from(builder: ThrottleBuilder) -> Result<Self, SettingError> {
        builder.build()
    }
}
