//! Waiting for a slot, for as long as the call may wait at all.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;

use crate::bulkhead::{Acquire, Hold};
use crate::circuit_breaker::Permit;
use crate::error::Reason;
use crate::time::Instant;
use crate::timer::Timer;

/// A place in the line for a slot, and what ends the wait without one. The permit has no attempt to report
/// yet, so a drop says nothing.
pub(crate) struct Queue<'r> {
    pub(super) permit: Permit<'r>,
    pub(super) slot: Pin<Box<Acquire<'r>>>,
    pub(super) deadline: Option<Instant>,
    pub(super) shutdown: Option<BoxFuture<'static, ()>>,
}

impl<'r> Queue<'r> {
    /// The slot, and the permit that came into the line with it. A slot that is there counts, however late.
    pub(super) fn poll(
        &mut self,
        timer: Pin<&mut Timer>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Permit<'r>, Hold<'r>), Reason>> {
        if let Poll::Ready(answer) = self.slot.as_mut().poll(cx) {
            return Poll::Ready(match answer {
                Ok(slot) => {
                    let permit = std::mem::replace(&mut self.permit, Permit::passenger());
                    Ok((permit, slot.into_hold()))
                }
                Err(full) => Err(Reason::BulkheadFull(full)),
            });
        }
        if self.shutdown.as_mut().is_some_and(|switch| switch.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(Reason::ShutDown));
        }
        let Some(deadline) = self.deadline else { return Poll::Pending };
        ready!(timer.poll_until(deadline, cx));
        Poll::Ready(Err(Reason::DeadlineExceeded))
    }
}
