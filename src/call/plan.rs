//! The decisions of one call. The plan does no I/O, never sleeps, spawns or polls: the drivers ask it what is
//! next and do that.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::time::Duration;

use futures::future::BoxFuture;

use super::attempt::{Cut, Pass};
use super::bury::Graveyard;
use super::hooks::FailedAttempt;
use super::policies::{Limits, Policies};
use super::queue::Queue;
use crate::attempt::Attempt;
use crate::bulkhead::{Bulkhead, Slot};
use crate::circuit_breaker::{Open, Permit};
use crate::classification::{Category, Classification, Health, Outcome};
use crate::cooldown::Turn;
use crate::dead_letter::{History, PushError, Receipt};
use crate::error::{self, Reason, RecoveryError};
use crate::event::{DelaySource, Event};
use crate::nested;
use crate::retry::{Nested, OnEmptyBudget, Progress, Stop, Token};
use crate::time::{self, Instant, Now, earlier, later, later_or_far};

/// One call, as far as it has come.
#[derive(Debug)]
pub(crate) struct Plan<'r, P, E> {
    pub(super) policies: P,
    /// Attempts begun.
    pub(super) attempts: u32,
    /// When the call first had to wait, or somebody first asked for the time.
    started: Option<Instant>,
    /// What only a call needs that has failed once. Apart, so that a call that succeeds stays small.
    pub(super) past: Option<Box<Past<E>>>,
    lifetime: PhantomData<&'r ()>,
}

/// What has gone wrong so far.
#[derive(Debug)]
pub(super) struct Past<E> {
    progress: Progress,
    /// The last error of the operation.
    pub(super) error: Option<E>,
    pub(super) classification: Option<Classification>,
    pub(super) timed_out: bool,
    /// The attempts so far; kept only for a letter.
    pub(super) history: History,
    pub(super) last_delay: Duration,
    /// Held from the decision to retry until the retry has ended; dropped, it goes back to the budget.
    token: Option<Token>,
}

/// How to begin an attempt.
pub(super) enum Begin<'r> {
    Go(Pass<'r>),
    /// Wait for a slot.
    Queue(Queue<'r>),
    /// Wait, then begin again.
    Wait(Wait),
    /// No attempt will be made.
    Refused(Reason),
}

/// What follows a failed attempt.
pub(super) enum Next<'r> {
    Wait(Wait),
    /// Ask the hook, then wait.
    Ask(BoxFuture<'r, ControlFlow<()>>, Wait),
    GiveUp(Reason),
}

/// A letter on its way to its queue.
pub(super) type Burial<'r> = BoxFuture<'r, Result<Receipt, PushError>>;

/// Something to wait for that holds no slot.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) until: Instant,
    pub(super) then: Then,
}

/// What to do after a wait.
#[derive(Debug)]
pub(super) enum Then {
    Begin,
    /// The budget was empty. It should have a token by now, but others wait for it too: this call goes on
    /// waiting no longer than until then.
    Reserve {
        no_later_than: Instant,
    },
    /// It is this call's turn, if the cooldown was not extended.
    Leave(Turn),
}

impl<P, E> Plan<'_, P, E> {
    pub(crate) fn new(policies: P) -> Self {
        Self { policies, attempts: 0, started: None, past: None, lifetime: PhantomData }
    }
}

impl<'r, P: Policies<'r, E>, E: 'r> Plan<'r, P, E> {
    pub(super) fn limits(&self) -> Limits {
        self.policies.limits()
    }

