//! The short row of a letter: where it stands, and what is asked of many letters at once.

use crc32fast::Hasher;

use super::moment::Moment;
use crate::classification::Category;
use crate::dead_letter::{DeadLetter, DeadReason, LetterFilter, LetterId, LetterState};

/// Bytes of a row.
pub(super) const ROW: usize = 100;

const CRC: usize = 4;

/// Where a letter stands. The numbers are those in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Ready,
    Leased,
    Quarantined,
    /// It cannot be read any more. To the outside it is quarantined, and nothing makes it ready.
    Damaged,
}

impl State {
    const ALL: [Self; 4] = [Self::Ready, Self::Leased, Self::Quarantined, Self::Damaged];

    pub(super) const fn is_aside(self) -> bool {
        matches!(self, Self::Quarantined | Self::Damaged)
    }

    pub(super) const fn seen(self) -> LetterState {
        match self {
            Self::Ready => LetterState::Ready,
            Self::Leased => LetterState::Leased,
            Self::Quarantined | Self::Damaged => LetterState::Quarantined,
        }
    }
}

/// The row of a letter. Times are those of [`Clock`](super::clock::Clock).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) state: State,
    /// It was quarantined when it was leased, and will be again.
    pub(super) was_quarantined: bool,
    /// It cannot be read itself: what it says is nothing. Not written down.
    pub(super) unreadable: bool,
    /// It was brought in from another queue.
    pub(super) has_origin: bool,
    pub(super) deliveries: u32,
    pub(super) redrives: u32,
    pub(super) unsettled: u32,
    /// Of the latest lease.
    pub(super) fence: u64,
    /// When the lease ends.
    pub(super) until: u64,
    /// When it was stored or last reinstated.
    pub(super) kept: u64,
    pub(super) size: u64,
    pub(super) died: Moment,
    pub(super) fingerprint: u64,
    /// The number of its destination; zero for none.
    pub(super) destination: u64,
    /// Sums of what filters ask for: most letters that are not meant are seen to be so without being opened.
    pub(super) sums: [u32; 5],
}

impl Row {
    /// The row of a letter that is new. Its destination is not filled in.
    pub(super) fn of(letter: &DeadLetter) -> Self {
        let mut row = Self { has_origin: letter.origin.is_some(), ..Self::default() };
        row.tell(letter);
        row
    }

    /// Takes over what the letter says of how its call failed.
    pub(super) fn tell(&mut self, letter: &DeadLetter) {
        self.size = letter.size();
        self.died = Moment::of(letter.died_at);
        self.fingerprint = letter.fingerprint().get();
        self.sums = [
            sum(letter.category.map(Category::name)),
            sum(Some(letter.reason.name())),
            sum(Some(&letter.operation)),
            sum(letter.tenant.as_deref()),
            sum(letter.idempotency_key.as_deref()),
        ];
    }

    /// Writes into the letter what the queue itself counts.
    pub(super) fn fill(&self, id: u64, letter: &mut DeadLetter) {
        letter.id = LetterId::new(id);
        letter.state = self.state.seen();
        letter.deliveries = self.deliveries;
        letter.redrives = self.redrives;
        letter.unsettled = self.unsettled;
    }

    /// Whether the filter can mean this letter. If it can, the letter has to be asked itself.
    pub(super) fn may_be_meant(&self, filter: &LetterFilter) -> bool {
        let wanted = [
            filter.category.map(Category::name),
            filter.reason.map(DeadReason::name),
            filter.operation.as_deref(),
            filter.tenant.as_deref(),
            filter.idempotency_key.as_deref(),
        ];
        filter.means(self.state.seen())
            && filter.fingerprint.is_none_or(|fingerprint| fingerprint.get() == self.fingerprint)
            && filter.died_since.is_none_or(|since| self.died >= Moment::of(since))
            && filter.died_before.is_none_or(|before| self.died < Moment::of(before))
            && wanted.iter().zip(self.sums).all(|(wanted, had)| wanted.is_none() || sum(*wanted) == had)
    }

    pub(super) fn written(&self, id: u64) -> [u8; ROW] {
        let mut row = [0; ROW];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            row[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&[self.state as u8, u8::from(self.was_quarantined), u8::from(self.has_origin), 0]);
        for count in [self.deliveries, self.redrives, self.unsettled] {
            put(&count.to_le_bytes());
        }
        for number in [self.fence, self.until, self.kept, self.size, self.fingerprint, self.destination] {
            put(&number.to_le_bytes());
        }
        put(&self.died.written());
        for sum in self.sums {
            put(&sum.to_le_bytes());
        }
        let crc = checksum(id, &row[..ROW - CRC]);
        row[ROW - CRC..].copy_from_slice(&crc.to_le_bytes());
        row
    }

    /// The row that was written. A damaged one is of a letter that is put aside, and says nothing else.
    pub(super) fn read(id: u64, row: &[u8; ROW]) -> Self {
        Self::understood(id, row).unwrap_or(Self {
            state: State::Damaged,
            unreadable: true,
            ..Self::default()
        })
    }

    fn understood(id: u64, row: &[u8; ROW]) -> Option<Self> {
        let (rest, crc) = row.split_last_chunk::<CRC>()?;
        if checksum(id, rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (&[state, was_quarantined, has_origin, _], mut rest) = rest.split_first_chunk::<4>()?;
        let mut read = Self {
            state: *State::ALL.get(usize::from(state))?,
            was_quarantined: was_quarantined != 0,
            has_origin: has_origin != 0,
            ..Self::default()
        };
        for count in [&mut read.deliveries, &mut read.redrives, &mut read.unsettled] {
            *count = u32::from_le_bytes(*take(&mut rest)?);
        }
        let numbers = [
            &mut read.fence,
            &mut read.until,
            &mut read.kept,
            &mut read.size,
            &mut read.fingerprint,
            &mut read.destination,
        ];
        for number in numbers {
            *number = u64::from_le_bytes(*take(&mut rest)?);
        }
        read.died = Moment::read(take::<{ Moment::BYTES }>(&mut rest)?);
        for sum in &mut read.sums {
            *sum = u32::from_le_bytes(*take(&mut rest)?);
        }
        Some(read)
    }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(first)
}

/// Of the number too: a row in another's place is a damaged one.
fn checksum(id: u64, row: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&id.to_le_bytes());
    hasher.update(row);
    hasher.finalize()
}

/// Tells texts apart, most of the time.
fn sum(text: Option<&str>) -> u32 {
    text.map_or(0, |text| crc32fast::hash(text.as_bytes()).max(1))
}
