//! Pushing into a queue that may have to be waited for.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use crate::dead_letter::error::{PushError, PushErrorKind};
use crate::dead_letter::letter::DeadLetter;
use crate::dead_letter::memory::line::Ticket;
use crate::dead_letter::memory::{MemoryQueue, WhenFull};
use crate::dead_letter::queue::Receipt;
use crate::time::{self, Instant};
use crate::timer::Timer;

/// A place in line, given up when dropped: by a letter that was stored, was handed back or is not to be
/// stored any more.
struct Place<'q> {
    queue: &'q MemoryQueue,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let next = self.queue.shared.ledger.lock().line.leave(self.ticket);
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl MemoryQueue {
    /// Stores a letter, as soon as it is its turn and there is room.
    pub(super) async fn store(&self, letter: DeadLetter) -> Result<Receipt, PushError> {
        let refused = match self.with(|ledger, now| ledger.push(letter, now)) {
            Err(refused) if refused.kind == PushErrorKind::Full => refused,
            answer => return answer,
        };
        let WhenFull::Wait(time) = self.shared.when_full else { return Err(refused) };
        let until = time::later_or_far(time::now(), time);
        let ticket = self.shared.ledger.lock().line.join();
        let place = Place { queue: self, ticket };
        let mut letter = Some(*refused.letter);
        let mut timer = pin!(Timer::idle());
        poll_fn(|cx| {
            // Whatever the clock says, room that is there counts.
            let (answer, sooner) = match letter.take() {
                Some(letter) => self.knock(letter, place.ticket, cx),
                None => return Poll::Pending, // it was handed out when this was ready
            };
            match answer {
                Err(refused) if refused.kind == PushErrorKind::Full && time::now() < until => {
                    letter = Some(*refused.letter);
                    let at = time::earlier(Some(until), sooner).unwrap_or(until);
                    if timer.as_mut().poll_until(at, cx).is_ready() {
                        cx.waker().wake_by_ref(); // the moment came just now
                    }
                    Poll::Pending
                }
                answer => Poll::Ready(answer),
            }
        })
        .await
    }

    /// Tries, and says when it is worth trying again even if nobody does anything.
    fn knock(
        &self,
        letter: DeadLetter,
        ticket: Ticket,
        cx: &Context<'_>,
    ) -> (Result<Receipt, PushError>, Option<Instant>) {
        self.with(|ledger, now| {
            ledger.line.wake_by(ticket, cx.waker());
            let answer = ledger.push_in_turn(letter, Some(ticket), now);
            let sooner = if ledger.line.is_turn(Some(ticket)) { ledger.next_moment() } else { None };
            (answer, sooner)
        })
    }
}
