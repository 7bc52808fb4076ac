//! Waiting for one's turn.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Booking, RateLimited, RateLimiter};
use crate::time::{self, Now};
use crate::timer::Timer;

pin_project! {
    /// The future of [`RateLimiter::acquire`] and [`RateLimiter::acquire_many`].
    ///
    /// Polled again after it ended, it asks again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Instant, RateLimiter};
    ///
    /// let second = Duration::from_secs(1);
    /// let limiter = RateLimiter::builder(1, second).max_wait(second).build().unwrap();
    /// let start = Instant::now();
    /// limiter.acquire().await.unwrap();
    /// limiter.acquire().await.unwrap();
    /// assert_eq!(start.elapsed(), second);
    /// # }
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct AcquireRate<'l> {
        limiter: &'l RateLimiter,
        weight: u32,
        // Owns the place in the line.
        booking: Option<Booking>,
        #[pin]
        timer: Timer,
    }
}

impl<'l> AcquireRate<'l> {
    pub(super) const fn new(limiter: &'l RateLimiter, weight: u32) -> Self {
        Self { limiter, weight, booking: None, timer: Timer::idle() }
    }
}

impl Future for AcquireRate<'_> {
    type Output = Result<(), RateLimited>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut now = Now::unread();
        let booking = match &mut *this.booking {
            Some(booking) => booking,
            empty => match this.limiter.ask(*this.weight, this.limiter.priority, &now)? {
                None => return Poll::Ready(Ok(())),
                Some(booking) => empty.insert(booking),
            },
        };
        let answer = loop {
            if let Poll::Ready(answer) = booking.poll_leave(&now, cx) {
                break answer;
            }
            ready!(this.timer.as_mut().poll_at(&now, booking.at(), cx));
            // The timer says that the moment has come, so it has.
            now = time::now().max(booking.at()).into();
        };
        *this.booking = None;
        this.timer.disarm();
        Poll::Ready(answer)
    }
}
