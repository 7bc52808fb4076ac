//! One operation in a slot.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Acquire, Bulkhead, Entrance, Full, Slot};
use crate::nested;
use crate::rejection::CallError;

pin_project! {
    /// The future of [`Bulkhead::call`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let bulkhead = recoup::Bulkhead::builder(1).build().unwrap();
    /// let answer = bulkhead.call(async || Err::<(), _>("no such row")).await;
    /// assert_eq!(answer.unwrap_err().into_operation(), Some("no such row"));
    /// assert_eq!(bulkhead.in_use(), 0);
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct BulkheadCall<'b, F, Fut> {
        bulkhead: &'b Bulkhead,
        op: Option<F>,
        #[pin]
        stage: Stage<'b, Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<'b, Fut> {
        // Waiting for a slot; the operation is not made yet.
        Acquiring { #[pin] slot: Acquire<'b> },
        // Polling the operation; its slot comes back after it is dropped.
        Running { #[pin] operation: Fut, _slot: Slot<'b> },
        Done,
    }
}

impl<'b, F, Fut> BulkheadCall<'b, F, Fut> {
    pub(super) const fn new(entrance: Entrance<'b>, op: F) -> Self {
        let bulkhead = entrance.bulkhead;
        Self { bulkhead, op: Some(op), stage: Stage::Acquiring { slot: Acquire::new(entrance) } }
    }
}

impl<F, Fut, T, E> Future for BulkheadCall<'_, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, CallError<Full, E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                // ## Acquiring => Running, with a slot; => Done, refused.
                StageProj::Acquiring { slot } => match ready!(slot.poll(cx)) {
                    Ok(slot) => {
                        let op = this.op.take().expect("the operation is made once, on leaving this stage");
                        // A panic in `op` drops `slot`, which gives it back.
                        let operation = op();
                        this.stage.set(Stage::Running { operation, _slot: slot });
                    }
                    Err(full) => {
                        this.stage.set(Stage::Done);
                        nested::note(&full.bulkhead);
                        return Poll::Ready(Err(CallError::Rejected(full)));
                    }
                },
                // ## Running => Done, when the operation has answered.
                StageProj::Running { operation, .. } => {
                    nested::clear(); // what was refused before this call is not why this one fails
                    let answer = ready!(operation.poll(cx));
                    this.stage.set(Stage::Done);
                    return Poll::Ready(answer.map_err(CallError::Operation));
                }
                StageProj::Done => panic!("`BulkheadCall` polled after it ended"),
            }
        }
    }
}

impl<F, Fut> fmt::Debug for BulkheadCall<'_, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadCall").field("bulkhead", self.bulkhead).finish_non_exhaustive()
    }
}
