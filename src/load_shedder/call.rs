//! One operation in a slot.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::door::Door;
use super::{Admit, Serving, Shed, Work};
use crate::nested;
use crate::rejection::CallError;

pin_project! {
    /// The future of [`LoadShedder::call`](super::LoadShedder::call).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let shedder = recoup::LoadShedder::builder(1).build().unwrap();
    /// let answer = shedder.call(async || Err::<(), _>("no such row")).await;
    /// assert_eq!(answer.unwrap_err().into_operation(), Some("no such row"));
    /// assert_eq!(shedder.snapshot().in_service, 0);
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct LoadShedderCall<F, Fut> {
        op: Option<F>,
        #[pin]
        stage: Stage<Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<Fut> {
        // Waiting for a slot; the operation is not made yet.
        Admitting { #[pin] admit: Admit },
        // Polling the operation; its slot comes back after it is dropped.
        Running { #[pin] operation: Fut, _serving: Serving },
        Done,
    }
}

impl<F, Fut> LoadShedderCall<F, Fut> {
    pub(super) const fn new(door: Arc<Door>, op: F) -> Self {
        Self { op: Some(op), stage: Stage::Admitting { admit: Admit::new(door, Work::new()) } }
    }

    /// What the shedder needs to know of the request. Default: [`Work::new`].
    pub const fn work(mut self, work: Work) -> Self {
        if let Stage::Admitting { admit } = &mut self.stage {
            admit.work(work);
        }
        self
    }
}

impl<F, Fut, T, E> Future for LoadShedderCall<F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, CallError<Shed, E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                // ## Admitting => Running, with a slot; => Done, refused.
                StageProj::Admitting { admit } => match ready!(admit.poll(cx)) {
                    Ok(serving) => {
                        let op = this.op.take().expect("the operation is made once, on leaving this stage");
                        // A panic in `op` drops `serving`, which gives the slot back.
                        let operation = op();
                        this.stage.set(Stage::Running { operation, _serving: serving });
                    }
                    Err(shed) => {
                        this.stage.set(Stage::Done);
                        nested::note(&shed.shedder);
                        return Poll::Ready(Err(CallError::Rejected(shed)));
                    }
                },
                // ## Running => Done, when the operation has answered.
                StageProj::Running { operation, .. } => {
                    nested::clear(); // what was refused before this call is not why this one fails
                    let answer = ready!(operation.poll(cx));
                    this.stage.set(Stage::Done);
                    return Poll::Ready(answer.map_err(CallError::Operation));
                }
                StageProj::Done => panic!("`LoadShedderCall` polled after it ended"),
            }
        }
    }
}

impl<F, Fut> fmt::Debug for LoadShedderCall<F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadShedderCall").finish_non_exhaustive()
    }
}
