//! The settings of a hedge.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::allowance::{Extra, Spare};
use super::delay::{Delay, Says};
use super::latency::Latencies;
use super::snapshot::Counts;
use super::{Hedge, Shared};
use crate::event::{Observer, Observers};
use crate::setting::{Check, SettingError};
use crate::time::{self, Instant};

const CHECK: Check = Check("hedge");

/// The most attempts that may race each other. Dean and Barroso find that one hedge is nearly all there is to
/// gain.
const MOST_ATTEMPTS: u32 = 10;

/// A twentieth, which is what a hedge at the 95th percentile needs.
const DEFAULT_EXTRA: f64 = 0.05;

/// Five of a hundred are beyond the 95th percentile: fewer say little about where it is.
const DEFAULT_WARM_UP: u32 = 100;

/// Below it a hedge mends what no caller notices, and timers of a millisecond could not tell the difference.
/// Finagle's backup requests wait no less either.
const DEFAULT_MIN_DELAY: Duration = Duration::from_millis(1);

/// Half a minute, as Finagle's backup requests remember.
const DEFAULT_MEMORY: Duration = Duration::from_secs(30);

/// When an attempt is hedged, before it was checked.
#[derive(Clone)]
pub(super) enum Timing {
    After(Duration),
    AtQuantile(f64),
    When(Arc<Says>),
}

/// Builds a [`Hedge`].
///
/// ```
/// use std::time::Duration;
/// use recoup::Hedge;
///
/// let hedge = Hedge::at_quantile(0.99).max_extra(0.02).min_delay(Duration::from_millis(5)).build()?;
/// assert_eq!(&**hedge.name(), "hedge");
///
/// let error = Hedge::at_quantile(99.0).build().unwrap_err();
/// assert_eq!(error.to_string(), "hedge: `at_quantile` is 99.0, but must be above 0.0 and at most 1.0");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct HedgeBuilder {
    timing: Timing,
    name: Option<Arc<str>>,
    max_attempts: u32,
    extra: Option<f64>,
    pub(super) budget: Option<Arc<dyn Spare>>,
    warm_up: u32,
    until_warm: Option<Duration>,
    min_delay: Duration,
    memory: Duration,
    observers: Vec<Arc<dyn Observer>>,
}

impl HedgeBuilder {
    pub(super) const fn new(timing: Timing) -> Self {
        Self {
            timing,
            name: None,
            max_attempts: 2,
            extra: Some(DEFAULT_EXTRA),
            budget: None,
            warm_up: DEFAULT_WARM_UP,
            until_warm: None,
            min_delay: DEFAULT_MIN_DELAY,
            memory: DEFAULT_MEMORY,
            observers: Vec::new(),
        }
    }

    /// What events call it. Default: `hedge`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The most attempts that one call may make, the first included: from 1, which hedges nothing, to 10.
    /// Default: 2.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// The most hedges, as a share of the calls: from a millionth to 1.0, kept to the nearest millionth.
    /// Default: 0.05.
    ///
    /// It is counted, not estimated: every call pays in its share of a token and every hedge takes one out, so
    /// there are never more hedges than this share of the calls so far, and none before the twentieth call at
    /// 0.05. At most 100 tokens are saved up: what a good hour may leave for a bad minute.
    pub const fn max_extra(mut self, share: f64) -> Self {
        self.extra = Some(share);
        self
    }

    /// Hedges as often as attempts are slow: a dependency that is slow as a whole then gets
    /// [`max_attempts`](Self::max_attempts) times its load, when it can bear it least.
    pub const fn no_max_extra(mut self) -> Self {
        self.extra = None;
        self
    }

    /// After how many latencies the quantile is told from them, at least 1. Default: 100. Of no effect but
    /// [at a quantile](Hedge::at_quantile), as the three that follow.
    pub const fn warm_up(mut self, latencies: u32) -> Self {
        self.warm_up = latencies;
        self
    }

    /// After what time an attempt is hedged until the quantile is known, longer than zero. Default: not at all.
    pub const fn until_warm(mut self, delay: Duration) -> Self {
        self.until_warm = Some(delay);
        self
    }

    /// The shortest time after which an attempt is hedged, however quick they are; longer than zero. Default:
    /// 1 ms.
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = delay;
        self
    }

    /// How long a latency counts, at least: it is forgotten after this time, or twice this time at the latest,
    /// once as many newer ones are known as the [`warm_up`](Self::warm_up) asks for. Longer than zero;
    /// [`Duration::MAX`] is for ever. Default: 30 s.
    pub const fn memory(mut self, time: Duration) -> Self {
        self.memory = time;
        self
    }

    /// Adds one who is told of each hedge that is launched or left out. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Asks `budget` too before a hedge is launched.
    pub(crate) fn paid_from(mut self, budget: Arc<dyn Spare>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The hedge.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build(self) -> Result<Hedge, SettingError> {
        self.build_at(time::now())
    }

    /// As [`build`](Self::build), for a hedge whose time starts at `start`.
    pub(super) fn build_at(self, start: Instant) -> Result<Hedge, SettingError> {
        if !(1..=MOST_ATTEMPTS).contains(&self.max_attempts) {
            return Err(CHECK.refuse("max_attempts", self.max_attempts, "from 1 to 10"));
        }
        let extra = match self.extra {
            Some(share) if !(1e-6..=1.0).contains(&share) => {
                return Err(CHECK.refuse("max_extra", share, "at least 0.000001 and at most 1.0"));
            }
            share => share.map(Extra::new),
        };
        CHECK.at_least_one("warm_up", self.warm_up)?;
        CHECK.longer_than_zero("until_warm", self.until_warm.unwrap_or(Duration::MAX))?;
        CHECK.longer_than_zero("min_delay", self.min_delay)?;
        CHECK.longer_than_zero("memory", self.memory)?;
        let delay = match self.timing {
            Timing::After(delay) => {
                CHECK.longer_than_zero("after", delay)?;
                Delay::After(delay)
            }
            Timing::When(says) => Delay::When(says),
            Timing::AtQuantile(share) => {
                CHECK.share("at_quantile", share)?;
                let latencies = Latencies::new(share, self.warm_up, self.memory, start);
                let (until_warm, least) = (self.until_warm, self.min_delay);
                Delay::AtQuantile { latencies: Box::new(latencies), until_warm, least }
            }
        };
        let observers = Observers::default();
        self.observers.into_iter().for_each(|observer| observers.add(observer));
        let shared = Shared {
            name: self.name.unwrap_or_else(|| Arc::from("hedge")),
            max_attempts: self.max_attempts,
            delay,
            extra,
            budget: self.budget,
            counts: Counts::default(),
            observers,
        };
        Ok(Hedge { shared: Arc::new(shared) })
    }
}

impl TryFrom<HedgeBuilder> for Hedge {
    type Error = SettingError;

    fn try_from(builder: HedgeBuilder) -> Result<Self, SettingError> {
        builder.build()
    }
}

impl fmt::Debug for HedgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeBuilder")
            .field("max_attempts", &self.max_attempts)
            .field("max_extra", &self.extra)
            .finish_non_exhaustive()
    }
}
