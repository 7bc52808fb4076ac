//! Whether reqwest has followed a redirect on its way to an error.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use pin_project_lite::pin_project;

use crate::sync::Lock;
use crate::sync::atomic::{AtomicBool, Ordering};

/// What is known of the attempt under way, shared by it and by those who judge it.
///
/// An error does not say at which hop it came up: the address in it is always that of the first. But a
/// connection that is refused after a redirect does not mean that nothing was done: the first server has
/// answered. What gives it away is how reqwest 0.13 begins the next hop: it wakes, by reference, the very task that
/// polls it, and says that it is not ready. Nothing on the way to a first answer does that (hyper's pool wakes
/// itself, too, but from a waker that it kept). Should something do it one day, a request is not repeated that
/// could be: that is the safe side. The tests over sockets hold both.
#[derive(Clone, Debug, Default)]
pub(super) struct Followed(Arc<AtomicBool>);

impl Followed {
    /// Watches one attempt, of which nothing is known yet.
    pub(super) fn watch<Fut>(&self, attempt: Fut) -> Watched<Fut> {
        self.0.store(false, Ordering::Relaxed);
        Watched { attempt, followed: self.clone(), bell: None }
    }

    /// The attempt under way may have gone further.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the last attempt has, or may have, gone further than to its first server.
    pub(super) fn seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pin_project! {
    /// One attempt whose wakes are looked at.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct Watched<Fut> {
        #[pin]
        attempt: Fut,
        followed: Followed,
        bell: Option<Arc<Bell>>,
    }
}

/// Passes a wake on, and notes one that comes from within the poll.
struct Bell {
    task: Waker,
    polled_by: Lock<Option<ThreadId>>,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.task.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let polled_by = *self.polled_by.lock();
        if polled_by == Some(thread::current().id()) {
            self.rung.store(true, Ordering::Relaxed);
        }
        self.task.wake_by_ref();
    }
}

/// Ends the poll, also if it unwinds.
struct Polling<'b>(&'b Bell);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        *self.0.polled_by.lock() = None;
    }
}

impl<Fut: Future> Future for Watched<Fut> {
    type Output = Fut::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let known = this.bell.as_ref().filter(|bell| bell.task.will_wake(cx.waker()));
        let bell = known.cloned().unwrap_or_else(|| {
            let task = cx.waker().clone();
            Arc::new(Bell { task, polled_by: Lock::default(), rung: AtomicBool::new(false) })
        });
        *bell.polled_by.lock() = Some(thread::current().id());
        let polling = Polling(&bell);
        let answer = this.attempt.poll(&mut Context::from_waker(&Waker::from(Arc::clone(&bell))));
        drop(polling);
        if bell.rung.swap(false, Ordering::Relaxed) && answer.is_pending() {
            this.followed.note();
        }
        *this.bell = Some(bell);
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt;

    use super::*;

    #[test]
    fn wake_from_within_the_poll_is_seen_and_passed_on() {
        let followed = Followed::default();
        let mut first = true;
        let hops = poll_fn(|cx| {
            if std::mem::take(&mut first) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        });
        let mut task = tokio_test::task::spawn(followed.watch(hops));
        assert!(task.poll().is_pending());
        assert!(task.is_woken() && followed.seen());
        assert!(task.poll().is_ready());
        assert!(followed.seen(), "until the next attempt");
        assert!(followed.watch(async {}).now_or_never().is_some());
        assert!(!followed.seen());
    }

    #[test]
    fn wake_of_a_waker_that_was_kept_is_no_redirect() {
        let followed = Followed::default();
        let mut first = true;
        let pool = poll_fn(|cx| {
            let (sender, mut receiver) = futures::channel::oneshot::channel::<()>();
            assert!(receiver.poll_unpin(cx).is_pending());
            drop(sender);
            if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
        });
        let mut task = tokio_test::task::spawn(followed.watch(pool));
        assert!(task.poll().is_pending());
        assert!(task.is_woken() && !followed.seen());
    }

    #[test]
    fn wake_from_elsewhere_is_no_redirect() {
        let followed = Followed::default();
        let (sender, receiver) = futures::channel::oneshot::channel::<()>();
        let mut task = tokio_test::task::spawn(followed.watch(receiver));
        assert!(task.poll().is_pending());
        thread::scope(|scope| scope.spawn(|| sender.send(()).unwrap()).join().unwrap());
        assert!(task.is_woken() && !followed.seen());

        // From the same thread, but between two polls.
        let (sender, receiver) = futures::channel::oneshot::channel::<()>();
        let mut task = tokio_test::task::spawn(followed.watch(receiver));
        assert!(task.poll().is_pending());
        sender.send(()).unwrap();
        assert!(task.is_woken() && !followed.seen());
    }
}
