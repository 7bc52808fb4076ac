//! How letters are brought back into a memory queue.

use crate::dead_letter::by_hand::{ByHand, Deed};
use crate::dead_letter::error::PushError;
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::letter::{DeadLetter, LetterState, Origin};
use crate::dead_letter::memory::ledger::Ledger;
use crate::dead_letter::memory::slots::Hold;
use crate::dead_letter::queue::Receipt;
use crate::time::Instant;

impl Ledger {
    /// Stores letters as they say they stand, but for those that were here before.
    pub(super) fn restore(
        &mut self,
        letters: Vec<DeadLetter>,
        by: &ByHand,
        now: Instant,
    ) -> Vec<Result<Option<Receipt>, PushError>> {
        let before = self.last_id();
        let mut answers = Vec::with_capacity(letters.len());
        for letter in letters {
            let known = letter.origin.is_some_and(|origin| self.knows(origin));
            answers.push(if known { Ok(None) } else { self.store_as_it_stands(letter, now).map(Some) });
        }
        let stored = answers.iter().filter(|answer| matches!(answer, Ok(Some(_)))).count();
        if stored > 0 {
            let (after, up_to) = (before, self.last_id());
            let filter = LetterFilter::new().any_state().after(after).up_to(up_to);
            self.note(Deed::Imported, &filter, by, stored, now);
        }
        answers
    }

    /// Stores a letter with what was counted of it before.
    fn store_as_it_stands(&mut self, letter: DeadLetter, now: Instant) -> Result<Receipt, PushError> {
        let DeadLetter { deliveries, redrives, unsettled, state, .. } = letter;
        let receipt = self.store(letter, None, now)?;
        let id = receipt.id;
        self.slots.count(id, |letter| &mut letter.deliveries, deliveries);
        self.slots.count(id, |letter| &mut letter.redrives, redrives);
        self.slots.count(id, |letter| &mut letter.unsettled, unsettled);
        if state == LetterState::Quarantined {
            self.slots.change(id, Hold::Quarantined);
        }
        Ok(receipt)
    }

    /// Whether the letter that came from there is here or was.
    fn knows(&self, origin: Origin) -> bool {
        let own = origin.queue == self.identity() && origin.id <= self.last_id();
        own || self.slots.origins.knows(origin)
    }
}
