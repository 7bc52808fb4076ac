//! Waiting for a slot.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::door::{Door, Entry, Place};
use super::{Serving, Shed, ShedReason, Work};
use crate::time::{Instant, Now};
use crate::timer::Timer;

pin_project! {
    /// The future of [`LoadShedder::admit`](super::LoadShedder::admit).
    ///
    /// Polled again after it ended, it asks for another slot.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Instant, LoadShedder, ShedReason, Work};
    ///
    /// let shedder = LoadShedder::builder(1).build().unwrap();
    /// let serving = shedder.admit(Work::new()).await.unwrap();
    /// let until = Instant::now() + Duration::from_millis(50);
    /// let late = shedder.admit(Work::new().deadline(until)).await.unwrap_err();
    /// assert_eq!((late.reason, Instant::now()), (ShedReason::Expired, until));
    /// # drop(serving);
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Admit {
        door: Arc<Door>,
        work: Work,
        // Owns the place in the line, and a slot that was granted but not taken.
        place: Option<Place>,
        deadline: Option<Instant>,
        #[pin]
        timer: Timer,
    }
}

impl Admit {
    pub(super) const fn new(door: Arc<Door>, work: Work) -> Self {
        Self { door, work, place: None, deadline: None, timer: Timer::idle() }
    }

    /// Says more of the work, before it is polled.
    pub(super) const fn work(&mut self, work: Work) {
        self.work = work;
    }
}

impl Future for Admit {
    type Output = Result<Serving, Shed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let now = Now::unread();
        let place = match &mut *this.place {
            Some(place) => place,
            empty => {
                *this.deadline = this.door.deadline(this.work, &now);
                match this.door.enter(this.work, *this.deadline, now.get()) {
                    Ok(Entry::Took(serving)) => return Poll::Ready(Ok(serving)),
                    Ok(Entry::Waits(place)) => empty.insert(place),
                    Err(shed) => return Poll::Ready(Err(shed)),
                }
            }
        };
        let deadline = *this.deadline;
        let answer = match place.poll(cx) {
            // A slot given in time, to a task that comes for it too late.
            Poll::Ready(Ok(_)) if deadline.is_some_and(|at| at <= now.get()) => None,
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => {
                let Some(deadline) = deadline else { return Poll::Pending };
                ready!(this.timer.as_mut().poll_at(&now, deadline, cx));
                if !place.leave(now.get()) {
                    // Somebody has just taken it off the line, and will wake this task with the answer.
                    return Poll::Pending;
                }
                None
            }
        };
        // Before anybody is told of anything: a slot that came too late passes on.
        *this.place = None;
        this.timer.disarm();
        Poll::Ready(match answer {
            Some(answer) => answer.map_err(|why| this.door.shed(why)),
            None => Err(this.door.turn_away(ShedReason::Expired, now.get())),
        })
    }
}

impl fmt::Debug for Admit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admit").field("door", &self.door).field("work", &self.work).finish_non_exhaustive()
    }
}
