//! What a breaker looks like from outside.

use std::sync::Arc;
use std::time::Duration;

use super::CircuitBreaker;
use super::circuit::{Circuit, Control, State};
use super::counts::Counts;
use crate::event::Trip;
use crate::time::{self, Instant, later};
use crate::window::Tally;

/// The state of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls are let through.
    Closed,
    /// Calls are rejected.
    Open,
    /// A few calls are let through to probe, or would be if they came now.
    HalfOpen,
}

/// A breaker at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CircuitSnapshot {
    /// The breaker's name.
    pub name: Arc<str>,
    /// Where the state machine stands; open while somebody holds it open by hand.
    pub state: CircuitState,
    /// What is done with it.
    pub control: Control,
    /// How many isolation handles are held; the circuit rejects while there is one.
    pub isolated: u32,
    /// Counted up at each change of state.
    pub generation: u64,
    /// The calls in the window: of two windows, in the one of calls.
    pub calls: u64,
    /// How many of them failed.
    pub failures: u64,
    /// How many of them were slow.
    pub slow_calls: u64,
    /// How many failures there were since the last success.
    pub consecutive_failures: u32,
    /// How often it has opened without staying closed in between.
    pub openings: u32,
    /// What opened it last.
    pub last_trip: Option<Trip>,
    /// While the state machine is open: how long until it would let a probe through; `None` when that is never,
    /// or when it is not open.
    pub probe_in: Option<Duration>,
    /// While the state machine is half-open: how many probes have succeeded and failed.
    pub probes: Option<(u32, u32)>,
}

impl CircuitSnapshot {
    /// A circuit that is open and lets a probe through in `probe_in`, or never; it has opened `openings` times
    /// without staying closed in between. For a process that wrote these down, to give them to
    /// [`restore`](super::CircuitBreakerBuilder::restore) in the next.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recoup::{CircuitBreaker, CircuitSnapshot, CircuitState};
    /// let written_down = CircuitSnapshot::open("db", Some(Duration::from_secs(4)), 2);
    /// let breaker = CircuitBreaker::builder("db").restore(&written_down).build()?;
    /// assert_eq!((breaker.state(), breaker.snapshot().openings), (CircuitState::Open, 2));
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    #[must_use]
    pub fn open(name: impl Into<Arc<str>>, probe_in: Option<Duration>, openings: u32) -> Self {
        Self {
            name: name.into(),
            state: CircuitState::Open,
            control: Control::Automatic,
            isolated: 0,
            generation: 0,
            calls: 0,
            failures: 0,
            slow_calls: 0,
            consecutive_failures: 0,
            openings,
            last_trip: None,
            probe_in,
            probes: None,
        }
    }

    /// The share of the window that failed, 0.0 to 1.0.
    #[must_use]
    pub fn failure_rate(&self) -> f64 {
        Tally { calls: self.calls, ..Tally::default() }.share(self.failures)
    }
}

impl CircuitBreaker {
    /// Where the circuit stands. An open circuit whose time is over is half-open, though nobody asked yet.
    ///
    /// Not a way to ask whether a call may be made: only a call, or [`admit`](Self::admit), moves an open
    /// circuit to half-open.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.snapshot().state
    }

    /// All that is known of the circuit at this moment.
    #[must_use]
    pub fn snapshot(&self) -> CircuitSnapshot {
        let now = time::now();
        self.core.look(|circuit, counts| self.snapshot_of(circuit, counts, now))
    }

    fn snapshot_of(&self, circuit: &Circuit, counts: &Counts<'_>, now: Instant) -> CircuitSnapshot {
        let tally = counts.tallies(now).into_iter().flatten().next().unwrap_or_default();
        let (state, probe_in, probes) = match &circuit.state {
            State::Closed { .. } => (CircuitState::Closed, None, None),
            State::Open { until: Some(until) } if now >= *until => {
                (CircuitState::HalfOpen, Some(Duration::ZERO), None)
            }
            State::Open { until } => {
                let left = until.map(|until| until.saturating_duration_since(now));
                (CircuitState::Open, left, None)
            }
            State::HalfOpen(probing) => {
                (CircuitState::HalfOpen, None, Some((probing.successes(), probing.failures())))
            }
        };
        let state = match circuit.control {
            Control::ForcedOpen => CircuitState::Open,
            _ if circuit.isolated > 0 => CircuitState::Open,
            _ => state,
        };
        CircuitSnapshot {
            name: Arc::clone(self.name()),
            state,
            control: circuit.control,
            isolated: circuit.isolated,
            generation: circuit.generation,
            calls: tally.calls,
            failures: tally.failed,
            slow_calls: tally.slow,
            consecutive_failures: counts.runs.failures(),
            openings: circuit.openings,
            last_trip: circuit.last_trip,
            probe_in,
            probes,
        }
    }

    /// Whether forgetting this circuit would change nothing: closed with full traffic, under automatic control,
    /// with nothing in it that counts against the dependency or makes its next break longer, and in nobody
    /// else's hands.
    pub(crate) fn equals_a_fresh_one(&self) -> bool {
        let now = time::now();
        Arc::strong_count(&self.core) == 1
            && self.core.look(|circuit, counts| {
                let snapshot = self.snapshot_of(circuit, counts, now);
                snapshot.control == Control::Automatic
                    && (snapshot.failures, snapshot.slow_calls, snapshot.consecutive_failures) == (0, 0, 0)
                    && counts.runs.abandoned() == 0
                    && circuit.has_recovered(&self.core.rules, now)
            })
    }
}

/// The state in which a breaker starts.
pub(super) fn start(restored: Option<&CircuitSnapshot>, now: Instant) -> State {
    let closed = State::Closed { since: now, ramp: None };
    let Some(snapshot) = restored else { return closed };
    let by_hand = snapshot.control == Control::ForcedOpen || snapshot.isolated > 0;
    match (snapshot.state, snapshot.probe_in) {
        (_, Some(left)) => State::Open { until: later(now, left) },
        (CircuitState::HalfOpen, None) => State::Open { until: Some(now) },
        (CircuitState::Open, None) if snapshot.probes.is_some() => State::Open { until: Some(now) },
        (CircuitState::Open, None) if !by_hand => State::Open { until: None },
        (CircuitState::Open | CircuitState::Closed, None) => closed,
    }
}
