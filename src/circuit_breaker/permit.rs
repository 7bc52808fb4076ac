//! Leave to make one call.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::circuit::Report;
use super::{CircuitBreaker, Core, way};
use crate::classification::Outcome;
use crate::sync::atomic::Ordering;
use crate::time::{Instant, Now, later_or_far};

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
    /// None for a passenger, whose result is nobody's business, and once it is told.
    vote: Option<Vote<'b>>,
}

/// Of whom, and of what, a result speaks.
#[derive(Clone, Copy)]
struct Vote<'b> {
    core: &'b Core,
    /// The generation that admitted it, and how it came in.
    word: u64,
    /// The number of its place, for a probe.
    probe: Option<NonZeroU32>,
    /// When it began, where that matters.
    began: Option<Began>,
    /// What a drop would report.
    outcome: Outcome,
}

/// When a call began: nanoseconds after its circuit was made, and one more. Half as large as an `Instant`, for every
/// call under way keeps room for it.
#[derive(Clone, Copy)]
pub(super) struct Began(NonZeroU64);

impl Began {
    fn at(core: &Core, now: Instant) -> Self {
        let nanos = now.saturating_duration_since(core.origin).as_nanos();
        Self(NonZeroU64::MIN.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    pub(super) fn instant(self, core: &Core) -> Instant {
        later_or_far(core.origin, Duration::from_nanos(self.0.get() - 1))
    }
}

impl<'b> Permit<'b> {
    #[inline(always)]
    pub(super) fn voter(core: &'b Core, word: u64, began: Option<Instant>) -> Self {
        let began = began.map(|now| Began::at(core, now));
        Self { vote: Some(Vote { core, word, probe: None, began, outcome: Outcome::Ignored }) }
    }

    pub(super) fn probe(core: &'b Core, word: u64, number: NonZeroU32, now: Instant) -> Self {
        let (probe, began) = (Some(number), Some(Began::at(core, now)));
        Self { vote: Some(Vote { core, word, probe, began, outcome: Outcome::Ignored }) }
    }

    #[inline(always)]
    pub(crate) fn passenger() -> Self {
        Self { vote: None }
    }

    /// The same, field by field: moved as a whole it would have to be in memory, even if most are not.
    #[inline(always)]
    pub(crate) fn loose(mut self) -> Self {
        let Some(Vote { core, word, probe, began, outcome }) = self.vote else {
            return Self::passenger();
        };
        self.vote = None;
        Self { vote: Some(Vote { core, word, probe, began, outcome }) }
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
        let Some(Vote { core, word, probe, began, .. }) = self.vote else { return };
        self.vote = None;
        core.report(word, probe, began, outcome, hint, now);
    }

    /// As [`settle_at`](Self::settle_at) with a success: the way that is taken all the time.
    #[inline(always)]
    pub(crate) fn succeed(&mut self, now: &Now) {
        let Some(Vote { core, word, probe, began, .. }) = self.vote else { return };
        self.vote = None;
        if !core.settle_success(word, began, now) {
            core.report(word, probe, began, Outcome::Success, None, &Now::from(now.get()));
        }
    }

    /// What a drop reports from now on.
    #[inline(always)]
    pub(crate) fn assume(&mut self, outcome: Outcome) {
        if let Some(vote) = &mut self.vote {
            vote.outcome = outcome;
        }
    }

    /// The call begins only now. What it has waited for since it was admitted is not the dependency's time.
    pub(crate) fn begins(&mut self, now: &Now) {
        if let Some(Vote { core, began: Some(began), .. }) = &mut self.vote {
            *began = Began::at(core, now.get());
        }
    }

    /// Whether the circuit is still in the state that admitted this permit.
    pub(crate) fn is_current(&self) -> bool {
        let generation = |word: u64| word >> way::BITS;
        self.vote
            .as_ref()
            .is_none_or(|vote| generation(vote.core.word.load(Ordering::Acquire)) == generation(vote.word))
    }
}

/// Leave to make one call while the circuit is plainly closed, of which a drop says nothing. Small enough for
/// registers.
#[derive(Clone, Copy)]
pub(crate) struct PlainPermit<'b> {
    core: &'b Core,
    word: u64,
}

impl CircuitBreaker {
    /// As [`enter`](Self::enter), if nobody need be asked further.
    #[inline(always)]
    pub(crate) fn enter_plainly(&self) -> Option<PlainPermit<'_>> {
        let word = self.core.word.load(Ordering::Acquire);
        (word & way::OBSTACLES == 0).then(|| PlainPermit { core: &self.core, word })
    }
}

impl<'b> PlainPermit<'b> {
    /// The call gave a value.
    #[inline(always)]
    pub(crate) fn succeed(self, now: &Now) {
        if !self.core.settle_success(self.word, None, now) {
            self.core.report(self.word, None, None, Outcome::Success, None, &Now::from(now.get()));
        }
    }

    /// The permit, which can be told more.
    pub(crate) fn permit(self) -> Permit<'b> {
        Permit::voter(self.core, self.word, None)
    }
}

// Told piece by piece, so that a permit that is held for a moment need not stand in memory.
impl Core {
    #[cold]
    fn dropped(&self, word: u64, probe: Option<NonZeroU32>, began: Option<Began>, outcome: Outcome) {
        self.report(word, probe, began, outcome, None, &Now::unread());
    }

    #[cold]
    fn report(
        &self,
        word: u64,
        probe: Option<NonZeroU32>,
        began: Option<Began>,
        outcome: Outcome,
        hint: Option<Duration>,
        now: &Now,
    ) {
        if probe.is_none() && outcome == Outcome::Ignored {
            return;
        }
        let now = now.get();
        let slow = self.rules.is_slow(began.map(|began| began.instant(self)), now);
        self.settle(Report { generation: word >> way::BITS, probe, outcome, slow, hint }, now);
    }
}

impl Drop for Permit<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(Vote { core, word, probe, began, outcome }) = self.vote {
            core.dropped(word, probe, began, outcome);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("generation", &self.vote.as_ref().map_or(0, |vote| vote.word >> way::BITS))
            .field("probe", &self.vote.as_ref().and_then(|vote| vote.probe))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit_breaker::{HalfOpen, Ramp};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn permit_given_under_the_lock_is_current_as_long_as_the_state_is_the_same() {
        let breaker = CircuitBreaker::builder("b")
            .consecutive_failures(1)
            .open_for(SECOND)
            .half_open(HalfOpen::probes(1))
            .ramp(Ramp::new(1.0, 10 * SECOND))
            .build()
            .unwrap();
        breaker.admit().unwrap().settle(Outcome::Failure);
        tokio::time::advance(SECOND).await;
        let probe = breaker.admit().unwrap();
        assert!(probe.is_current());
        probe.settle(Outcome::Success);
        let returning = breaker.admit().unwrap(); // on the ramp, where each caller asks
        assert!(returning.is_current());
        breaker.admit().unwrap().settle(Outcome::Failure);
        assert!(!returning.is_current());
    }
}
