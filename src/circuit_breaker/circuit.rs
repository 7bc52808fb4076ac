//! The state machine of one circuit. Pure: it is told the time and the outcome, and answers what changed.

use std::num::NonZeroU32;
use std::time::Duration;

use super::counts::Counts;
use super::group::Membership;
use super::half_open::Probing;
use super::rules::{Ramp, Rules};
use super::snapshot::{CircuitSnapshot, CircuitState};
use crate::classification::Outcome;
use crate::event::Trip;
use crate::random::Dice;
use crate::time::{Instant, later};

/// What a breaker does with its state machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Follows it. The default.
    #[default]
    Automatic,
    /// Rejects every call until somebody says otherwise.
    ForcedOpen,
    /// Admits every call and counts the results, but never opens.
    ForcedClosed,
    /// Admits every call and counts nothing.
    Disabled,
    /// Admits every call, follows the results as if it did not, and reports when it would have opened.
    ObserveOnly,
}

/// Where the circuit stands.
#[derive(Debug)]
pub(super) enum State {
    Closed { since: Instant, ramp: Option<Ramping> },
    Open { until: Option<Instant> },
    HalfOpen(Probing),
}

/// Coming back to full traffic.
#[derive(Debug)]
pub(super) struct Ramping {
    ramp: Ramp,
    /// What the callers so far have left over of their shares; a whole one admits the next.
    credit: f64,
}

/// What a step of the machine changed, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    Opened { trip: Trip, open_for: Duration },
    WouldOpen { trip: Trip },
    HeldClosed { trip: Trip },
    HalfOpened,
    Closed,
}

/// How a caller comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Its result counts.
    Voter,
    /// Its result decides whether the circuit closes; the number names its place.
    Probe(NonZeroU32),
    /// It passes, and its result is nobody's business.
    Passenger,
    /// It does not come in. `None`: nobody knows when it would.
    Turned { until: Option<Instant> },
}

/// How one attempt ended, as the machine needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) generation: u64,
    pub(super) probe: Option<NonZeroU32>,
    pub(super) outcome: Outcome,
    pub(super) slow: bool,
    pub(super) hint: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Circuit {
    pub(super) state: State,
    pub(super) control: Control,
    /// How many isolation handles are held.
    pub(super) isolated: u32,
    /// Counted up at each change of state. What was admitted in an earlier one does not vote.
    pub(super) generation: u64,
    /// How many times it has opened without staying closed in between.
    pub(super) openings: u32,
    pub(super) last_trip: Option<Trip>,
    previous_open_time: Option<Duration>,
    dice: Dice,
    membership: Option<Membership>,
}

impl Circuit {
    pub(super) fn new(
        state: State,
        dice: Dice,
        restored: Option<&CircuitSnapshot>,
        mut membership: Option<Membership>,
    ) -> Self {
        let control = restored.map_or(Control::Automatic, |snapshot| snapshot.control);
        let rejects = matches!(state, State::Open { .. })
            && matches!(control, Control::Automatic | Control::ForcedOpen);
        if let Some(membership) = membership.as_mut().filter(|_| rejects) {
            membership.open_unasked();
        }
        Self {
            state,
            control,
            isolated: 0,
            generation: 0,
            openings: restored.map_or(0, |snapshot| snapshot.openings),
            last_trip: restored.and_then(|snapshot| snapshot.last_trip),
            previous_open_time: None,
            dice,
            membership,
        }
    }

    /// Whether every caller may come in without asking: the state that the fast path knows.
    pub(super) fn is_plainly_closed(&self) -> bool {
        self.isolated == 0
            && matches!(self.state, State::Closed { ramp: None, .. })
            && matches!(self.control, Control::Automatic | Control::ForcedClosed | Control::ObserveOnly)
    }

    /// Whether it is closed with nothing left of an earlier opening, though nobody may have come to see that.
    pub(super) fn has_recovered(&self, rules: &Rules, now: Instant) -> bool {
        let State::Closed { since, ramp } = &self.state else { return false };
        let gone = now.saturating_duration_since(*since);
        ramp.as_ref().is_none_or(|ramping| gone >= ramping.ramp.over)
            && (self.openings == 0 || gone >= rules.reset_after)
    }

