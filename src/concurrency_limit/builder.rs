//! The settings of a concurrency limit.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::ConcurrencyLimit;
use super::control::{Bounds, Rules};
use super::core::Core;
use super::formula::Formula;
use crate::event::{Observer, Observers};
use crate::priority::{Priority, Reserves};
use crate::random::Dice;
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("concurrency limit");

/// The longest window that can be asked for.
const LONGEST_WINDOW: Duration = Duration::from_secs(60 * 60);

/// Marks the settings of additive increase, multiplicative decrease.
///
/// ```
/// # use recoup::{Aimd, ConcurrencyLimit, ConcurrencyLimitBuilder};
/// let builder: ConcurrencyLimitBuilder<Aimd> = ConcurrencyLimit::aimd();
/// # assert!(builder.build().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Aimd;

/// Marks the settings of Vegas.
///
/// ```
/// # use recoup::{ConcurrencyLimit, ConcurrencyLimitBuilder, Vegas};
/// let builder: ConcurrencyLimitBuilder<Vegas> = ConcurrencyLimit::vegas();
/// # assert!(builder.build().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Vegas;

/// Marks the settings of Gradient2.
///
/// ```
/// # use recoup::{ConcurrencyLimit, ConcurrencyLimitBuilder, Gradient2};
/// let builder: ConcurrencyLimitBuilder<Gradient2> = ConcurrencyLimit::gradient2();
/// # assert!(builder.build().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Gradient2;

/// Builds a [`ConcurrencyLimit`]. `A` says by which formula it moves.
///
/// ```
/// use std::time::Duration;
/// use recoup::{ConcurrencyLimit, Priority};
///
/// let limit = ConcurrencyLimit::aimd()
///     .initial(10)
///     .max(100)
///     .slow_after(Duration::from_millis(500))
///     .reserve(Priority::Critical, 0.1)
///     .build()?;
/// assert_eq!(limit.limit(), 10);
///
/// let error = ConcurrencyLimit::vegas().min(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "concurrency limit: `min` is 0, but must be at least 1");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ConcurrencyLimitBuilder<A> {
    formula: Formula,
    name: Option<Arc<str>>,
    initial: Option<usize>,
    min: usize,
    max: usize,
    backoff: f64,
    tolerated: f64,
    window: Duration,
    probe_every: Duration,
    dice: Dice,
    reserves: Reserves,
    observers: Vec<Arc<dyn Observer>>,
    algorithm: PhantomData<A>,
}

impl ConcurrencyLimitBuilder<Aimd> {
    pub(super) fn aimd() -> Self {
        Self::new(Formula::Aimd { slow_after: Duration::from_secs(5) }, 200)
    }

    /// A call that takes longer than this counts as one that met overload, longer than zero. Default: 5 s, as in
    /// the source. [`Duration::MAX`] is never.
    ///
    /// Where a dependency neither refuses nor times out, this is the latency that the limit is held at: the
    /// default lets a queue of five seconds stand. Take what you want a call to take at most.
    pub const fn slow_after(mut self, latency: Duration) -> Self {
        self.formula = Formula::Aimd { slow_after: latency };
        self
    }
}

impl ConcurrencyLimitBuilder<Vegas> {
    pub(super) fn vegas() -> Self {
        Self::new(Formula::Vegas { low: 1.5, high: 3.0 }, 1000)
    }

    /// How many calls are to wait in the dependency: from `low` to `high` times the decimal logarithm of the
    /// limit, at least 1.0 each. Default: 1.5 and 3.0, which is 3 to 5 calls at a limit of 50.
    ///
    /// Published with 3.0 and 6.0, which would let a capacity of ten be passed by up to two thirds.
    pub const fn queue(mut self, low: f64, high: f64) -> Self {
        self.formula = Formula::Vegas { low, high };
        self
    }
}

impl ConcurrencyLimitBuilder<Gradient2> {
    pub(super) fn gradient2() -> Self {
        Self::new(Formula::Gradient2 { tolerance: 1.05, smoothing: 0.2 }, 200)
    }

