//! The same call for operations that are lent something mutable: the other thin driver over the plan.

use std::future::{Future, poll_fn};
use std::pin::pin;

use super::aside::Before;
use super::attempt;
use super::plan::Plan;
use super::policies::Policies;
use crate::attempt::Attempt;
use crate::error::RecoveryError;
use crate::time::Now;
use crate::timer::{Timer, TimerPlace};

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
                    let mut timer = pin!(P::Timer::idle());
                    let mut attempt = pin!(op(&mut *state, plan.attempt()));
                    poll_fn(|cx| attempt::poll(attempt.as_mut(), &mut plan, timer.as_mut(), cx)).await
                };
                let now = Now::unread();
                let failure = match ended {
                    Ok(Ok(value)) => {
                        plan.succeeded(&now);
                        return Ok(value);
                    }
                    Ok(Err(error)) => Ok(error),
                    Err(cut) => Err(cut),
                };
                Err(plan.failed(failure, &now))
            }
            Err(instead) => match Before::new(instead, &plan) {
                Ok(mut before) => {
                    let mut timer = pin!(Timer::idle());
                    poll_fn(|cx| before.poll(&mut plan, timer.as_mut(), cx)).await
                }
                Err(reason) => break reason,
            },
        };
    };
    let (mut error, burial) = plan.give_up(reason, &Now::unread());
    if let Some(push) = burial {
        plan.buried(push.await, &mut error);
    }
    Err(error)
}
