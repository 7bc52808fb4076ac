//! What people do to many letters at once, a part in each transaction.

use std::time::SystemTime;

use redb::ReadableTable as _;

use super::fault::Io;
use super::find::Wanted;
use super::ledger::Ledger;
use super::row::{Row, State};
use super::rules::wide;
use crate::dead_letter::{Act, ByHand, Deed, LetterFilter, LetterId, LetterState, MAX_ACTS};
use crate::envelope::act;

/// So many letters are dealt with in one transaction, so that others are not kept waiting.
const PART: usize = 2048;

/// Something that is done to all letters that a filter means.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) deed: Deed,
    pub(super) filter: LetterFilter,
    pub(super) by: ByHand,
    pub(super) at: SystemTime,
    pub(super) progress: Progress,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The last letter that was dealt with, and the last that is meant: none that comes in later.
    pub(super) done: u64,
    pub(super) up_to: Option<u64>,
    pub(super) letters: u64,
    /// Under which number it is written down.
    act: Option<u64>,
    pub(super) complete: bool,
}

impl Ledger<'_, '_> {
    /// Does the next part of it, and writes down what is done so far.
    pub(super) fn obey(&mut self, order: &Order) -> Io<Progress> {
        let mut progress = order.progress;
        let up_to = *progress.up_to.get_or_insert(self.numbers.last_id);
        let filter = match order.deed {
            // ## Ready => Quarantined, by hand
            Deed::Quarantined if order.filter.means(LetterState::Ready) => {
                order.filter.clone().state(LetterState::Ready)
            }
            Deed::Quarantined => {
                progress.complete = true;
                return self.note(order, progress);
            }
            // ## Quarantined => Ready
            Deed::Reinstated => order.filter.clone().state(LetterState::Quarantined),
            _ => order.filter.clone(),
        };
        let done = filter.after.map_or(progress.done, |after| after.get().max(progress.done));
        let up_to = filter.up_to.map_or(up_to, |wanted| wanted.get().min(up_to));
        let filter = filter.after(LetterId::new(done)).up_to(LetterId::new(up_to));
        let search = self.tables.find(Wanted { filter: &filter, free: false, limit: PART, whole: false })?;
        for id in search.damaged {
            self.set_aside(id)?;
        }
        progress.complete = search.found.len() < PART;
        for found in search.found {
            let (id, row) = (found.id, found.row);
            progress.done = id;
            match order.deed {
                Deed::Quarantined => self.change(id, &row, Row { state: State::Quarantined, ..row })?,
                Deed::Reinstated if row.state == State::Damaged => continue,
                Deed::Reinstated => {
                    let renewed =
                        Row { state: State::Ready, redrives: 0, unsettled: 0, kept: self.now, ..row };
                    self.change(id, &row, renewed)?;
                }
                _ => {
                    self.numbers.discarded += 1;
                    self.remove(id, &row)?;
                }
            }
            progress.letters += 1;
        }
        self.note(order, progress)
    }

    fn note(&mut self, order: &Order, mut progress: Progress) -> Io<Progress> {
        let number = match progress.act {
            Some(number) => number,
            None => self.next_act()?,
        };
        progress.act = Some(number);
        let (by, filter) = (order.by.clone(), order.filter.clone());
        let act = Act::new(order.at, by, order.deed, filter, progress.letters);
        self.tables.acts.insert(number, &*act::act(&act))?;
        Ok(progress)
    }

    /// Writes down something else that was done.
    pub(super) fn noted(&mut self, act: &Act) -> Io<()> {
        let number = self.next_act()?;
        self.tables.acts.insert(number, &*act::act(act))?;
        Ok(())
    }

    /// The number of the next thing that is done by hand; the oldest make room for it.
    fn next_act(&mut self) -> Io<u64> {
        self.numbers.last_act += 1;
        let number = self.numbers.last_act;
        let oldest = self.tables.acts.first()?.map(|(number, _)| number.value());
        if let Some(oldest) = oldest
            && number - oldest >= wide(MAX_ACTS)
        {
            self.tables.acts.remove(oldest)?;
        }
        Ok(number)
    }
}