    /// Asks to come in.
    pub(super) fn enter(&mut self, rules: &Rules, now: Instant) -> (Entry, Option<Change>) {
        match self.control {
            _ if self.isolated > 0 => return (Entry::Turned { until: None }, None),
            Control::ForcedOpen => return (Entry::Turned { until: None }, None),
            Control::Disabled => return (Entry::Passenger, None),
            Control::ForcedClosed => return (Entry::Voter, None),
            Control::Automatic | Control::ObserveOnly => {}
        }
        let (entry, change) = self.enter_by_state(rules, now);
        match entry {
            // A circuit that only observes turns nobody away, so nobody meets a change.
            Entry::Turned { .. } if self.control == Control::ObserveOnly => (Entry::Passenger, None),
            entry if self.control == Control::ObserveOnly => (entry, None),
            entry => (entry, change),
        }
    }

    fn enter_by_state(&mut self, rules: &Rules, now: Instant) -> (Entry, Option<Change>) {
        match &mut self.state {
            State::Closed { ramp: None, .. } => (Entry::Voter, None),

            // ## Closed, coming back => Closed, once the ramp is over.
            State::Closed { since, ramp } => {
                let gone = now.saturating_duration_since(*since);
                if ramp.as_ref().is_none_or(|ramping| gone >= ramping.ramp.over) {
                    *ramp = None;
                    return (Entry::Voter, None);
                }
                let turned = ramp.as_mut().and_then(|ramping| ramping.turn_away(gone, &self.dice));
                let entry = turned.map_or(Entry::Voter, |wait| Entry::Turned { until: later(now, wait) });
                (entry, None)
            }

            // ## Open => HalfOpen, when the open time is over and somebody asks. At the very moment counts.
            State::Open { until: Some(until) } if now >= *until => {
                let mut probing = Probing::new(rules.half_open);
                let entry = probing.enter(now);
                self.change_to(State::HalfOpen(probing));
                (entry, Some(Change::HalfOpened))
            }
            State::Open { until } => (Entry::Turned { until: *until }, None),

            State::HalfOpen(probing) => (probing.enter(now), None),
        }
    }

    /// Takes in how an attempt ended that did not end as a plain success.
    pub(super) fn settle(
        &mut self,
        report: Report,
        rules: &Rules,
        counts: &Counts<'_>,
        now: Instant,
    ) -> Option<Change> {
        if report.generation != self.generation || self.control == Control::Disabled {
            return None; // it was admitted in another state: it has no say in this one
        }
        match &mut self.state {
            State::Closed { .. } => {
                let judged = counts.record(report.outcome, report.slow, rules, now);
                let trip = if judged { counts.trip(rules, now) } else { None };
                self.trip(trip?, report.hint, rules, counts, now)
            }

            // ## HalfOpen => Closed | Open, when the probes have decided.
            State::HalfOpen(probing) => {
                match probing.settle(report.probe, report.outcome, report.slow, rules)? {
                    Ok(()) => self.close(rules, counts, now),
                    Err(trip) => self.trip(trip, report.hint, rules, counts, now),
                }
            }

            // Nobody is admitted while it is open, so no report can carry this generation.
            State::Open { .. } => None,
        }
    }

    // ## Closed | HalfOpen => Open, unless the control or the group forbids it.
    fn trip(
        &mut self,
        trip: Trip,
        hint: Option<Duration>,
        rules: &Rules,
        counts: &Counts<'_>,
        now: Instant,
    ) -> Option<Change> {
        if self.control == Control::ForcedClosed {
            return None;
        }
        // A half-open circuit holds its place still, and one that only observes needs none.
        let asks = matches!(self.state, State::Closed { .. }) && self.control == Control::Automatic;
        if asks && self.membership.as_mut().is_some_and(|membership| !membership.try_open()) {
            // What tripped it is forgotten, or every further failure would trip it again.
            counts.reset();
            return Some(Change::HeldClosed { trip });
        }
        let open_for = self.open_time(hint, rules, now);
        self.last_trip = Some(trip);
        self.change_to(State::Open { until: later(now, open_for) });
        Some(match self.control {
            Control::ObserveOnly => Change::WouldOpen { trip },
            _ => Change::Opened { trip, open_for },
        })
    }

    /// How long to stay open: longer each time, at least as long as the server asked for, as far as it is
    /// believed.
    fn open_time(&mut self, hint: Option<Duration>, rules: &Rules, now: Instant) -> Duration {
        if let State::Closed { since, .. } = &self.state
            && now.saturating_duration_since(*since) >= rules.reset_after
        {
            self.openings = 0;
            self.previous_open_time = None;
        }
        self.openings = self.openings.saturating_add(1);
        let own = rules.open_for.delay(self.openings, self.previous_open_time, self.dice.draw());
        self.previous_open_time = Some(own);
        own.max(hint.unwrap_or_default().min(rules.max_hint))
    }

