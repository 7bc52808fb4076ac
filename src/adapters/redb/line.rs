//! Those who wait for room in a full queue.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::prepared::Prepared;
use super::queue::RedbQueue;
use crate::dead_letter::{PushError, PushErrorKind, Receipt};
use crate::time::{self, Instant, Now};
use crate::timer::{self, Timer};

impl RedbQueue {
    /// Stores letters, and waits for room for those that do not fit. Who comes while others wait waits behind
    /// them.
    pub(super) async fn store_in_line(
        &self,
        letters: Vec<Prepared>,
        wait: Duration,
    ) -> Vec<Result<Receipt, PushError>> {
        let until = timer::ends(wait, &Now::unread());
        let refused = |letter: Prepared| Err(letter.refused(PushErrorKind::Full));
        let mut turn = None;
        if self.shared.line.available_permits() == 0 {
            turn = before(until, self.shared.line.acquire()).await;
            if turn.is_none() {
                return letters.into_iter().map(refused).collect();
            }
        }
        let mut room = self.shared.gauge.room();
        let mut answers = self.store_now(letters, None).await;
        while answers.iter().any(is_full) {
            if turn.is_none() {
                turn = before(until, self.shared.line.acquire()).await;
            } else {
                // A letter that expires makes room, but only for those who ask.
                let due = self.shared.clock.moment(self.shared.gauge.due());
                let changed = before(time::earlier(until, due), room.changed()).await;
                if changed.is_none() && until.is_some_and(|until| until <= time::now()) {
                    turn = None;
                }
            }
            if turn.is_none() {
                break;
            }
            room = self.shared.gauge.room();
            for answer in answers.iter_mut().filter(|answer| is_full(answer)) {
                let Err(error) = answer else { continue };
                let letter = std::mem::replace(&mut *error.letter, crate::dead_letter::DeadLetter::new(""));
                let again = self.store_now(vec![Prepared::of(letter)], None).await.pop();
                *answer = again.expect("one letter has one answer");
                if is_full(answer) {
                    break;
                }
            }
        }
        answers
    }
}

fn is_full(answer: &Result<Receipt, PushError>) -> bool {
    matches!(answer, Err(PushError { kind: PushErrorKind::Full, .. }))
}

/// What comes of it, if it comes before the time is over.
async fn before<F: Future>(until: Option<Instant>, future: F) -> Option<F::Output> {
    let (mut future, mut timer) = (pin!(future), pin!(Timer::idle()));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        match until {
            Some(until) => timer.as_mut().poll_until(until, cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}
