//! A timer that costs nothing until something has to be waited for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::time::{self, Instant, Now, Sleep, sleep_until};

/// About thirty years. A wait this long is not waited for, so it needs no timer.
const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// The moment `wait` from now, or `None` for a wait of thirty years and more, which is for ever. The clock
/// is not read for that.
pub(crate) fn ends(wait: Duration, now: &Now) -> Option<Instant> {
    if wait >= FOR_EVER {
        return None;
    }
    time::later(now.get(), wait)
}

pin_project! {
    /// Waits until a moment, which may move between polls. It holds a place in tokio's timer wheel only after
    /// a poll that had to wait.
    #[derive(Debug)]
    pub struct Timer {
        #[pin]
        sleep: Option<Sleep>,
    }
}

/// Where a call keeps its timer: in place, if its attempts may need one. Of a call without limits in time only the
/// waits do, which come after something has failed; so it has no room for one.
pub trait TimerPlace {
    /// A place whose timer waits for nothing yet.
    fn idle() -> Self;

    /// The timer, if there is room for one.
    fn timer(self: Pin<&mut Self>) -> Option<Pin<&mut Timer>>;
}

impl TimerPlace for Timer {
    #[inline(always)]
    fn idle() -> Self {
        Self::idle()
    }

    #[inline(always)]
    fn timer(self: Pin<&mut Self>) -> Option<Pin<&mut Timer>> {
        Some(self)
    }
}

impl TimerPlace for () {
    #[inline(always)]
    fn idle() {}

    #[inline(always)]
    fn timer(self: Pin<&mut Self>) -> Option<Pin<&mut Timer>> {
        None
    }
}

impl Timer {
    /// A timer that waits for nothing yet.
    pub(crate) const fn idle() -> Self {
        Self { sleep: None }
    }

    /// Ready once `until` has come. A moment that has passed when it is first asked for touches no timer.
    ///
    /// To wait takes a tokio runtime with its clock enabled.
    pub(crate) fn poll_until(self: Pin<&mut Self>, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_at(&Now::unread(), until, cx)
    }

    /// As [`poll_until`](Self::poll_until), for a caller who may have read the clock for this poll already.
    pub(crate) fn poll_at(
        mut self: Pin<&mut Self>,
        now: &Now,
        until: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut sleep = self.as_mut().project().sleep;
        match sleep.as_mut().as_pin_mut() {
            Some(armed) if armed.deadline() == until => armed.poll(cx),
            _ if until <= now.get() => Poll::Ready(()),
            Some(mut armed) => {
                armed.as_mut().reset(until);
                armed.poll(cx)
            }
            None => self.arm(until, cx),
        }
    }

    /// As [`poll_until`](Self::poll_until), for a timer that waits for nothing yet and a moment that is still to
    /// come.
    #[inline]
    pub(crate) fn arm(self: Pin<&mut Self>, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.project().sleep;
        sleep.set(Some(sleep_until(until)));
        sleep.as_pin_mut().expect("it was armed just above").poll(cx)
    }

    /// Whether there is a moment that it goes on waiting for. For one who asks again and wants no other moment.
    pub(crate) fn poll_again(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        self.project().sleep.as_pin_mut().is_some_and(|armed| armed.poll(cx).is_pending())
    }

    /// Whether the moment that it waited for has come.
    pub(crate) fn has_come(&self) -> bool {
        self.sleep.as_ref().is_some_and(Sleep::is_elapsed)
    }

    /// Gives the place in the timer wheel back.
    pub(crate) fn disarm(self: Pin<&mut Self>) {
        self.project().sleep.set(None);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio_test::{assert_pending, assert_ready};

    use super::*;

    fn poll(timer: Pin<&mut Timer>, until: Instant) -> Poll<()> {
        timer.poll_until(until, &mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn ready_at_the_moment_and_not_before() {
        let mut timer = std::pin::pin!(Timer::idle());
        let until = time::now() + Duration::from_secs(2);
        assert_pending!(poll(timer.as_mut(), until));
        tokio::time::advance(Duration::from_millis(1999)).await;
        assert_pending!(poll(timer.as_mut(), until));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_ready!(poll(timer.as_mut(), until));
        assert_ready!(poll(timer.as_mut(), until), "it stays so");
    }

    #[tokio::test(start_paused = true)]
    async fn moved_moment_counts_from_the_next_poll() {
        let mut timer = std::pin::pin!(Timer::idle());
        let start = time::now();
        assert_pending!(poll(timer.as_mut(), start + Duration::from_secs(1)));
        assert_pending!(poll(timer.as_mut(), start + Duration::from_secs(3)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_pending!(poll(timer.as_mut(), start + Duration::from_secs(3)));
        assert_ready!(poll(timer.as_mut(), start + Duration::from_secs(2)), "moved to the past");
        timer.as_mut().disarm();
        assert!(timer.sleep.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn task_is_woken_at_the_moved_moment() {
        let start = time::now();
        let mut timer = std::pin::pin!(Timer::idle());
        assert_pending!(poll(timer.as_mut(), start + Duration::from_secs(9)));
        let until = start + Duration::from_secs(4);
        std::future::poll_fn(|cx| timer.as_mut().poll_until(until, cx)).await;
        assert_eq!(time::now(), until);
    }

    #[test]
    fn past_moment_needs_no_runtime() {
        let timer = std::pin::pin!(Timer::idle());
        assert_ready!(poll(timer, time::now()));
    }

    #[test]
    fn for_ever_ends_never() {
        let ends = |wait| ends(wait, &Now::unread());
        assert_eq!(ends(Duration::MAX), None);
        assert_eq!(ends(FOR_EVER), None);
        assert!(ends(Duration::from_secs(1)).is_some());
        let year = Duration::from_secs(31_536_000);
        assert_eq!(ends(30 * year), None);
        assert!(ends(29 * year).is_some(), "a long life is not for ever");
    }

    #[test]
    fn timer_is_no_larger_than_a_sleep() {
        assert!(size_of::<Timer>() <= size_of::<Sleep>() + size_of::<usize>());
    }
}
