//! How the letters lie in the file.
//!
//! A letter is three rows, by how often they change: its body is written once, its story when a redrive failed,
//! its short row with each change of its state. What is found by other means than its number is found by
//! `index` and `groups`, which change in the same transaction.

use std::marker::PhantomData;

use redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, Value, WriteTransaction,
};

use super::fault::Io;
use super::moment::Moment;
use super::row::{ROW, Row};

type Bytes = &'static [u8];

/// Format version, identity and numbers, by name.
pub(super) const HEADER: TableDefinition<'_, &str, Bytes> = TableDefinition::new("header");
const BODIES: TableDefinition<'_, u64, Bytes> = TableDefinition::new("bodies");
const STORIES: TableDefinition<'_, u64, Bytes> = TableDefinition::new("stories");
const ROWS: TableDefinition<'_, u64, &[u8; ROW]> = TableDefinition::new("rows");
/// Numbers of letters by [`Tag`], something to order them by, and themselves.
const INDEX: TableDefinition<'_, (u8, u64, u64), ()> = TableDefinition::new("index");
/// Letters by fingerprint and number, with when they died and whether they are put aside.
const GROUPS: TableDefinition<'_, (u64, u64), &[u8; GROUP]> = TableDefinition::new("groups");
/// Destinations by number: how many letters are held for it, and its name.
const DESTINATIONS: TableDefinition<'_, u64, (u64, &str)> = TableDefinition::new("destinations");
const NAMES: TableDefinition<'_, &str, u64> = TableDefinition::new("destination_names");
/// What was done by hand, as JSON.
const ACTS: TableDefinition<'_, u64, Bytes> = TableDefinition::new("acts");
/// Letters by where they come from: queue and number there.
const ORIGINS: TableDefinition<'_, (u128, u64), u64> = TableDefinition::new("origins");
/// And the other way round.
const COMES_FROM: TableDefinition<'_, u64, (u128, u64)> = TableDefinition::new("comes_from");
/// Redrives by number, with when they were last written, by the clock of the store.
const RUNS: TableDefinition<'_, u64, (u64, Bytes)> = TableDefinition::new("runs");

/// Bytes of an entry in `groups`: a moment, and whether it is put aside.
const GROUP: usize = Moment::BYTES + 1;

/// What an entry of `index` is there for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tag {
    /// Ready letters.
    Ready = 1,
    /// Letters that are not quarantined, by the number of their destination.
    Destination = 2,
    /// Leased letters, by when their lease ends.
    Lease = 3,
    /// Ready letters, by since when they are kept. A leased one may still be there.
    Kept = 4,
    /// Letters from elsewhere that are gone, by when they went: they are not taken in again.
    Gone = 5,
}

/// What tables are opened with: a transaction that writes, or one that reads.
pub(super) trait Access {
    type Table<K: Key + 'static, V: Value + 'static>: ReadableTable<K, V>;
}

pub(super) struct Writing<'t>(PhantomData<&'t ()>);

impl<'t> Access for Writing<'t> {
    type Table<K: Key + 'static, V: Value + 'static> = Table<'t, K, V>;
}

pub(super) struct Reading;

impl Access for Reading {
    type Table<K: Key + 'static, V: Value + 'static> = ReadOnlyTable<K, V>;
}

/// The open tables of one transaction.
pub(super) struct Tables<A: Access> {
    pub(super) header: A::Table<&'static str, Bytes>,
    pub(super) bodies: A::Table<u64, Bytes>,
    pub(super) stories: A::Table<u64, Bytes>,
    pub(super) rows: A::Table<u64, &'static [u8; ROW]>,
    pub(super) index: A::Table<(u8, u64, u64), ()>,
    pub(super) groups: A::Table<(u64, u64), &'static [u8; GROUP]>,
    pub(super) destinations: A::Table<u64, (u64, &'static str)>,
    pub(super) names: A::Table<&'static str, u64>,
    pub(super) acts: A::Table<u64, Bytes>,
    pub(super) origins: A::Table<(u128, u64), u64>,
    pub(super) comes_from: A::Table<u64, (u128, u64)>,
    pub(super) runs: A::Table<u64, (u64, Bytes)>,
}

impl<'t> Tables<Writing<'t>> {
    /// Opens all tables, and makes those that are not there.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Io<Self> {
        Ok(Self {
            header: transaction.open_table(HEADER)?,
            bodies: transaction.open_table(BODIES)?,
            stories: transaction.open_table(STORIES)?,
            rows: transaction.open_table(ROWS)?,
            index: transaction.open_table(INDEX)?,
            groups: transaction.open_table(GROUPS)?,
            destinations: transaction.open_table(DESTINATIONS)?,
            names: transaction.open_table(NAMES)?,
            acts: transaction.open_table(ACTS)?,
            origins: transaction.open_table(ORIGINS)?,
            comes_from: transaction.open_table(COMES_FROM)?,
            runs: transaction.open_table(RUNS)?,
        })
    }

