//! One attempt under way: what it was given, and what became of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::plan::Plan;
use super::policies::Policies;
use crate::bulkhead::Slot;
use crate::circuit_breaker::Permit;
use crate::classification::Outcome;
use crate::nested;
use crate::time::{Instant, Now, earlier, later};
use crate::timer::Timer;

/// What one attempt owns while it runs. Dropped, everything comes back: the permit reports what it was told
/// to assume, the slot goes to the next.
#[derive(Debug)]
pub(crate) struct Pass<'r> {
    pub(super) permit: Option<Permit<'r>>,
    pub(super) slot: Option<Slot<'r>>,
    /// When the attempt first had to wait.
    pub(super) pending_since: Option<Instant>,
}

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

impl Pass<'_> {
    /// What a drop means from now on. While the user's code runs it is a failure, for it can only be dropped
    /// then by unwinding; while the attempt is pending it was abandoned.
    pub(super) fn assume(&mut self, outcome: Outcome) {
        if let Some(permit) = &mut self.permit {
            permit.assume(outcome);
        }
    }
}

/// Polls the operation under the attempt's limits: the operation first, and the clock only if it is pending.
pub(super) fn poll<'r, P, Fut, T, E>(
    attempt: Pin<&mut Fut>,
    pass: &mut Pass<'r>,
    plan: &mut Plan<'r, P, E>,
    timer: Pin<&mut Timer>,
    cx: &mut Context<'_>,
) -> Poll<Result<Result<T, E>, Cut>>
where
    P: Policies<'r, E>,
    E: 'r,
    Fut: Future<Output = Result<T, E>>,
{
    pass.assume(Outcome::Failure);
    nested::clear();
    if let Poll::Ready(result) = attempt.poll(cx) {
        if result.is_ok() {
            nested::clear(); // whoever gave up inside, the operation came through
        }
        return Poll::Ready(Ok(result));
    }
    nested::clear(); // it goes on, and whoever looks at the note next is not about this operation
    pass.assume(Outcome::Abandoned);
    if pass.pending_since.is_none() {
        let now = Now::unread();
        pass.pending_since = Some(now.get());
        plan.started(&now);
    }
    let own = plan.limits().attempt.zip(pass.pending_since).and_then(|(limit, since)| later(since, limit));
    let deadline = plan.deadline();
    let Some(until) = earlier(own, deadline) else { return Poll::Pending };
    ready!(timer.poll_until(until, cx));
    // At one and the same moment it is the attempt's own: it was given all that it may take.
    let by_deadline = own.is_none_or(|own| own > until);
    Poll::Ready(Err(if by_deadline { Cut::Deadline } else { Cut::AttemptTimeout }))
}

/// Ready once the call must have ended. For what has no limit of its own: a place in the queue, a hook.
pub(super) fn poll_deadline<'r, P, E>(
    plan: &mut Plan<'r, P, E>,
    timer: Pin<&mut Timer>,
    cx: &mut Context<'_>,
) -> Poll<()>
where
    P: Policies<'r, E>,
    E: 'r,
{
    plan.started(&Now::unread());
    match plan.deadline() {
        Some(deadline) => timer.poll_until(deadline, cx),
        None => Poll::Pending,
    }
}
