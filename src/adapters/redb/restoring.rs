//! Letters that a queue held before, brought back with what was counted of them.

use std::time::SystemTime;

use super::command::Command;
use super::fault::Io;
use super::ledger::Ledger;
use super::prepared::Prepared;
use super::queue::RedbQueue;
use super::row::{Row, State};
use crate::dead_letter::{
    Act, ByHand, DeadLetter, Deed, LetterFilter, LetterId, LetterState, PushError, PushErrorKind, Receipt,
};
use crate::sync::oneshot::{self, Sender};
use crate::time;

type Refused = PushErrorKind;

/// What became of each letter; nothing, of one that was known.
type Restored = Vec<Result<Option<Receipt>, PushError>>;

/// Letters on their way back into a store.
#[derive(Debug)]
pub(super) struct Restoring {
    letters: Vec<Prepared>,
    by: ByHand,
    at: SystemTime,
    /// The random number of the queue that they are brought into.
    own: u128,
    answer: Option<Sender<Restored>>,
}

impl Restoring {
    /// About how many bytes it writes.
    pub(super) fn bytes(&self) -> usize {
        self.letters.iter().map(Prepared::written).sum()
    }

    /// Stores the letters that are not known, and writes that down.
    pub(super) fn apply(&self, ledger: &mut Ledger<'_, '_>) -> Io<Vec<Result<Option<Receipt>, Refused>>> {
        let before = ledger.numbers.last_id;
        let restore = |letter| ledger.restore(letter, self.own);
        let outcomes = self.letters.iter().map(restore).collect::<Io<Vec<_>>>()?;
        let stored = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Some(_)))).count();
        if stored > 0 {
            let (after, up_to) = (LetterId::new(before), LetterId::new(ledger.numbers.last_id));
            let filter = LetterFilter::new().any_state().after(after).up_to(up_to);
            let letters = u64::try_from(stored).unwrap_or(u64::MAX);
            ledger.noted(&Act::new(self.at, self.by.clone(), Deed::Imported, filter, letters))?;
        }
        Ok(outcomes)
    }

    pub(super) fn done(mut self, outcomes: Vec<Result<Option<Receipt>, Refused>>) {
        let told = std::mem::take(&mut self.letters).into_iter().zip(outcomes);
        let told = told.map(|(letter, outcome)| outcome.map_err(|kind| letter.refused(kind)));
        if let Some(answer) = self.answer.take() {
            drop(answer.send(told.collect()));
        }
    }

    pub(super) fn refused(mut self, kind: &Refused) {
        self.refuse(kind);
    }

    fn refuse(&mut self, kind: &Refused) {
        let letters = std::mem::take(&mut self.letters).into_iter();
        if let Some(answer) = self.answer.take() {
            drop(answer.send(letters.map(|letter| Err(letter.refused(kind.clone()))).collect()));
        }
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        // Nobody answered: the writer is gone.
        self.refuse(&Refused::Closed);
    }
}

impl Ledger<'_, '_> {
    /// Stores a letter as it says it stands, unless it is or was here.
    fn restore(&mut self, letter: &Prepared, own: u128) -> Io<Result<Option<Receipt>, Refused>> {
        if let Some(origin) = letter.letter.origin {
            let here = origin.queue == own && origin.id.get() <= self.numbers.last_id;
            if here || self.tables.known(origin)?.is_some() {
                return Ok(Ok(None));
            }
        }
        let receipt = match self.push(letter, None)? {
            Ok(receipt) => receipt,
            Err(refused) => return Ok(Err(refused)),
        };
        let id = receipt.id.get();
        let DeadLetter { deliveries, redrives, unsettled, state, .. } = *letter.letter;
        if let Some(row) = self.tables.row(id)? {
            let quarantined = state == LetterState::Quarantined;
            let state = if quarantined { State::Quarantined } else { State::Ready };
            self.change(id, &row, Row { state, deliveries, redrives, unsettled, ..row })?;
        }
        Ok(Ok(Some(receipt)))
    }
}

impl RedbQueue {
    /// Stores letters as they say they stand, but for those that are or were here.
    pub(super) async fn bring_back(&self, letters: Vec<DeadLetter>, by: &ByHand) -> Restored {
        let (answer, answered) = oneshot::channel();
        let letters = letters.into_iter().map(Prepared::of).collect();
        let (by, at, own) = (by.clone(), time::wall(time::now()), self.shared.id);
        let restoring = Restoring { letters, by, at, own, answer: Some(answer) };
        if self.shared.threads.requests.is_none() {
            restoring.refused(&Refused::Storage("the file is open for reading only".to_owned()));
        } else {
            // Not sent, it is dropped, and then it hands back the letters by its own answer.
            drop(self.send(Command::Restore(restoring)).await);
        }
        answered.await.expect("letters are stored or handed back")
    }
}