    pub(super) fn put_row(&mut self, id: u64, row: &Row) -> Io<()> {
        self.rows.insert(id, &row.written(id))?;
        Ok(())
    }

    pub(super) fn enter(&mut self, tag: Tag, by: u64, id: u64) -> Io<()> {
        self.index.insert((tag as u8, by, id), ())?;
        Ok(())
    }

    pub(super) fn leave(&mut self, tag: Tag, by: u64, id: u64) -> Io<()> {
        self.index.remove((tag as u8, by, id))?;
        Ok(())
    }

    pub(super) fn put_group(&mut self, id: u64, row: &Row) -> Io<()> {
        let mut entry = [0; GROUP];
        let (died, aside) = entry.split_at_mut(Moment::BYTES);
        died.copy_from_slice(&row.died.written());
        aside.fill(u8::from(row.state.is_aside()));
        self.groups.insert((row.fingerprint, id), &entry)?;
        Ok(())
    }
}

impl Tables<Reading> {
    /// Opens all tables as they are at this moment.
    pub(super) fn look(transaction: &ReadTransaction) -> Io<Self> {
        Ok(Self {
            header: transaction.open_table(HEADER)?,
            bodies: transaction.open_table(BODIES)?,
            stories: transaction.open_table(STORIES)?,
            rows: transaction.open_table(ROWS)?,
            index: transaction.open_table(INDEX)?,
            groups: transaction.open_table(GROUPS)?,
            destinations: transaction.open_table(DESTINATIONS)?,
            names: transaction.open_table(NAMES)?,
            acts: transaction.open_table(ACTS)?,
            origins: transaction.open_table(ORIGINS)?,
            comes_from: transaction.open_table(COMES_FROM)?,
            runs: transaction.open_table(RUNS)?,
        })
    }
}

/// Makes the tables that are written to seldom, so that whoever reads finds them.
pub(super) fn make(transaction: &WriteTransaction) -> Io<()> {
    Tables::open(transaction).map(drop)
}

/// The numbers of letters, in order.
pub(super) type Ids<'a> = Box<dyn Iterator<Item = Io<u64>> + 'a>;

impl<A: Access> Tables<A> {
    /// The row of a letter; `None` if there is no such letter. A damaged one is read as one put aside.
    pub(super) fn row(&self, id: u64) -> Io<Option<Row>> {
        Ok(self.rows.get(id)?.map(|row| Row::read(id, row.value())))
    }

    /// Body and story of a letter.
    pub(super) fn parts(&self, id: u64) -> Io<(Vec<u8>, Vec<u8>)> {
        let body = self.bodies.get(id)?.map(|body| body.value().to_vec());
        let story = self.stories.get(id)?.map(|story| story.value().to_vec());
        Ok((body.unwrap_or_default(), story.unwrap_or_default()))
    }

    /// All letters with these numbers.
    pub(super) fn all(&self, from: u64, to: u64) -> Io<impl Iterator<Item = Io<(u64, Row)>> + '_> {
        let rows = self.rows.range(from..=to)?;
        Ok(rows.map(|entry| {
            let (id, row) = entry?;
            Ok((id.value(), Row::read(id.value(), row.value())))
        }))
    }

    /// Letters with this tag and these numbers.
    pub(super) fn tagged(&self, tag: Tag, by: u64, from: u64, to: u64) -> Io<Ids<'_>> {
        let tag = tag as u8;
        let entries = self.index.range((tag, by, from)..=(tag, by, to))?;
        Ok(Box::new(entries.map(|entry| Ok(entry?.0.value().2))))
    }

    /// Letters with this tag, by what they are ordered by, up to `until`.
    pub(super) fn tagged_until(&self, tag: Tag, until: u64) -> Io<impl Iterator<Item = Io<(u64, u64)>> + '_> {
        let tag = tag as u8;
        let entries = self.index.range((tag, 0, 0)..=(tag, until, u64::MAX))?;
        Ok(entries.map(|entry| {
            let (_, by, id) = entry?.0.value();
            Ok((by, id))
        }))
    }

    /// Letters of one group with these numbers.
    pub(super) fn of_group(&self, fingerprint: u64, from: u64, to: u64) -> Io<Ids<'_>> {
        let entries = self.groups.range((fingerprint, from)..=(fingerprint, to))?;
        Ok(Box::new(entries.map(|entry| Ok(entry?.0.value().1))))
    }

    /// All letters by their groups: fingerprint, number, when it died, whether it is put aside.
    pub(super) fn grouped(&self) -> Io<impl Iterator<Item = Io<(u64, u64, Moment, bool)>> + '_> {
        let entries = self.groups.range((0, 0)..)?;
        Ok(entries.map(|entry| {
            let (key, entry) = entry?;
            let ((fingerprint, id), entry) = (key.value(), entry.value());
            let (died, aside) = entry.split_at(Moment::BYTES);
            Ok((fingerprint, id, Moment::read(died), aside != [0]))
        }))
    }
}
