//! One server's hint holds back every caller of that dependency.

mod pace;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use self::pace::Pace;
use crate::setting::{Check, SettingError};
use crate::sync::Lock;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::time::{self, Instant, Now, later_or_far};

/// A pause that one caller's server hint starts for all callers of that dependency.
///
/// When a server says to one of them that it should come back in five seconds, nobody asks it before. Then
/// they leave one after the other, at most [`burst`](CooldownBuilder::burst) in any 100 ms, until all who
/// waited have left and one second more. A caller who comes after the end takes their turn behind those. If
/// more than that keep coming, the burst doubles every second, so that one hint slows nobody for good.
///
/// A handle: clones share the pause.
///
/// ```
/// use std::time::Duration;
/// use recoup::Cooldown;
///
/// let cooldown = Cooldown::builder().max(Duration::from_secs(60)).burst(5).build().unwrap();
/// assert_eq!(cooldown.until(), None, "no hint came yet");
/// ```
#[derive(Clone, Debug)]
pub struct Cooldown {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    max: Duration,
    spacing: Duration,
    first_attempts: FirstAttempts,
    /// Whether `pace` is something. Changed under its lock only.
    active: AtomicBool,
    pace: Lock<Option<Pace>>,
}

impl Cooldown {
    /// Begins a cooldown.
    pub const fn builder() -> CooldownBuilder {
        CooldownBuilder { max: Duration::from_secs(5 * 60), burst: 10, first_attempts: FirstAttempts::Wait }
    }

    /// When the last pause ends or ended, or `None` if there was none, or all who waited for it are through.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        self.shared.pace.lock().as_ref().map(Pace::until)
    }

    /// A server said `hint` to somebody at `now`. Moves the end of the pause further, never nearer.
    pub(crate) fn learn(&self, hint: Duration, now: Instant) {
        if hint.is_zero() {
            return;
        }
        let end = later_or_far(now, hint.min(self.shared.max));
        let mut pace = self.shared.pace.lock();
        match &mut *pace {
            Some(pace) => pace.extend(end),
            idle => *idle = Some(Pace::new(end)),
        }
        self.shared.active.store(true, Ordering::Release);
    }

    /// `None` to leave now, or the turn to wait for. Once its moment has come, the turn itself is asked whether
    /// to [leave](Turn::leave): the pause may have been extended meanwhile.
    ///
    /// Without a pause this is one load, and the clock is not read.
    pub(crate) fn ask(&self, first: bool, now: &Now) -> Result<Option<Turn>, CoolingDown> {
        if !self.shared.active.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.ask_pace(first, now.get())
    }

    #[cold]
    fn ask_pace(&self, first: bool, now: Instant) -> Result<Option<Turn>, CoolingDown> {
        let mut pace = self.shared.pace.lock();
        let Some(waiting) = pace.as_mut().filter(|pace| !pace.is_over(now)) else {
            *pace = None;
            self.shared.active.store(false, Ordering::Release);
            return Ok(None);
        };
        if first && self.shared.first_attempts == FirstAttempts::FailFast {
            let until = waiting.earliest(now);
            if until > now {
                return Err(CoolingDown { until });
            }
        }
        let at = waiting.take(now, self.shared.spacing);
        Ok((at > now).then(|| Turn { shared: Arc::clone(&self.shared), at, left: false }))
    }
}

/// A caller's own moment to leave, after a pause. Dropped before it has left, it goes to another.
#[derive(Debug)]
#[must_use = "a turn dropped at once goes to another caller"]
pub(crate) struct Turn {
    shared: Arc<Shared>,
    at: Instant,
    left: bool,
}

impl Turn {
    /// When it comes.
    pub(crate) const fn at(&self) -> Instant {
        self.at
    }

    /// `None` to leave now. A turn again if it has not come, or if the pause was extended past it; that one is
    /// later.
    pub(crate) fn leave(mut self, now: &Now) -> Option<Self> {
        let now = now.get();
        if now < self.at {
            return Some(self);
        }
        if let Some(pace) = &mut *self.shared.pace.lock()
            && self.at < pace.until()
        {
            self.at = pace.take(now, self.shared.spacing);
        }
        if self.at > now {
            return Some(self);
        }
        self.left = true;
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.left
            && let Some(pace) = &mut *self.shared.pace.lock()
        {
            pace.give_back(self.at, self.shared.spacing);
        }
    }
}

/// What first attempts do while a dependency cools down. Retries always wait.
///
/// ```
/// use recoup::{Cooldown, FirstAttempts};
/// assert_eq!(FirstAttempts::default(), FirstAttempts::Wait);
/// assert!(Cooldown::builder().first_attempts(FirstAttempts::FailFast).build().is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FirstAttempts {
    /// They wait for their turn, as retries do.
    #[default]
    Wait,
    /// They are refused with [`CoolingDown`] whenever they could not leave at once.
    FailFast,
}

/// The dependency cools down after a hint of its server: the attempt was not made.
///
/// ```
/// use recoup::CoolingDown;
/// fn says_when(refused: &CoolingDown) -> bool {
///     refused.to_string() == "dependency is cooling down" && refused.until > recoup::Instant::now()
/// }
/// # let _ = says_when;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("dependency is cooling down")]
#[non_exhaustive]
pub struct CoolingDown {
    /// When it is worth asking again.
    pub until: Instant,
}

impl CoolingDown {
    /// How long until calls may leave again.
    #[must_use]
    pub fn retry_in(&self) -> Duration {
        self.until.saturating_duration_since(time::now())
    }
}

/// Builds a [`Cooldown`].
///
/// ```
/// use std::time::Duration;
/// use recoup::Cooldown;
///
/// let error = Cooldown::builder().max(Duration::from_secs(60)).burst(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "cooldown: `burst` is 0, but must be at least 1");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CooldownBuilder {
    max: Duration,
    burst: u32,
    first_attempts: FirstAttempts,
}

impl CooldownBuilder {
    /// The longest pause that one hint may ask for, longer than zero; a longer hint counts as this. Default:
    /// 5 minutes.
    pub const fn max(mut self, pause: Duration) -> Self {
        self.max = pause;
        self
    }

    /// How many calls may leave in any 100 ms right after a pause, at least 1; they are evenly spaced.
    /// Default: 10.
    pub const fn burst(mut self, calls: u32) -> Self {
        self.burst = calls;
        self
    }

    /// What first attempts do during a pause. Default: [`FirstAttempts::Wait`].
    pub const fn first_attempts(mut self, first_attempts: FirstAttempts) -> Self {
        self.first_attempts = first_attempts;
        self
    }

    /// The cooldown.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build(self) -> Result<Cooldown, SettingError> {
        let check = Check("cooldown");
        check.longer_than_zero("max", self.max)?;
        check.at_least_one("burst", self.burst)?;
        // Rounded up: a gap too short by a nanosecond would let one more through at the end of a window.
        let gap = Duration::from_millis(100).as_nanos().div_ceil(u128::from(self.burst));
        let spacing = Duration::from_nanos(u64::try_from(gap).unwrap_or(u64::MAX));
        let Self { max, first_attempts, .. } = self;
        let (active, pace) = (AtomicBool::new(false), Lock::default());
        Ok(Cooldown { shared: Arc::new(Shared { max, spacing, first_attempts, active, pace }) })
    }
}

impl TryFrom<CooldownBuilder> for Cooldown {
    type Error = SettingError;

    fn try_from(builder: CooldownBuilder) -> Result<Self, SettingError> {
        builder.build()
    }
}
