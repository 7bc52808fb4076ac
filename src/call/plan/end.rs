//! A call ends without a value, or with one that is not good enough.

use std::time::Duration;

use super::{Burial, Plan};
use crate::call::bury::Graveyard;
use crate::call::policies::Policies;
use crate::classification::{Category, Classification};
use crate::dead_letter::{PushError, Receipt};
use crate::error::{self, Reason, RecoveryError, Story};
use crate::event::{DelaySource, Event};
use crate::time::Now;

impl<'r, P: Policies<'r, E>, E: 'r, S: Default> Plan<'r, P, E, S> {
    /// The error of a call that ends now, and the burial that it is owed, if somebody keeps letters. Where
    /// there is none, the call [has ended](Self::ended) with this; where there is one, it ends after it, so
    /// that nobody's hook can come between a call and its letter.
    #[cold]
    pub(crate) fn give_up(&mut self, reason: Reason, now: &Now) -> (RecoveryError<E>, Option<Burial<'r>>) {
        let history = self.past.as_mut().map(|past| std::mem::take(&mut past.history)).unwrap_or_default();
        let mut error = self.error(reason, now);
        let graveyard = self.policies.graveyard();
        let redriven = graveyard.as_ref().and_then(Graveyard::redriven);
        let burial = match (graveyard, redriven) {
            (Some(graveyard), Some(letter)) => {
                let failed = Box::new(graveyard.failed(&error, history));
                error.story.burial = Some(Box::new(error::Burial::Redriven(letter, failed)));
                None
            }
            (Some(graveyard), None) => Some(graveyard.bury(&error, history)),
            (None, _) => None,
        };
        if burial.is_none() {
            self.ended(&error);
        }
        (error, burial)
    }

    fn error(&mut self, reason: Reason, now: &Now) -> RecoveryError<E> {
        // A retry is not made, and the call is over: what they count for goes back before a burial, which may
        // take long.
        // What is there is taken, and not the box: hooks are still to be told, and a call that was only turned
        // away has none.
        let past = self.past.as_mut().map(|past| past.gives_back());
        let (error, classification, timed_out) =
            past.map(|past| (past.error.take(), past.classification, past.timed_out)).unwrap_or_default();
        let elapsed = self.started.map(|started| now.get().saturating_duration_since(started));
        let story = Story {
            name: self.policies.name(),
            reason,
            classification,
            timed_out,
            attempts: self.attempts,
            elapsed: elapsed.unwrap_or_default(),
            burial: None,
        };
        RecoveryError { error, story: Box::new(story) }
    }

    /// The queue has answered, and the call has ended.
    pub(in crate::call) fn buried(
        &mut self,
        answer: Result<Receipt, PushError>,
        error: &mut RecoveryError<E>,
    ) {
        if let Some(observers) = self.policies.observers() {
            let call = self.policies.info();
            observers.tell(|| match &answer {
                Ok(receipt) => Event::LetterBuried { call, letter: receipt.id.get() },
                Err(_) => Event::LetterRefused { call },
            });
        }
        error.story.burial = Some(Box::new(match answer {
            Ok(receipt) => error::Burial::Stored(receipt.id),
            Err(refusal) => error::Burial::Refused(refusal),
        }));
        self.ended(error);
    }

    /// Tells everyone that the call has ended without a value.
    fn ended(&mut self, error: &RecoveryError<E>) {
        self.tell_give_up(error);
        self.policies.gave_up(self.past.as_mut().map(|past| &mut past.hooks), error);
        error.note();
    }

    /// As [`give_up`](Self::give_up), for a call that ends with the last value it got.
    #[cold]
    pub(in crate::call) fn give_up_with_a_value(&mut self, reason: Reason, now: &Now) {
        let error = self.error(reason, now);
        self.tell_give_up(&error);
        self.policies.gave_up(self.past.as_mut().map(|past| &mut past.hooks), &error);
    }

    #[cold]
    pub(super) fn tell_started(&self) {
        if let Some(observers) = self.policies.observers() {
            observers.tell(|| Event::AttemptStarted { call: self.policies.info(), attempt: self.attempts });
        }
    }

    #[cold]
    pub(super) fn tell_succeeded(&self, now: &Now) {
        if let Some(observers) = self.policies.observers() {
            observers.tell(|| {
                let took = self.started.map(|started| now.get().saturating_duration_since(started));
                let (call, attempts) = (self.policies.info(), self.attempts);
                Event::CallSucceeded { call, attempts, took: took.unwrap_or_default() }
            });
        }
    }

    pub(in crate::call) fn tell_failed(&self, classification: Classification) {
        if let Some(observers) = self.policies.observers() {
            let (call, attempt) = (self.policies.info(), self.attempts);
            observers.tell(|| Event::AttemptFailed { call, attempt, classification });
        }
    }

    pub(in crate::call) fn tell_give_up(&self, error: &RecoveryError<E>) {
        if let Some(observers) = self.policies.observers() {
            observers.tell(|| Event::GaveUp {
                call: self.policies.info(),
                attempts: error.story.attempts,
                took: error.story.elapsed,
                reason: error.story.reason.name(),
                category: error.story.classification.map(|answer| answer.category()),
            });
        }
    }

    pub(in crate::call) fn tell_retry(&self, delay: Duration, source: DelaySource, category: Category) {
        if let Some(observers) = self.policies.observers() {
            let attempt = self.attempts;
            let call = self.policies.info();
            observers.tell(|| Event::RetryScheduled { call, attempt, delay, source, category });
        }
    }
}
