//! Waiting for a slot.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::gate::{Entry, Hold, Place};
use super::{Bulkhead, Full, FullReason, Slot};
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
        bulkhead: &'b Bulkhead,
        // Owns the place in the queue, and a slot that was granted but not taken.
        place: Option<Place<'b>>,
        until: Option<Instant>,
        #[pin]
        timer: Timer,
    }
}

impl<'b> Acquire<'b> {
    pub(super) const fn new(bulkhead: &'b Bulkhead) -> Self {
        Self { bulkhead, place: None, until: None, timer: Timer::idle() }
    }
}

impl<'b> Future for Acquire<'b> {
    type Output = Result<Slot<'b>, Full>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let bulkhead: &'b Bulkhead = this.bulkhead;
        let now = Now::unread();
        let place = match &mut *this.place {
            Some(place) => place,
            empty => match bulkhead.gate.enter(bulkhead.settings.queue) {
                Ok(Entry::Took) => return Poll::Ready(Ok(bulkhead.slot(Hold::taken(&bulkhead.gate)))),
                Ok(Entry::Waits { ticket, grant }) => {
                    let place = empty.insert(Place::new(&bulkhead.gate, ticket, grant));
                    *this.until = timer::ends(bulkhead.settings.max_wait, &now);
                    place
                }
                Err(reason) => return Poll::Ready(Err(bulkhead.refuse(reason))),
            },
        };
        // The grant first: a slot that is there counts, however late it is.
        let taken = match (place.poll(cx), *this.until) {
            (Poll::Ready(Some(hold)), _) => Ok(bulkhead.slot(hold)),
            (Poll::Ready(None), _) => Err(FullReason::Closed),
            (Poll::Pending, None) => return Poll::Pending,
            (Poll::Pending, Some(until)) => {
                std::task::ready!(this.timer.as_mut().poll_at(&now, until, cx));
                Err(FullReason::WaitedTooLong)
            }
        };
        // A slot granted since the poll above is in the place, and passes on with it.
        *this.place = None;
        this.timer.disarm();
        Poll::Ready(taken.map_err(|reason| bulkhead.refuse(reason)))
    }
}
