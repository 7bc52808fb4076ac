//! Tokio's channel for one value, with a step before each thing that one end does to the other. The checkers
//! do not see into tokio: without that step none of them would change turns there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::atomic::{AtomicU64, Ordering};

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let step = Step(Arc::new(AtomicU64::new(0)));
    (Sender { step: step.clone(), end: sender }, Receiver { step, end: receiver })
}

/// What both ends touch before they meet, so that a checker lets each of them be the first.
#[derive(Clone, Debug)]
struct Step(Arc<AtomicU64>);

impl Step {
    fn take(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[derive(Debug)]
pub(crate) struct Sender<T> {
    step: Step,
    end: oneshot::Sender<T>,
}

impl<T> Sender<T> {
    pub(crate) fn send(self, value: T) -> Result<(), T> {
        self.step.take();
        self.end.send(value)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.step.take();
        self.end.is_closed()
    }
}

#[derive(Debug)]
pub(crate) struct Receiver<T> {
    step: Step,
    end: oneshot::Receiver<T>,
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, oneshot::error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.step.take();
        Pin::new(&mut self.end).poll(cx)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.step.take();
    }
}

#[cfg(test)]
mod by_hand {
    impl<T> super::Receiver<T> {
        pub(crate) fn try_recv(&mut self) -> Result<T, tokio::sync::oneshot::error::TryRecvError> {
            self.end.try_recv()
        }
    }
}
