//! An attempt has ended: what it teaches, and what comes next.

use std::time::Duration;

use super::{Next, Plan, Then, Wait};
use crate::call::attempt::{Cut, Pass};
use crate::call::hooks::FailedAttempt;
use crate::call::policies::Policies;
use crate::classification::{Category, Classification, Health, Outcome};
use crate::error::Reason;
use crate::event::Event;
use crate::nested;
use crate::retry::{Nested, OnEmptyBudget, Stop};
use crate::shutdown::Shutdown;
use crate::time::{Instant, Now, later_or_far};

impl<'r, P: Policies<'r, E>, E: 'r> Plan<'r, P, E> {
    /// The attempt gave a value.
    pub(in crate::call) fn succeeded(&mut self, pass: Pass<'r>) {
        let now = Now::unread();
        let Pass { permit, slot, .. } = pass;
        if let Some(permit) = permit {
            permit.settle_at(Outcome::Success, None, &now);
        }
        drop(slot);
        if let Some(budget) = &self.policies.rules().budget {
            budget.deposit();
        }
        if let Some(past) = &mut self.past {
            past.token = None; // it was not needed after all: back to the budget
        }
        if let Some(observers) = self.policies.observers() {
            let (attempts, started) = (self.attempts, self.started);
            observers.tell(|| {
                let took = started.map(|started| now.get().saturating_duration_since(started));
                let took = took.unwrap_or_default();
                Event::CallSucceeded { call: self.policies.info(), attempts, took }
            });
        }
    }

