//! What a run does next.

use std::time::Duration;

use super::pace::Pace;
use super::report::{RedriveReport, Stopped};
use super::turns::Turns;
use crate::dead_letter::{LetterId, QueueError, RedriveOrder, RunProgress, RunState, SettleError, Settled};
use crate::error::{Reason, RecoveryError};
use crate::time::{Instant, later_or_far};

/// So many letters may have their turn between two times that the run is saved. A crash repeats no more.
const SAVE_AFTER: u64 = 64;

/// A pause is no shorter, whatever the policy that asks for it says: letters are leased to find out.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// A pause is no longer, so that a circuit which is closed by hand is noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often a letter that somebody else has is asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How a run goes through its letters. Decides, and waits for nothing.
#[derive(Debug)]
pub(super) struct Course {
    turns: Turns,
    progress: RunProgress,
    unsettled: Vec<LetterId>,
    pace: Option<Pace>,
    concurrency: usize,
    stop_after: Option<u32>,
    manners: Manners,
    pause: Option<Pause>,
    /// After a pause: one letter finds out whether calls are let through.
    probing: bool,
    ask_at: Option<Instant>,
    stopped: Option<Stopped>,
    ended: u64,
    saved: u64,
}

/// What a run does where there are two answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    /// After a rejection that says nothing of when to come back, the run goes on so much later. `None` stops at
    /// any rejection.
    pub(super) patience: Option<Duration>,
    /// Until then, letters that somebody else has are waited for.
    pub(super) busy_until: Option<Instant>,
    /// Whether progress is saved.
    pub(super) saves: bool,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    why: String,
}

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This letter has its turn.
    Begin(LetterId),
    /// Nothing before this moment, or before something ends.
    Wait(Option<Instant>),
    /// Nothing any more.
    Over,
}

/// What became of a turn.
pub(super) enum Turn<E> {
    /// The call was made, or refused.
    Had { result: Result<(), RecoveryError<E>>, settled: Result<Settled, SettleError> },
    /// The letter is gone, or no longer meant.
    NotThere,
    /// Somebody else has it.
    Busy,
    /// The queue would not lend it.
    Refused(QueueError),
    /// The run is not ours any more, or was cancelled.
    Halted(Stopped),
}

impl Course {
    /// Goes through these letters, as `order` says, from where `progress` was.
    pub(super) fn new(
        order: &RedriveOrder,
        letters: Vec<LetterId>,
        progress: RunProgress,
        manners: Manners,
        now: Instant,
    ) -> Self {
        Self {
            turns: Turns::new(letters, progress.reached),
            progress,
            unsettled: Vec::new(),
            pace: order.rate().map(|rate| Pace::new(rate, order.ramp(), now)),
            concurrency: usize::try_from(order.concurrency()).unwrap_or(usize::MAX),
            stop_after: order.stop_after(),
            manners,
            pause: None,
            probing: false,
            ask_at: None,
            stopped: None,
            ended: 0,
            saved: 0,
        }
    }

