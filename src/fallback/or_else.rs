//! A function of the error instead.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::renote;
use crate::error::RecoveryError;

pin_project! {
    /// The future of [`Fallback::or_else`](super::Fallback::or_else).
    #[must_use = "futures do nothing unless awaited"]
    pub struct OrElse<Fut, F> {
        #[pin]
        call: Fut,
        fallback: Option<F>,
    }
}

impl<Fut, F> OrElse<Fut, F> {
    pub(super) fn new(call: Fut, fallback: F) -> Self {
        Self { call, fallback: Some(fallback) }
    }
}

impl<Fut, F, T, E> Future for OrElse<Fut, F>
where
    Fut: Future<Output = Result<T, RecoveryError<E>>>,
    F: FnOnce(RecoveryError<E>) -> Result<T, RecoveryError<E>>,
{
    type Output = Result<T, RecoveryError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(ready!(this.call.poll(cx)).or_else(|error| {
            let fallback = this.fallback.take().expect("`OrElse` is not polled after it ended");
            let end = fallback(error);
            renote(&end);
            end
        }))
    }
}

impl<Fut, F> fmt::Debug for OrElse<Fut, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrElse").finish_non_exhaustive()
    }
}
