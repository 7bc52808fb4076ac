//! What a call waits for besides its operation: a slot, the user's hook, the next attempt's time, a grave.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;

use super::attempt;
use super::plan::{Burial, Instead, Plan, Then, Wait};
use super::policies::Policies;
use super::queue::Queue;
use crate::error::{Reason, RecoveryError};
use crate::time::{Instant, Now};
use crate::timer::Timer;

/// A wait before the next attempt, or after the last.
pub(super) enum Aside<'r, T, E> {
    /// What an attempt has to wait for. A value that was not good enough is kept until it begins: if it
    /// never does, that is what the call ends with. The timer is for calls that have no room for one.
    Before(Before<'r>, Option<T>, Option<Pin<Box<Timer>>>),
    /// Waiting for the letter to be stored.
    Burying(Burial<'r>, RecoveryError<E>),
}

pub(super) enum Before<'r> {
    /// A slot.
    Queued(Queue<'r>),
    /// The user's hook, which has its say before the wait.
    Asking { hook: BoxFuture<'r, ControlFlow<()>>, wait: Option<Wait> },
    /// Its time. Holds no slot.
    Waiting {
        until: Instant,
        then: Option<Then>,
        shutdown: Option<BoxFuture<'static, ()>>,
        /// Whether others must be let run first, even if this is no wait at all.
        yields: bool,
    },
}

impl<'r> Before<'r> {
    /// What must be waited for, or why there is no attempt.
    pub(super) fn new<P, E, S>(instead: Instead<'r>, plan: &Plan<'r, P, E, S>) -> Result<Self, Reason>
    where
        P: Policies<'r, E>,
        E: 'r,
        S: Default,
    {
        Ok(match instead {
            Instead::Ask(hook, wait) => Self::Asking { hook, wait: Some(wait) },
            Instead::Queue(queue) => Self::Queued(queue),
            Instead::Wait(Wait { until, then }) => {
                let (then, shutdown) = (Some(then), plan.shutdown());
                Self::Waiting { until, then, shutdown, yields: plan.must_yield() }
            }
            Instead::GiveUp(reason) => return Err(reason),
        })
    }

    /// What follows the wait.
    pub(super) fn poll<P, E, S>(
        &mut self,
        plan: &mut Plan<'r, P, E, S>,
        timer: Pin<&mut Timer>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Instead<'r>>>
    where
        P: Policies<'r, E>,
        E: 'r,
        S: Default,
    {
        Poll::Ready(match self {
            Self::Queued(queue) => match ready!(queue.poll(timer, cx)) {
                Ok((permit, slot)) => plan.got_slot(permit, slot, &Now::unread()),
                Err(reason) => Err(Instead::GiveUp(reason)),
            },

            Self::Asking { hook, wait } => {
                let answer = hook.as_mut().poll(cx);
                if answer.is_pending() {
                    ready!(attempt::poll_deadline(plan, timer, cx));
                }
                match answer {
                    Poll::Ready(ControlFlow::Continue(())) => {
                        Err(Instead::Wait(wait.take().expect("a hook is asked about one wait")))
                    }
                    Poll::Ready(ControlFlow::Break(())) => Err(Instead::GiveUp(Reason::StoppedByHook)),
                    Poll::Pending => Err(Instead::GiveUp(Reason::DeadlineExceeded)),
                }
            }

            Self::Waiting { until, then, shutdown, yields } => {
                if std::mem::take(yields) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if shutdown.as_mut().is_some_and(|switch| switch.as_mut().poll(cx).is_ready()) {
                    Err(Instead::GiveUp(Reason::ShutDown))
                } else {
                    ready!(timer.poll_until(*until, cx));
                    plan.waited(then.take().expect("a wait ends once"), &Now::unread())
                }
            }
        })
    }
}
