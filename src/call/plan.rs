//! The decisions of one call. The plan does no I/O, never sleeps, spawns or polls: the drivers ask it what is
//! next and do that.

mod begin;
mod end;
mod learn;

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::time::Duration;

use futures::future::BoxFuture;

use super::attempt::Cut;
use super::policies::{Gives, Limits, Policies};
use super::queue::Queue;
use crate::attempt::Attempt;
use crate::classification::{Category, Classification};
use crate::cooldown::Turn;
use crate::dead_letter::{History, PushError, Receipt};
use crate::error::Reason;
use crate::event::Observers;
use crate::rate_limit::Booking;
use crate::retry::{Active, Attempted, Leave, Progress, Token};
use crate::shutdown::Shutdown;
use crate::time::{Instant, Now, earlier, later};

/// One call, as far as it has come. `S` is what its driver keeps for the times when something has gone wrong.
pub(crate) struct Plan<'r, P: Gives, E, S = ()> {
    pub(super) policies: P,
    /// What the attempt under way was given.
    pub(super) pass: P::Pass,
    /// Attempts begun.
    pub(super) attempts: u32,
    /// Whether the attempt under way has taken so long that it is a slow one to the throttle.
    pub(crate) slow: bool,
    /// When the call first had to wait, or somebody first asked for the time.
    started: Option<Instant>,
    /// What only a call needs that has failed once. Apart, so that a call that succeeds stays small.
    pub(super) past: Option<Box<Past<E, S, P::Hooks>>>,
    lifetime: PhantomData<&'r ()>,
}

/// What has gone wrong so far.
#[derive(Debug)]
pub(super) struct Past<E, S, H> {
    progress: Progress,
    /// The last error of the operation.
    pub(super) error: Option<E>,
    pub(super) classification: Option<Classification>,
    pub(super) timed_out: bool,
    /// The attempts so far; kept only for a letter.
    pub(super) history: History,
    pub(super) last_delay: Duration,
    /// When the attempt under way first had to wait, if the call had waited before.
    pending_since: Option<Instant>,
    /// Held from the decision to retry until the retry has ended; dropped, it goes back to the budget.
    token: Option<Token>,
    /// The same of the throttle.
    leave: Option<Leave>,
    /// For a budget that counts calls under way.
    active: Option<Active>,
    /// How the last attempt failed, as a throttle sees it.
    seen: Option<Attempted>,
    /// The category of the error that the next attempt, or the one under way, repeats. None if the last one
    /// was not in vain.
    repeats: Option<Category>,
    pub(super) hooks: H,
    /// The driver's.
    pub(super) side: S,
}

/// What comes instead of an attempt.
pub(crate) enum Instead<'r> {
    /// Ask the hook, then wait.
    Ask(BoxFuture<'r, ControlFlow<()>>, Wait),
    /// Wait, then begin again.
    Wait(Wait),
    /// Wait for a slot.
    Queue(Queue<'r>),
    /// No attempt will be made.
    GiveUp(Reason),
}

/// A letter on its way to its queue.
pub(crate) type Burial<'r> = BoxFuture<'r, Result<Receipt, PushError>>;

/// Something to wait for that holds no slot.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) until: Instant,
    pub(crate) then: Then,
}

/// What to do after a wait.
#[derive(Debug)]
pub(crate) enum Then {
    Begin,
    /// The budget was empty, or the throttle held the retry back. It should let one pass by now, but others
    /// wait for it too: this call goes on waiting no longer than until then.
    Reserve {
        no_later_than: Instant,
    },
    /// It is this call's turn, if the cooldown was not extended.
    Leave(Turn),
    /// It is this call's turn with the rate limiter, if nobody who matters more has come.
    Book(Booking),
}

impl<P: Gives, E, S> Plan<'_, P, E, S> {
    /// What has gone wrong, from now on.
    pub(super) fn past(&mut self) -> &mut Past<E, S, P::Hooks>
    where
        S: Default,
    {
        self.past.get_or_insert_with(Box::default)
    }

    /// The user's hooks, for setters that come before the first attempt.
    pub(super) fn hooks(&mut self) -> &mut P::Hooks
    where
        S: Default,
    {
        &mut self.past().hooks
    }

    #[inline]
    pub(crate) fn new(policies: P) -> Self {
        Self {
            policies,
            pass: P::Pass::default(),
            attempts: 0,
            slow: false,
            started: None,
            past: None,
            lifetime: PhantomData,
        }
    }
}

impl<'r, P: Policies<'r, E>, E: 'r, S: Default> Plan<'r, P, E, S> {
    pub(super) fn limits(&self) -> Limits {
        self.policies.limits()
    }

