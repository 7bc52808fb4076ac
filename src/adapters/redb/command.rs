//! What the writer is asked to do, and how it answers.

use std::time::{Duration, SystemTime};

use super::by_hand::{Order, Progress};
use super::fault::{Fault, Io};
use super::find::Found;
use super::ledger::Ledger;
use super::prepared::Prepared;
use super::restoring::Restoring;
use super::row::State;
use super::runs::Change;
use crate::dead_letter::{
    Act, ByHand, Deed, LeaseToken, LetterFilter, LetterId, PushError, PushErrorKind, QueueError, Receipt,
    RedriveRun, RunError, SettleError, Settled, Settlement,
};
use crate::sync::oneshot::Sender;
use crate::sync::permits::OwnedSemaphorePermit;
use crate::time::Instant;

/// So many leases and letters whose time is over are dealt with when nothing else is asked.
const SWEPT_ALONE: usize = 8192;

/// Letters given out, not opened yet, each with its token.
pub(super) type Lent = Vec<(Found, LeaseToken)>;

/// A command on its way to the writer.
#[derive(Debug)]
pub(super) struct Request {
    /// The present moment, as the clock of whoever asks shows it.
    pub(super) now: Instant,
    pub(super) command: Command,
    /// Held until it is answered: so many may be under way.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(super) enum Command {
    Push(Pushing),
    Lease { filter: LetterFilter, limit: usize, time: Duration, answer: Sender<Result<Lent, QueueError>> },
    Settle { settlements: Vec<(LeaseToken, Settlement)>, answer: Sender<Vec<Result<Settled, SettleError>>> },
    Obey { order: Box<Order>, answer: Sender<Result<Progress, QueueError>> },
    Restore(Restoring),
    Rewrite { change: Box<Change>, answer: Sender<Result<RedriveRun, RunError>> },
    Note { act: Box<Act>, answer: Sender<Result<(), QueueError>> },
    Sweep { answer: Sender<Result<(), QueueError>> },
    SetAside(Vec<u64>),
    Close { answer: Sender<Result<(), QueueError>> },
}

/// Letters on their way into the store. Whatever happens, they are stored or handed back.
#[derive(Debug)]
pub(super) struct Pushing {
    pub(super) letters: Vec<Prepared>,
    /// The letter that the one letter replaces, and who wants that.
    pub(super) replaces: Option<(LetterId, ByHand, SystemTime)>,
    pub(super) answer: Option<Sender<Pushed>>,
}

/// Letters and what became of them. They go back to the task that pushed them, which has more time to drop them than
/// the writer.
#[derive(Debug)]
pub(super) struct Pushed {
    letters: Vec<Prepared>,
    outcomes: Vec<Result<Receipt, PushErrorKind>>,
}

impl Pushed {
    /// What the user is told: a letter that was refused is handed back.
    pub(super) fn told(self) -> Vec<Result<Receipt, PushError>> {
        let letters = self.letters.into_iter().zip(self.outcomes);
        letters.map(|(letter, outcome)| outcome.map_err(|kind| letter.refused(kind))).collect()
    }
}

/// What became of a command in a transaction that is not committed yet.
#[derive(Debug)]
pub(super) enum Done {
    Pushed(Vec<Result<Receipt, PushErrorKind>>),
    Lent(Lent),
    Settled(Vec<Result<Settled, SettleError>>),
    Obeyed(Progress),
    Restored(Vec<Result<Option<Receipt>, PushErrorKind>>),
    Rewritten(Box<Result<RedriveRun, RunError>>),
    /// It was not tried, because of this.
    Failed(Fault),
    Nothing,
}

