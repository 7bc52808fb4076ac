//! The run, as it stands in its book.

use std::future::Future;
use std::time::Duration;

use super::course::Course;
use super::report::Stopped;
use crate::dead_letter::{QueueError, RedriveRun, RunBook, RunError, RunId, RunState};
use crate::time::{Instant, later_or_far};

/// A run that did something is saved as often as this, or after so many letters that none more may begin.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// A run that did nothing is saved as often as this at least, so that one which waits long sees that it was
/// cancelled.
const SAVE_IDLE: Duration = Duration::from_secs(10);

/// A run that is ours, as it was last saved.
pub(super) struct Record<'b> {
    pub(super) book: &'b dyn RunBook,
    pub(super) run: RedriveRun,
    who: String,
    lease: Duration,
    saved_at: Instant,
}

impl<'b> Record<'b> {
    /// A run that its book has just given to its owner.
    pub(super) fn new(book: &'b dyn RunBook, run: RedriveRun, now: Instant) -> Self {
        let (who, lease) = match &run.owner {
            Some(owner) => (owner.who.clone(), owner.lease),
            None => (String::new(), Duration::MAX),
        };
        Self { book, run, who, lease, saved_at: now }
    }

    /// Asked before each letter: whether the run is still to go on, and with us.
    pub(super) fn gate(&self) -> Gate<'b> {
        Gate { book: self.book, id: self.run.id, who: self.who.clone() }
    }

    /// When it is to be saved next, if nothing more happens.
    pub(super) fn due(&self, course: &Course) -> Instant {
        if course.must_save() {
            return self.saved_at;
        }
        let renewal = (self.lease / 3).min(SAVE_IDLE);
        let news = course.unsaved() > 0 || course.state() != self.run.state;
        later_or_far(self.saved_at, if news { SAVE_EVERY.min(renewal) } else { renewal })
    }

    /// The run as it is now, to be saved.
    pub(super) fn now(&self, course: &Course) -> RedriveRun {
        let mut run = RedriveRun { progress: course.progress(), ..self.run.clone() };
        if !run.state.is_over() {
            run.state = course.state();
        }
        run
    }

    /// The run as it ends, to be saved. Nobody owns it any more.
    pub(super) fn last(&self, course: &Course) -> RedriveRun {
        let mut run = RedriveRun { owner: None, ..self.now(course) };
        if !run.state.is_over() {
            run.state = course.last_state();
        }
        run
    }

    /// Saves it, and says why it must not go on, if that is so.
    pub(super) fn save(
        &self,
        run: RedriveRun,
    ) -> impl Future<Output = Result<(RedriveRun, Option<Stopped>), QueueError>> + Send + use<'b> {
        save(self.book, self.who.clone(), run)
    }

    /// It was saved like this.
    pub(super) fn was_saved(&mut self, run: RedriveRun, now: Instant) {
        (self.run, self.saved_at) = (run, now);
    }
}

async fn save(
    book: &dyn RunBook,
    who: String,
    mut run: RedriveRun,
) -> Result<(RedriveRun, Option<Stopped>), QueueError> {
    let mut halted = None;
    loop {
        match book.save(run.clone()).await {
            Ok(revision) => {
                run.revision = revision;
                return Ok((run, halted));
            }
            Err(RunError::Changed) => {}
            Err(RunError::NoSuchRun(_)) => return Ok((run, Some(Stopped::TakenOver))),
            Err(RunError::Queue(error)) => return Err(error),
        }
        // Cancelled meanwhile, or an earlier save had happened though we were told otherwise. What it did up
        // to now is written down all the same.
        match book.run(run.id).await? {
            Some(stored) if stored.is_of(&who) => {
                run.revision = stored.revision;
                if stored.state.is_over() {
                    halted = Some(halt(&stored.state));
                    run.state = stored.state;
                }
            }
            _ => return Ok((run, Some(Stopped::TakenOver))),
        }
    }
}

fn halt(state: &RunState) -> Stopped {
    match state {
        RunState::Cancelled { by } => Stopped::Cancelled(by.clone()),
        _ => Stopped::TakenOver,
    }
}

/// Whether the next letter may have its turn.
#[derive(Clone)]
pub(super) struct Gate<'b> {
    book: &'b dyn RunBook,
    id: RunId,
    who: String,
}

impl Gate<'_> {
    /// Why not, if that is so.
    pub(super) async fn ask(&self) -> Result<Option<Stopped>, QueueError> {
        Ok(match self.book.run(self.id).await? {
            Some(run) if run.is_of(&self.who) => run.state.is_over().then(|| halt(&run.state)),
            _ => Some(Stopped::TakenOver),
        })
    }
}
