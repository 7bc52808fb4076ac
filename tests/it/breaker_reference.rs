//! A circuit breaker as slow and as plain as can be, written from the documentation: it keeps everything that
//! ever happened and counts it again each time.
#![expect(clippy::unwrap_used, reason = "what helps a test panics for it")]

use recoup::{CircuitState, Control, Outcome};

/// The settings of a case. Times are milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) last_calls: Option<u32>,
    pub(crate) last_time: Option<u64>,
    pub(crate) minimum: u32,
    pub(crate) failure_percent: u64,
    pub(crate) slow: Option<(u64, u64)>,
    pub(crate) consecutive: Option<u32>,
    pub(crate) judge_successes: bool,
    pub(crate) abandoned: Meaning,
    pub(crate) open_for: u64,
    pub(crate) probes: u32,
    pub(crate) successes: Option<u32>,
    pub(crate) probe_percent: u32,
    pub(crate) lease: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Meaning {
    Ignore,
    AllAbandoned,
    RatePercent(u64),
    AsFailure,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    episode: u64,
    probe: Option<u64>,
    started: u64,
    votes: bool,
}

#[derive(Clone, Debug)]
enum State {
    Closed,
    Open { until: u64 },
    HalfOpen { places: Vec<(u64, u64)>, successes: u32, failures: u32, abandoned: u32 },
}

const FRESH: State = State::HalfOpen { places: Vec::new(), successes: 0, failures: 0, abandoned: 0 };

pub(crate) struct Reference {
    settings: Settings,
    state: State,
    pub(crate) control: Control,
    isolated: u32,
    episode: u64,
    entered: u64,
    /// Every vote since the counts were last forgotten: when, what, and whether it was slow.
    votes: Vec<(u64, Outcome, bool)>,
    pub(crate) would_have_opened: u32,
    pub(crate) now: u64,
}

