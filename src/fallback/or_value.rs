//! A fixed value instead.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::error::RecoveryError;
use crate::nested;

pin_project! {
    /// The future of [`Fallback::or_value`](super::Fallback::or_value).
    #[must_use = "futures do nothing unless awaited"]
    pub struct OrValue<Fut, T> {
        #[pin]
        call: Fut,
        value: Option<T>,
    }
}

impl<Fut, T> OrValue<Fut, T> {
    pub(super) fn new(call: Fut, value: T) -> Self {
        Self { call, value: Some(value) }
    }
}

impl<Fut, T, E> Future for OrValue<Fut, T>
where
    Fut: Future<Output = Result<T, RecoveryError<E>>>,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        Poll::Ready(ready!(this.call.poll(cx)).unwrap_or_else(|_| {
            nested::clear(); // nobody has to know of a failure that was made good
            this.value.take().expect("`OrValue` is not polled after it ended")
        }))
    }
}

impl<Fut, T> fmt::Debug for OrValue<Fut, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrValue").finish_non_exhaustive()
    }
}
