//! The same call for operations that are lent something mutable: the other thin driver over the plan.

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::task::Poll;

use super::attempt;
use super::plan::{Instead, Plan, Then, Wait};
use super::policies::Policies;
use crate::attempt::Attempt;
use crate::error::{Reason, RecoveryError};
use crate::time::{Instant, Now};
use crate::timer::Timer;

/// An operation that is lent `S` anew for each attempt: `async |state: &mut S, attempt: Attempt| …`, or an
/// `async fn` of these two arguments. Annotate both arguments of a closure.
///
/// Implemented for all such closures whose future is `Send`; there is no need to implement it.
#[diagnostic::on_unimplemented(
    message = "this operation cannot be lent its state for each attempt",
    note = "write it as `async |state: &mut S, attempt: Attempt| …` with both arguments annotated; it may capture nothing mutable besides the state, and its future must be `Send`"
)]
pub trait LendingOperation<S, T, E>: FnMut(S, Attempt) -> <Self as LendingOperation<S, T, E>>::Fut {
    /// What it gives back for one attempt.
    type Fut: Future<Output = Result<T, E>> + Send;
}

impl<F, S, Fut, T, E> LendingOperation<S, T, E> for F
where
    F: FnMut(S, Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>> + Send,
{
    type Fut = Fut;
}

/// Drives one call. An `async fn`, for the attempt borrows from a neighbour of itself, which no struct that
/// we may write can hold.
pub(crate) async fn drive_mut<'r, P, S, T, E, F>(
    policies: P,
    state: &mut S,
    mut op: F,
) -> Result<T, RecoveryError<E>>
where
    P: Policies<'r, E>,
    E: 'r,
    S: ?Sized,
    F: for<'a> LendingOperation<&'a mut S, T, E>,
{
    let mut plan: Plan<'r, P, E> = Plan::new(policies);
    let mut begun = plan.begin(&Now::unread());
    let reason = loop {
        begun = match begun {
            Ok(()) => {
                let ended = {
                    let mut timer = pin!(Timer::idle());
                    let mut attempt = pin!(op(&mut *state, plan.attempt()));
                    poll_fn(|cx| attempt::poll(attempt.as_mut(), &mut plan, timer.as_mut(), cx)).await
                };
                Err(plan.failed(match ended {
                    Ok(Ok(value)) => {
                        plan.succeeded();
                        return Ok(value);
                    }
                    Ok(Err(error)) => Ok(error),
                    Err(cut) => Err(cut),
                }))
            }
            Err(Instead::Ask(hook, wait)) => Err(match in_time(&mut plan, hook).await {
                Some(ControlFlow::Continue(())) => Instead::Wait(wait),
                Some(ControlFlow::Break(())) => Instead::GiveUp(Reason::StoppedByHook),
                None => Instead::GiveUp(Reason::DeadlineExceeded),
            }),
            Err(Instead::Queue(mut queue)) => {
                let answer = {
                    let mut timer = pin!(Timer::idle());
                    poll_fn(|cx| queue.poll(timer.as_mut(), cx)).await
                };
                match answer {
                    Ok((permit, slot)) => plan.got_slot(permit, slot, &Now::unread()),
                    Err(reason) => Err(Instead::GiveUp(reason)),
                }
            }
            Err(Instead::Wait(Wait { until, then })) => wait(&mut plan, until, then).await,
            Err(Instead::GiveUp(reason)) => break reason,
        };
    };
    let (mut error, burial) = plan.give_up(reason);
    if let Some(push) = burial {
        plan.buried(push.await, &mut error);
    }
    Err(error)
}

/// What `other` gives, or nothing once the call must have ended.
async fn in_time<'r, P, E, O>(plan: &mut Plan<'r, P, E>, mut other: O) -> Option<O::Output>
where
    P: Policies<'r, E>,
    E: 'r,
    O: Future + Unpin,
{
    let mut timer = pin!(Timer::idle());
    poll_fn(|cx| match Pin::new(&mut other).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => attempt::poll_deadline(plan, timer.as_mut(), cx).map(|()| None),
    })
    .await
}

async fn wait<'r, P, E>(plan: &mut Plan<'r, P, E>, until: Instant, then: Then) -> Result<(), Instead<'r>>
where
    P: Policies<'r, E>,
    E: 'r,
{
    let mut shutdown = plan.shutdown();
    let mut timer = pin!(Timer::idle());
    let ended_early = poll_fn(|cx| {
        if shutdown.as_mut().is_some_and(|switch| switch.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(true);
        }
        timer.as_mut().poll_until(until, cx).map(|()| false)
    })
    .await;
    if ended_early { Err(Instead::GiveUp(Reason::ShutDown)) } else { plan.waited(then) }
}
