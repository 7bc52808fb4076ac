//! Every way in which letters come, go and change their state, within one transaction.

use redb::ReadableTable as _;

use super::clock::nanos;
use super::destinations::Destinations;
use super::fault::{Fault, Io};
use super::find::Found;
use super::numbers::Numbers;
use super::prepared::Prepared;
use super::row::{Row, State};
use super::rules::Rules;
use super::tables::{Access, Tables, Tag, Writing};
use crate::dead_letter::{LetterId, Loss, Origin, PushErrorKind, Receipt, WhenFull};

/// So long it is remembered of a letter from elsewhere that is gone, if letters are kept for ever: 14 days.
const REMEMBERED: u64 = 14 * 24 * 60 * 60 * 1_000_000_000;

/// What is done in one transaction.
pub(super) struct Ledger<'a, 't> {
    pub(super) tables: &'a mut Tables<Writing<'t>>,
    pub(super) numbers: &'a mut Numbers,
    pub(super) destinations: &'a mut Destinations,
    pub(super) rules: &'a Rules,
    /// The letters that the queue let go of, if somebody wants to know.
    pub(super) lost: Option<&'a mut Vec<(Found, Loss)>>,
    /// The present moment, by the clock of the store.
    pub(super) now: u64,
}

impl<A: Access> Tables<A> {
    /// When the first lease ends or the first letter expires.
    pub(super) fn due(&self, rules: &Rules) -> Io<u64> {
        let first =
            |tag| Ok::<_, Fault>(self.tagged_until(tag, u64::MAX)?.next().transpose()?.map(|(by, _)| by));
        let expiry = match rules.time_to_live {
            Some(time) => first(Tag::Kept)?.map(|kept| kept.saturating_add(nanos(time))),
            None => None,
        };
        Ok(first(Tag::Lease)?.unwrap_or(u64::MAX).min(expiry.unwrap_or(u64::MAX)))
    }

    /// The latest letter here that was first stored there, held or gone not long ago.
    pub(super) fn known(&self, origin: Origin) -> Io<Option<u64>> {
        Ok(self.origins.get((origin.queue, origin.id.get()))?.map(|id| id.value()))
    }
}

/// Why nothing came of a push.
type Refused = PushErrorKind;

impl Ledger<'_, '_> {
    /// Stores a letter, and removes the one that it replaces.
    pub(super) fn push(
        &mut self,
        letter: &Prepared,
        replaces: Option<(u64, Row)>,
    ) -> Io<Result<Receipt, Refused>> {
        let size = letter.row.size;
        if letter.payload() > self.rules.max_payload
            || size > self.rules.max_bytes
            || letter.name_is_too_long()
        {
            return Ok(Err(Refused::TooLarge));
        }
        let (Some(id), Some(evicted)) =
            (self.numbers.last_id.checked_add(1), self.room_for(size, replaces.as_ref())?)
        else {
            return Ok(Err(Refused::Full));
        };
        if let Some((old, row)) = replaces {
            self.numbers.discarded += 1;
            self.remove(old, &row)?;
        }
        for &(old, row) in &evicted {
            self.lose(old, row, Loss::Evicted)?;
        }
        self.numbers.last_id = id;
        self.numbers.pushed += 1;
        self.insert(id, letter)?;
        let mut receipt = Receipt::new(LetterId::new(id));
        receipt.evicted = evicted.into_iter().map(|(old, _)| LetterId::new(old)).collect();
        Ok(Ok(receipt))
    }

    fn insert(&mut self, id: u64, letter: &Prepared) -> Io<()> {
        let mut row = letter.row;
        let destination = letter.letter.destination.as_deref();
        row.destination = self.destinations.number(destination, self.tables, self.numbers)?;
        row.kept = self.now;
        self.destinations.count(row.destination, true, self.tables)?;
        self.tables.bodies.insert(id, &*letter.body)?;
        self.tables.stories.insert(id, &*letter.story)?;
        self.tables.put_row(id, &row)?;
        self.tables.put_group(id, &row)?;
        self.tables.enter(Tag::Ready, 0, id)?;
        self.tables.enter(Tag::Kept, row.kept, id)?;
        if row.destination != 0 {
            self.tables.enter(Tag::Destination, row.destination, id)?;
        }
        if let Some(origin) = letter.letter.origin {
            self.tables.origins.insert((origin.queue, origin.id.get()), id)?;
            self.tables.comes_from.insert(id, (origin.queue, origin.id.get()))?;
        }
        self.numbers.bytes += row.size;
        self.numbers.count(State::Ready, true);
        self.numbers.came(row.died);
        Ok(())
    }

