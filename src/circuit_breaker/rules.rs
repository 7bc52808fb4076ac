//! When a circuit opens, for how long, and what it takes to close it again.

use std::sync::Arc;
use std::time::Duration;

use super::CircuitBreaker;
use super::group::BreakerGroup;
use super::half_open::HalfOpen;
use super::snapshot::CircuitSnapshot;
use crate::backoff::{Backoff, Jitter};
use crate::event::Observer;
use crate::random::Dice;
use crate::setting::{Check, SettingError};
use crate::time::{self, Instant};
use crate::window::Window;

pub(super) const CHECK: Check = Check("circuit breaker");

/// What calls that were dropped before they ended mean to the breaker.
///
/// A future that an outer time limit drops again and again leaves no result, so a breaker that only counts
/// results never learns that the dependency hangs. But a user who closes a browser tab drops a future too,
/// and says nothing of the dependency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Abandoned {
    /// Says nothing, ever. A dependency that hangs behind an outer time limit is then never found out:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Abandoned, CircuitBreaker};
    ///
    /// for (meaning, opens) in [(Abandoned::Ignore, false), (Abandoned::AllAbandoned, true)] {
    ///     let breaker = CircuitBreaker::builder("hangs").abandoned(meaning).build().unwrap();
    ///     for _ in 0..100 {
    ///         let hangs = breaker.call(std::future::pending::<Result<(), ()>>);
    ///         let _ = tokio::time::timeout(Duration::from_millis(50), hangs).await;
    ///     }
    ///     assert_eq!(breaker.snapshot().last_trip.is_some(), opens);
    /// }
    /// # }
    /// ```
    Ignore,
    /// Opens the circuit when as many calls as [`minimum_calls`](CircuitBreakerBuilder::minimum_calls) in a
    /// row were all abandoned. The default.
    #[default]
    AllAbandoned,
    /// Opens the circuit when at least this share of the window was abandoned, above 0.0 and at most 1.0.
    Rate(f64),
    /// Each abandoned call is a failure.
    AsFailure,
}

/// How a closed circuit comes back to full traffic: from a share of it, rising evenly over a while.
///
/// Callers beyond the share are rejected as by an open circuit, and told to come back in the later half of
/// what is left of the ramp. Results count as ever, so a dependency that
/// falls over again while it warms up opens the circuit again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    pub(super) start: f64,
    pub(super) over: Duration,
}

impl Ramp {
    /// Starts with `start` of the traffic (above 0.0, at most 1.0) and reaches all of it after `over`, longer
    /// than zero.
    #[must_use]
    pub const fn new(start: f64, over: Duration) -> Self {
        Self { start, over }
    }
}

/// The settings of a circuit, checked. All breakers of one builder and its clones share them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rules {
    pub(super) window: Window,
    pub(super) failure_rate: Option<f64>,
    pub(super) slow: Option<(Duration, f64)>,
    pub(super) consecutive: Option<u32>,
    pub(super) minimum_calls: u32,
    pub(super) judge_successes: bool,
    pub(super) abandoned: Abandoned,
    pub(super) open_for: Backoff,
    pub(super) max_hint: Duration,
    pub(super) reset_after: Duration,
    pub(super) half_open: HalfOpen,
    pub(super) ramp: Option<Ramp>,
    /// Cloned for each circuit, which draws from its own.
    pub(super) dice: Dice,
}

impl Rules {
    /// Whether there is a rule that needs a window.
    fn is_rated(&self) -> bool {
        self.failure_rate.is_some() || self.slow.is_some() || matches!(self.abandoned, Abandoned::Rate(_))
    }

    /// How many calls a window of them holds, if there is one.
    pub(super) fn last_calls(&self) -> Option<u32> {
        self.window.calls.filter(|_| self.is_rated())
    }

    /// How long a window of time is, if there is one.
    pub(super) fn last_span(&self) -> Option<Duration> {
        self.window.time.filter(|_| self.is_rated())
    }

    /// Whether a call that began so was slower than it should be.
    #[inline]
    pub(super) fn is_slow(&self, started: Option<Instant>, now: Instant) -> bool {
        let took = |started| now.saturating_duration_since(started);
        self.slow.is_some_and(|(limit, _)| started.is_some_and(|started| took(started) > limit))
    }

    /// Whether the circuit must know when each call began.
    #[inline]
    pub(super) fn times_every_call(&self) -> bool {
        self.slow.is_some()
    }
}