impl Command {
    /// About how many bytes it writes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Push(pushing) => pushing.letters.iter().map(Prepared::written).sum(),
            Self::Restore(restoring) => restoring.bytes(),
            _ => 0,
        }
    }

    /// Does it, within a transaction. What is refused is refused alone and changes nothing.
    pub(super) fn apply(&self, ledger: &mut Ledger<'_, '_>) -> Io<Done> {
        Ok(match self {
            Self::Push(pushing) => Done::Pushed(pushing.apply(ledger)?),
            // Letters lent to nobody would only wait for their leases to end.
            Self::Lease { answer, .. } if answer.is_closed() => Done::Nothing,
            Self::Lease { filter, limit, time, .. } => Done::Lent(ledger.lease(filter, *limit, *time)?),
            Self::Settle { settlements, .. } => {
                let settle =
                    |(token, settlement): &(LeaseToken, Settlement)| ledger.settle(*token, settlement);
                Done::Settled(settlements.iter().map(settle).collect::<Io<_>>()?)
            }
            Self::Obey { order, .. } => Done::Obeyed(ledger.obey(order)?),
            Self::Restore(restoring) => Done::Restored(restoring.apply(ledger)?),
            Self::Rewrite { change, .. } => Done::Rewritten(Box::new(ledger.rewrite(change)?)),
            Self::Note { act, .. } => {
                ledger.noted(act)?;
                Done::Nothing
            }
            Self::SetAside(ids) => {
                for &id in ids {
                    ledger.set_aside(id)?;
                }
                Done::Nothing
            }
            Self::Sweep { .. } => {
                ledger.sweep(SWEPT_ALONE)?;
                Done::Nothing
            }
            Self::Close { .. } => Done::Nothing,
        })
    }

    /// Answers that it is done, which it is for good. Whoever does not wait any more is not told.
    pub(super) fn done(self, done: Done) {
        match (self, done) {
            (Self::Push(pushing), Done::Pushed(outcomes)) => pushing.end(outcomes),
            (Self::Lease { answer, .. }, Done::Lent(lent)) => drop(answer.send(Ok(lent))),
            (Self::Settle { answer, .. }, Done::Settled(outcomes)) => drop(answer.send(outcomes)),
            (Self::Obey { answer, .. }, Done::Obeyed(progress)) => drop(answer.send(Ok(progress))),
            (Self::Restore(restoring), Done::Restored(outcomes)) => restoring.done(outcomes),
            (Self::Rewrite { answer, .. }, Done::Rewritten(outcome)) => drop(answer.send(*outcome)),
            (Self::Note { answer, .. } | Self::Sweep { answer } | Self::Close { answer }, Done::Nothing) => {
                drop(answer.send(Ok(())));
            }
            (command, Done::Failed(fault)) => command.failed(&fault),
            // `apply` gives back what belongs to the command.
            (_, _) => {}
        }
    }

    /// Answers that nothing of it was done, because the file failed.
    pub(super) fn failed(self, fault: &Fault) {
        let text = || fault.text.clone();
        match self {
            Self::Push(pushing) => pushing.refused(&PushErrorKind::Storage(text())),
            Self::Settle { settlements, answer } => {
                let failed = |_| Err(SettleError::Storage(text()));
                drop(answer.send(settlements.iter().map(failed).collect()));
            }
            Self::Lease { answer, .. } => drop(answer.send(Err(QueueError::Storage(text())))),
            Self::Obey { answer, .. } => drop(answer.send(Err(QueueError::Storage(text())))),
            Self::Restore(restoring) => restoring.refused(&PushErrorKind::Storage(text())),
            Self::Rewrite { answer, .. } => drop(answer.send(Err(QueueError::Storage(text()).into()))),
            Self::Note { answer, .. } | Self::Sweep { answer } | Self::Close { answer } => {
                drop(answer.send(Err(QueueError::Storage(text()))));
            }
            Self::SetAside(_) => {}
        }
    }
}

impl Pushing {
    fn apply(&self, ledger: &mut Ledger<'_, '_>) -> Io<Vec<Result<Receipt, PushErrorKind>>> {
        let Some((old, by, at)) = &self.replaces else {
            return self.letters.iter().map(|letter| ledger.push(letter, None)).collect();
        };
        let row = ledger.tables.row(old.get())?;
        let free = row.filter(|row| row.state != State::Leased);
        let mut outcomes = Vec::with_capacity(1);
        for letter in &self.letters {
            outcomes.push(match free {
                Some(row) => ledger.push(letter, Some((old.get(), row)))?,
                None => Err(PushErrorKind::NotAvailable(*old)),
            });
        }
        if outcomes.iter().all(Result::is_ok) {
            let filter = LetterFilter::new().any_state().id(*old);
            ledger.noted(&Act::new(*at, by.clone(), Deed::Edited, filter, 1))?;
        }
        Ok(outcomes)
    }

    fn end(mut self, outcomes: Vec<Result<Receipt, PushErrorKind>>) {
        self.answer(outcomes);
    }

    pub(super) fn refused(mut self, kind: &PushErrorKind) {
        self.refuse(kind);
    }

    fn refuse(&mut self, kind: &PushErrorKind) {
        self.answer(self.letters.iter().map(|_| Err(kind.clone())).collect());
    }

    fn answer(&mut self, outcomes: Vec<Result<Receipt, PushErrorKind>>) {
        if let Some(answer) = self.answer.take() {
            drop(answer.send(Pushed { letters: std::mem::take(&mut self.letters), outcomes }));
        }
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        // Nobody answered: the writer is gone.
        self.refuse(&PushErrorKind::Closed);
    }
}
