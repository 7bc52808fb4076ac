//! A queue that takes a step for everything it does, and a sink that does each thing once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use recoup::{
    Act, ByHand, DeadLetter, DeadLetterQueue, LeaseToken, Leased, LetterFilter, LetterId, MemoryQueue,
    PushError, QueueError, QueueStats, Receipt, RedriveOrder, RedriveRun, RunBook, RunError, RunId, RunOwner,
    SettleError, Settled, Settlement,
};

/// Pending once, waking itself.
pub(crate) async fn step() {
    let mut stepped = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A memory queue whose every answer takes two steps, one before it does what is asked and one after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stepping {
    memory: MemoryQueue,
    forgets_runs: bool,
}

impl Stepping {
    pub(crate) fn over(memory: &MemoryQueue) -> Self {
        Self { memory: memory.clone(), forgets_runs: false }
    }

    /// One that writes no runs down.
    pub(crate) fn that_forgets(memory: &MemoryQueue) -> Self {
        Self { memory: memory.clone(), forgets_runs: true }
    }
}

macro_rules! stepping {
    ($call:expr) => {
        Box::pin(async move {
            step().await;
            let answer = $call.await;
            step().await;
            answer
        })
    };
}

impl DeadLetterQueue for Stepping {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        self.memory.push(letter)
    }
    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        stepping!(self.memory.peek(filter, limit))
    }
    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>> {
        stepping!(self.memory.lease(filter, limit, time))
    }
    fn settle(&self, token: LeaseToken, how: Settlement) -> BoxFuture<'_, Result<Settled, SettleError>> {
        stepping!(self.memory.settle(token, how))
    }
    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.memory.quarantine(filter, by)
    }
    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.memory.reinstate(filter, by)
    }
    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.memory.discard(filter, by)
    }
    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        self.memory.replace(old, letter, by)
    }
    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        self.memory.acts(limit)
    }
    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        self.memory.stats()
    }
    fn runs(&self) -> Option<&dyn RunBook> {
        (!self.forgets_runs).then_some(self)
    }
}

impl RunBook for Stepping {
    fn begin(
        &self,
        order: RedriveOrder,
        owner: Option<RunOwner>,
    ) -> BoxFuture<'_, Result<RedriveRun, QueueError>> {
        stepping!(self.memory.begin(order, owner))
    }
    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RedriveRun>, QueueError>> {
        stepping!(self.memory.run(id))
    }
    fn latest(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RedriveRun>, QueueError>> {
        stepping!(self.memory.latest(limit))
    }
    fn save(&self, run: RedriveRun) -> BoxFuture<'_, Result<u64, RunError>> {
        stepping!(self.memory.save(run))
    }
    fn cancel<'a>(&'a self, id: RunId, by: &'a ByHand) -> BoxFuture<'a, Result<RedriveRun, RunError>> {
        stepping!(self.memory.cancel(id, by))
    }
}

/// Does each thing once, by its key, and remembers how often it was asked to.
#[derive(Debug, Default)]
pub(crate) struct Sink(Mutex<BTreeMap<String, u32>>);

impl Sink {
    pub(crate) fn take(&self, letter: &DeadLetter) {
        let key = letter.idempotency_key.clone().expect("a letter that is lent has a key");
        *self.0.lock().unwrap().entry(key).or_default() += 1;
    }

    /// How many different things it did.
    pub(crate) fn effects(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// How many calls came, repeated ones too.
    pub(crate) fn calls(&self) -> u32 {
        self.0.lock().unwrap().values().sum()
    }
}
