//! The one thread that writes: it takes what has come in meanwhile, does it in one transaction, makes that
//! durable, and answers each alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::clock::Clock;
use super::command::{Command, Done, Request};
use super::destinations::Destinations;
use super::fault::{Fault, Io};
use super::find::Found;
use super::gauge::Gauge;
use super::handle::Handle;
use super::hooks::Hooks;
use super::ledger::Ledger;
use super::numbers::Numbers;
use super::rules::Rules;
use super::store::Store;
use super::tables::Tables;
use crate::dead_letter::Loss;

/// So many commands are done in one transaction at most, or those that write so many bytes.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;

/// So many leases and letters whose time is over are dealt with beside one batch.
const SWEPT: usize = 1024;

/// After so long without a command, the file is made quick to open after a crash. Reopening then takes
/// milliseconds, and seconds otherwise.
const IDLE: Duration = Duration::from_millis(250);

pub(super) struct Writer {
    pub(super) store: Store,
    pub(super) gauge: Arc<Gauge>,
    pub(super) rules: Rules,
    pub(super) clock: Clock,
    pub(super) numbers: Numbers,
    pub(super) hooks: Hooks,
    /// Something was written since the file was last made quick to open.
    pub(super) busy: bool,
}

/// What a batch did.
struct Batch {
    done: Vec<Done>,
    lost: Vec<(Found, Loss)>,
    numbers: Numbers,
    due: u64,
}

impl Writer {
    /// Works until there is nobody left who could ask, or until it is told to close.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let first = if self.busy {
                match requests.recv_timeout(IDLE) {
                    Ok(request) => request,
                    Err(RecvTimeoutError::Timeout) => {
                        self.settle_down();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else {
                let Ok(request) = requests.recv() else { break };
                request
            };
            let mut intake = Intake::new(first, requests);
            self.work(&mut intake);
            if let Some(close) = intake.close {
                let closed = self.close();
                match closed {
                    Ok(()) => close.command.done(Done::Nothing),
                    Err(fault) => close.command.failed(&fault),
                }
                return;
            }
        }
        // Nobody is left to be told of an error; what was acknowledged is durable already.
        let _nobody_asks = self.close();
    }

    /// Does a batch, and answers.
    fn work(&mut self, intake: &mut Intake<'_>) {
        if intake.next.is_none() {
            return;
        }
        let outcome = self.attempt(intake);
        let batch = std::mem::take(&mut intake.taken);
        match outcome {
            Ok(outcome) => {
                let made_room = outcome.numbers.held() < self.numbers.held()
                    || outcome.numbers.bytes < self.numbers.bytes;
                self.numbers = outcome.numbers;
                self.store.holds(self.numbers.bytes);
                self.busy = true;
                self.gauge.set_due(outcome.due);
                for (request, done) in batch.into_iter().zip(outcome.done) {
                    request.command.done(done);
                    drop(request.permit);
                }
                if made_room {
                    self.gauge.made_room();
                }
                self.hooks.tell(outcome.lost, &self.numbers, &self.rules, &self.gauge);
            }
            Err(fault) => {
                // Before anybody is told: whoever reads next needs the file, and perhaps nobody writes for long.
                self.open_again();
                for request in batch {
                    request.command.failed(&fault);
                }
            }
        }
    }

    fn attempt(&mut self, intake: &mut Intake<'_>) -> Io<Batch> {
        let (database, reopened) = self.store.database(&self.gauge, &self.rules).inspect_err(|_| {
            // They all fail of the same.
            while intake.take().is_some() {}
        })?;
        if let Some(numbers) = reopened {
            self.numbers = numbers;
        }
        // A panic of the database is one of its errors: a damaged file brings it to that.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.transact(&database, intake)));
        drop(database);
        let outcome = outcome.unwrap_or_else(|_| Err(Fault::new("the database failed over a damaged file")));
        outcome.inspect_err(|fault| self.store.failed(&self.gauge, fault))
    }

    fn transact(&self, database: &Handle, intake: &mut Intake<'_>) -> Io<Batch> {
        let transaction = database.begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        let (mut numbers, mut destinations, mut lost) = (self.numbers, Destinations::default(), Vec::new());
        let mut done = Vec::new();
        let mut next = self.gauge.due();
        while let Some(request) = intake.take() {
            let now = self.clock.at(request.now).max(numbers.high_water);
            numbers.high_water = now;
            let mut ledger = Ledger {
                tables: &mut tables,
                numbers: &mut numbers,
                destinations: &mut destinations,
                rules: &self.rules,
                lost: self.hooks.wants_losses().then_some(&mut lost),
                now,
            };
            if now >= next {
                ledger.sweep(SWEPT)?;
                next = ledger.due()?;
            }
            done.push(match &request.command {
                Command::Push(_) if self.store.only_drains() => Done::Failed(Fault::full()),
                command => command.apply(&mut ledger)?,
            });
            next = match request.command {
                Command::Push(_) => next.min(ledger.expiry(now)),
                _ => 0, // what is leased and what comes back may be over sooner
            };
        }
        destinations.write(&mut tables)?;
        numbers.write(&mut tables)?;
        let due = tables.due(&self.rules)?;
        drop(tables);
        transaction.commit()?;
        Ok(Batch { done, lost, numbers, due })
    }

    /// Opens the file again after an error, if that can be done now; if not, the next idle moment tries it.
    fn open_again(&mut self) {
        self.busy = true;
        if let Ok((_database, Some(numbers))) = self.store.database(&self.gauge, &self.rules) {
            self.numbers = numbers;
        }
    }

    /// Makes the file quick to open after a crash.
    fn settle_down(&mut self) {
        if self.store.is_broken() {
            return self.open_again();
        }
        self.busy = false;
        if let Err(fault) = self.store.settle_down(&self.gauge) {
            self.store.failed(&self.gauge, &fault);
        }
    }

    fn close(&mut self) -> Io<()> {
        self.gauge.set_closed();
        self.store.close(&self.gauge)
    }
}

/// What goes into one transaction: the first command and those that have come in when it is their turn. While one is
/// done, others come in, so the more there is to do the more share a commit. Nobody is waited for.
struct Intake<'a> {
    requests: &'a Receiver<Request>,
    next: Option<Request>,
    taken: Vec<Request>,
    bytes: usize,
    /// The command to close, if that has come: none is taken after it.
    close: Option<Request>,
}

impl<'a> Intake<'a> {
    fn new(first: Request, requests: &'a Receiver<Request>) -> Self {
        let mut intake = Self { requests, next: None, taken: Vec::new(), bytes: 0, close: None };
        intake.next = intake.unless_close(first);
        intake
    }

    /// The next command, as long as one transaction bears it.
    fn take(&mut self) -> Option<&Request> {
        let request = match self.next.take() {
            Some(first) => first,
            None if self.close.is_some() || self.taken.len() >= BATCH || self.bytes >= BATCH_BYTES => {
                return None;
            }
            None => {
                let come = self.requests.try_recv().ok()?;
                self.unless_close(come)?
            }
        };
        self.bytes += request.command.bytes();
        self.taken.push(request);
        self.taken.last()
    }

    fn unless_close(&mut self, request: Request) -> Option<Request> {
        if matches!(request.command, Command::Close { .. }) {
            self.close = Some(request);
            return None;
        }
        Some(request)
    }
}