    /// What has to be evicted for one more letter to fit; `None` if that would not be enough or not allowed.
    fn room_for(&mut self, size: u64, replaces: Option<&(u64, Row)>) -> Io<Option<Vec<(u64, Row)>>> {
        let (mut held, mut bytes) = (self.numbers.held(), self.numbers.bytes);
        let left_out = replaces.map(|&(id, row)| {
            (held, bytes) = (held.saturating_sub(1), bytes.saturating_sub(row.size));
            id
        });
        let mut evicted = Vec::new();
        let too_much = |held, bytes: u64| {
            held >= self.rules.capacity || bytes.saturating_add(size) > self.rules.max_bytes
        };
        if !too_much(held, bytes) {
            return Ok(Some(evicted));
        }
        if self.rules.when_full != WhenFull::DropOldest {
            return Ok(None);
        }
        for id in self.tables.tagged(Tag::Ready, 0, 0, u64::MAX)? {
            let id = id?;
            if Some(id) == left_out {
                continue;
            }
            let Some(row) = self.tables.row(id)? else { continue };
            (held, bytes) = (held.saturating_sub(1), bytes.saturating_sub(row.size));
            evicted.push((id, row));
            if !too_much(held, bytes) {
                return Ok(Some(evicted));
            }
        }
        Ok(None)
    }

    /// Lets a letter go, and keeps it for those who want to know.
    pub(super) fn lose(&mut self, id: u64, row: Row, loss: Loss) -> Io<()> {
        match loss {
            Loss::Evicted => self.numbers.evicted += 1,
            Loss::Expired => self.numbers.expired += 1,
        }
        if let Some(lost) = &mut self.lost {
            lost.push((self.tables.found(id, row)?, loss));
        }
        self.remove(id, &row)
    }

    /// Removes all that there is of a letter.
    pub(super) fn remove(&mut self, id: u64, row: &Row) -> Io<()> {
        self.tables.bodies.remove(id)?;
        self.tables.stories.remove(id)?;
        self.tables.rows.remove(id)?;
        self.tables.groups.remove((row.fingerprint, id))?;
        match row.state {
            State::Ready => self.tables.leave(Tag::Ready, 0, id)?,
            State::Leased => self.tables.leave(Tag::Lease, row.until, id)?,
            State::Quarantined | State::Damaged => {}
        }
        self.tables.leave(Tag::Kept, row.kept, id)?;
        if row.destination != 0 {
            self.tables.leave(Tag::Destination, row.destination, id)?;
            self.destinations.count(row.destination, false, self.tables)?;
        }
        if row.has_origin {
            self.tables.enter(Tag::Gone, self.now, id)?;
        }
        self.numbers.bytes = self.numbers.bytes.saturating_sub(row.size);
        self.numbers.count(row.state, false);
        self.numbers.went(row.died);
        Ok(())
    }

    /// Brings a letter into another state, or into the same with another lease. `row` is what it was before.
    pub(super) fn change(&mut self, id: u64, row: &Row, to: Row) -> Io<()> {
        let (was_aside, is_aside) = (row.state.is_aside(), to.state.is_aside());
        match row.state {
            State::Ready if to.state != State::Ready => self.tables.leave(Tag::Ready, 0, id)?,
            State::Leased => self.tables.leave(Tag::Lease, row.until, id)?,
            _ => {}
        }
        match to.state {
            State::Ready => {
                self.tables.enter(Tag::Ready, 0, id)?;
                self.tables.enter(Tag::Kept, to.kept, id)?;
            }
            State::Leased => self.tables.enter(Tag::Lease, to.until, id)?,
            State::Quarantined | State::Damaged => self.tables.leave(Tag::Kept, row.kept, id)?,
        }
        if was_aside != is_aside || row.fingerprint != to.fingerprint {
            self.tables.groups.remove((row.fingerprint, id))?;
            self.tables.put_group(id, &to)?;
        }
        if was_aside != is_aside && to.destination != 0 {
            if is_aside {
                self.tables.leave(Tag::Destination, to.destination, id)?;
            } else {
                self.tables.enter(Tag::Destination, to.destination, id)?;
            }
        }
        self.numbers.count(row.state, false);
        self.numbers.count(to.state, true);
        self.numbers.bytes = self.numbers.bytes.saturating_sub(row.size).saturating_add(to.size);
        self.tables.put_row(id, &to)
    }

    /// When the next lease ends or the next letter expires.
    pub(super) fn due(&self) -> Io<u64> {
        self.tables.due(self.rules)
    }

    /// When a letter expires that is kept since then.
    pub(super) fn expiry(&self, kept: u64) -> u64 {
        self.rules.time_to_live.map_or(u64::MAX, |time| kept.saturating_add(nanos(time)))
    }

    /// Since when a letter must have been kept for its time to be over.
    pub(super) fn over(&self) -> Option<u64> {
        self.rules.time_to_live.and_then(|time| self.now.checked_sub(nanos(time)))
    }

    /// Since when a letter must be gone to be forgotten.
    pub(super) fn forgotten(&self) -> Option<u64> {
        self.now.checked_sub(self.rules.time_to_live.map_or(REMEMBERED, nanos))
    }
}
