//! The runs of a memory queue.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::dead_letter::MAX_RUNS;
use crate::dead_letter::by_hand::ByHand;
use crate::dead_letter::error::QueueError;
use crate::dead_letter::letter::LetterId;
use crate::dead_letter::memory::MemoryQueue;
use crate::dead_letter::runs::{RedriveOrder, RedriveRun, RunBook, RunError, RunId, RunOwner, RunState};
use crate::time::{self, Instant};

/// The runs by number.
#[derive(Debug, Default)]
pub(super) struct Runs {
    by_id: BTreeMap<RunId, Written>,
    last_id: u64,
}

#[derive(Debug)]
struct Written {
    run: RedriveRun,
    at: Instant,
}

impl Written {
    fn is_left_behind(&self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.at);
        self.run.owner.as_ref().is_some_and(|owner| silent >= owner.lease)
    }
}

impl Runs {
    fn get(&self, id: RunId) -> Option<RedriveRun> {
        self.by_id.get(&id).map(|written| written.run.clone())
    }

    /// By number.
    fn all(&self) -> impl DoubleEndedIterator<Item = &RedriveRun> {
        self.by_id.values().map(|written| &written.run)
    }

    /// Writes a new run down; none if there is no room.
    fn begin(
        &mut self,
        order: RedriveOrder,
        owner: Option<RunOwner>,
        up_to: LetterId,
        meant: u64,
        now: Instant,
    ) -> Option<RedriveRun> {
        if self.by_id.len() >= MAX_RUNS {
            let over = self.by_id.values().find(|written| written.run.state.is_over());
            let left_behind = || self.by_id.values().find(|written| written.is_left_behind(now));
            let goes = over.or_else(left_behind)?.run.id;
            self.by_id.remove(&goes);
        }
        self.last_id = self.last_id.checked_add(1)?;
        let mut run = RedriveRun::new(RunId::new(self.last_id), order, time::wall(now), up_to, meant);
        if owner.is_some() {
            (run.state, run.owner) = (RunState::Running, owner);
        }
        self.by_id.insert(run.id, Written { run: run.clone(), at: now });
        Some(run)
    }

    fn save(&mut self, mut run: RedriveRun, now: Instant) -> Result<u64, RunError> {
        let stored = self.by_id.get_mut(&run.id).ok_or(RunError::NoSuchRun(run.id))?;
        if stored.run.revision != run.revision {
            return Err(RunError::Changed);
        }
        run.revision += 1;
        let revision = run.revision;
        *stored = Written { run, at: now };
        Ok(revision)
    }

    // ## Waiting, Running, Paused => Cancelled. The owner stays, to write down how its last calls went.
    fn cancel(&mut self, id: RunId, by: &ByHand) -> Result<RedriveRun, RunError> {
        let run = &mut self.by_id.get_mut(&id).ok_or(RunError::NoSuchRun(id))?.run;
        if !run.state.is_over() {
            run.state = RunState::Cancelled { by: by.clone() };
            run.revision += 1;
        }
        Ok(run.clone())
    }
}

