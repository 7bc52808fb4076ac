//! An attempt has ended: what it teaches, and what comes next.

use super::{Next, Plan, Then, Wait};
use crate::call::attempt::{Cut, Failure, Pass};
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
        let cut = result.as_ref().err().copied();
        let (failure, answer) = match result {
            Ok(error) => {
                // The pass still assumes a failure: that is what a classifier that panics leaves behind.
                let answer = self.policies.classify(&error);
                (Failure::Error(error), answer)
            }
            Err(_) => (Failure::CutShort, Classification::of(Category::Timeout)),
        };
        let outcome = if cut == Some(Cut::Deadline) { Outcome::Abandoned } else { answer.health().into() };
        self.learn(failure, answer, outcome, pass, &now);
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
        self.learn(Failure::Value, answer, answer.health().into(), pass, &now);
        self.tell_failed(answer);
        self.decide(answer, &now)
    }

    /// Breaker, cooldown and budget learn from the one answer, the slot comes back, and the call remembers.
    fn learn(
        &mut self,
        failure: Failure<E>,
        answer: Classification,
        outcome: Outcome,
        pass: Pass<'r>,
        now: &Now,
    ) {
        let Pass { permit, slot, pending_since } = pass;
        if let Some(permit) = permit {
            permit.settle_at(outcome, answer.hint(), now);
        }
        drop(slot); // after the circuit has learned: who gets the slot next asks it
        if let (Some(cooldown), Some(hint)) = (self.policies.cooldown(), answer.hint()) {
            cooldown.learn(hint, now.get());
        }
        let delay_before = self.past().last_delay;
        let record = self.policies.graveyard().map(|graveyard| {
            let took = pending_since.map(|since| now.get().saturating_duration_since(since));
            graveyard.record(self.attempts, &failure, answer, took, delay_before, now.get())
        });
        let so_far = self.past();
        so_far.history.extend(record);
        so_far.classification = Some(answer);
        so_far.timed_out = matches!(failure, Failure::CutShort);
        let token = so_far.token.take();
        // Who did its work and is asked again for news was not called in vain.
        let in_vain = !(matches!(failure, Failure::Value) && answer.health() == Health::Success);
        match failure {
            Failure::Error(error) => so_far.error = Some(error),
            Failure::CutShort => {}
            Failure::Value => so_far.error = None, // older than this value
        }
        match token {
            Some(token) if in_vain => token.spend(),
            unspent => drop(unspent),
        }
        if !in_vain && let Some(budget) = &self.policies.rules().budget {
            budget.deposit();
        }
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