impl Reference {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Closed,
            control: Control::Automatic,
            isolated: 0,
            episode: 0,
            entered: 0,
            votes: Vec::new(),
            would_have_opened: 0,
            now: 0,
        }
    }

    pub(crate) fn admit(&mut self) -> Option<Ticket> {
        let ticket = Ticket { episode: self.episode, probe: None, started: self.now, votes: true };
        if self.isolated > 0 || self.control == Control::ForcedOpen {
            return None;
        }
        if self.control == Control::Disabled {
            return Some(Ticket { votes: false, ..ticket });
        }
        if self.is_over() {
            self.go(FRESH);
        }
        let expires = self.now + self.settings.lease;
        match &mut self.state {
            State::Closed => return Some(ticket),
            State::HalfOpen { places, successes, failures, .. } => {
                places.retain(|(_, expires)| self.now < *expires);
                if places.len() < (self.settings.probes.saturating_sub(*successes + *failures)) as usize {
                    self.entered += 1;
                    places.push((self.entered, expires));
                    return Some(Ticket { episode: self.episode, probe: Some(self.entered), ..ticket });
                }
            }
            State::Open { .. } => {}
        }
        (self.control == Control::ObserveOnly).then_some(Ticket { votes: false, ..ticket })
    }

    pub(crate) fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        if !ticket.votes || ticket.episode != self.episode {
            return;
        }
        let slow = self.settings.slow.is_some_and(|(limit, _)| self.now - ticket.started > limit);
        match &mut self.state {
            State::Closed => {
                self.votes.push((self.now, outcome, slow));
                if self.judges(outcome, slow) && self.breaks_a_rule() {
                    self.open();
                }
            }
            State::HalfOpen { places, successes, failures, abandoned } => {
                places.retain(|(number, _)| Some(*number) != ticket.probe);
                match (outcome, self.settings.abandoned) {
                    (Outcome::Ignored, _) | (Outcome::Abandoned, Meaning::Ignore) => return,
                    (Outcome::Success, _) if !slow => *successes += 1,
                    (Outcome::Success | Outcome::Failure, _) | (Outcome::Abandoned, Meaning::AsFailure) => {
                        *failures += 1;
                    }
                    (Outcome::Abandoned, _) => {
                        *abandoned += 1;
                        if *abandoned >= self.settings.minimum {
                            self.open();
                        }
                        return;
                    }
                }
                *abandoned = 0;
                let (successes, failures) = (*successes, *failures);
                let by_percent = self.settings.probes * self.settings.probe_percent / 100;
                let needed = self.settings.successes.unwrap_or(self.settings.probes - by_percent);
                let only_by_number = self.settings.probe_percent == 0 && self.settings.successes.is_some();
                let may_fail = if only_by_number { self.settings.probes - needed } else { by_percent };
                if successes >= needed {
                    self.votes.clear();
                    self.go(State::Closed);
                } else if failures > may_fail
                    || self.settings.probes - failures.min(self.settings.probes) < needed
                {
                    self.open();
                }
            }
            State::Open { .. } => unreachable!("nobody is admitted in an open circuit"),
        }
    }

    fn judges(&self, outcome: Outcome, slow: bool) -> bool {
        match (outcome, self.settings.abandoned) {
            (Outcome::Ignored, _) => false,
            (Outcome::Success, _) => slow || self.settings.judge_successes,
            (Outcome::Abandoned, Meaning::Ignore) => slow,
            (Outcome::Failure | Outcome::Abandoned, _) => true,
        }
    }

    fn breaks_a_rule(&self) -> bool {
        let settings = &self.settings;
        let abandoned_in_a_row = (self.votes.iter().rev())
            .filter(|vote| vote.1 != Outcome::Ignored)
            .take_while(|vote| vote.1 == Outcome::Abandoned)
            .count();
        let abandoned =
            settings.abandoned == Meaning::AllAbandoned && abandoned_in_a_row >= settings.minimum as usize;
        let in_a_row = settings.consecutive.is_some_and(|most| self.failures_in_a_row() >= most);
        let by_rate =
            [settings.last_calls.map(|_| self.last_calls()), settings.last_time.map(|_| self.last_time())];
        let by_rate = by_rate.into_iter().flatten().any(|[calls, failed, slow, abandoned]| {
            let reaches = |part: u64, percent: u64| part * 100 >= percent * calls;
            calls >= settings.minimum.into()
                && (reaches(failed, settings.failure_percent)
                    || settings.slow.is_some_and(|(_, percent)| reaches(slow, percent))
                    || matches!(settings.abandoned, Meaning::RatePercent(percent) if reaches(abandoned, percent)))
        });
        abandoned || in_a_row || by_rate
    }

    pub(crate) fn failures_in_a_row(&self) -> u32 {
        let run = self.votes.iter().rev().take_while(|vote| vote.1 != Outcome::Success);
        let as_failure = self.settings.abandoned == Meaning::AsFailure;
        let failures = run
            .filter(|vote| vote.1 == Outcome::Failure || vote.1 == Outcome::Abandoned && as_failure)
            .count();
        failures.try_into().unwrap()
    }

    /// Calls, failed, slow and abandoned ones of the window that a snapshot shows.
    pub(crate) fn shown_window(&self) -> [u64; 4] {
        if self.settings.last_calls.is_some() { self.last_calls() } else { self.last_time() }
    }

    fn last_calls(&self) -> [u64; 4] {
        let calls: Vec<_> = self.calls().collect();
        let size = self.settings.last_calls.unwrap() as usize;
        Self::add_up(calls[calls.len().saturating_sub(size)..].iter().copied())
    }

    fn last_time(&self) -> [u64; 4] {
        let slice = self.settings.last_time.unwrap() / 10;
        Self::add_up(self.calls().filter(|call| self.now / slice - call.0 / slice < 10))
    }

    /// When each call ended that is in the rates, and whether it failed, was slow, was abandoned.
    fn calls(&self) -> impl Iterator<Item = (u64, [bool; 3])> + '_ {
        self.votes.iter().filter_map(|&(at, outcome, slow)| {
            let marks = match (outcome, self.settings.abandoned) {
                (Outcome::Success, _) => [false, slow, false],
                (Outcome::Failure, _) | (Outcome::Abandoned, Meaning::AsFailure) => [true, slow, false],
                (Outcome::Abandoned, Meaning::RatePercent(_)) => [false, slow, true],
                (Outcome::Abandoned, _) if slow => [false, true, false],
                (Outcome::Ignored | Outcome::Abandoned, _) => return None,
            };
            Some((at, marks))
        })
    }

    fn add_up(calls: impl Iterator<Item = (u64, [bool; 3])>) -> [u64; 4] {
        calls.fold([0; 4], |sum, (_, [failed, slow, abandoned])| {
            [sum[0] + 1, sum[1] + u64::from(failed), sum[2] + u64::from(slow), sum[3] + u64::from(abandoned)]
        })
    }

    fn open(&mut self) {
        match self.control {
            Control::ForcedClosed => return,
            Control::ObserveOnly => self.would_have_opened += 1,
            _ => {}
        }
        self.go(State::Open { until: self.now + self.settings.open_for });
    }

    fn go(&mut self, state: State) {
        self.state = state;
        self.episode += 1;
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Open { until } if until <= self.now)
    }

    /// What callers meet; an open circuit whose time is over is met open until somebody comes.
    pub(crate) fn met(&self) -> CircuitState {
        match (self.control, &self.state) {
            _ if self.isolated > 0 => CircuitState::Open,
            (Control::ForcedOpen, _) | (Control::Automatic, State::Open { .. }) => CircuitState::Open,
            (Control::Automatic, State::HalfOpen { .. }) => CircuitState::HalfOpen,
            _ => CircuitState::Closed,
        }
    }

    /// What [`CircuitBreaker::state`](recoup::CircuitBreaker::state) shows.
    pub(crate) fn shown(&self) -> CircuitState {
        match self.state {
            _ if self.isolated > 0 || self.control == Control::ForcedOpen => CircuitState::Open,
            State::Closed => CircuitState::Closed,
            State::HalfOpen { .. } => CircuitState::HalfOpen,
            State::Open { .. } if self.is_over() => CircuitState::HalfOpen,
            State::Open { .. } => CircuitState::Open,
        }
    }

    pub(crate) fn probes(&self) -> Option<(u32, u32)> {
        match self.state {
            State::HalfOpen { successes, failures, .. } => Some((successes, failures)),
            _ => None,
        }
    }

    pub(crate) fn take_control(&mut self, control: Control) {
        if control == Control::ForcedClosed && self.control != control {
            self.reset();
        }
        self.by_hand(control, self.isolated);
    }

    pub(crate) fn isolate(&mut self, handles: u32) {
        self.by_hand(self.control, handles);
    }

    pub(crate) fn reset(&mut self) {
        self.by_hand(Control::Automatic, self.isolated);
        self.votes.clear();
        self.go(State::Closed);
    }

    fn by_hand(&mut self, control: Control, isolated: u32) {
        if (control, isolated > 0) != (self.control, self.isolated > 0) {
            let restart = matches!(self.state, State::HalfOpen { .. });
            self.go(if restart { FRESH } else { self.state.clone() });
        }
        (self.control, self.isolated) = (control, isolated);
    }
}