    /// How many times as long as when nobody waits a call may take before the limit falls, from 1.0 to 10.0.
    /// Default: 1.05.
    ///
    /// Above a dependency whose latency grows with its queue, the limit comes to rest at about so many times its
    /// capacity. The published 1.5 is one half too many; it made up for a baseline that was measured under load.
    /// Latencies that scatter need no more than the default, for windows compare means.
    pub const fn tolerance(mut self, times: f64) -> Self {
        let Formula::Gradient2 { smoothing, .. } = self.formula else { return self };
        self.formula = Formula::Gradient2 { tolerance: times, smoothing };
        self
    }

    /// How much of the way to what a window asks for the limit goes, above 0.0 and up to 1.0. Default: 0.2, as
    /// in the source.
    pub const fn smoothing(mut self, share: f64) -> Self {
        let Formula::Gradient2 { tolerance, .. } = self.formula else { return self };
        self.formula = Formula::Gradient2 { tolerance, smoothing: share };
        self
    }
}

impl<A> ConcurrencyLimitBuilder<A> {
    fn new(formula: Formula, max: usize) -> Self {
        Self {
            formula,
            name: None,
            initial: None,
            min: 1,
            max,
            backoff: 0.9,
            tolerated: 0.05,
            window: Duration::from_millis(250),
            probe_every: Duration::from_secs(30),
            dice: Dice::Fresh,
            reserves: Reserves::default(),
            observers: Vec::new(),
            algorithm: PhantomData,
        }
    }

    /// What errors and events call it. Default: `concurrency limit`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many calls may be in flight at first, from `min` to `max`. Default: 20, or what of `min` and `max` is
    /// nearer to it.
    pub const fn initial(mut self, calls: usize) -> Self {
        self.initial = Some(calls);
        self
    }

    /// The limit never falls below this, at least 1. Default: 1. Published with 20, below which no overload is
    /// seen.
    pub const fn min(mut self, calls: usize) -> Self {
        self.min = calls;
        self
    }

    /// The limit never grows above this, at least `min` and at most [`u32::MAX`]. Default: 200, and 1000 for
    /// Vegas, as in the source.
    pub const fn max(mut self, calls: usize) -> Self {
        self.max = calls;
        self
    }

    /// What is left of the limit after a window with overload, between 0.0 and 1.0. Default: 0.9, as in the
    /// source for AIMD; the other two had a smaller step or none.
    pub const fn backoff(mut self, share: f64) -> Self {
        self.backoff = share;
        self
    }

    /// The share of calls that may meet overload without lowering the limit, from 0.0 to below 1.0. Default:
    /// 0.05, because some calls fail under any load, and a limit cannot help that. At 0.0 a single call lowers
    /// it, as in the source.
    pub const fn tolerated_drops(mut self, share: f64) -> Self {
        self.tolerated = share;
        self
    }

    /// The limit moves at most once in this time, longer than zero and up to an hour; not before ten calls have
    /// ended, or twice as many as the limit if that is fewer; and not before twice the time has passed that an
    /// answer takes, or the time that a call took to meet overload. Default: 250 ms. In the source it is a second, but then a limit takes most of a minute to follow
    /// a dependency that lost four fifths of its capacity.
    pub const fn window(mut self, time: Duration) -> Self {
        self.window = time;
        self
    }

    /// How often the limit is lowered by three tenths for about two windows, to measure how long a call takes
    /// when nobody waits; longer than zero. It comes between half this time and all of it after the last, by
    /// chance, and not before forty windows. Default: 30 s. [`Duration::MAX`] is only when the limit has fallen by
    /// three tenths, or when calls are twice as fast as they should be. Of no effect for AIMD.
    ///
    /// As long as the latency follows the limit down, or if it is higher than before, the limit is lowered further
    /// for two windows more. It refuses nobody while that much is enough; else it costs about a hundredth of what
    /// could be in flight, over time.
    pub const fn probe_every(mut self, time: Duration) -> Self {
        self.probe_every = time;
        self
    }

    /// Keeps a share of the limit, from 0.0 to 1.0, for calls of `priority` and above. All shares together are at
    /// most 1.0, and there is none for [`Priority::Low`]. Default: none.
    ///
    /// In flight are all calls alike: a call is let in if its place is not in the part that is kept from it.
    pub fn reserve(mut self, priority: Priority, share: f64) -> Self {
        self.reserves = self.reserves.keep(priority, share);
        self
    }

