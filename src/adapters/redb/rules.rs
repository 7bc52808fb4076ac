//! The settings of a queue in a file.

use std::time::Duration;

use redb::ReadableTable as _;

use super::fault::Io;
use super::tables::{Access, Tables, Writing};
use crate::dead_letter::WhenFull;
use crate::setting::{Check, SettingError};

/// Under this name the header has the rules of the file's owner.
const NAME: &str = "rules";

/// Whose rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Holder {
    /// Who opens the file: they are written into it.
    #[default]
    Owner,
    /// Who opened it last as an owner. After so many redrives that failed a letter is quarantined, if that was said.
    Guest(Option<u32>),
    /// It was agreed when the file was opened first.
    Agreed,
}

/// What a letter's names may be long, each.
pub(super) const MAX_NAME: usize = 4096;

#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) capacity: u64,
    pub(super) max_bytes: u64,
    pub(super) max_payload: usize,
    pub(super) when_full: WhenFull,
    pub(super) time_to_live: Option<Duration>,
    pub(super) quarantine_after: u32,
    pub(super) holder: Holder,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            max_bytes: 256 << 20,
            max_payload: 1 << 20,
            when_full: WhenFull::Refuse,
            time_to_live: Some(Duration::from_secs(14 * 24 * 60 * 60)),
            quarantine_after: 3,
            holder: Holder::Owner,
        }
    }
}

impl Rules {
    /// Writes the rules of an owner into the file, and gives a guest those that are there.
    pub(super) fn agreed(self, tables: &mut Tables<Writing<'_>>) -> Io<Self> {
        let holder = Holder::Agreed;
        match self.holder {
            Holder::Owner => {
                tables.header.insert(NAME, &*self.written())?;
                Ok(Self { holder, ..self })
            }
            Holder::Agreed => Ok(self),
            Holder::Guest(said) => {
                let known = Self::known(tables)?.unwrap_or(self);
                let quarantine_after = said.unwrap_or(known.quarantine_after);
                // It is not for a guest to let anything go.
                Ok(Self {
                    quarantine_after,
                    when_full: WhenFull::Refuse,
                    time_to_live: None,
                    holder,
                    ..known
                })
            }
        }
    }

    /// The rules of the owner, if there are any that can be read.
    pub(super) fn known<A: Access>(tables: &Tables<A>) -> Io<Option<Self>> {
        Ok(tables.header.get(NAME)?.and_then(|rules| Self::read(rules.value())))
    }

    fn written(&self) -> Vec<u8> {
        let time =
            self.time_to_live.map_or(u64::MAX, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let numbers =
            [self.capacity, self.max_bytes, wide(self.max_payload), time, self.quarantine_after.into()];
        let mut row: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        row.extend(crc32fast::hash(&row).to_le_bytes());
        row
    }

    fn read(row: &[u8]) -> Option<Self> {
        let (rest, crc) = row.split_last_chunk::<4>()?;
        let known = (crc32fast::hash(rest) == u32::from_le_bytes(*crc)).then_some(rest)?;
        let mut numbers =
            known.chunks_exact(8).filter_map(|number| number.try_into().ok().map(u64::from_le_bytes));
        Some(Self {
            capacity: numbers.next()?,
            max_bytes: numbers.next()?,
            max_payload: usize::try_from(numbers.next()?).ok()?,
            time_to_live: Some(numbers.next()?).filter(|time| *time != u64::MAX).map(Duration::from_millis),
            quarantine_after: u32::try_from(numbers.next()?).ok()?,
            when_full: WhenFull::Refuse,
            holder: Holder::Owner,
        })
    }

    pub(super) fn check(&self, check: Check) -> Result<(), SettingError> {
        check.at_least_one("capacity", self.capacity)?;
        check.at_least_one("max_bytes", self.max_bytes)?;
        check.at_least_one("quarantine_after", self.quarantine_after)?;
        self.when_full.check(check)?;
        self.time_to_live.map_or(Ok(()), |time| check.longer_than_zero("time_to_live", time))
    }
}

/// A count or size in the width of the numbers that users see.
pub(super) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_were_written_or_not_at_all() {
        let all = [
            Rules::default(),
            Rules {
                capacity: u64::MAX,
                max_bytes: 1,
                max_payload: 0,
                time_to_live: None,
                ..Rules::default()
            },
            Rules {
                time_to_live: Some(Duration::from_millis(1)),
                quarantine_after: u32::MAX,
                ..Rules::default()
            },
        ];
        for rules in all {
            let row = rules.written();
            assert_eq!(format!("{:?}", Rules::read(&row)), format!("{:?}", Some(rules)));
            for bit in 0..row.len() * 8 {
                let mut flipped = row.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Rules::read(&flipped).is_none());
            }
            assert!((0..row.len()).all(|length| Rules::read(&row[..length]).is_none()));
        }
    }
}