    fn close(&mut self, rules: &Rules, counts: &Counts<'_>, now: Instant) -> Option<Change> {
        counts.reset();
        let ramp = rules.ramp.map(|ramp| Ramping { ramp, credit: 0.0 });
        self.change_to(State::Closed { since: now, ramp });
        if let Some(membership) = &mut self.membership {
            membership.closed();
        }
        (self.control != Control::ObserveOnly).then_some(Change::Closed)
    }

    fn change_to(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    /// Lets somebody steer by hand, and says what that changed for the callers. What was admitted before no
    /// longer votes, so probes under way give their places back now.
    pub(super) fn steer(
        &mut self,
        rules: &Rules,
        counts: &Counts<'_>,
        now: Instant,
        steer: impl FnOnce(&mut Self),
    ) -> Option<Change> {
        let (met, hand) = (self.met(), (self.control, self.isolated > 0));
        let mut may_stay = true;
        steer(self);
        if hand != (self.control, self.isolated > 0) {
            self.generation += 1;
            if let State::HalfOpen(probing) = &mut self.state {
                *probing = Probing::new(rules.half_open);
            }
            may_stay = self.keep_place_in_group(counts, now);
        }
        match self.met() {
            same if same == met => {
                self.last_trip.filter(|_| !may_stay).map(|trip| Change::HeldClosed { trip })
            }
            CircuitState::Closed => Some(Change::Closed),
            CircuitState::HalfOpen => Some(Change::HalfOpened),
            CircuitState::Open => Some(self.opened(now)),
        }
    }

    /// A circuit that lets everyone in does not count as open in its group, and one that is followed again
    /// does. If the group forbids that, it is closed: `false`.
    fn keep_place_in_group(&mut self, counts: &Counts<'_>, now: Instant) -> bool {
        let Some(membership) = &mut self.membership else { return true };
        match self.control {
            Control::Disabled | Control::ForcedClosed | Control::ObserveOnly => membership.closed(),
            Control::ForcedOpen => {}
            Control::Automatic if matches!(self.state, State::Closed { .. }) => membership.closed(),
            Control::Automatic if membership.try_open() => {}
            Control::Automatic => {
                counts.reset();
                self.change_to(State::Closed { since: now, ramp: None });
                return false;
            }
        }
        true
    }

    /// What callers meet, whatever the machine below does meanwhile. This, and only this, is what observers
    /// are told of: one opening for each end of it.
    fn met(&self) -> CircuitState {
        match (self.control, &self.state) {
            _ if self.isolated > 0 => CircuitState::Open,
            (Control::ForcedOpen, _) | (Control::Automatic, State::Open { .. }) => CircuitState::Open,
            (Control::Automatic, State::HalfOpen(_)) => CircuitState::HalfOpen,
            (Control::Automatic, State::Closed { .. })
            | (Control::ForcedClosed | Control::Disabled | Control::ObserveOnly, _) => CircuitState::Closed,
        }
    }

    /// The opening of a circuit that is met open from now on.
    fn opened(&self, now: Instant) -> Change {
        match (&self.state, self.last_trip) {
            (State::Open { until }, Some(trip))
                if self.isolated == 0 && self.control == Control::Automatic =>
            {
                let left = until.map(|until| until.saturating_duration_since(now));
                Change::Opened { trip, open_for: left.unwrap_or(Duration::MAX) }
            }
            _ => Change::Opened { trip: Trip::Manual, open_for: Duration::MAX },
        }
    }

    /// Back to a closed circuit that knows nothing, with full traffic.
    pub(super) fn reset(&mut self, counts: &Counts<'_>, now: Instant) {
        counts.reset();
        self.openings = 0;
        self.previous_open_time = None;
        self.control = Control::Automatic;
        self.change_to(State::Closed { since: now, ramp: None });
        if let Some(membership) = &mut self.membership {
            membership.closed();
        }
    }
}

impl Ramping {
    /// Admits the share of callers that this moment of the ramp allows, spread evenly among them. For one who
    /// is not among them: how long to wait.
    fn turn_away(&mut self, gone: Duration, dice: &Dice) -> Option<Duration> {
        let progress = gone.as_secs_f64() / self.ramp.over.as_secs_f64();
        self.credit += self.ramp.start + (1.0 - self.ramp.start) * progress.clamp(0.0, 1.0);
        if self.credit >= 1.0 {
            self.credit -= 1.0;
            return None;
        }
        // Until later in the ramp, when more are let in; not all until the same moment, or they would come
        // as the crowd that the ramp is there to prevent.
        let half = self.ramp.over.saturating_sub(gone) / 2;
        Some(half.saturating_add(half.mul_f64(dice.draw())))
    }
}
