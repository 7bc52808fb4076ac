//! An attempt has ended: what it teaches, and what comes next.

use std::time::Duration;

use super::{Instead, Past, Plan, Then, Wait};
use crate::call::attempt::{Cut, Failure};
use crate::call::hooks::FailedAttempt;
use crate::call::pass::Pass;
use crate::call::policies::Policies;
use crate::classification::{Advice, Category, Classification, Health, Outcome};
use crate::error::Reason;
use crate::event::Event;
use crate::nested;
use crate::retry::{Attempted, Nested, OnEmptyBudget, Stop, Throttle, Withheld};
use crate::shutdown::Shutdown;
use crate::time::{Instant, Now, later_or_far};

impl<'r, P: Policies<'r, E>, E: 'r, S: Default> Plan<'r, P, E, S> {
    /// The attempt gave a value.
    #[inline(always)]
    pub(crate) fn succeeded(&mut self, now: &Now) {
        self.pass.succeed(now);
        if let Some(budget) = self.policies.budget() {
            budget.deposit(self.attempts > 1);
        }
        if self.policies.throttle().is_some_and(|throttle| self.is_news(throttle))
            || self.policies.is_limited()
        {
            self.teach_success(now);
        }
        if let Some(past) = self.past.take() {
            drop(past); // with a token that was not needed after all: back to the budget
        }
        if self.watched() {
            self.tell_succeeded(now);
        }
    }

    /// Whether the throttle may learn something from the success that has just come.
    #[inline(always)]
    fn is_news(&self, throttle: &Throttle) -> bool {
        match self.started {
            None => !throttle.is_calm(),
            Some(since) => self.slow || self.past.is_some() || !throttle.has_noted(since),
        }
    }

    /// The attempt that was begun plainly gave a value at once, and pass and slot have been given back.
    #[inline(always)]
    pub(in crate::call) fn succeeded_plainly(&mut self) {
        if !self.policies.throttle().is_none_or(Throttle::is_calm) {
            self.teach_success(&Now::unread());
        }
        if self.watched() {
            self.tell_succeeded(&Now::unread());
        }
    }

