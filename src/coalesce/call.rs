//! One caller: who makes the call, or waits for the answer of another.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::flights::{Flights, Lead, News, Role, Seat};
use crate::nested;

pin_project! {
    /// The future of [`Coalesce::call`](super::Coalesce::call).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let pages = recoup::Coalesce::new();
    /// let (first, second) = tokio::join!(
    ///     pages.call("/", async || { tokio::task::yield_now().await; "first" }),
    ///     pages.call("/", async || "second"),
    /// );
    /// assert_eq!((first, second), ("first", "first"));
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct CoalesceCall<K, T, F, Fut> {
        flights: Arc<Flights<K, T>>,
        key: Option<Arc<K>>,
        op: Option<F>,
        #[pin]
        stage: Stage<K, T, Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<K, T, Fut> {
        // Nothing is asked yet.
        Asking,
        // Another makes the call.
        Waiting { seat: Seat<K, T> },
        // Polling the operation. The lead goes to another after it is dropped; there is none if this caller is
        // alone.
        Running { #[pin] operation: Fut, lead: Option<Lead<K, T>> },
        Done,
    }
}

impl<K, T, F, Fut> CoalesceCall<K, T, F, Fut> {
    pub(super) fn new(flights: Arc<Flights<K, T>>, key: K, op: F) -> Self {
        Self { flights, key: Some(Arc::new(key)), op: Some(op), stage: Stage::Asking }
    }
}

impl<K, T, F, Fut> Future for CoalesceCall<K, T, F, Fut>
where
    K: Eq + Hash,
    T: Clone,
    F: FnOnce() -> Fut,
    Fut: Future<Output = T>,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut this = self.project();
        loop {
            let lead = match this.stage.as_mut().project() {
                // ## Asking => Waiting, for another; => Running, as the first or alone.
                StageProj::Asking => {
                    let key = this.key.as_ref().expect("the key is kept as long as it may be asked for");
                    match this.flights.ask(key) {
                        Role::Leads(lead) => Some(lead),
                        Role::Alone => None,
                        Role::Waits(seat) => {
                            this.stage.set(Stage::Waiting { seat });
                            continue;
                        }
                    }
                }
                // ## Waiting => Done, with the answer; => Running, in the place of one who has gone;
                // => Asking, if the answer was lost.
                StageProj::Waiting { seat } => match ready!(seat.poll(cx)) {
                    Some(News::Answer(answer, gave_up)) => {
                        this.stage.set(Stage::Done);
                        gave_up.iter().for_each(nested::note);
                        return Poll::Ready(answer);
                    }
                    Some(News::Lead(lead)) => Some(lead),
                    None => {
                        this.stage.set(Stage::Asking);
                        continue;
                    }
                },
                // ## Running => Done, when the operation has answered.
                StageProj::Running { operation, lead } => {
                    // In hand while the operation runs: if that panics, another goes on at once, and not only
                    // when somebody drops this future.
                    let held = lead.take();
                    // A retry in the operation that gave up has done so for all: none around may repeat it.
                    nested::listen();
                    let polled = operation.poll(cx);
                    nested::listened();
                    let gave_up = nested::heard();
                    let Poll::Ready(answer) = polled else {
                        *lead = held;
                        return Poll::Pending;
                    };
                    if let Some(held) = held {
                        held.answer(&answer, gave_up.as_ref());
                    }
                    gave_up.iter().for_each(nested::note);
                    this.stage.set(Stage::Done);
                    return Poll::Ready(answer);
                }
                StageProj::Done => panic!("`CoalesceCall` polled after it ended"),
            };
            // A panic in `op` drops the lead, which hands it to another.
            let op = this.op.take().expect("the operation is made once, on getting here");
            let operation = op();
            *this.key = None;
            this.stage.set(Stage::Running { operation, lead });
        }
    }
}

impl<K, T, F, Fut> fmt::Debug for CoalesceCall<K, T, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Asking => "asking",
            Stage::Waiting { .. } => "waiting",
            Stage::Running { .. } => "running",
            Stage::Done => "done",
        };
        f.debug_struct("CoalesceCall").field("stage", &stage).finish_non_exhaustive()
    }
}
