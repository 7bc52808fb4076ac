//! Leave to make one call.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use super::Core;
use super::circuit::Report;
use crate::classification::Outcome;
use crate::sync::atomic::Ordering;
use crate::time::{Instant, Now};

/// Leave to make one call through a [`CircuitBreaker`](super::CircuitBreaker). Dropped unsettled, the call
/// counts as abandoned, and a probe's place is free again at once.
///
/// ```
/// use recoup::{CircuitBreaker, Outcome};
/// let breaker = CircuitBreaker::builder("db").build()?;
/// if let Ok(permit) = breaker.admit() {
///     let answered = true; // the call
///     permit.settle(if answered { Outcome::Success } else { Outcome::Failure });
/// }
/// assert_eq!(breaker.snapshot().calls, 1);
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[must_use = "a permit dropped at once counts as an abandoned call"]
pub struct Permit<'b> {
    /// None for a passenger, whose result is nobody's business.
    core: Option<&'b Core>,
    generation: u64,
    /// The number of its place, for a probe.
    probe: Option<NonZeroU32>,
    started: Option<Instant>,
    /// What a drop would report.
    outcome: Outcome,
}

impl<'b> Permit<'b> {
    #[inline]
    pub(super) fn voter(core: &'b Core, generation: u64, started: Option<Instant>) -> Self {
        Self { core: Some(core), generation, probe: None, started, outcome: Outcome::Ignored }
    }

    pub(super) fn probe(core: &'b Core, generation: u64, number: NonZeroU32, started: Instant) -> Self {
        let started = Some(started);
        Self { core: Some(core), generation, probe: Some(number), started, outcome: Outcome::Ignored }
    }

    #[inline]
    pub(crate) fn passenger() -> Self {
        Self { core: None, generation: 0, probe: None, started: None, outcome: Outcome::Ignored }
    }

    /// Tells the circuit how the call ended.
    pub fn settle(mut self, outcome: Outcome) {
        let now = Now::unread();
        match outcome {
            Outcome::Success => self.succeed(&now),
            outcome => self.settle_at(outcome, None, &now),
        }
    }

    /// Tells the circuit how the call ended, and for how long the server asked to be left alone. If this
    /// opens the circuit, it stays open at least that long, as far as
    /// [`max_hint`](super::CircuitBreakerBuilder::max_hint) allows.
    pub fn settle_with_hint(mut self, outcome: Outcome, hint: Duration) {
        self.settle_at(outcome, Some(hint), &Now::unread());
    }

    #[inline]
    pub(crate) fn settle_at(&mut self, outcome: Outcome, hint: Option<Duration>, now: &Now) {
        if let Some(core) = self.core.take() {
            self.report(core, outcome, hint, now);
        }
    }

    /// As [`settle_at`](Self::settle_at) with a success: the way that is taken all the time.
    #[inline(always)]
    pub(crate) fn succeed(&mut self, now: &Now) {
        if let Some(core) = self.core.take()
            && !(self.probe.is_none() && core.settle_success(self.generation, self.started, now))
        {
            self.report(core, Outcome::Success, None, now);
        }
    }

    /// What a drop reports from now on.
    #[inline]
    pub(crate) fn assume(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// The call begins only now. What it has waited for since it was admitted is not the dependency's time.
    pub(crate) fn begins(&mut self, now: &Now) {
        if let Some(started) = &mut self.started {
            *started = now.get();
        }
    }

    /// Whether the circuit is still in the state that admitted this permit.
    pub(crate) fn is_current(&self) -> bool {
        self.core.is_none_or(|core| core.word.load(Ordering::Acquire) >> super::way::BITS == self.generation)
    }

    #[cold]
    fn dropped(&mut self) {
        self.settle_at(self.outcome, None, &Now::unread());
    }

    #[cold]
    fn report(&self, core: &Core, outcome: Outcome, hint: Option<Duration>, now: &Now) {
        let Self { generation, probe, started, .. } = *self;
        if probe.is_none() && outcome == Outcome::Ignored {
            return;
        }
        let slow = core.rules.is_slow(started, now);
        core.settle(Report { generation, probe, outcome, slow, hint }, now.get());
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.core.is_some() {
            self.dropped();
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("generation", &self.generation)
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}
