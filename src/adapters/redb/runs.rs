//! The redrives that are written down in the file.

use std::time::SystemTime;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use redb::ReadableTable as _;

use super::command::Command;
use super::fault::{Fault, Io};
use super::find::Wanted;
use super::ledger::Ledger;
use super::queue::RedbQueue;
use super::tables::{Access, Tables};
use crate::dead_letter::{
    Act, ByHand, Deed, LetterId, QueueError, RedriveOrder, RedriveRun, RunBook, RunError, RunId, RunOwner,
    RunState,
};
use crate::envelope::run;
use crate::time;

/// So many runs are remembered. Those that are over make room for new ones.
const MAX_RUNS: usize = 1000;

/// What becomes of a run.
#[derive(Debug)]
pub(super) enum Change {
    Begin { order: RedriveOrder, owner: Option<RunOwner>, at: SystemTime },
    Save(RedriveRun),
    Cancel { id: RunId, by: ByHand },
}

impl<A: Access> Tables<A> {
    fn redrive(&self, id: RunId) -> Io<Option<RedriveRun>> {
        self.runs.get(id.get())?.map(|run| read(run.value())).transpose()
    }

    /// The latest runs, the newest first.
    fn redrives(&self, limit: usize) -> Io<Vec<RedriveRun>> {
        self.runs.range::<u64>(..)?.rev().take(limit).map(|entry| read(entry?.1.value())).collect()
    }
}

fn read(run: &[u8]) -> Io<RedriveRun> {
    run::open_run(run).map_err(|damaged| Fault::new(format!("a redrive cannot be read: {damaged}")))
}

impl Ledger<'_, '_> {
    /// Changes a run, and gives it as it is then.
    pub(super) fn rewrite(&mut self, change: &Change) -> Io<Result<RedriveRun, RunError>> {
        match change {
            Change::Begin { order, owner, at } => self.begin(order, owner.as_ref(), *at),
            Change::Save(run) => {
                let Some(stored) = self.tables.redrive(run.id)? else {
                    return Ok(Err(RunError::NoSuchRun(run.id)));
                };
                if stored.revision != run.revision {
                    return Ok(Err(RunError::Changed));
                }
                let mut run = run.clone();
                run.revision += 1;
                self.keep(run).map(Ok)
            }
            // ## Waiting, Running, Paused => Cancelled. The owner stays, to write down how its last calls went.
            Change::Cancel { id, by } => {
                let Some(mut run) = self.tables.redrive(*id)? else {
                    return Ok(Err(RunError::NoSuchRun(*id)));
                };
                if run.state.is_over() {
                    return Ok(Ok(run));
                }
                run.state = RunState::Cancelled { by: by.clone() };
                run.revision += 1;
                self.keep(run).map(Ok)
            }
        }
    }

    fn begin(
        &mut self,
        order: &RedriveOrder,
        owner: Option<&RunOwner>,
        at: SystemTime,
    ) -> Io<Result<RedriveRun, RunError>> {
        let last = self.tables.runs.last()?.map_or(0, |(id, _)| id.value());
        let (Some(number), true) = (last.checked_add(1), self.make_room_for_a_run()?) else {
            return Ok(Err(QueueError::TooManyRuns.into()));
        };
        let mut meant = 0;
        let wanted = Wanted { filter: order.filter(), free: false, limit: usize::MAX, whole: false };
        let damaged = self.tables.visit(wanted, |_| {
            meant += 1;
            true
        })?;
        for id in damaged {
            self.set_aside(id)?;
        }
        let up_to = LetterId::new(self.numbers.last_id);
        let mut run = RedriveRun::new(RunId::new(number), order.clone(), at, up_to, meant);
        if let Some(owner) = owner {
            (run.state, run.owner) = (RunState::Running, Some(owner.clone()));
        }
        if !order.dry_run() {
            let (by, filter) = (order.by().clone(), order.filter().clone());
            self.noted(&Act::new(at, by, Deed::Redriven, filter, meant))?;
        }
        self.keep(run).map(Ok)
    }

    /// Forgets the oldest run that is over, if there are too many. Says whether there is room.
    fn make_room_for_a_run(&mut self) -> Io<bool> {
        if self.tables.redrives(MAX_RUNS)?.len() < MAX_RUNS {
            return Ok(true);
        }
        let over = |run: &RedriveRun| run.state.is_over();
        let Some(oldest) = self.tables.redrives(usize::MAX)?.into_iter().rfind(over) else {
            return Ok(false);
        };
        self.tables.runs.remove(oldest.id.get())?;
        Ok(true)
    }

    fn keep(&mut self, run: RedriveRun) -> Io<RedriveRun> {
        self.tables.runs.insert(run.id.get(), &*run::run(&run))?;
        Ok(run)
    }
}

impl RedbQueue {
    async fn rewrite(&self, change: Change) -> Result<RedriveRun, RunError> {
        let change = Box::new(change);
        let asked = self.ask(|answer| Command::Rewrite { change, answer }).await;
        asked.unwrap_or_else(|why| Err(QueueError::from(why).into()))
    }
}

impl RunBook for RedbQueue {
    fn begin(
        &self,
        order: RedriveOrder,
        owner: Option<RunOwner>,
    ) -> BoxFuture<'_, Result<RedriveRun, QueueError>> {
        async move {
            let at = time::wall(time::now());
            self.rewrite(Change::Begin { order, owner, at }).await.map_err(|error| match error {
                RunError::Queue(error) => error,
                error => QueueError::Storage(error.to_string()), // a run that is begun is not there before
            })
        }
        .boxed()
    }

    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RedriveRun>, QueueError>> {
        self.look(move |tables| tables.redrive(id)).boxed()
    }

    fn latest(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RedriveRun>, QueueError>> {
        self.look(move |tables| tables.redrives(limit)).boxed()
    }

    fn save(&self, run: RedriveRun) -> BoxFuture<'_, Result<u64, RunError>> {
        async move { self.rewrite(Change::Save(run)).await.map(|run| run.revision) }.boxed()
    }

    fn cancel<'a>(&'a self, id: RunId, by: &'a ByHand) -> BoxFuture<'a, Result<RedriveRun, RunError>> {
        self.rewrite(Change::Cancel { id, by: by.clone() }).boxed()
    }
}