    /// When the whole call must have ended, as far as that is known.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let limits = self.policies.limits();
        let by_time = limits.call.zip(self.started).and_then(|(limit, started)| later(started, limit));
        earlier(by_time, limits.until)
    }

    pub(super) fn started(&mut self, now: &Now) {
        if self.started.is_none() {
            self.started = Some(now.get());
        }
    }

    /// What to tell the operation about the attempt that begins.
    pub(super) fn attempt(&self) -> Attempt {
        Attempt::new(self.attempts, self.deadline())
    }

    /// Asks everyone who has a say whether an attempt may be made.
    pub(super) fn begin(&mut self, now: &Now) -> Begin<'r> {
        if self.policies.observers().is_some_and(crate::event::Observers::any) {
            self.started(now);
        }
        if let Err(reason) = self.may_go_on(now) {
            return Begin::Refused(reason);
        }
        if let Some(cooldown) = self.policies.cooldown() {
            match cooldown.ask(self.attempts == 0, now) {
                Ok(None) => {}
                Ok(Some(turn)) => return self.wait_for(turn, now),
                Err(cooling) => return Begin::Refused(Reason::CoolingDown(cooling)),
            }
        }
        self.enter(now)
    }

    /// Past the cooldown: the circuit, then a slot.
    pub(super) fn enter(&mut self, now: &Now) -> Begin<'r> {
        let permit = match self.policies.breaker().map(|breaker| breaker.enter(now)) {
            Some(Err(open)) => return self.turned_away(open, now),
            Some(Ok(permit)) => Some(permit),
            None => None,
        };
        match self.policies.bulkhead() {
            None => self.go(permit, None),
            Some(bulkhead) => match bulkhead.take() {
                Some(slot) => self.go(permit, Some(slot)),
                None => self.queue(permit, bulkhead, now),
            },
        }
    }

    /// Waits for a slot: no longer than the call may take, and, before another attempt, than the program wants.
    fn queue(&mut self, permit: Option<Permit<'r>>, bulkhead: &'r Bulkhead, now: &Now) -> Begin<'r> {
        self.started(now);
        let (slot, deadline) = (Box::pin(bulkhead.acquire()), self.deadline());
        let shutdown = if self.attempts > 0 { self.shutdown() } else { None };
        Begin::Queue(Queue { permit, slot, deadline, shutdown })
    }

    /// A slot came after a wait. The circuit may have opened meanwhile; then it is asked again.
    pub(super) fn got_slot(&mut self, permit: Option<Permit<'r>>, slot: Slot<'r>, now: &Now) -> Begin<'r> {
        if let Err(reason) = self.may_go_on(now) {
            return Begin::Refused(reason);
        }
        let stale = permit.as_ref().is_some_and(|permit| !permit.is_current());
        match self.policies.breaker().filter(|_| stale).map(|breaker| breaker.enter(now)) {
            Some(Err(open)) => self.turned_away(open, now),
            Some(Ok(fresh)) => self.go(Some(fresh), Some(slot)),
            None => {
                let mut permit = permit;
                if let Some(permit) = &mut permit {
                    permit.begins(now);
                }
                self.go(permit, Some(slot))
            }
        }
    }

    fn go(&mut self, permit: Option<Permit<'r>>, slot: Option<Slot<'r>>) -> Begin<'r> {
        self.attempts = self.attempts.saturating_add(1);
        let mut pass = Pass { permit, slot, pending_since: None };
        if let Some(observers) = self.policies.observers() {
            let attempt = self.attempts;
            observers.tell(|| Event::AttemptStarted { call: self.policies.info(), attempt });
        }
        pass.assume(Outcome::Failure);
        Begin::Go(pass)
    }

    /// Whether there is time left, and the program still wants it.
    fn may_go_on(&self, now: &Now) -> Result<(), Reason> {
        let shut_down = || self.policies.shutdown().is_some_and(crate::shutdown::Shutdown::is_triggered);
        if self.attempts > 0 && shut_down() {
            return Err(Reason::ShutDown); // who has begun is not begun again; who calls anew may
        }
        match self.deadline() {
            Some(deadline) if now.get() >= deadline => Err(Reason::DeadlineExceeded),
            _ => Ok(()),
        }
    }

    fn wait_for(&mut self, turn: Turn, now: &Now) -> Begin<'r> {
        self.started(now);
        let until = turn.at();
        if self.deadline().is_some_and(|deadline| until >= deadline) {
            return Begin::Refused(Reason::DeadlineExceeded);
        }
        Begin::Wait(Wait { until, then: Then::Leave(turn) })
    }

    fn turned_away(&mut self, open: Open, now: &Now) -> Begin<'r> {
        self.started(now);
        let deadline = self.deadline();
        let fits = |until: &Instant| deadline.is_none_or(|deadline| *until < deadline);
        let Self { policies, past, .. } = self;
        let rules = policies.rules();
        let mut once_more =
            || rules.may_wait_for_circuit(&mut past.get_or_insert_with(Box::default).progress);
        let Some(until) = open.until.filter(|until| rules.wait_for_circuit && fits(until) && once_more())
        else {
            return Begin::Refused(Reason::CircuitOpen(open));
        };
        let delay = until.saturating_duration_since(now.get());
        let category = Category::ServiceUnavailable;
        self.tell_retry(delay, DelaySource::CircuitBreaker, category);
        Begin::Wait(Wait { until, then: Then::Begin })
    }

    /// The attempt gave a value.
    pub(super) fn succeeded(&mut self, pass: Pass<'r>) {
        let now = Now::unread();
        let Pass { permit, slot, .. } = pass;
        drop(slot);
        if let Some(permit) = permit {
            permit.settle_at(Outcome::Success, None, &now);
        }
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
    pub(super) fn failed(&mut self, result: Result<E, Cut>, pass: Pass<'r>) -> Next<'r> {
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
    pub(super) fn unfinished(&mut self, answer: Classification, pass: Pass<'r>) -> Next<'r> {
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
        drop(slot);
        if let Some(permit) = permit {
            permit.settle_at(outcome, answer.hint(), now);
        }
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
        if self.policies.shutdown().is_some_and(crate::shutdown::Shutdown::is_triggered) {
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
    fn wait_for_token(&self, until: Instant, no_later_than: Instant, now: &Now) -> Option<Wait> {
        let next = self.policies.rules().budget.as_ref()?.next_token_in(now.get())?;
        let next = later_or_far(now.get(), next);
        let until = until.max(next);
        let in_time = next <= no_later_than && self.deadline().is_none_or(|deadline| until < deadline);
        in_time.then_some(Wait { until, then: Then::Reserve { no_later_than } })
    }

    /// A wait is over.
    pub(super) fn waited(&mut self, then: Then) -> Begin<'r> {
        let now = Now::unread();
        match then {
            Then::Begin => self.begin(&now),
            Then::Reserve { no_later_than } => {
                let rules = self.policies.rules();
                match rules.budget.as_ref().and_then(|budget| budget.reserve(now.get())) {
                    Some(token) => {
                        self.past().token = Some(token);
                        self.begin(&now)
                    }
                    // Somebody else was faster.
                    None => match self.wait_for_token(now.get(), no_later_than, &now) {
                        Some(wait) => Begin::Wait(wait),
                        None => Begin::Refused(Reason::BudgetExhausted),
                    },
                }
            }
            Then::Leave(turn) => match turn.leave(&now) {
                Some(later) => self.wait_for(later, &now),
                None => match self.may_go_on(&now) {
                    Ok(()) => self.enter(&now),
                    Err(reason) => Begin::Refused(reason),
                },
            },
        }
    }

    /// The error of a call that ends now, and the burial that it is owed, if somebody keeps letters.
    #[cold]
    pub(super) fn give_up(&mut self, reason: Reason) -> (RecoveryError<E>, Option<Burial<'r>>) {
        let history = self.past.as_mut().map(|past| std::mem::take(&mut past.history)).unwrap_or_default();
        let mut error = self.error(reason);
        self.tell_give_up(&error);
        let graveyard = self.policies.graveyard();
        let redriven = graveyard.as_ref().and_then(Graveyard::redriven);
        let burial = match (graveyard, redriven) {
            (Some(graveyard), Some(letter)) => {
                let failed = Box::new(graveyard.failed(&error, history));
                error.burial = Some(Box::new(error::Burial::Redriven(letter, failed)));
                None
            }
            (Some(graveyard), None) => Some(graveyard.bury(&error, history)),
            (None, _) => None,
        };
        self.policies.gave_up(&error);
        if burial.is_none() {
            error.note();
        }
        (error, burial)
    }

    fn error(&mut self, reason: Reason) -> RecoveryError<E> {
        let past = self.past.take().map(|past| *past).unwrap_or_default();
        let elapsed = self.started.map(|started| time::now().saturating_duration_since(started));
        RecoveryError {
            name: self.policies.name(),
            reason,
            error: past.error,
            classification: past.classification,
            timed_out: past.timed_out,
            attempts: self.attempts,
            elapsed: elapsed.unwrap_or_default(),
            burial: None,
        }
    }

    /// The queue has answered.
    pub(super) fn buried(&mut self, answer: Result<Receipt, PushError>, error: &mut RecoveryError<E>) {
        if let Some(observers) = self.policies.observers() {
            let call = self.policies.info();
            observers.tell(|| match &answer {
                Ok(receipt) => Event::LetterBuried { call, letter: receipt.id.get() },
                Err(_) => Event::LetterRefused { call },
            });
        }
        error.burial = Some(Box::new(match answer {
            Ok(receipt) => error::Burial::Stored(receipt.id),
            Err(refusal) => error::Burial::Refused(refusal),
        }));
        error.note();
    }

    /// What a wait must listen to besides the clock.
    pub(super) fn shutdown(&self) -> Option<BoxFuture<'static, ()>> {
        self.policies.shutdown().map(crate::shutdown::Shutdown::triggered)
    }

    /// As [`give_up`](Self::give_up), for a call that ends with the last value it got.
    #[cold]
    pub(super) fn give_up_with_a_value(&mut self, reason: Reason) {
        let error = self.error(reason);
        self.tell_give_up(&error);
        self.policies.gave_up(&error);
    }

    fn tell_failed(&self, classification: Classification) {
        if let Some(observers) = self.policies.observers() {
            let (call, attempt) = (self.policies.info(), self.attempts);
            observers.tell(|| Event::AttemptFailed { call, attempt, classification });
        }
    }

    fn tell_give_up(&self, error: &RecoveryError<E>) {
        if let Some(observers) = self.policies.observers() {
            observers.tell(|| Event::GaveUp {
                call: self.policies.info(),
                attempts: error.attempts,
                took: error.elapsed,
                reason: error.reason.name(),
                category: error.classification.map(|answer| answer.category()),
            });
        }
    }

    fn tell_retry(&self, delay: Duration, source: DelaySource, category: Category) {
        if let Some(observers) = self.policies.observers() {
            let attempt = self.attempts;
            let call = self.policies.info();
            observers.tell(|| Event::RetryScheduled { call, attempt, delay, source, category });
        }
    }

    fn past(&mut self) -> &mut Past<E> {
        self.past.get_or_insert_with(Box::default)
    }
}

impl<E> Default for Past<E> {
    fn default() -> Self {
        Self {
            progress: Progress::default(),
            error: None,
            classification: None,
            timed_out: false,
            history: History::default(),
            last_delay: Duration::ZERO,
            token: None,
        }
    }
}