    /// When the whole call must have ended, as far as that is known.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        let Limits { call, until, .. } = self.policies.limits();
        let Some(started) = self.started else { return until };
        earlier(call.and_then(|limit| later(started, limit)), until)
    }

    pub(super) fn started(&mut self, now: &Now) {
        if self.started.is_none() {
            self.started = Some(now.get());
        }
    }

    /// The call waits before its attempt: from now on its time and the attempt's are not the same.
    fn waits(&mut self, now: &Now) {
        self.started(now);
        self.past();
    }

    /// The attempt has to wait. When it first had to.
    pub(super) fn pends(&mut self, now: &Now) -> Instant {
        let started = *self.started.get_or_insert_with(|| now.get());
        match &mut self.past {
            Some(past) => *past.pending_since.get_or_insert_with(|| now.get()),
            None => started, // the first time that the call has to wait, and nothing else
        }
    }

    /// The attempt has to wait. When it will be cut short if it goes on, and by which limit.
    pub(crate) fn pends_until(&mut self, now: &Now) -> Option<(Instant, Cut)> {
        let since = self.pends(now);
        let own = self.limits().attempt.and_then(|limit| later(since, limit));
        let until = earlier(own, self.deadline())?;
        // At one and the same moment it is the attempt's own: it was given all that it may take.
        let by_deadline = own.is_none_or(|own| own > until);
        Some((until, if by_deadline { Cut::Deadline } else { Cut::AttemptTimeout }))
    }

    /// The first attempt has to wait, of a call that nothing limits but its own settings. When it is to be looked at
    /// again if it goes on: says the same as [`looks_at`](Self::looks_at), which asks one after the other, or nothing.
    #[inline]
    pub(super) fn first_look(&mut self, now: &Now) -> Option<Instant> {
        let after = self.policies.first_look()?;
        later(self.pends(now), after)
    }

    /// The attempt has to wait. When it is to be looked at again if it goes on: when it will be cut short, and by
    /// which limit, or before that when it will be slow.
    pub(super) fn looks_at(&mut self, now: &Now) -> Option<(Instant, Option<Cut>)> {
        if let Some(slow_at) = self.slow_at(now) {
            return Some((slow_at, None));
        }
        self.pends_until(now).map(|(until, cut)| (until, Some(cut)))
    }

    /// When the attempt, which has to wait, will be slow, if it is not yet and the call may last so long.
    pub(crate) fn slow_at(&mut self, now: &Now) -> Option<Instant> {
        let after = if self.slow { None } else { self.policies.slow_after() }?;
        let slow_at = later(self.pends(now), after)?;
        self.deadline().is_none_or(|deadline| slow_at < deadline).then_some(slow_at)
    }

    /// When the attempt that has just ended first had to wait, if it had to.
    fn pended_since(&mut self) -> Option<Instant> {
        self.past.as_mut().map_or(self.started, |past| past.pending_since.take())
    }

    /// Whether anybody is told of what happens.
    #[inline]
    pub(super) fn watched(&self) -> bool {
        self.policies.observers().is_some_and(Observers::any)
    }

    /// What to tell the operation about the attempt that begins.
    pub(crate) fn attempt(&self) -> Attempt {
        Attempt::new(self.attempts, self.deadline())
    }

    /// What a wait must listen to besides the clock.
    pub(super) fn shutdown(&self) -> Option<BoxFuture<'static, ()>> {
        self.policies.shutdown().map(Shutdown::triggered)
    }

    /// Whether the wait that begins must let other tasks run even if it is no wait at all. An operation that is
    /// never pending, repeated without waits and without end, would keep its thread to itself, and nobody could
    /// drop it. So now and then, which costs an ordinary retry nothing.
    pub(super) fn must_yield(&self) -> bool {
        const NOW_AND_THEN: u32 = 32;
        self.attempts > 0 && self.attempts.is_multiple_of(NOW_AND_THEN)
    }
}

impl<E, S, H> Past<E, S, H> {
    /// What kind of trouble the last attempt had.
    fn trouble(&self) -> Category {
        self.classification.map_or(Category::Unknown, |answer| answer.category())
    }

    /// No retry will be made: what was taken out for one, and for being under way, goes back.
    fn gives_back(&mut self) -> &mut Self {
        self.token = None;
        self.leave = None;
        self.active = None;
        self
    }
}

impl<E, S: Default, H: Default> Default for Past<E, S, H> {
    fn default() -> Self {
        Self {
            progress: Progress::default(),
            error: None,
            classification: None,
            timed_out: false,
            history: History::default(),
            last_delay: Duration::ZERO,
            pending_since: None,
            token: None,
            leave: None,
            active: None,
            seen: None,
            repeats: None,
            hooks: H::default(),
            side: S::default(),
        }
    }
}
