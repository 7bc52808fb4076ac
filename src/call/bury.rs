//! What becomes of a call that fails for good, when somebody keeps its letters.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;

use super::attempt::Failure;
use super::context::CallContext;
use crate::classification::Classification;
use crate::dead_letter::{
    AttemptRecord, DeadLetter, DeadLetterQueue, ErrorChain, Failed, History, LetterId, PushError,
    PushErrorKind, Receipt,
};
use crate::error::{Reason, RecoveryError};
use crate::time::{self, Instant, later};
use crate::timer::Timer;

/// How an operation's error is written down.
pub(crate) type Describe<E> = dyn Fn(&E) -> ErrorChain + Send + Sync;

/// Where a call's letter goes, and what it will say.
pub(crate) struct Graveyard<'r, E> {
    pub(crate) queue: &'r Arc<dyn DeadLetterQueue>,
    pub(crate) describe: &'r Describe<E>,
    pub(crate) context: Option<&'r CallContext<'r>>,
    pub(crate) name: &'r str,
    /// How long the queue may take.
    pub(crate) patience: Duration,
}

impl<'r, E> Graveyard<'r, E> {
    /// An attempt that failed just now, for the letter.
    pub(super) fn record(
        &self,
        number: u32,
        failure: &Failure<E>,
        answer: Classification,
        took: Option<Duration>,
        delay_before: Duration,
        now: Instant,
    ) -> AttemptRecord {
        let message = match failure {
            Failure::Error(error) => (self.describe)(error).to_string(),
            Failure::CutShort => "cut short by its time limit".to_owned(),
            Failure::Value => "the value was not good enough".to_owned(),
        };
        let mut record = AttemptRecord::new(number, time::wall(now), message);
        record = record.category(answer.category()).delay_before(delay_before);
        record.took = took;
        record
    }

    /// The letter that the call has already, if it is a redrive.
    pub(super) fn redriven(&self) -> Option<LetterId> {
        self.context.and_then(CallContext::redriven)
    }

    /// How a redrive failed, for its letter: told in the same words as a new letter would be.
    pub(super) fn failed(&self, error: &RecoveryError<E>, history: History) -> Failed {
        let failed = Failed::from(history).reason(error.story.reason.of_death()).error(self.chain(error));
        match &error.story.classification {
            Some(answer) => failed.classified(answer),
            None => failed,
        }
    }

    /// Writes the letter and hands it to the queue.
    pub(super) fn bury(
        &self,
        error: &RecoveryError<E>,
        history: History,
    ) -> BoxFuture<'r, Result<Receipt, PushError>> {
        let mut letter = match self.context {
            Some(context) => context.letter(),
            None => DeadLetter::new(self.name),
        };
        letter = letter.reason(error.story.reason.of_death()).error(self.chain(error));
        if let Some(answer) = &error.story.classification {
            letter = letter.classified(answer);
        }
        let letter = letter.attempts(history);
        let Some(until) = later(time::now(), self.patience) else { return self.queue.push(letter) };
        let queue = self.queue;
        Box::pin(async move {
            let kept = letter.clone(); // to be handed back by a queue that never answers
            let mut push = queue.push(letter);
            let mut timer = pin!(Timer::idle());
            poll_fn(|cx| match push.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(answer),
                Poll::Pending => {
                    ready!(timer.as_mut().poll_until(until, cx));
                    Poll::Ready(Err(PushError::new(kept.clone(), PushErrorKind::TimedOut)))
                }
            })
            .await
        })
    }

    /// The operation's error if there is one, or else what our own policies say.
    fn chain(&self, error: &RecoveryError<E>) -> ErrorChain {
        match &error.error {
            Some(inner) if !matches!(error.story.reason, Reason::CircuitOpen(_)) => (self.describe)(inner),
            _ => ErrorChain::from_display(&error.story.reason),
        }
    }
}