    /// The attempt failed, or was cut short. Everyone learns from the one answer about it.
    #[cold]
    pub(in crate::call) fn failed(&mut self, result: Result<E, Cut>, pass: Pass<'r>) -> Next<'r> {
        let inner = nested::take();
        let now = Now::unread();
        self.started(&now);
        let (error, cut) = match result {
            Ok(error) => (Some(error), None),
            Err(cut) => (None, Some(cut)),
        };
        let answer = match &error {
            // The pass still assumes a failure: that is what a classifier that panics leaves behind.
            Some(error) => self.policies.classify(error),
            None => Classification::of(Category::Timeout),
        };
        let outcome = if cut == Some(Cut::Deadline) { Outcome::Abandoned } else { answer.health().into() };
        let took = pass.pending_since.map(|since| now.get().saturating_duration_since(since));
        self.learn(answer, outcome, pass, &now);
        self.remember(error, answer, cut, took, &now);
        self.tell_failed(answer);
        if cut == Some(Cut::Deadline) {
            return Next::GiveUp(Reason::DeadlineExceeded);
        }
        if let Some(inner) = inner {
            if self.policies.rules().nested == Nested::Stop {
                return Next::GiveUp(Reason::NestedRetry);
            }
            if let Some(observers) = self.policies.observers() {
                observers.tell(|| Event::NestedRetry { outer: self.policies.info().name, inner: &inner });
            }
        }
        self.decide(answer, &now)
    }

    /// The attempt gave a value that is not good enough.
    #[cold]
    pub(in crate::call) fn unfinished(&mut self, answer: Classification, pass: Pass<'r>) -> Next<'r> {
        let now = Now::unread();
        self.started(&now);
        self.learn(answer, answer.health().into(), pass, &now);
        let so_far = self.past();
        so_far.error = None; // older than this value
        so_far.classification = Some(answer);
        so_far.timed_out = false;
        let token = so_far.token.take();
        if answer.health() == Health::Success {
            // The dependency did its work and is asked again for news: that is no load in vain.
            drop(token);
            if let Some(budget) = &self.policies.rules().budget {
                budget.deposit();
            }
        } else if let Some(token) = token {
            token.spend();
        }
        self.tell_failed(answer);
        self.decide(answer, &now)
    }

    /// Breaker and cooldown learn from the one answer; the slot comes back.
    fn learn(&mut self, answer: Classification, outcome: Outcome, pass: Pass<'r>, now: &Now) {
        let Pass { permit, slot, .. } = pass;
        if let Some(permit) = permit {
            permit.settle_at(outcome, answer.hint(), now);
        }
        drop(slot); // after the circuit has learned: who gets the slot next asks it
        if let (Some(cooldown), Some(hint)) = (self.policies.cooldown(), answer.hint()) {
            cooldown.learn(hint, now.get());
        }
    }

    fn remember(
        &mut self,
        error: Option<E>,
        answer: Classification,
        cut: Option<Cut>,
        took: Option<Duration>,
        now: &Now,
    ) {
        let delay_before = self.past().last_delay;
        let record = self.policies.graveyard().map(|graveyard| {
            graveyard.record(self.attempts, error.as_ref(), answer, took, delay_before, now.get())
        });
        let past = self.past();
        if let Some(record) = record {
            past.history.push(record);
        }
        if let Some(token) = past.token.take() {
            token.spend(); // the retry failed
        }
        if error.is_some() {
            past.error = error;
        }
        past.classification = Some(answer);
        past.timed_out = cut.is_some();
    }

    /// Whether there is a further attempt, and when.
    fn decide(&mut self, answer: Classification, now: &Now) -> Next<'r> {
        let Self { policies, past, .. } = self;
        let rules = policies.rules();
        let past = past.get_or_insert_with(Box::default);
        let (delay, source) = match rules.decide(&mut past.progress, &answer) {
            Ok(decision) => decision,
            Err(Stop::Permanent) => return Next::GiveUp(Reason::Permanent),
            Err(Stop::Attempts) => return Next::GiveUp(Reason::AttemptsExhausted),
            Err(Stop::Hint(hint)) => return Next::GiveUp(Reason::HintTooLong(hint)),
        };
        if self.policies.shutdown().is_some_and(Shutdown::is_triggered) {
            return Next::GiveUp(Reason::ShutDown);
        }
        let until = later_or_far(now.get(), delay);
        if self.deadline().is_some_and(|deadline| until >= deadline) {
            return Next::GiveUp(Reason::DeadlineExceeded);
        }
        let Some(wait) = self.reserve(until, now) else {
            return Next::GiveUp(Reason::BudgetExhausted);
        };
        let delay = wait.until.saturating_duration_since(now.get()); // longer, if the budget was empty
        self.past().last_delay = delay;
        self.tell_retry(delay, source, answer.category());
        let attempt = self.attempt();
        let Self { policies, past, .. } = self;
        let error = past.as_ref().filter(|past| !past.timed_out).and_then(|past| past.error.as_ref());
        let failed = FailedAttempt { attempt, error, classification: answer, delay };
        match policies.before_retry(failed) {
            Some(hook) => Next::Ask(hook, wait),
            None => Next::Wait(wait),
        }
    }

    /// Takes a token for the retry before it waits, or a wait that is long enough to get one.
    fn reserve(&mut self, until: Instant, now: &Now) -> Option<Wait> {
        let rules = self.policies.rules();
        let Some(budget) = &rules.budget else { return Some(Wait { until, then: Then::Begin }) };
        if let Some(token) = budget.reserve(now.get()) {
            self.past().token = Some(token);
            return Some(Wait { until, then: Then::Begin });
        }
        let OnEmptyBudget::Wait(most) = rules.on_empty else { return None };
        self.wait_for_token(until, later_or_far(now.get(), most), now)
    }

    /// The wait for the next token, if it ends soon enough.
    pub(super) fn wait_for_token(&self, until: Instant, no_later_than: Instant, now: &Now) -> Option<Wait> {
        let next = self.policies.rules().budget.as_ref()?.next_token_in(now.get())?;
        let next = later_or_far(now.get(), next);
        let until = until.max(next);
        let in_time = next <= no_later_than && self.deadline().is_none_or(|deadline| until < deadline);
        in_time.then_some(Wait { until, then: Then::Reserve { no_later_than } })
    }
}
