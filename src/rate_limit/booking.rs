//! A moment of one's own.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::bucket::Asked;
use super::line::{Place, Span};
use super::{RateLimitReason, RateLimited, Shared};
use crate::time::{self, Instant, Now};

/// A place in the line of a [`RateLimiter`](crate::RateLimiter), and the moment at which it is served.
/// Dropped before it was used, it is given back.
///
/// What comes back: while its moment has not come, everything, as if it had never been booked, and all behind
/// it move up. Once its moment has come, it comes back only if nothing was taken after it; otherwise that part
/// of the rate is gone, for to hand it out later could let too many through at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use recoup::{Instant, RateLimiter};
///
/// let second = Duration::from_secs(1);
/// let limiter = RateLimiter::builder(1, second).max_wait(10 * second).build().unwrap();
/// let start = Instant::now();
/// limiter.try_acquire().unwrap();
/// let (first, next) = (limiter.book(1).unwrap(), limiter.book(1).unwrap());
/// assert_eq!((first.at(), next.at()), (start + second, start + 2 * second));
///
/// drop(first);
/// let next = next.leave().unwrap().expect("not yet, but it has moved up");
/// assert_eq!(next.at(), start + second);
/// tokio::time::sleep_until(next.at()).await;
/// assert!(next.leave().unwrap().is_none(), "go");
/// # }
/// ```
#[must_use = "a booking dropped at once is given back"]
pub struct Booking {
    shared: Arc<Shared>,
    at: Instant,
    /// The same, as the bucket counts.
    expected: u64,
    latest: u64,
    held: Held,
}

#[derive(Clone, Copy)]
enum Held {
    Place(Place),
    Taken(Span),
    /// Nothing that could be given back.
    Used,
}

impl Booking {
    pub(super) fn new(shared: &Arc<Shared>, asked: &Asked, now: Instant, latest: u64) -> Self {
        let (held, at, expected) = match *asked {
            Asked::Taken(span) => (Held::Taken(span), now, shared.age(now)),
            Asked::Waits(place, due) => (Held::Place(place), shared.moment(due, now), due),
        };
        Self { shared: Arc::clone(shared), at, expected, latest, held }
    }

    /// Of nothing.
    pub(super) fn used(shared: &Arc<Shared>, now: Instant) -> Self {
        Self { shared: Arc::clone(shared), at: now, expected: 0, latest: u64::MAX, held: Held::Used }
    }

    /// When it is served, as far as was known when it was last asked: those ahead who go away make it earlier,
    /// a lower rate or callers who matter more make it later.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// Uses it, if its moment has come. `None` is to go now; `Some` is to wait until its [`at`](Self::at), which
    /// may be another than before.
    ///
    /// # Errors
    ///
    /// [`RateLimited`], with [`RateLimitReason::WaitTooLong`]: it was put off for longer than a caller may wait.
    pub fn leave(self) -> Result<Option<Self>, RateLimited> {
        self.leave_at(&Now::unread())
    }

    pub(crate) fn leave_at(mut self, now: &Now) -> Result<Option<Self>, RateLimited> {
        Ok(if self.look(now, None)? { None } else { Some(self) })
    }

    /// As [`leave`](Self::leave). While it is pending, the task is woken when the booking may have moved up, and
    /// somebody has to see to it that it is woken at [`at`](Self::at).
    pub(crate) fn poll_leave(&mut self, now: &Now, cx: &mut Context<'_>) -> Poll<Result<(), RateLimited>> {
        match self.look(now, Some(cx.waker())) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(limited) => Poll::Ready(Err(limited)),
        }
    }

    /// Whether to go now.
    fn look(&mut self, now: &Now, waker: Option<&Waker>) -> Result<bool, RateLimited> {
        if let Held::Place(place) = self.held {
            let now = now.get();
            match self.shared.bucket.look(place, self.expected, self.shared.age(now), waker) {
                Ok(_) => {}
                Err(due) if due > self.latest => {
                    let until = self.shared.moment(due, now);
                    return Err(self.shared.refuse(until, RateLimitReason::WaitTooLong));
                }
                Err(due) => {
                    if due != self.expected {
                        (self.expected, self.at) = (due, self.shared.moment(due, now));
                    }
                    return Ok(false);
                }
            }
        }
        self.held = Held::Used;
        Ok(true)
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        let bucket = &self.shared.bucket;
        match self.held {
            Held::Place(place) => bucket.go_away(place, self.shared.age(time::now())),
            Held::Taken(span) => bucket.give_back(span, self.shared.age(time::now())),
            Held::Used => {}
        }
    }
}

impl fmt::Debug for Booking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limiter = &self.shared.settings.name;
        f.debug_struct("Booking").field("limiter", limiter).field("at", &self.at).finish_non_exhaustive()
    }
}
