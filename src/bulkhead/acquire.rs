//! Waiting for a slot.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::gate::Entry;
use super::hold::{Hold, Place};
use super::{Entrance, Full, FullReason, Slot};
use crate::time::{Instant, Now};
use crate::timer::{self, Timer};

pin_project! {
    /// The future of [`Bulkhead::acquire`].
    ///
    /// Polled again after it ended, it asks for another slot.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let bulkhead = recoup::Bulkhead::builder(1).queue(1).build().unwrap();
    /// let first = bulkhead.try_acquire().unwrap();
    /// let (second, ()) = tokio::join!(bulkhead.acquire(), async { drop(first) });
    /// assert!(second.is_ok());
    /// # }
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquire<'b> {
        entrance: Entrance<'b>,
        // Owns the place in the queue, and a slot that was granted but not taken.
        place: Option<Place<'b>>,
        until: Option<(Instant, FullReason)>,
        #[pin]
        timer: Timer,
    }
}

impl<'b> Acquire<'b> {
    pub(super) const fn new(entrance: Entrance<'b>) -> Self {
        Self { entrance, place: None, until: None, timer: Timer::idle() }
    }

    /// There was no slot at once.
    #[cold]
    fn wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Slot<'b>, Full>> {
        let mut this = self.project();
        let entrance @ Entrance { bulkhead, gate, priority } = *this.entrance;
        let now = Now::unread();
        let place = match &mut *this.place {
            Some(place) => place,
            empty => match gate.enter(priority, bulkhead.settings.queue, &now) {
                Ok(Entry::Took) => return Poll::Ready(Ok(entrance.slot(Hold::taken(gate)))),
                Ok(Entry::Waits(place)) => {
                    let too_long = timer::ends(bulkhead.settings.max_wait, &now);
                    let too_long = too_long.map(|at| (at, FullReason::WaitedTooLong));
                    let shed = place.shed_at().map(|at| (at, FullReason::Shed));
                    *this.until = too_long.into_iter().chain(shed).min_by_key(|(at, _)| *at);
                    empty.insert(place)
                }
                Err(reason) => return Poll::Ready(Err(entrance.refuse(reason))),
            },
        };
        // The grant first: a slot that is there counts, however late it is.
        let taken = match (place.poll(cx), *this.until) {
            (Poll::Ready(taken), _) => taken,
            (Poll::Pending, None) => return Poll::Pending,
            (Poll::Pending, Some((until, reason))) => {
                std::task::ready!(this.timer.as_mut().poll_at(&now, until, cx));
                Err(reason)
            }
        };
        // A slot granted since the poll above is in the place, and passes on with it.
        *this.place = None;
        this.timer.disarm();
        Poll::Ready(match taken {
            Ok(hold) => Ok(entrance.slot(hold)),
            Err(reason) => Err(entrance.refuse(reason)),
        })
    }
}

impl<'b> Future for Acquire<'b> {
    type Output = Result<Slot<'b>, Full>;

    // Short, so that it is laid out where it is awaited: what has to wait is elsewhere.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let entrance = self.entrance;
        if self.place.is_none() && entrance.gate.try_take().is_ok() {
            return Poll::Ready(Ok(entrance.slot(Hold::taken(entrance.gate))));
        }
        self.wait(cx)
    }
}
