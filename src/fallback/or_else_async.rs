//! Another future instead.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::renote;
use crate::error::RecoveryError;

pin_project! {
    /// The future of [`Fallback::or_else_async`](super::Fallback::or_else_async).
    #[must_use = "futures do nothing unless awaited"]
    pub struct OrElseAsync<Fut, F, Other> {
        fallback: Option<F>,
        #[pin]
        stage: Stage<Fut, Other>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<Fut, Other> {
        // Polling the call.
        Calling { #[pin] call: Fut },
        // Polling what is there instead; the call is dropped by then.
        Instead { #[pin] other: Other },
        Done,
    }
}

impl<Fut, F, Other> OrElseAsync<Fut, F, Other> {
    pub(super) fn new(call: Fut, fallback: F) -> Self {
        Self { fallback: Some(fallback), stage: Stage::Calling { call } }
    }
}

impl<Fut, F, Other, T, E> Future for OrElseAsync<Fut, F, Other>
where
    Fut: Future<Output = Result<T, RecoveryError<E>>>,
    F: FnOnce(RecoveryError<E>) -> Other,
    Other: Future<Output = Result<T, RecoveryError<E>>>,
{
    type Output = Result<T, RecoveryError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProj::Calling { call } => {
                    let end = ready!(call.poll(cx));
                    this.stage.set(Stage::Done);
                    let Err(error) = end else { return Poll::Ready(end) };
                    let fallback = this.fallback.take().expect("a call ends once");
                    this.stage.set(Stage::Instead { other: fallback(error) });
                }
                StageProj::Instead { other } => {
                    let end = ready!(other.poll(cx));
                    this.stage.set(Stage::Done);
                    renote(&end);
                    return Poll::Ready(end);
                }
                StageProj::Done => panic!("polled after it was ready"),
            }
        }
    }
}

impl<Fut, F, Other> fmt::Debug for OrElseAsync<Fut, F, Other> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrElseAsync").finish_non_exhaustive()
    }
}
