//! The letters that a memory queue holds, with everything that is derived from them kept in step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::letter::{DeadLetter, LetterId, LetterState};
use crate::dead_letter::memory::origins::Origins;
use crate::dead_letter::settlement::Failed;
use crate::dead_letter::stats::QueueStats;
use crate::time::Instant;

/// Letters by number. What is found by other means follows from them and changes with them.
#[derive(Debug, Default)]
pub(super) struct Slots {
    by_id: BTreeMap<LetterId, Slot>,
    ready: BTreeSet<LetterId>,
    leases: BTreeSet<(Instant, LetterId)>,
    expiries: BTreeSet<(Instant, LetterId)>,
    deaths: BTreeSet<(SystemTime, LetterId)>,
    /// Where the letters held came from, and many of those that are gone.
    pub(super) origins: Origins,
    /// What is held is counted here; the totals are counted by the ledger. `oldest` is not kept: see `stats`.
    pub(super) counts: QueueStats,
}

#[derive(Debug)]
pub(super) struct Slot {
    /// Shared with readers who clone it outside the lock.
    pub(super) letter: Arc<DeadLetter>,
    pub(super) hold: Hold,
    /// When its time is over, which counts only while it is ready.
    expires: Option<Instant>,
}

/// Where a letter stands, and what goes with that.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hold {
    Ready,
    Leased { fence: u64, until: Instant, was_quarantined: bool },
    Quarantined,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: LetterId) -> Option<&Slot> {
        self.by_id.get(&id)
    }

    /// The lease that ends first.
    pub(super) fn next_lease(&self) -> Option<(Instant, LetterId)> {
        self.leases.first().copied()
    }

    /// The ready letter whose time is over first.
    pub(super) fn next_expiry(&self) -> Option<(Instant, LetterId)> {
        self.expiries.first().copied()
    }

    /// The ready letters, oldest first.
    pub(super) fn ready(&self) -> impl Iterator<Item = LetterId> {
        self.ready.iter().copied()
    }

    /// Those that the filter means, ordered by number.
    pub(super) fn meant<'a>(&'a self, filter: &'a LetterFilter) -> impl Iterator<Item = &'a Slot> {
        let slots = filter.ids().into_iter().flat_map(|ids| self.by_id.range(ids));
        slots.map(|(_, slot)| slot).filter(|slot| filter.matches(&slot.letter))
    }

    /// The ready ones that the filter means. Leased and quarantined ones may be many: they are not looked at.
    pub(super) fn ready_and_meant<'a>(&'a self, filter: &'a LetterFilter) -> impl Iterator<Item = &'a Slot> {
        let ready = filter.ids().into_iter().flat_map(|ids| self.ready.range(ids));
        ready.filter_map(|id| self.by_id.get(id)).filter(|slot| filter.matches(&slot.letter))
    }

    pub(super) fn stats(&self) -> QueueStats {
        let oldest = self.deaths.first().map(|&(died_at, _)| died_at);
        QueueStats { oldest, ..self.counts.clone() }
    }

    /// Adds a letter, ready, under the number that it has.
    pub(super) fn insert(&mut self, letter: DeadLetter, expires: Option<Instant>) {
        let id = letter.id;
        if let Some(origin) = letter.origin {
            self.origins.enter(origin);
        }
        if let Some(destination) = &letter.destination {
            *self.counts.by_destination.entry(destination.clone()).or_default() += 1;
        }
        self.deaths.insert((letter.died_at, id));
        self.counts.bytes += letter.size();
        self.by_id.insert(id, Slot { letter: Arc::new(letter), hold: Hold::Ready, expires });
        self.enter(id, Hold::Ready);
    }

    pub(super) fn remove(&mut self, id: LetterId) -> Option<Arc<DeadLetter>> {
        self.leave(id);
        let letter = self.by_id.remove(&id)?.letter;
        if let Some(origin) = letter.origin {
            self.origins.leave(origin);
        }
        self.deaths.remove(&(letter.died_at, id));
        self.counts.bytes -= letter.size();
        if let Some(destination) = &letter.destination
            && let Some(count) = self.counts.by_destination.get_mut(destination)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.by_destination.remove(destination);
            }
        }
        Some(letter)
    }

    pub(super) fn change(&mut self, id: LetterId, hold: Hold) {
        self.leave(id);
        self.enter(id, hold);
    }

    /// Adds to one of a letter's own counts and says what it is then.
    pub(super) fn count(&mut self, id: LetterId, of: fn(&mut DeadLetter) -> &mut u32, more: u32) -> u32 {
        self.by_id.get_mut(&id).map_or(0, |slot| {
            let count = of(Arc::make_mut(&mut slot.letter));
            *count = count.saturating_add(more);
            *count
        })
    }

    /// Writes a failure down on its letter.
    pub(super) fn record(&mut self, id: LetterId, failed: Failed) {
        if let Some(slot) = self.by_id.get_mut(&id) {
            let before = slot.letter.size();
            Arc::make_mut(&mut slot.letter).record(failed);
            self.counts.bytes = self.counts.bytes - before + slot.letter.size();
        }
    }

    /// Makes a letter ready with a fresh allowance and a fresh time to live.
    pub(super) fn renew(&mut self, id: LetterId, expires: Option<Instant>) {
        self.leave(id);
        if let Some(slot) = self.by_id.get_mut(&id) {
            slot.expires = expires;
            let letter = Arc::make_mut(&mut slot.letter);
            (letter.redrives, letter.unsettled) = (0, 0);
        }
        self.enter(id, Hold::Ready);
    }

    fn leave(&mut self, id: LetterId) {
        let Some(slot) = self.by_id.get(&id) else { return };
        match slot.hold {
            Hold::Ready => {
                self.ready.remove(&id);
                self.counts.ready -= 1;
                slot.expires.map(|at| self.expiries.remove(&(at, id)));
            }
            Hold::Leased { until, .. } => {
                self.leases.remove(&(until, id));
                self.counts.leased -= 1;
            }
            Hold::Quarantined => self.counts.quarantined -= 1,
        }
    }

    fn enter(&mut self, id: LetterId, hold: Hold) {
        let Some(slot) = self.by_id.get_mut(&id) else { return };
        slot.hold = hold;
        let state = match hold {
            Hold::Ready => {
                self.ready.insert(id);
                self.counts.ready += 1;
                slot.expires.map(|at| self.expiries.insert((at, id)));
                LetterState::Ready
            }
            Hold::Leased { until, .. } => {
                self.leases.insert((until, id));
                self.counts.leased += 1;
                LetterState::Leased
            }
            Hold::Quarantined => {
                self.counts.quarantined += 1;
                LetterState::Quarantined
            }
        };
        if slot.letter.state != state {
            Arc::make_mut(&mut slot.letter).state = state;
        }
    }
}