    /// The attempt failed, or was cut short. Everyone learns from the one answer about it.
    #[cold]
    pub(crate) fn failed(&mut self, result: Result<E, Cut>, now: &Now) -> Instead<'r> {
        let inner = nested::heard();
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
        self.learn(failure, answer, outcome, now);
        self.tell_failed(answer);
        if cut == Some(Cut::Deadline) {
            return Instead::GiveUp(Reason::DeadlineExceeded);
        }
        if let Some(inner) = inner {
            if self.policies.rules().nested == Nested::Stop {
                return Instead::GiveUp(Reason::NestedRetry);
            }
            if let Some(observers) = self.policies.observers() {
                observers.tell(|| Event::NestedRetry { outer: self.policies.info().name, inner: &inner });
            }
        }
        self.decide(answer, now)
    }

    /// The attempt gave a value that is not good enough.
    #[cold]
    pub(in crate::call) fn unfinished(&mut self, answer: Classification, now: &Now) -> Instead<'r> {
        self.learn(Failure::Value, answer, answer.health().into(), now);
        self.tell_failed(answer);
        self.decide(answer, now)
    }

    /// Breaker, cooldown and budget learn from the one answer, the slot comes back, and the call remembers.
    fn learn(&mut self, failure: Failure<E>, answer: Classification, outcome: Outcome, now: &Now) {
        let pending_since = self.pended_since();
        self.started(now);
        // Who did its work and is asked again for news was not called in vain.
        let in_vain = !(matches!(failure, Failure::Value) && answer.health() == Health::Success);
        let limit = self.policies.limits().attempt;
        let seen = Attempted::failed(&answer, limit).filter(|_| in_vain && outcome != Outcome::Abandoned);
        let repeated = self.past().repeats.take();
        if let Some(throttle) = self.policies.throttle().filter(|_| outcome != Outcome::Abandoned) {
            if let (Some(category), Some(helped)) = (repeated, helped(&answer)) {
                throttle.repeated(category, helped);
            }
            match &seen {
                Some(seen) => throttle.failed(seen, now),
                None if in_vain => throttle.answered(now),
                None => throttle.succeeded(&Attempted { limit, ..Attempted::default() }, now),
            }
        }
        let overload = seen.is_some_and(|seen| seen.overload);
        self.pass.count_out(pending_since.unwrap_or_else(|| now.get()), outcome, overload, now);
        self.pass.settle(outcome, answer.hint(), now);
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
        so_far.seen = seen;
        so_far.repeats = in_vain.then_some(answer.category());
        let (token, leave) = (so_far.token.take(), so_far.leave.take());
        match failure {
            Failure::Error(error) => so_far.error = Some(error),
            Failure::CutShort => {}
            Failure::Value => so_far.error = None, // older than this value
        }
        let of_a_retry = token.is_some();
        match token {
            Some(token) if in_vain => token.spend(),
            unspent => drop(unspent),
        }
        match leave {
            Some(leave) if in_vain => leave.spend(),
            unspent => drop(unspent),
        }
        if let Some(budget) = self.policies.budget() {
            match in_vain {
                true if outcome != Outcome::Abandoned => budget.failed(&answer),
                true => {}
                false => budget.deposit(of_a_retry),
            }
        }
    }

    /// Whether there is a further attempt, and when.
    fn decide(&mut self, answer: Classification, now: &Now) -> Instead<'r> {
        let Self { policies, past, .. } = self;
        let rules = policies.rules();
        let past = past.get_or_insert_with(Box::default);
        let (delay, source) = match rules.decide(&mut past.progress, &answer) {
            Ok(decision) => decision,
            Err(Stop::Permanent) => return Instead::GiveUp(Reason::Permanent),
            Err(Stop::Attempts) => return Instead::GiveUp(Reason::AttemptsExhausted),
            Err(Stop::Hint(hint)) => return Instead::GiveUp(Reason::HintTooLong(hint)),
        };
        if policies.at_most().is_some_and(|most| self.attempts >= most) {
            return Instead::GiveUp(Reason::AttemptsExhausted);
        }
        if let Err(why) = policies.may_repeat(&answer) {
            return Instead::GiveUp(Reason::CannotRepeat(why));
        }
        if self.policies.shutdown().is_some_and(Shutdown::is_triggered) {
            return Instead::GiveUp(Reason::ShutDown);
        }
        let until = later_or_far(now.get(), delay);
        if self.deadline().is_some_and(|deadline| until >= deadline) {
            return Instead::GiveUp(Reason::DeadlineExceeded);
        }
        let wait = match self.reserve(until, now) {
            Ok(wait) => wait,
            Err(why) => return Instead::GiveUp(why),
        };
        let delay = wait.until.saturating_duration_since(now.get()); // longer, if the budget was empty
        self.past().last_delay = delay;
        self.tell_retry(delay, source, answer.category());
        let attempt = self.attempt();
        let Self { policies, past, .. } = self;
        let Past { error, timed_out, hooks, .. } = &mut **past.get_or_insert_with(Box::default);
        let error = error.as_ref().filter(|_| !*timed_out);
        let failed = FailedAttempt { attempt, error, classification: answer, delay };
        match policies.before_retry(hooks, failed) {
            Some(hook) => Instead::Ask(hook, wait),
            None => Instead::Wait(wait),
        }
    }

    /// Takes leave for the retry before it waits, or a wait that is long enough to get it.
    fn reserve(&mut self, until: Instant, now: &Now) -> Result<Wait, Reason> {
        let Err(why) = self.take_leave(false, now) else { return Ok(Wait { until, then: Then::Begin }) };
        let OnEmptyBudget::Wait(most) = self.policies.rules().on_empty else { return Err(why) };
        self.wait_for_leave(until, later_or_far(now.get(), most), now).ok_or(why)
    }

    /// Takes what a retry costs, if there is enough of it. One who has waited takes what only time gives, too.
    pub(super) fn take_leave(&mut self, waited: bool, now: &Now) -> Result<(), Reason> {
        let Self { policies, past, .. } = self;
        let past = past.get_or_insert_with(Box::default);
        let token = match policies.budget() {
            Some(budget) => Some(budget.reserve(past.trouble(), now.get()).ok_or(Reason::BudgetExhausted)?),
            None => None,
        };
        if let Some(throttle) = policies.throttle() {
            let failed = Attempted { priority: policies.priority(), ..past.seen.unwrap_or_default() };
            match throttle.reserve(past.repeats, &failed, now) {
                Ok(leave) => past.leave = Some(leave),
                Err(_) if waited && throttle.take_trickle(now.get()) => {}
                Err(Withheld::Spent) => return Err(Reason::BudgetExhausted),
                Err(why) => return Err(Reason::Withheld(why)),
            }
        }
        past.token = token;
        Ok(())
    }

    /// The wait until a retry may be made though nothing succeeds, if it ends soon enough.
    pub(super) fn wait_for_leave(&self, until: Instant, no_later_than: Instant, now: &Now) -> Option<Wait> {
        let token = match self.policies.budget() {
            Some(budget) => {
                let trouble = self.past.as_ref().map_or(Category::Unknown, |past| past.trouble());
                budget.next_token_in(trouble, now.get())?
            }
            None => Duration::ZERO,
        };
        let trickle = self.policies.throttle().map(|throttle| throttle.next_trickle_in(now.get()));
        let next = later_or_far(now.get(), token.max(trickle.unwrap_or_default()));
        let until = until.max(next);
        let in_time = next <= no_later_than && self.deadline().is_none_or(|deadline| until < deadline);
        in_time.then_some(Wait { until, then: Then::Reserve { no_later_than } })
    }

    /// Tells the throttle and the concurrency limit of a success.
    #[cold]
    fn teach_success(&mut self, now: &Now) {
        let since = self.pended_since();
        if let Some(began) = since
            && self.policies.is_limited()
        {
            self.pass.count_out(began, Outcome::Success, false, now);
        }
        let repeated = self.past.as_mut().and_then(|past| past.repeats.take());
        let Some(throttle) = self.policies.throttle() else { return };
        if let Some(category) = repeated {
            throttle.repeated(category, true);
        }
        match since {
            // The clock is not read to learn that all is still well.
            Some(since) if throttle.is_calm() && !self.slow => throttle.was_well(since),
            _ => {
                let took = since.map(|since| now.get().saturating_duration_since(since));
                let limit = self.policies.limits().attempt;
                throttle.succeeded(&Attempted { took, limit, ..Attempted::default() }, now);
            }
        }
    }
}

/// Whether a retry that ended like this has helped. Nobody can say if it found out that the call was wrong in
/// another way.
fn helped(answer: &Classification) -> Option<bool> {
    match (answer.health(), answer.advice()) {
        (Health::Success, _) => Some(true),
        (Health::Ignored, Advice::Stop) => None,
        (Health::Ignored | Health::Failure, _) => Some(false),
    }
}
