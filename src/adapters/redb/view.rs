//! What is asked of a store without changing it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::destinations;
use super::fault::Io;
use super::find::{Found, Search, Wanted, asks_the_letter};
use super::moment::Moment;
use super::numbers::{Numbers, Oldest};
use super::row::Row;
use super::tables::{Access, Reading, Tables};
use crate::dead_letter::{Act, Fingerprint, LetterFilter, LetterGroup, LetterState, QueueStats};
use crate::envelope::act;

/// What is known of a group before one of its letters is opened.
#[derive(Clone, Copy, Debug)]
struct Group {
    letters: u64,
    first: Moment,
    last: Moment,
    /// The letter that was stored last.
    latest: u64,
}

impl<A: Access> Tables<A> {
    /// When the letter died that has been dead longest.
    pub(super) fn oldest(&self, numbers: &Numbers) -> Io<Option<Moment>> {
        match numbers.oldest {
            Oldest::Nothing => Ok(None),
            Oldest::At(died) => Ok(Some(died)),
            Oldest::Unknown => {
                let deaths = self.grouped()?.map(|entry| entry.map(|(_, _, died, _)| died));
                deaths.reduce(|a, b| Ok(a?.min(b?))).transpose()
            }
        }
    }
}

impl Tables<Reading> {
    pub(super) fn stats(&self) -> Io<QueueStats> {
        let numbers = Numbers::read(self)?;
        Ok(numbers.seen(self.oldest(&numbers)?, destinations::counts(self)?))
    }

    pub(super) fn acts(&self, limit: usize) -> Io<Vec<Act>> {
        let mut acts = Vec::new();
        for entry in self.acts.range::<u64>(..)?.rev().take(limit) {
            acts.extend(act::read_act(entry?.1.value()).ok());
        }
        Ok(acts)
    }

    pub(super) fn peek(&self, filter: &LetterFilter, limit: usize) -> Io<Search> {
        self.find(Wanted { filter, free: false, limit, whole: true })
    }

    /// The largest groups of those that the filter means.
    pub(super) fn groups(&self, filter: &LetterFilter, limit: usize) -> Io<Vec<LetterGroup>> {
        let mut groups: BTreeMap<u64, Group> = BTreeMap::new();
        let mut add = |fingerprint: u64, id: u64, died: Moment| {
            let new = Group { letters: 0, first: died, last: died, latest: id };
            let group = groups.entry(fingerprint).or_insert(new);
            group.letters += 1;
            (group.first, group.last) = (group.first.min(died), group.last.max(died));
            group.latest = group.latest.max(id);
        };
        if Self::is_seen_by_index(filter) {
            for entry in self.grouped()? {
                let (fingerprint, id, died, aside) = entry?;
                if filter.means(if aside { LetterState::Quarantined } else { LetterState::Ready }) {
                    add(fingerprint, id, died);
                }
            }
        } else {
            let wanted = Wanted { filter, free: false, limit: usize::MAX, whole: false };
            self.visit(wanted, |found| {
                add(found.row.fingerprint, found.id, found.row.died);
                true
            })?;
        }
        let mut groups: Vec<(u64, Group)> = groups.into_iter().collect();
        groups.sort_by_key(|&(fingerprint, group)| (Reverse((group.letters, group.last)), fingerprint));
        let mut shown = Vec::new();
        for (fingerprint, group) in groups {
            if shown.len() == limit {
                break;
            }
            shown.extend(self.shown(fingerprint, group, filter)?);
        }
        Ok(shown)
    }

    /// Whether the entries of groups say enough to know which letters the filter means.
    fn is_seen_by_index(filter: &LetterFilter) -> bool {
        // They do not tell ready letters from leased ones.
        let states = filter.means(LetterState::Ready) == filter.means(LetterState::Leased);
        let every_id = filter.id.is_none() && filter.after.is_none() && filter.up_to.is_none();
        let every_time = filter.died_since.is_none() && filter.died_before.is_none();
        let every_group = filter.fingerprint.is_none() && filter.destination.is_none();
        states && every_id && every_time && every_group && !asks_the_letter(filter)
    }

    /// A group with the latest of its letters that can be read; `None` if none can.
    fn shown(&self, fingerprint: u64, group: Group, filter: &LetterFilter) -> Io<Option<LetterGroup>> {
        let latest: Option<Row> = self.row(group.latest)?;
        let latest = match latest {
            Some(row) => self.found(group.latest, row)?.open(),
            None => None,
        };
        let sample = if latest.is_some() {
            latest
        } else {
            let same = filter.clone().fingerprint(Fingerprint::new(fingerprint));
            self.peek(&same, 1)?.found.first().and_then(Found::open)
        };
        Ok(sample.map(|sample| {
            let mut shown = LetterGroup::of(sample);
            shown.fingerprint = Fingerprint::new(fingerprint);
            shown.letters = group.letters;
            (shown.first, shown.last) = (group.first.get(), group.last.get());
            shown
        }))
    }
}
