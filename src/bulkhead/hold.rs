//! What of a gate is owned: a slot, a slot on its way, a place in line.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::FullReason;
use super::gate::Gate;
use super::line::Ticket;
use crate::sync::oneshot;
use crate::time::Instant;

/// What one who waits is told: here is a slot, or why there will be none. Told nothing, the gate is closed.
pub(super) type Answer = Result<Grant, FullReason>;

/// One who waits, and the gate whose slot they wait for.
pub(super) struct Waiter {
    gate: Arc<Gate>,
    sender: oneshot::Sender<Answer>,
}

impl Waiter {
    pub(super) fn new(gate: &Arc<Gate>) -> (Self, oneshot::Receiver<Answer>) {
        let (sender, answer) = oneshot::channel();
        (Self { gate: Arc::clone(gate), sender }, answer)
    }

    /// Hands over a slot, which has been taken for them. Wakes, so not under a lock.
    pub(super) fn serve(self) {
        if let Err(Ok(mut unwanted)) = self.sender.send(Ok(Grant(Some(self.gate)))) {
            // They left after they were taken off the line. Dropping the grant would hand the slot to the next
            // from here, one call deeper for each of them; whoever hands slots out goes on and does the same.
            if let Some(gate) = unwanted.0.take() {
                gate.take_back();
            }
        }
    }

    /// Tells them that they have no slot. Wakes, so not under a lock.
    pub(super) fn refuse(self, reason: FullReason) {
        drop(self.sender.send(Err(reason))); // one who went away need not be told
    }
}

/// A slot on its way from one who gave it back to one who waited.
#[derive(Debug)]
pub(super) struct Grant(Option<Arc<Gate>>);

impl Grant {
    /// Leaves the slot to somebody else to give back.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            gate.give_back();
        }
    }
}

/// A slot taken, or none any more: gives it back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Hold<'b>(Option<&'b Arc<Gate>>);

impl<'b> Hold<'b> {
    /// For one who has just taken a slot of this gate.
    #[inline]
    pub(super) fn taken(gate: &'b Arc<Gate>) -> Self {
        Self(Some(gate))
    }

    /// Leaves the slot to somebody else to give back, at this gate.
    pub(super) fn hand_over(mut self) -> Option<Arc<Gate>> {
        self.0.take().map(Arc::clone)
    }

    /// Gives the slot back now.
    #[inline(always)]
    pub(crate) fn give_back(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.give_back();
        }
    }

    #[cold]
    fn dropped(&mut self) {
        self.give_back();
    }
}

// Who is done gives back in person; what is left to a drop is the rest, out of everybody's way.
impl Drop for Hold<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.dropped();
        }
    }
}

/// A slot that was just taken, for one who makes sure that it is given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'b>(&'b Arc<Gate>);

impl<'b> Taken<'b> {
    /// For one who has just taken a slot of this gate.
    #[inline(always)]
    pub(super) const fn of(gate: &'b Arc<Gate>) -> Self {
        Self(gate)
    }

    /// The slot, which gives itself back.
    #[inline(always)]
    pub(crate) fn hold(self) -> Hold<'b> {
        Hold::taken(self.0)
    }
}

/// A place in line: leaves it when dropped.
#[derive(Debug)]
pub(super) struct Place<'b> {
    gate: &'b Arc<Gate>,
    /// `None` once off the line.
    ticket: Option<Ticket>,
    shed_at: Option<Instant>,
    // Dropped after the line is left, with a grant that came too late in it.
    answer: oneshot::Receiver<Answer>,
}

impl<'b> Place<'b> {
    pub(super) const fn new(
        gate: &'b Arc<Gate>,
        ticket: Ticket,
        shed_at: Option<Instant>,
        answer: oneshot::Receiver<Answer>,
    ) -> Self {
        Self { gate, ticket: Some(ticket), shed_at, answer }
    }

    /// When this one has waited too long for an overload, where the order of the line says so.
    pub(super) const fn shed_at(&self) -> Option<Instant> {
        self.shed_at
    }

    /// The slot, once it is this one's turn, or why it will never be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Hold<'b>, FullReason>> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        self.ticket = None;
        Poll::Ready(answer.unwrap_or(Err(FullReason::Closed)).map(|grant| {
            grant.disarm();
            Hold::taken(self.gate)
        }))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate.leave(ticket);
        }
    }
}