    /// What is next at `now`. Asked again after everything that happens.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.stopped.is_some() || self.turns.none_left() {
            return if self.turns.under_way() == 0 { Next::Over } else { Next::Wait(None) };
        }
        if let Some(pause) = self.pause.take_if(|pause| pause.until <= now) {
            drop(pause);
            self.probing = true;
            if let Some(pace) = &mut self.pace {
                pace.restart(now);
            }
        }
        if let Some(pause) = &self.pause {
            return Next::Wait(Some(pause.until));
        }
        let width = if self.probing { 1 } else { self.concurrency };
        if self.turns.under_way() >= width || self.must_save() {
            return Next::Wait(None);
        }
        if self.turns.some_are_busy() && self.ask_at.is_none_or(|at| at <= now) {
            self.turns.ask_again();
        }
        if !self.turns.has_next() {
            return Next::Wait(self.ask_at);
        }
        if let Some(pace) = &mut self.pace {
            let at = pace.next_at();
            if at > now {
                return Next::Wait(Some(at));
            }
            pace.take(now);
        }
        self.turns.begin().map_or(Next::Wait(None), Next::Begin)
    }

    /// A turn is over.
    pub(super) fn end<E>(&mut self, id: LetterId, turn: Turn<E>, now: Instant) {
        match turn {
            Turn::Had { result, settled } => self.had(id, result, settled, now),
            Turn::NotThere => self.count(id, |progress| &mut progress.skipped),
            Turn::Busy => match self.manners.busy_until {
                Some(until) if now < until => {
                    self.turns.set_aside(id);
                    self.ask_at = Some(later_or_far(now, ASK_EVERY).min(until));
                }
                _ => self.count(id, |progress| &mut progress.skipped),
            },
            Turn::Refused(error) => {
                self.turns.give_back(id);
                self.stop(Stopped::Queue(error));
            }
            Turn::Halted(why) => {
                self.turns.give_back(id);
                self.stop(why);
            }
        }
    }

    fn had<E>(
        &mut self,
        id: LetterId,
        result: Result<(), RecoveryError<E>>,
        settled: Result<Settled, SettleError>,
        now: Instant,
    ) {
        let untried = result.as_ref().is_err_and(|error| error.attempts() == 0);
        match settled {
            Ok(_) if untried => self.turns.give_back(id),
            Ok(Settled::Removed) => self.count(id, |progress| &mut progress.delivered),
            Ok(Settled::Quarantined) => self.count(id, |progress| &mut progress.quarantined),
            Ok(_) => self.count(id, |progress| &mut progress.failed),
            Err(SettleError::Gone) if untried => self.count(id, |progress| &mut progress.skipped),
            Err(_) => {
                self.count(id, |progress| &mut progress.unsettled);
                self.unsettled.push(id);
            }
        }
        match &result {
            Ok(()) => self.progress.in_a_row = 0,
            Err(_) if untried => {}
            Err(_) => self.progress.in_a_row = self.progress.in_a_row.saturating_add(1),
        }
        if let Err(error @ (SettleError::Closed | SettleError::Storage(_))) = settled {
            self.stop(Stopped::Settle(id, error));
        }
        if let Some(most) = self.stop_after.filter(|&most| self.progress.in_a_row >= most) {
            self.stop(Stopped::Failures(most));
        }
        match result {
            Err(error) if ends_the_run(&error) => self.rejected(error, now),
            _ => self.probing = self.probing && untried,
        }
    }

    /// The next letter would fare no better now.
    fn rejected<E>(&mut self, error: RecoveryError<E>, now: Instant) {
        let wait = error.retry_in();
        let reason = error.story.reason;
        match self.manners.patience {
            Some(patience) if reason != Reason::ShutDown => {
                let wait = wait.unwrap_or(patience).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                self.pause = Some(Pause { until: later_or_far(now, wait), why: reason.to_string() });
            }
            _ => self.stop(Stopped::Call(reason)),
        }
    }

    fn count(&mut self, id: LetterId, kind: fn(&mut RunProgress) -> &mut u64) {
        *kind(&mut self.progress) += 1;
        self.turns.end(id);
        self.ended += 1;
    }

    /// Begins nothing any more. What is under way is left to end. The first reason stands.
    pub(super) fn stop(&mut self, why: Stopped) {
        self.stopped.get_or_insert(why);
    }

    /// Why it stopped before its end, if it did.
    pub(super) const fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// Whether somebody's turn has not begun.
    pub(super) fn has_some_left(&self) -> bool {
        !self.turns.none_left()
    }

    /// How many turns were not saved.
    pub(super) const fn unsaved(&self) -> u64 {
        self.ended - self.saved
    }

    /// Whether nothing more begins before the run is saved.
    pub(super) const fn must_save(&self) -> bool {
        self.manners.saves && self.unsaved() >= SAVE_AFTER
    }

    /// How many turns have ended up to now.
    pub(super) const fn ended(&self) -> u64 {
        self.ended
    }

    /// So many turns are saved.
    pub(super) const fn was_saved(&mut self, ended: u64) {
        self.saved = ended;
    }

    /// How far it came.
    pub(super) fn progress(&self) -> RunProgress {
        let mut progress = self.progress.clone();
        progress.untouched = progress.meant.saturating_sub(progress.done());
        (progress.reached, progress.open) = self.turns.place();
        progress
    }

    /// Where it stands, while it goes on.
    pub(super) fn state(&self) -> RunState {
        self.pause.as_ref().map_or(RunState::Running, |pause| RunState::Paused { why: pause.why.clone() })
    }

    /// Where it stands, once nothing goes on.
    pub(super) fn last_state(&self) -> RunState {
        let Some(stopped) = &self.stopped else { return RunState::Finished };
        let why = stopped.to_string();
        let patient = self.manners.patience.is_some();
        match stopped {
            Stopped::Cancelled(by) => RunState::Cancelled { by: by.clone() },
            Stopped::Call(Reason::ShutDown) => RunState::Paused { why },
            Stopped::Queue(_) | Stopped::Settle(..) if patient => RunState::Paused { why },
            _ => RunState::Stopped { why },
        }
    }

    /// What its caller is told.
    pub(super) fn into_report(self) -> RedriveReport {
        let progress = self.progress();
        RedriveReport {
            delivered: progress.delivered,
            failed: progress.failed,
            quarantined: progress.quarantined,
            skipped: progress.skipped,
            unsettled: self.unsettled,
            untouched: progress.untouched,
            stopped: self.stopped,
            ..RedriveReport::default()
        }
    }
}

/// Whether the next letter would fare no better, whatever is in it. An empty retry budget is not among
/// these: an attempt was made. If the run ended there, a letter that can never be delivered would be tried
/// first by each later run, use up the budget, and keep the others from their turn.
fn ends_the_run<E>(error: &RecoveryError<E>) -> bool {
    error.is_rejection() || error.attempts() == 0 || *error.reason() == Reason::ShutDown
}
