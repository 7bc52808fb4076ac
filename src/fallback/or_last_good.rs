//! The last good value instead.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::LastGood;
use crate::error::RecoveryError;
use crate::nested;

pin_project! {
    /// The future of [`Fallback::or_last_good`](super::Fallback::or_last_good).
    #[must_use = "futures do nothing unless awaited"]
    pub struct OrLastGood<'l, Fut, T> {
        #[pin]
        call: Fut,
        last_good: &'l LastGood<T>,
    }
}

impl<'l, Fut, T> OrLastGood<'l, Fut, T> {
    pub(super) fn new(call: Fut, last_good: &'l LastGood<T>) -> Self {
        Self { call, last_good }
    }
}

impl<Fut, T, E> Future for OrLastGood<'_, Fut, T>
where
    Fut: Future<Output = Result<T, RecoveryError<E>>>,
    T: Clone,
{
    type Output = Result<T, RecoveryError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.call.poll(cx)) {
            Ok(value) => {
                this.last_good.remember(value.clone());
                Ok(value)
            }
            Err(error) => match this.last_good.get() {
                Some(value) => {
                    nested::clear(); // nobody has to know of a failure that was made good
                    Ok(value)
                }
                None => Err(error),
            },
        })
    }
}

impl<Fut, T> fmt::Debug for OrLastGood<'_, Fut, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrLastGood").finish_non_exhaustive()
    }
}
