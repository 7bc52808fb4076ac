//! Which letters a filter means.

use redb::ReadableTable as _;

use super::fault::Io;
use super::row::{Row, State};
use super::tables::{Access, Ids, Tables, Tag};
use crate::dead_letter::{DeadLetter, LetterFilter, LetterState};
use crate::envelope::part;

/// A letter as it lies in the file.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) id: u64,
    pub(super) row: Row,
    pub(super) body: Vec<u8>,
    pub(super) story: Vec<u8>,
}

impl Found {
    /// The letter; `None` if it is damaged.
    pub(super) fn open(&self) -> Option<DeadLetter> {
        if self.row.state == State::Damaged {
            return None;
        }
        let mut letter = part::open(&self.body, &self.story).ok()?;
        self.row.fill(self.id, &mut letter);
        Some(letter)
    }
}

/// What a search found.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) found: Vec<Found>,
    /// Letters seen on the way that cannot be read, and are not put aside yet.
    pub(super) damaged: Vec<u64>,
}

/// Which letters are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) filter: &'a LetterFilter,
    /// Only such as nobody works on.
    pub(super) free: bool,
    pub(super) limit: usize,
    /// Whether letters are wanted, or only their rows.
    pub(super) whole: bool,
}

impl<A: Access> Tables<A> {
    /// Up to so many letters that the filter means, ordered by number.
    ///
    /// A damaged letter is found only if it is not wanted whole, and only by what its row says.
    pub(super) fn find(&self, wanted: Wanted<'_>) -> Io<Search> {
        let mut found = Vec::new();
        if wanted.limit == 0 {
            return Ok(Search::default());
        }
        let damaged = self.visit(wanted, |letter| {
            found.push(letter);
            found.len() < wanted.limit
        })?;
        Ok(Search { found, damaged })
    }

    /// Hands over each letter that the filter means, ordered by number, for as long as `more` says so. Gives
    /// back the letters that turned out to be damaged.
    pub(super) fn visit(&self, wanted: Wanted<'_>, mut more: impl FnMut(Found) -> bool) -> Io<Vec<u64>> {
        let (filter, mut damaged) = (wanted.filter, Vec::new());
        let Some(ids) = filter.ids() else { return Ok(damaged) };
        let destination = match filter.destination.as_deref() {
            Some(name) => match self.names.get(name)? {
                Some(number) => Some(number.value()),
                None => return Ok(damaged),
            },
            None => None,
        };
        let asks_the_letter = asks_the_letter(filter);
        let mut look = |id: u64, row: Row| -> Io<bool> {
            if row.unreadable {
                damaged.push(id);
                return Ok(true);
            }
            let taken = wanted.free && row.state == State::Leased;
            let elsewhere = destination.is_some_and(|number| number != row.destination);
            let unreadable = wanted.whole && row.state == State::Damaged;
            if taken || elsewhere || unreadable || !row.may_be_meant(filter) {
                return Ok(true);
            }
            if !wanted.whole && !asks_the_letter {
                return Ok(more(Found { id, row, body: Vec::new(), story: Vec::new() }));
            }
            let found = self.found(id, row)?;
            match found.open() {
                Some(letter) if filter.matches(&letter) => return Ok(more(found)),
                Some(_) => {}
                None if row.state == State::Damaged => {}
                None => damaged.push(id),
            }
            Ok(true)
        };
        let (from, to) = (ids.start().get(), ids.end().get());
        match self.by_index(wanted, destination, from, to)? {
            Where::Index(ids) => {
                for id in ids {
                    let id = id?;
                    if let Some(row) = self.row(id)?
                        && !look(id, row)?
                    {
                        break;
                    }
                }
            }
            Where::All => {
                for entry in self.all(from, to)? {
                    let (id, row) = entry?;
                    if !look(id, row)? {
                        break;
                    }
                }
            }
        }
        Ok(damaged)
    }

    /// By which index the letters are looked for: that which names the fewest others.
    fn by_index(&self, wanted: Wanted<'_>, destination: Option<u64>, from: u64, to: u64) -> Io<Where<'_>> {
        let filter = wanted.filter;
        let quarantined = filter.means(LetterState::Quarantined);
        Ok(match (filter.fingerprint, destination) {
            _ if from == to => Where::All,
            (Some(fingerprint), _) => Where::Index(self.of_group(fingerprint.get(), from, to)?),
            (None, Some(number)) if !quarantined => {
                Where::Index(self.tagged(Tag::Destination, number, from, to)?)
            }
            (None, None) if !quarantined && (wanted.free || !filter.means(LetterState::Leased)) => {
                Where::Index(self.tagged(Tag::Ready, 0, from, to)?)
            }
            _ => Where::All,
        })
    }

    /// A letter with its parts.
    pub(super) fn found(&self, id: u64, row: Row) -> Io<Found> {
        let (body, story) = self.parts(id)?;
        Ok(Found { id, row, body, story })
    }
}

enum Where<'a> {
    Index(Ids<'a>),
    All,
}

/// Whether the filter asks for what only the letter itself knows for certain.
pub(super) fn asks_the_letter(filter: &LetterFilter) -> bool {
    filter.operation.is_some()
        || filter.category.is_some()
        || filter.reason.is_some()
        || filter.idempotency_key.is_some()
        || filter.tenant.is_some()
        || filter.correlation_id.is_some()
}