impl RunBook for MemoryQueue {
    fn begin(
        &self,
        order: RedriveOrder,
        owner: Option<RunOwner>,
    ) -> BoxFuture<'_, Result<RedriveRun, QueueError>> {
        async move {
            self.with(|ledger, now| {
                let (up_to, meant) = (ledger.last_id(), ledger.count(order.filter()));
                let run = ledger.runs.begin(order, owner, up_to, meant, now);
                let run = run.ok_or(QueueError::TooManyRuns)?;
                if !run.order.dry_run() {
                    ledger.note_redrive(&run);
                }
                Ok(run)
            })
        }
        .boxed()
    }

    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RedriveRun>, QueueError>> {
        async move { Ok(self.with(|ledger, _| ledger.runs.get(id))) }.boxed()
    }

    fn latest(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RedriveRun>, QueueError>> {
        async move { Ok(self.with(|ledger, _| ledger.runs.all().rev().take(limit).cloned().collect())) }
            .boxed()
    }

    fn save(&self, run: RedriveRun) -> BoxFuture<'_, Result<u64, RunError>> {
        async move { self.with(|ledger, now| ledger.runs.save(run, now)) }.boxed()
    }

    fn cancel<'a>(&'a self, id: RunId, by: &'a ByHand) -> BoxFuture<'a, Result<RedriveRun, RunError>> {
        async move { self.with(|ledger, _| ledger.runs.cancel(id, by)) }.boxed()
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<RedriveRun>, QueueError>> {
        async move {
            let open = |run: &&RedriveRun| !run.state.is_over();
            Ok(self.with(|ledger, _| ledger.runs.all().filter(open).cloned().collect()))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dead_letter::by_hand::Deed;
    use crate::dead_letter::filter::LetterFilter;
    use crate::dead_letter::letter::DeadLetter;
    use crate::dead_letter::queue::DeadLetterQueue;

    fn order() -> RedriveOrder {
        let filter = LetterFilter::new().operation("charge");
        RedriveOrder::builder(filter).by(ByHand::of("ana")).build().unwrap()
    }

    async fn queue_of(operations: &[&str]) -> MemoryQueue {
        let queue = MemoryQueue::default();
        for &operation in operations {
            queue.push(DeadLetter::new(operation)).await.unwrap();
        }
        queue
    }

    #[tokio::test(start_paused = true)]
    async fn beginning_fixes_the_letters_and_is_noted() {
        let queue = queue_of(&["charge", "refund", "charge", "refund"]).await;
        let run = queue.begin(order(), None).await.unwrap();
        queue.push(DeadLetter::new("charge")).await.unwrap();
        assert_eq!((run.id, run.up_to, run.progress.meant), (RunId::new(1), LetterId::new(4), 2));
        let act = queue.acts(9).await.unwrap().remove(0);
        assert_eq!((act.deed, act.letters, act.by), (Deed::Redriven, 2, ByHand::of("ana")));
        assert_eq!((&act.filter, act.at), (order().filter(), run.created_at));
    }

    #[tokio::test(start_paused = true)]
    async fn dry_run_is_not_noted_as_a_deed() {
        let queue = queue_of(&["charge"]).await;
        let dry = RedriveOrder::builder(LetterFilter::new()).dry_run(true).build().unwrap();
        queue.begin(dry, None).await.unwrap();
        assert!(queue.acts(9).await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn run_begun_by_its_owner_never_waits_for_another() {
        let queue = queue_of(&[]).await;
        let owner = RunOwner::new("me", Duration::from_secs(30));
        let run = queue.begin(order(), Some(owner)).await.unwrap();
        assert_eq!(run.state, RunState::Running);
        assert!(run.is_of("me") && !run.is_of("you"));
    }

    #[tokio::test(start_paused = true)]
    async fn stale_copy_does_not_overwrite() {
        let queue = queue_of(&[]).await;
        let mut mine = queue.begin(order(), None).await.unwrap();
        let stale = mine.clone();
        mine.progress.delivered = 1;
        mine.revision = queue.save(mine.clone()).await.unwrap();
        assert_eq!(queue.save(stale.clone()).await, Err(RunError::Changed));
        assert_eq!(queue.run(mine.id).await.unwrap(), Some(mine.clone()));
        let by = ByHand::of("ana");
        queue.cancel(mine.id, &by).await.unwrap();
        assert_eq!(queue.save(mine).await, Err(RunError::Changed), "a cancelled one is not brought back");
        let gone = RunId::new(9);
        assert_eq!(queue.cancel(gone, &by).await, Err(RunError::NoSuchRun(gone)));
        assert_eq!(queue.save(RedriveRun { id: gone, ..stale }).await, Err(RunError::NoSuchRun(gone)));
    }

    #[tokio::test(start_paused = true)]
    async fn run_that_is_over_is_not_cancelled() {
        let queue = queue_of(&[]).await;
        let mut run = queue.begin(order(), None).await.unwrap();
        run.state = RunState::Finished;
        run.revision = queue.save(run.clone()).await.unwrap();
        assert_eq!(queue.cancel(run.id, &ByHand::of("ana")).await, Ok(run));
        assert!(queue.unfinished().await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn finished_runs_make_room_and_unfinished_ones_never_do() {
        let queue = queue_of(&[]).await;
        for nth in 0..MAX_RUNS {
            let run = queue.begin(order(), None).await.unwrap();
            if nth == 7 {
                queue.cancel(run.id, &ByHand::default()).await.unwrap();
            }
        }
        queue.begin(order(), None).await.unwrap();
        assert_eq!(queue.run(RunId::new(8)).await.unwrap(), None, "the one that was over");
        assert_eq!(queue.begin(order(), None).await.unwrap_err(), QueueError::TooManyRuns);
        let owner = RunOwner::new("gone", Duration::from_secs(30));
        let by = ByHand::default();
        queue.cancel(RunId::new(3), &by).await.unwrap();
        queue.begin(order(), Some(owner)).await.unwrap();
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(queue.begin(order(), None).await.unwrap_err(), QueueError::TooManyRuns);
        tokio::time::advance(Duration::from_secs(1)).await;
        queue.begin(order(), None).await.unwrap();
        assert_eq!(queue.run(RunId::new(1002)).await.unwrap(), None, "left behind by its owner");

        let numbers: Vec<u64> = queue.latest(2).await.unwrap().iter().map(|run| run.id.get()).collect();
        assert_eq!(numbers, [1003, 1001], "the newest first");
        assert_eq!(queue.unfinished().await.unwrap()[0].id, RunId::new(1), "the oldest first");
    }
}