    /// The seed of what is left to chance, so that a run can be repeated. Default: fresh randomness.
    pub fn seed(mut self, seed: u64) -> Self {
        self.dice = Dice::seeded(seed);
        self
    }

    /// Adds one who is told of each call that is refused. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// The limit.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build(self) -> Result<ConcurrencyLimit, SettingError> {
        let bounds = check_bounds(self.min, self.max)?;
        let initial = check_initial(self.initial, bounds)?;
        if !(self.backoff > 0.0 && self.backoff < 1.0) {
            return Err(CHECK.refuse("backoff", self.backoff, "above 0.0 and below 1.0"));
        }
        if !(0.0..1.0).contains(&self.tolerated) {
            return Err(CHECK.refuse("tolerated_drops", self.tolerated, "at least 0.0 and below 1.0"));
        }
        CHECK.longer_than_zero("window", self.window)?;
        if self.window > LONGEST_WINDOW {
            return Err(CHECK.refuse("window", self.window, "at most an hour"));
        }
        CHECK.longer_than_zero("probe_every", self.probe_every)?;
        check_formula(self.formula)?;
        self.reserves.check(CHECK)?;
        let observers = Observers::default();
        self.observers.into_iter().for_each(|observer| observers.add(observer));
        let name = self.name.unwrap_or_else(|| "concurrency limit".into());
        let Self { formula, backoff, tolerated, window, probe_every, dice, reserves, .. } = self;
        let rules = Rules { formula, backoff, tolerated, probe_every, dice };
        let core = Core::new(name, rules, bounds, initial, window, reserves, observers);
        Ok(ConcurrencyLimit { core: Arc::new(core) })
    }
}

pub(super) fn check_bounds(min: usize, max: usize) -> Result<Bounds, SettingError> {
    let Ok(min @ 1..) = u32::try_from(min) else {
        let allowed = if min == 0 { "at least 1" } else { "at most 4294967295" };
        return Err(CHECK.refuse("min", min, allowed));
    };
    match u32::try_from(max) {
        Ok(max) if max >= min => Ok(Bounds { min, max }),
        _ => Err(CHECK.refuse("max", max, "at least `min` and at most 4294967295")),
    }
}

fn check_initial(initial: Option<usize>, Bounds { min, max }: Bounds) -> Result<u32, SettingError> {
    const DEFAULT: u32 = 20;
    let Some(initial) = initial else { return Ok(DEFAULT.clamp(min, max)) };
    match u32::try_from(initial) {
        Ok(calls) if (min..=max).contains(&calls) => Ok(calls),
        _ => Err(CHECK.refuse("initial", initial, "from `min` to `max`")),
    }
}

fn check_formula(formula: Formula) -> Result<(), SettingError> {
    match formula {
        Formula::Aimd { slow_after } => CHECK.longer_than_zero("slow_after", slow_after),
        Formula::Vegas { low, high } => {
            if low >= 1.0 && high >= low && high.is_finite() {
                return Ok(());
            }
            Err(CHECK.refuse("queue", (low, high), "at least 1.0, the higher one last"))
        }
        Formula::Gradient2 { tolerance, smoothing } => {
            if !(1.0..=10.0).contains(&tolerance) {
                return Err(CHECK.refuse("tolerance", tolerance, "at least 1.0 and at most 10.0"));
            }
            CHECK.share("smoothing", smoothing)
        }
    }
}

impl<A> TryFrom<ConcurrencyLimitBuilder<A>> for ConcurrencyLimit {
    type Error = SettingError;

    fn try_from(builder: ConcurrencyLimitBuilder<A>) -> Result<Self, SettingError> {
        builder.build()
    }
}

impl<A> fmt::Debug for ConcurrencyLimitBuilder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimitBuilder")
            .field("formula", &self.formula)
            .field("name", &self.name)
            .field("initial", &self.initial)
            .field("min", &self.min)
            .field("max", &self.max)
            .field("backoff", &self.backoff)
            .field("tolerated_drops", &self.tolerated)
            .field("window", &self.window)
            .field("probe_every", &self.probe_every)
            .field("reserves", &self.reserves)
            .field("observers", &self.observers.len())
            .finish_non_exhaustive()
    }
}
