//! A run that lives no longer than the command.
//!
//! It is not written into the file: if the command were stopped, the application would go on with the run, in its own
//! way and to its own destinations, and nobody asked for that.

use std::time::Duration;

use futures::future::BoxFuture;
use recoup::{
    Act, ByHand, DeadLetter, DeadLetterQueue, LeaseToken, Leased, LetterFilter, LetterGroup, LetterId,
    PushError, QueueError, QueueStats, Receipt, RedriveOrder, RedriveRun, RunBook, RunError, RunId, RunOwner,
    RunState, SettleError, Settled, Settlement, Shutdown,
};

use crate::dlq::held::Held;
use crate::dlq::view::now;

type Answer<'a, T, E = QueueError> = BoxFuture<'a, Result<T, E>>;

/// A queue with one run.
pub(crate) struct OneRun<Q> {
    queue: Q,
    run: Held<RedriveRun>,
    /// Triggered once the run is over.
    pub(crate) over: Shutdown,
    told: Box<dyn Fn(&RedriveRun) + Send + Sync>,
}

impl<Q: DeadLetterQueue> OneRun<Q> {
    /// Which tells how far the run is, now and then.
    pub(crate) fn new(
        queue: Q,
        order: RedriveOrder,
        letters: u64,
        told: impl Fn(&RedriveRun) + Send + Sync + 'static,
    ) -> Self {
        // Nothing comes in meanwhile: the file is ours.
        let up_to = LetterId::new(u64::MAX);
        let run = RedriveRun::new(RunId::new(1), order, now(), up_to, letters);
        Self { queue, run: Held::new(run), over: Shutdown::new(), told: Box::new(told) }
    }

    /// The run as it is now.
    pub(crate) fn now(&self) -> RedriveRun {
        self.run.take().clone()
    }
}

impl<Q: DeadLetterQueue> RunBook for OneRun<Q> {
    fn begin(&self, _order: RedriveOrder, _owner: Option<RunOwner>) -> Answer<'_, RedriveRun> {
        Box::pin(async { Err(QueueError::Storage("there is one run, and it was begun".to_owned())) })
    }

    fn run(&self, id: RunId) -> Answer<'_, Option<RedriveRun>> {
        Box::pin(async move { Ok(Some(self.now()).filter(|run| run.id == id)) })
    }

    fn latest(&self, limit: usize) -> Answer<'_, Vec<RedriveRun>> {
        Box::pin(async move { Ok(std::iter::once(self.now()).take(limit).collect()) })
    }

    fn save(&self, run: RedriveRun) -> Answer<'_, u64, RunError> {
        Box::pin(async move {
            let mut known = self.run.take();
            if known.revision != run.revision {
                return Err(RunError::Changed);
            }
            let revision = known.revision.saturating_add(1);
            *known = run;
            known.revision = revision;
            let saved = known.clone();
            drop(known);
            (self.told)(&saved);
            if saved.state.is_over() {
                self.over.trigger();
            }
            Ok(revision)
        })
    }

    fn cancel<'a>(&'a self, id: RunId, by: &'a ByHand) -> Answer<'a, RedriveRun, RunError> {
        Box::pin(async move {
            let mut known = self.run.take();
            if known.id != id {
                return Err(RunError::NoSuchRun(id));
            }
            if !known.state.is_over() {
                known.state = RunState::Cancelled { by: by.clone() };
                known.revision = known.revision.saturating_add(1);
            }
            Ok(known.clone())
        })
    }
}

impl<Q: DeadLetterQueue> DeadLetterQueue for OneRun<Q> {
    fn push(&self, letter: DeadLetter) -> Answer<'_, Receipt, PushError> {
        self.queue.push(letter)
    }

    fn peek<'a>(&'a self, filter: &'a LetterFilter, limit: usize) -> Answer<'a, Vec<DeadLetter>> {
        self.queue.peek(filter, limit)
    }

    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> Answer<'a, Vec<Leased>> {
        self.queue.lease(filter, limit, time)
    }

    fn settle(&self, token: LeaseToken, settlement: Settlement) -> Answer<'_, Settled, SettleError> {
        self.queue.settle(token, settlement)
    }

    fn quarantine<'a>(&'a self, filter: &'a LetterFilter, by: &'a ByHand) -> Answer<'a, u64> {
        self.queue.quarantine(filter, by)
    }

    fn reinstate<'a>(&'a self, filter: &'a LetterFilter, by: &'a ByHand) -> Answer<'a, u64> {
        self.queue.reinstate(filter, by)
    }

    fn discard<'a>(&'a self, filter: &'a LetterFilter, by: &'a ByHand) -> Answer<'a, u64> {
        self.queue.discard(filter, by)
    }

    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> Answer<'a, Receipt, PushError> {
        self.queue.replace(old, letter, by)
    }

    fn acts(&self, limit: usize) -> Answer<'_, Vec<Act>> {
        self.queue.acts(limit)
    }

    fn stats(&self) -> Answer<'_, QueueStats> {
        self.queue.stats()
    }

    fn groups<'a>(&'a self, filter: &'a LetterFilter, limit: usize) -> Answer<'a, Vec<LetterGroup>> {
        self.queue.groups(filter, limit)
    }

    fn runs(&self) -> Option<&dyn RunBook> {
        Some(self)
    }
}
