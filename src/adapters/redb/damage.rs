//! Letters that storage has let go bad.

use super::fault::Io;
use super::ledger::Ledger;
use super::row::{Row, State};
use super::tables::Tag;

impl Ledger<'_, '_> {
    /// Puts a letter that cannot be read aside, where it hides no other.
    pub(super) fn set_aside(&mut self, id: u64) -> Io<()> {
        match self.tables.row(id)? {
            Some(row) if row.unreadable => self.mend(id),
            Some(row) if row.state != State::Damaged => {
                // Others may have met it too: by now it may be as it should be.
                if self.tables.found(id, row)?.open().is_some() {
                    return Ok(());
                }
                self.change(id, &row, Row { state: State::Damaged, ..row })
            }
            _ => Ok(()),
        }
    }

    /// Makes a letter whose row cannot be read one that is quarantined, as far as its parts tell what it was.
    fn mend(&mut self, id: u64) -> Io<()> {
        let was = self.leave_all(id)?;
        let whole = Row::default();
        let letter = self.tables.found(id, whole)?.open();
        let mut row = Row { state: State::Damaged, kept: self.now, ..whole };
        if let Some(letter) = &letter {
            row = Row { state: State::Quarantined, kept: self.now, ..Row::of(letter) };
            let destination = letter.destination.as_deref();
            row.destination = self.destinations.number(destination, self.tables, self.numbers)?;
            if row.destination != 0 {
                self.tables.leave(Tag::Destination, row.destination, id)?;
            }
            self.tables.put_group(id, &row)?;
        }
        self.numbers.count(was, false);
        self.numbers.count(row.state, true);
        self.tables.put_row(id, &row)
    }

    /// Removes a letter from every list that says where it stands, by looking through them; says where that was.
    fn leave_all(&mut self, id: u64) -> Io<State> {
        let mut was = State::Quarantined;
        for tag in [Tag::Ready, Tag::Lease, Tag::Kept] {
            let mut entries = self.tables.tagged_until(tag, u64::MAX)?;
            let entry = entries.find(|entry| entry.as_ref().map_or(true, |&(_, of)| of == id));
            drop(entries);
            if let Some((by, _)) = entry.transpose()? {
                self.tables.leave(tag, by, id)?;
                was = match tag {
                    Tag::Ready => State::Ready,
                    Tag::Lease => State::Leased,
                    _ => was,
                };
            }
        }
        Ok(was)
    }
}