/// Builds a [`CircuitBreaker`].
///
/// ```
/// use std::time::Duration;
/// use recoup::{Backoff, CircuitBreaker, Window};
///
/// let breaker = CircuitBreaker::builder("payments")
///     .window(Window::last(Duration::from_secs(10)))
///     .failure_rate(0.5)
///     .minimum_calls(20)
///     .consecutive_failures(5)
///     .open_for(Backoff::exponential(Duration::from_secs(1)).max_delay(Duration::from_secs(60)))
///     .build()?;
/// assert!(breaker.admit().is_ok());
///
/// let error = CircuitBreaker::builder("payments").failure_rate(60.0).build().unwrap_err();
/// assert_eq!(error.setting, "failure_rate");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct CircuitBreakerBuilder {
    pub(super) name: Arc<str>,
    pub(super) rules: Arc<Rules>,
    pub(super) observers: Vec<Arc<dyn Observer>>,
    pub(super) group: Option<BreakerGroup>,
    pub(super) restored: Option<CircuitSnapshot>,
}

impl CircuitBreakerBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        let rules = Rules {
            window: Window::last_calls(100),
            failure_rate: Some(0.5),
            slow: None,
            consecutive: None,
            minimum_calls: 20,
            judge_successes: false,
            abandoned: Abandoned::default(),
            open_for: Backoff::exponential(Duration::from_secs(1))
                .max_delay(Duration::from_secs(30))
                .jitter(Jitter::Proportional(0.2)),
            max_hint: Duration::from_secs(300),
            reset_after: Duration::from_secs(60),
            half_open: HalfOpen::default(),
            ramp: Some(Ramp::new(0.2, Duration::from_secs(1))),
            dice: Dice::default(),
        };
        Self { name, rules: Arc::new(rules), observers: Vec::new(), group: None, restored: None }
    }

    /// The settings, to change them: from the first change on, these are no longer another builder's.
    fn own(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.rules)
    }

    /// The calls over which rates are taken. Default: the last 100 calls.
    pub fn window(mut self, window: Window) -> Self {
        self.own().window = window;
        self
    }

    /// Opens when at least this share of the window failed, above 0.0 and at most 1.0. Default: 0.5.
    pub fn failure_rate(mut self, share: f64) -> Self {
        self.own().failure_rate = Some(share);
        self
    }

    /// Does not look at the failure rate; another rule must be set.
    pub fn no_failure_rate(mut self) -> Self {
        self.own().failure_rate = None;
        self
    }

    /// Opens when at least `share` of the window took longer than `limit`, whatever the result; an abandoned
    /// call took as long as it lived. In a half-open circuit a slow probe is a failed one. Default: off.
    pub fn slow_calls(mut self, limit: Duration, share: f64) -> Self {
        self.own().slow = Some((limit, share));
        self
    }

    /// Opens when so many calls in a row failed, however long that took. Default: off.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.own().consecutive = Some(failures);
        self
    }

    /// How many calls a window must hold before its rates are judged. Default: 20, of which ten must fail:
    /// a dependency that fails one call in ten does so by chance once in 100,000 windows.
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.own().minimum_calls = calls;
        self
    }

    /// Judges the rates after successes too, so that the success that completes
    /// [`minimum_calls`](Self::minimum_calls) may open the circuit. Default: only what counts against the
    /// dependency is judged, and a success costs no more than a count.
    pub fn judge_successes(mut self) -> Self {
        self.own().judge_successes = true;
        self
    }

    /// What calls that were dropped before they ended mean. Default: [`Abandoned::AllAbandoned`].
    pub fn abandoned(mut self, meaning: Abandoned) -> Self {
        self.own().abandoned = meaning;
        self
    }

    /// How long the circuit stays open, longer than zero: a `Duration`, or a [`Backoff`] that grows with each time that it
    /// opens again before it has been closed for [`reset_after`](Self::reset_after). The last call wins.
    /// Default: 1 s, doubling up to 30 s, up to a fifth shorter by chance so that a fleet does not probe as
    /// one.
    pub fn open_for(mut self, time: impl Into<Backoff>) -> Self {
        self.own().open_for = time.into();
        self
    }

    /// The longest hint of a server (`Retry-After`) that is believed. A failure that opens the circuit with
    /// a hint up to this keeps it open at least that long; a longer hint counts as this. Zero ignores hints.
    /// Default: 5 min.
    pub fn max_hint(mut self, longest: Duration) -> Self {
        self.own().max_hint = longest;
        self
    }

    /// After how long closed an opening counts as the first again. Default: 1 min.
    pub fn reset_after(mut self, closed: Duration) -> Self {
        self.own().reset_after = closed;
        self
    }

    /// How the circuit finds out whether the dependency is back. Default: 3 probes,
    /// of which 2 must succeed: one unlucky probe does not cost another break.
    pub fn half_open(mut self, half_open: HalfOpen) -> Self {
        self.own().half_open = half_open;
        self
    }

    /// How the closed circuit comes back to full traffic. Default: from a fifth of it within one second.
    pub fn ramp(mut self, ramp: Ramp) -> Self {
        self.own().ramp = Some(ramp);
        self
    }

    /// Full traffic as soon as the circuit closes.
    pub fn no_ramp(mut self) -> Self {
        self.own().ramp = None;
        self
    }

    /// The seed of all that is left to chance: the jitter in [`open_for`](Self::open_for), and when those come
    /// back whom the ramp turns away. Breakers with the same seed draw the same. Default: fresh randomness.
    pub fn seed(mut self, seed: u64) -> Self {
        self.own().dice = Dice::seeded(seed);
        self
    }

    /// Somebody who watches. May be called more than once.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// The group whose members may not all open at once. Default: none.
    pub fn group(mut self, group: &BreakerGroup) -> Self {
        self.group = Some(group.clone());
        self
    }

    /// Starts as `snapshot` says: open for as long as it had left, or closed. What was half-open starts open
    /// with no time left, so the next call is a probe. Control by hand and the number of openings are taken
    /// over; counts are not, and isolation is not, for it belongs to its handles. For processes that come and
    /// go.
    pub fn restore(mut self, snapshot: &CircuitSnapshot) -> Self {
        self.restored = Some(snapshot.clone());
        self
    }

    /// Checks the settings and makes the breaker.
    ///
    /// # Errors
    ///
    /// [`SettingError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<CircuitBreaker, SettingError> {
        self.check()?;
        Ok(self.unchecked())
    }

    /// For settings that are known to work.
    pub(super) fn unchecked(self) -> CircuitBreaker {
        self.unchecked_at(time::now())
    }

    /// For settings that are known to work, in a time that starts at `origin`.
    pub(crate) fn unchecked_at(self, origin: Instant) -> CircuitBreaker {
        let restored = self.restored.as_ref();
        let breaker = CircuitBreaker::from_parts(self.name, self.rules, self.group, restored, origin);
        for observer in self.observers {
            breaker.observe(observer);
        }
        breaker
    }

    pub(crate) fn check(&self) -> Result<(), SettingError> {
        let rules = &self.rules;
        rules.window.check(CHECK)?;
        if let Some(share) = rules.failure_rate {
            CHECK.share("failure_rate", share)?;
        }
        if let Some((limit, share)) = rules.slow {
            CHECK.longer_than_zero("slow_calls", limit)?;
            CHECK.share("slow_calls", share)?;
        }
        if let Some(failures) = rules.consecutive {
            CHECK.at_least_one("consecutive_failures", failures)?;
        }
        if rules.failure_rate.is_none() && rules.slow.is_none() && rules.consecutive.is_none() {
            return Err(CHECK.refuse("failure_rate", "off", "on, unless another rule is set"));
        }
        CHECK.at_least_one("minimum_calls", rules.minimum_calls)?;
        if let Some(calls) = rules.window.calls
            && calls < rules.minimum_calls
        {
            return Err(CHECK.refuse("minimum_calls", rules.minimum_calls, "at most the window's calls"));
        }
        if let Abandoned::Rate(share) = rules.abandoned {
            CHECK.share("abandoned", share)?;
        }
        rules.open_for.check(CHECK)?;
        // A circuit that is open for no time has turned nobody away when it lets probes through.
        CHECK.longer_than_zero("open_for", rules.open_for.bounds(1).max)?;
        rules.half_open.check()?;
        if let Some(ramp) = rules.ramp {
            CHECK.share("ramp", ramp.start)?;
            CHECK.longer_than_zero("ramp", ramp.over)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for CircuitBreakerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CircuitBreakerBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TryFrom<CircuitBreakerBuilder> for CircuitBreaker {
    type Error = SettingError;

    fn try_from(builder: CircuitBreakerBuilder) -> Result<Self, SettingError> {
        builder.build()
    }
}
