//! The decisions of one call. The plan does no I/O, never sleeps, spawns or polls: the drivers ask it what is
//! next and do that.

mod begin;
mod end;
mod learn;

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::time::Duration;

use futures::future::BoxFuture;

use super::attempt::Pass;
use super::policies::{Limits, Policies};
use super::queue::Queue;
use crate::attempt::Attempt;
use crate::classification::Classification;
use crate::cooldown::Turn;
use crate::dead_letter::{History, PushError, Receipt};
use crate::error::Reason;
use crate::retry::{Progress, Token};
use crate::shutdown::Shutdown;
use crate::time::{Instant, Now, earlier, later};

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

    /// What a wait must listen to besides the clock.
    pub(super) fn shutdown(&self) -> Option<BoxFuture<'static, ()>> {
        self.policies.shutdown().map(Shutdown::triggered)
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
