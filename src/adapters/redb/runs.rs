//! The redrives that are written down in the file.

use std::time::SystemTime;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::clock::nanos;
use super::command::Command;
use super::fault::Io;
use super::find::Wanted;
use super::ledger::Ledger;
use super::numbers::Numbers;
use super::queue::RedbQueue;
use super::rules::wide;
use super::tables::{Access, Tables};
use crate::dead_letter::{
    Act, ByHand, Deed, LetterFilter, LetterId, MAX_RUNS, QueueError, RedriveOrder, RedriveRun, RunBook,
    RunError, RunId, RunOwner, RunState,
};
use crate::envelope::run;
use crate::time;

/// What becomes of a run.
#[derive(Debug)]
pub(super) enum Change {
    /// With the last letter that is in the store, and how many up to it are meant.
    Begin {
        order: RedriveOrder,
        owner: Option<RunOwner>,
        at: SystemTime,
        counted: (LetterId, u64),
    },
    Save(RedriveRun),
    Cancel {
        id: RunId,
        by: ByHand,
    },
}

impl<A: Access> Tables<A> {
    /// The last letter that is in the store, and how many the filter means.
    fn meant(&self, filter: &LetterFilter) -> Io<(LetterId, u64)> {
        let (last, mut meant) = (Numbers::read(self)?.last_id, 0);
        self.visit(Wanted { filter, free: false, limit: usize::MAX, whole: false }, |_| {
            meant += 1;
            true
        })?;
        Ok((LetterId::new(last), meant))
    }

    /// One that cannot be read is refused alone: nothing else of the transaction fails for it.
    fn redrive(&self, id: RunId) -> Io<Result<RedriveRun, RunError>> {
        Ok(match self.runs.get(id.get())? {
            Some(run) => read(run.value().1).map_err(RunError::Queue),
            None => Err(RunError::NoSuchRun(id)),
        })
    }

    /// The latest runs, the newest first. One that cannot be read does not hide the others.
    fn redrives(&self, limit: usize) -> Io<Vec<RedriveRun>> {
        let mut runs = Vec::new();
        for entry in self.runs.range::<u64>(..)?.rev() {
            if runs.len() == limit {
                break;
            }
            runs.extend(read(entry?.1.value().1).ok());
        }
        Ok(runs)
    }
}

fn read(run: &[u8]) -> Result<RedriveRun, QueueError> {
    let unreadable = |damaged| QueueError::Storage(format!("a redrive cannot be read: {damaged}"));
    run::open_run(run).map_err(unreadable)
}

impl Ledger<'_, '_> {
    /// Changes a run, and gives it as it is then.
    pub(super) fn rewrite(&mut self, change: &Change) -> Io<Result<RedriveRun, RunError>> {
        match change {
            Change::Begin { order, owner, at, counted } => self.begin(order, owner.as_ref(), *at, *counted),
            Change::Save(run) => {
                let stored = match self.tables.redrive(run.id)? {
                    Ok(stored) => stored,
                    Err(why) => return Ok(Err(why)),
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
                let mut run = match self.tables.redrive(*id)? {
                    Ok(run) => run,
                    Err(why) => return Ok(Err(why)),
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
        counted: (LetterId, u64),
    ) -> Io<Result<RedriveRun, RunError>> {
        let last = self.tables.runs.last()?.map_or(0, |(id, _)| id.value());
        let (Some(number), true) = (last.checked_add(1), self.make_room_for_a_run()?) else {
            return Ok(Err(QueueError::TooManyRuns.into()));
        };
        let (up_to, meant) = counted;
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

    /// Forgets the oldest run that is over or cannot be read, if there are too many, or the oldest one whose owner
    /// has been silent for longer than it said. Says whether there is room.
    fn make_room_for_a_run(&mut self) -> Io<bool> {
        if self.tables.runs.len()? < wide(MAX_RUNS) {
            return Ok(true);
        }
        let (mut over, mut left_behind) = (None, None);
        for entry in self.tables.runs.range::<u64>(..)? {
            let (id, run) = entry?;
            let (written, run) = run.value();
            let run = read(run).ok().filter(|run| !run.state.is_over());
            let silent = self.now.saturating_sub(written);
            match run.map(|run| run.owner) {
                None => {
                    over = Some(id.value());
                    break;
                }
                Some(Some(owner)) if silent >= nanos(owner.lease) => {
                    left_behind.get_or_insert(id.value());
                }
                Some(_) => {}
            }
        }
        let Some(oldest) = over.or(left_behind) else { return Ok(false) };
        self.tables.runs.remove(oldest)?;
        Ok(true)
    }

    fn keep(&mut self, run: RedriveRun) -> Io<RedriveRun> {
        self.tables.runs.insert(run.id.get(), (self.now, &*run::run(&run)))?;
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
            let (at, filter) = (time::wall(time::now()), order.filter().clone());
            let counted = self.look(move |tables| tables.meant(&filter)).await?;
            self.rewrite(Change::Begin { order, owner, at, counted }).await.map_err(|error| match error {
                RunError::Queue(error) => error,
                error => QueueError::Storage(error.to_string()), // a run that is begun is not there before
            })
        }
        .boxed()
    }

    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RedriveRun>, QueueError>> {
        async move {
            match self.look(move |tables| tables.redrive(id)).await? {
                Ok(run) => Ok(Some(run)),
                Err(RunError::Queue(error)) => Err(error),
                Err(_) => Ok(None),
            }
        }
        .boxed()
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
