//! Destinations by number, and how many letters are held for each.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use redb::ReadableTable as _;

use super::fault::Io;
use super::numbers::Numbers;
use super::tables::{Access, Tables, Writing};

/// What one transaction has learned and changed of destinations. Written once, at its end.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    by_name: BTreeMap<String, u64>,
    held: BTreeMap<u64, (u64, String)>,
}

impl Destinations {
    /// The number of a destination; zero for none.
    pub(super) fn number(
        &mut self,
        name: Option<&str>,
        tables: &Tables<Writing<'_>>,
        numbers: &mut Numbers,
    ) -> Io<u64> {
        let Some(name) = name else { return Ok(0) };
        if let Some(&number) = self.by_name.get(name) {
            return Ok(number);
        }
        let known = tables.names.get(name)?.map(|number| number.value());
        let number = known.unwrap_or_else(|| {
            numbers.last_destination += 1;
            self.held.insert(numbers.last_destination, (0, name.to_owned()));
            numbers.last_destination
        });
        self.by_name.insert(name.to_owned(), number);
        Ok(number)
    }

    /// Counts a letter more or less for a destination.
    pub(super) fn count(&mut self, number: u64, more: bool, tables: &Tables<Writing<'_>>) -> Io<()> {
        if number == 0 {
            return Ok(());
        }
        let (count, _) = match self.held.entry(number) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(room) => {
                let Some(found) = tables.destinations.get(number)? else { return Ok(()) };
                let (count, name) = found.value();
                room.insert((count, name.to_owned()))
            }
        };
        *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        Ok(())
    }

    /// Writes down what changed. A destination that has no letters any more is forgotten.
    pub(super) fn write(self, tables: &mut Tables<Writing<'_>>) -> Io<()> {
        for (number, (count, name)) in self.held {
            if count == 0 {
                tables.destinations.remove(number)?;
                tables.names.remove(&*name)?;
            } else {
                tables.destinations.insert(number, (count, &*name))?;
                tables.names.insert(&*name, number)?;
            }
        }
        Ok(())
    }
}

/// Letters held for each destination.
pub(super) fn counts<A: Access>(tables: &Tables<A>) -> Io<BTreeMap<String, u64>> {
    let entries = tables.destinations.range::<u64>(..)?;
    entries
        .map(|entry| {
            let entry = entry?.1;
            let (count, name) = entry.value();
            Ok((name.to_owned(), count))
        })
        .collect()
}
