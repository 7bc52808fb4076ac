//! The numbers about a queue, kept in the same transaction as what they count.

use std::collections::BTreeMap;

use super::fault::{Fault, Io};
use super::moment::Moment;
use super::row::State;
use super::tables::{Access, Tables, Writing};
use crate::dead_letter::QueueStats;

/// Under this name the numbers lie in the header.
const NAME: &str = "numbers";

/// When the letter died that has been dead longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Oldest {
    /// There is none.
    #[default]
    Nothing,
    At(Moment),
    /// It went: whoever asks has to look.
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) last_id: u64,
    pub(super) last_fence: u64,
    pub(super) last_act: u64,
    pub(super) last_destination: u64,
    /// The latest time at which the store was used.
    pub(super) high_water: u64,
    pub(super) ready: u64,
    pub(super) leased: u64,
    pub(super) quarantined: u64,
    pub(super) damaged: u64,
    pub(super) bytes: u64,
    pub(super) pushed: u64,
    pub(super) delivered: u64,
    pub(super) evicted: u64,
    pub(super) expired: u64,
    pub(super) discarded: u64,
    pub(super) oldest: Oldest,
}

impl Numbers {
    pub(super) const fn held(&self) -> u64 {
        self.ready + self.leased + self.quarantined
    }

    /// Counts a letter more or less in this state.
    pub(super) fn count(&mut self, state: State, more: bool) {
        let counts: &mut [&mut u64] = match state {
            State::Ready => &mut [&mut self.ready],
            State::Leased => &mut [&mut self.leased],
            State::Quarantined => &mut [&mut self.quarantined],
            State::Damaged => &mut [&mut self.quarantined, &mut self.damaged],
        };
        for count in counts {
            // A count that damage has made too small stays at zero.
            **count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        }
    }

    /// A letter came that died then.
    pub(super) fn came(&mut self, died: Moment) {
        self.oldest = match self.oldest {
            Oldest::Nothing => Oldest::At(died),
            Oldest::At(oldest) => Oldest::At(oldest.min(died)),
            Oldest::Unknown => Oldest::Unknown,
        };
    }

    /// A letter went that died then, and is not counted any more.
    pub(super) fn went(&mut self, died: Moment) {
        self.oldest = match self.oldest {
            _ if self.held() == 0 => Oldest::Nothing,
            Oldest::At(oldest) if died > oldest => Oldest::At(oldest),
            _ => Oldest::Unknown,
        };
    }

    const fn all(&mut self) -> [&mut u64; 15] {
        [
            &mut self.last_id,
            &mut self.last_fence,
            &mut self.last_act,
            &mut self.last_destination,
            &mut self.high_water,
            &mut self.ready,
            &mut self.leased,
            &mut self.quarantined,
            &mut self.damaged,
            &mut self.bytes,
            &mut self.pushed,
            &mut self.delivered,
            &mut self.evicted,
            &mut self.expired,
            &mut self.discarded,
        ]
    }

    pub(super) fn read<A: Access>(tables: &Tables<A>) -> Io<Self> {
        use redb::ReadableTable as _;

        let damaged = || Fault::new("the numbers of the queue are damaged");
        let row = tables.header.get(NAME)?.ok_or_else(damaged)?;
        let (rest, crc) = row.value().split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        let (mut numbers, mut rest) = (Self::default(), rest);
        for number in numbers.all() {
            let (first, after) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
            (*number, rest) = (u64::from_le_bytes(*first), after);
        }
        numbers.oldest = match rest.split_first().ok_or_else(damaged)? {
            (0, _) => Oldest::Nothing,
            (1, died) => Oldest::At(Moment::read(died)),
            _ => Oldest::Unknown,
        };
        Ok(numbers)
    }

    pub(super) fn write(mut self, tables: &mut Tables<Writing<'_>>) -> Io<()> {
        let mut row = Vec::with_capacity(15 * 8 + 1 + Moment::BYTES + 4);
        for number in self.all() {
            row.extend(number.to_le_bytes());
        }
        let (kind, died) = match self.oldest {
            Oldest::Nothing => (0, Moment::default()),
            Oldest::At(died) => (1, died),
            Oldest::Unknown => (2, Moment::default()),
        };
        row.push(kind);
        row.extend(died.written());
        row.extend(crc32fast::hash(&row).to_le_bytes());
        tables.header.insert(NAME, &*row)?;
        Ok(())
    }

    /// As a user sees them.
    pub(super) fn seen(&self, oldest: Option<Moment>, by_destination: BTreeMap<String, u64>) -> QueueStats {
        QueueStats {
            ready: self.ready,
            leased: self.leased,
            quarantined: self.quarantined,
            damaged: self.damaged,
            bytes: self.bytes,
            oldest: oldest.map(Moment::get),
            by_destination,
            pushed: self.pushed,
            delivered: self.delivered,
            evicted: self.evicted,
            expired: self.expired,
            discarded: self.discarded,
        }
    }
}
