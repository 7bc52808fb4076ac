//! One attempt under way: what it was given, and what became of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::pass::Pass;
use super::plan::Plan;
use super::policies::Policies;
use crate::classification::Outcome;
use crate::nested;
use crate::time::Now;
use crate::timer::{Timer, TimerPlace};

/// Which limit cut an attempt short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Its own: the dependency was too slow.
    AttemptTimeout,
    /// The whole call's, which says nothing of the dependency.
    Deadline,
}

/// What an attempt ended with that is not the end of its call.
pub(super) enum Failure<E> {
    /// The operation's error.
    Error(E),
    /// Nothing: it was cut short.
    CutShort,
    /// A value that is not good enough. The driver keeps it.
    Value,
}

/// Polls the operation under the attempt's limits: the operation first, and the clock only if it is pending.
#[inline]
pub(super) fn poll<'r, P, Fut, T, E, S>(
    attempt: Pin<&mut Fut>,
    plan: &mut Plan<'r, P, E, S>,
    limit: Pin<&mut P::Timer>,
    cx: &mut Context<'_>,
) -> Poll<Result<Result<T, E>, Cut>>
where
    P: Policies<'r, E>,
    E: 'r,
    S: Default,
    Fut: Future<Output = Result<T, E>>,
{
    plan.pass.assume(Outcome::Failure);
    let polled = poll_operation(attempt, cx);
    limited(polled, plan, limit, cx)
}

/// Polls the operation, and listens to what it calls.
#[inline(always)]
pub(super) fn poll_operation<Fut, T, E>(attempt: Pin<&mut Fut>, cx: &mut Context<'_>) -> Poll<Result<T, E>>
where
    Fut: Future<Output = Result<T, E>>,
{
    nested::listen();
    let polled = attempt.poll(cx);
    nested::listened();
    if !matches!(polled, Poll::Ready(Err(_))) {
        // It came through, whoever gave up inside; or it goes on, and whoever looks at the note next is not about
        // this operation.
        nested::clear();
    }
    polled
}

/// What a poll of the operation comes to under the attempt's limits.
#[inline]
pub(super) fn limited<'r, P, T, E, S>(
    polled: Poll<Result<T, E>>,
    plan: &mut Plan<'r, P, E, S>,
    limit: Pin<&mut P::Timer>,
    cx: &mut Context<'_>,
) -> Poll<Result<Result<T, E>, Cut>>
where
    P: Policies<'r, E>,
    E: 'r,
    S: Default,
{
    if let Poll::Ready(result) = polled {
        plan.slow |= limit.timer().is_some_and(|timer| timer.has_come());
        return Poll::Ready(Ok(result));
    }
    plan.pass.assume(Outcome::Abandoned);
    poll_limits(plan, limit, cx).map(Err)
}

/// Ready once one of the attempt's limits has come.
pub(super) fn poll_limits<'r, P, E, S>(
    plan: &mut Plan<'r, P, E, S>,
    limit: Pin<&mut P::Timer>,
    cx: &mut Context<'_>,
) -> Poll<Cut>
where
    P: Policies<'r, E>,
    E: 'r,
    S: Default,
{
    let now = Now::unread();
    let Some(mut timer) = limit.timer() else {
        plan.pends(&now);
        return Poll::Pending;
    };
    if timer.as_mut().poll_again(cx) {
        return Poll::Pending; // within one attempt no limit moves
    }
    loop {
        let Some((until, cut)) = plan.looks_at(&now) else { return Poll::Pending };
        ready!(timer.as_mut().poll_at(&now, until, cx));
        match cut {
            Some(cut) => return Poll::Ready(cut),
            None => plan.slow = true,
        }
    }
}

/// Ready once the call must have ended. For what has no limit of its own: a place in the queue, a hook.
pub(super) fn poll_deadline<'r, P, E, S>(
    plan: &mut Plan<'r, P, E, S>,
    timer: Pin<&mut Timer>,
    cx: &mut Context<'_>,
) -> Poll<()>
where
    P: Policies<'r, E>,
    E: 'r,
    S: Default,
{
    let now = Now::unread();
    plan.started(&now);
    match plan.deadline() {
        Some(deadline) => timer.poll_at(&now, deadline, cx),
        None => Poll::Pending,
    }
}
