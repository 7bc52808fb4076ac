//! A queue that looks at every letter for everything: too simple to be wrong.

use std::time::Duration;

use crate::dead_letter::{
    DeadLetter, LeaseToken, LetterFilter, LetterId, LetterState, MAX_UNSETTLED, PushErrorKind, QueueStats,
    SettleError, Settled, Settlement, WhenFull,
};
use crate::testing::conformance::under_test::Settings;
use crate::testing::conformance::world::recount;

pub(super) struct Model {
    pub(super) settings: Settings,
    /// Since the beginning.
    now: Duration,
    entries: Vec<Entry>,
    totals: QueueStats,
}

struct Entry {
    letter: DeadLetter,
    expires: Option<Duration>,
    lease: Option<Lease>,
}

#[derive(Clone, Copy)]
struct Lease {
    token: LeaseToken,
    until: Duration,
    was_quarantined: bool,
}

impl Entry {
    fn is_free(&self) -> bool {
        self.lease.is_none()
    }

    fn give_back(&mut self, quarantined: bool) -> Settled {
        self.lease = None;
        self.letter.state = if quarantined { LetterState::Quarantined } else { LetterState::Ready };
        if quarantined { Settled::Quarantined } else { Settled::Released }
    }
}

impl Model {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, now: Duration::ZERO, entries: Vec::new(), totals: QueueStats::default() }
    }

    pub(super) fn letters(&self) -> Vec<DeadLetter> {
        self.entries.iter().map(|entry| entry.letter.clone()).collect()
    }

    pub(super) fn stats(&self) -> QueueStats {
        recount(&self.letters(), &self.totals)
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        for entry in &mut self.entries {
            if let Some(lease) = entry.lease.filter(|lease| lease.until <= now) {
                entry.letter.unsettled += 1;
                entry.give_back(lease.was_quarantined || entry.letter.unsettled >= MAX_UNSETTLED);
            }
        }
        self.expire();
    }

    fn expire(&mut self) {
        let (before, now) = (self.entries.len(), self.now);
        let over = |entry: &Entry| {
            entry.letter.state == LetterState::Ready && entry.expires.is_some_and(|at| at <= now)
        };
        self.entries.retain(|entry| !over(entry));
        self.totals.expired += (before - self.entries.len()) as u64;
    }

    /// Whether there is room, and who has to go for it.
    pub(super) fn room(&self) -> Result<Vec<LetterId>, PushErrorKind> {
        if self.entries.len() < self.settings.capacity {
            return Ok(Vec::new());
        }
        let oldest = self.entries.iter().find(|entry| entry.letter.state == LetterState::Ready);
        match (self.settings.when_full, oldest) {
            (WhenFull::DropOldest, Some(oldest)) => Ok(vec![oldest.letter.id]),
            _ => Err(PushErrorKind::Full),
        }
    }

    /// The queue took it, under this number.
    pub(super) fn push(&mut self, mut letter: DeadLetter, id: LetterId, evicted: &[LetterId]) {
        self.entries.retain(|entry| !evicted.contains(&entry.letter.id));
        self.totals.evicted += evicted.len() as u64;
        self.totals.pushed += 1;
        letter.id = id;
        let expires = self.expires();
        self.entries.push(Entry { letter, expires, lease: None });
    }

    fn expires(&self) -> Option<Duration> {
        self.settings.time_to_live.map(|time| self.now + time)
    }

    /// The letters that a lease must give out, as they are once it has.
    pub(super) fn lease(&mut self, filter: &LetterFilter, limit: usize) -> Vec<DeadLetter> {
        let free = self.entries.iter_mut().filter(|entry| entry.is_free() && filter.matches(&entry.letter));
        let lent = free.take(limit).map(|entry| {
            let mut letter = entry.letter.clone();
            (letter.deliveries, letter.state) = (letter.deliveries + 1, LetterState::Leased);
            letter
        });
        lent.collect()
    }

    /// The queue gave it out under this token.
    pub(super) fn lent(&mut self, letter: DeadLetter, token: LeaseToken, time: Duration) {
        let until = self.now + time;
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.letter.id == letter.id) {
            let was_quarantined = entry.letter.state == LetterState::Quarantined;
            entry.lease = Some(Lease { token, until, was_quarantined });
            entry.letter = letter;
        }
    }

    pub(super) fn settle(&mut self, token: LeaseToken, how: Settlement) -> Result<Settled, SettleError> {
        let at = self.entries.iter().position(|entry| entry.letter.id == token.letter());
        let at = at.ok_or(SettleError::Gone)?;
        let (now, allowed) = (self.now, self.settings.quarantine_after);
        let entry = &mut self.entries[at];
        let Some(lease) = entry.lease.filter(|lease| lease.token == token) else {
            return Err(SettleError::Fenced);
        };
        let settled = match how {
            Settlement::Delivered => {
                self.entries.remove(at);
                self.totals.delivered += 1;
                Settled::Removed
            }
            Settlement::Extend(time) => {
                entry.lease = Some(Lease { until: now + time, ..lease });
                Settled::Extended
            }
            Settlement::Quarantine => entry.give_back(true),
            Settlement::Release { failed, redriven } => {
                if let Some(failed) = failed {
                    entry.letter.record(*failed);
                }
                entry.letter.redrives += u32::from(redriven);
                entry.give_back(lease.was_quarantined || entry.letter.redrives >= allowed)
            }
        };
        self.expire(); // it may have outlived its time meanwhile
        Ok(settled)
    }

    pub(super) fn quarantine(&mut self, filter: &LetterFilter) -> u64 {
        let ready = |entry: &&mut Entry| entry.letter.state == LetterState::Ready;
        let meant = self.entries.iter_mut().filter(ready).filter(|entry| filter.matches(&entry.letter));
        meant.map(|entry| entry.give_back(true)).count() as u64
    }

    pub(super) fn reinstate(&mut self, filter: &LetterFilter) -> u64 {
        let (expires, filter) = (self.expires(), filter.clone().state(LetterState::Quarantined));
        let meant = self.entries.iter_mut().filter(|entry| filter.matches(&entry.letter));
        let renewed = meant.map(|entry| {
            (entry.letter.redrives, entry.letter.unsettled, entry.expires) = (0, 0, expires);
            entry.give_back(false)
        });
        renewed.count() as u64
    }

    pub(super) fn discard(&mut self, filter: &LetterFilter) -> u64 {
        let before = self.entries.len();
        self.entries.retain(|entry| !filter.matches(&entry.letter));
        let removed = (before - self.entries.len()) as u64;
        self.totals.discarded += removed;
        removed
    }
}
