//! Work that somebody waits for until a certain moment.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::time::Instant;
use crate::timer::Timer;

pin_project! {
    /// Polls `work`, and ends in `None` once the moment has come and it is not done. Not a span that begins with the
    /// first poll, as [`timeout`](crate::timeout) has it: whoever gave the moment has a clock of their own, and
    /// must not be first.
    #[must_use = "futures do nothing unless polled"]
    pub(super) struct By<F> {
        moment: Instant,
        #[pin]
        work: F,
        #[pin]
        timer: Timer,
    }
}

pub(super) const fn by<F: Future>(moment: Instant, work: F) -> By<F> {
    By { moment, work, timer: Timer::idle() }
}

impl<F: Future> Future for By<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(done) = this.work.poll(cx) {
            return Poll::Ready(Some(done));
        }
        this.timer.poll_until(*this.moment, cx).map(|()| None)
    }
}
