//! What a queue must hold, kept by hand.

use std::collections::BTreeMap;

use recoup::{LeaseToken, LetterState, MAX_UNSETTLED, Settled};

use crate::jobs;
use crate::picture::{Entry, Picture};

/// How long the letters of a series live, in seconds of its clock.
pub(crate) const TIME_TO_LIVE: u64 = 15_000;
/// After so many failed redrives a letter is put aside.
pub(crate) const QUARANTINE_AFTER: u32 = 2;

/// One letter as it must be.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    entry: Entry,
    lease: Option<Lease>,
    expires: u64,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    fence: u64,
    until: u64,
    was_quarantined: bool,
}

/// All letters as they must be. The time is told in whole seconds; whoever tells it stays away from the moments
/// at which something runs out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    lines: BTreeMap<u64, Line>,
    pushed: u64,
    delivered: u64,
    expired: u64,
    discarded: u64,
}

impl Books {
    /// What must be seen at this moment.
    pub(crate) fn picture(&self, now: u64) -> Picture {
        let mut books = self.clone();
        books.sweep(now);
        Picture {
            letters: books.lines.into_iter().map(|(id, line)| (id, line.entry)).collect(),
            pushed: books.pushed,
            delivered: books.delivered,
            expired: books.expired,
            discarded: books.discarded,
        }
    }

    /// What runs out by this moment, runs out. Leases first.
    pub(crate) fn sweep(&mut self, now: u64) {
        for line in self.lines.values_mut() {
            if let Some(lease) = line.lease.take_if(|lease| lease.until <= now) {
                line.entry.unsettled += 1;
                let aside = lease.was_quarantined || line.entry.unsettled >= MAX_UNSETTLED;
                line.entry.state = if aside { LetterState::Quarantined } else { LetterState::Ready };
            }
        }
        let before = self.lines.len();
        self.lines.retain(|_, line| line.entry.state != LetterState::Ready || line.expires > now);
        self.expired += u64::try_from(before - self.lines.len()).unwrap();
    }

    pub(crate) fn push(&mut self, id: u64, job: u64, now: u64) {
        let entry =
            Entry { job, state: LetterState::Ready, deliveries: 0, redrives: 0, unsettled: 0, attempts: 1 };
        self.lines.insert(id, Line { entry, lease: None, expires: now + TIME_TO_LIVE });
        self.pushed += 1;
    }

    pub(crate) fn lease(&mut self, token: LeaseToken, until: u64) {
        let line = self.lines.get_mut(&token.letter().get()).unwrap();
        let was_quarantined = line.entry.state == LetterState::Quarantined;
        line.lease = Some(Lease { fence: token.fence(), until, was_quarantined });
        line.entry.state = LetterState::Leased;
        line.entry.deliveries += 1;
    }

    /// The line of a lease, if it lives.
    fn leased(&mut self, token: LeaseToken) -> Option<&mut Line> {
        let line = self.lines.get_mut(&token.letter().get())?;
        line.lease.is_some_and(|lease| lease.fence == token.fence()).then_some(line)
    }

    /// Whether the lease lives.
    pub(crate) fn lives(&self, token: LeaseToken) -> bool {
        let line = self.lines.get(&token.letter().get());
        line.and_then(|line| line.lease).is_some_and(|lease| lease.fence == token.fence())
    }

    pub(crate) fn deliver(&mut self, token: LeaseToken) {
        self.leased(token).unwrap();
        self.lines.remove(&token.letter().get());
        self.delivered += 1;
    }

    pub(crate) fn release(&mut self, token: LeaseToken, redriven: bool) -> Settled {
        let line = self.leased(token).unwrap();
        let lease = line.lease.take().unwrap();
        if redriven {
            line.entry.redrives += 1;
            line.entry.attempts += 1;
        }
        let aside = lease.was_quarantined || line.entry.redrives >= QUARANTINE_AFTER;
        line.entry.state = if aside { LetterState::Quarantined } else { LetterState::Ready };
        if aside { Settled::Quarantined } else { Settled::Released }
    }

    pub(crate) fn put_aside(&mut self, token: LeaseToken) {
        let line = self.leased(token).unwrap();
        line.lease = None;
        line.entry.state = LetterState::Quarantined;
    }

    pub(crate) fn extend(&mut self, token: LeaseToken, until: u64) {
        let line = self.leased(token).unwrap();
        line.lease.as_mut().unwrap().until = until;
    }

    pub(crate) fn attempts(&self, id: u64) -> u32 {
        self.lines[&id].entry.attempts
    }

    /// Every letter to this place that is ready is put aside.
    pub(crate) fn quarantine(&mut self, destination: &str) -> u64 {
        let chosen = self.chosen(destination, |state| state == LetterState::Ready);
        for id in &chosen {
            self.lines.get_mut(id).unwrap().entry.state = LetterState::Quarantined;
        }
        u64::try_from(chosen.len()).unwrap()
    }

    /// Every letter to this place that was put aside is ready again.
    pub(crate) fn reinstate(&mut self, destination: &str, now: u64) -> u64 {
        let chosen = self.chosen(destination, |state| state == LetterState::Quarantined);
        for id in &chosen {
            let line = self.lines.get_mut(id).unwrap();
            line.entry.state = LetterState::Ready;
            (line.entry.redrives, line.entry.unsettled) = (0, 0);
            line.expires = now + TIME_TO_LIVE;
        }
        u64::try_from(chosen.len()).unwrap()
    }

    /// Every letter to this place that was not put aside is removed.
    pub(crate) fn discard(&mut self, destination: &str) -> u64 {
        let chosen = self.chosen(destination, |state| state != LetterState::Quarantined);
        for id in &chosen {
            self.lines.remove(id);
        }
        let count = u64::try_from(chosen.len()).unwrap();
        self.discarded += count;
        count
    }

    /// A letter that is not leased makes room for another.
    pub(crate) fn replace(&mut self, old: u64, id: u64, job: u64, now: u64) {
        self.lines.remove(&old).unwrap();
        self.discarded += 1;
        self.push(id, job, now);
    }

    /// A letter that nobody works on.
    pub(crate) fn free(&self) -> Option<u64> {
        self.lines.iter().find(|(_, line)| line.lease.is_none()).map(|(id, _)| *id)
    }

    /// The greatest number among the letters.
    pub(crate) fn last(&self) -> u64 {
        self.lines.keys().last().copied().unwrap_or(0)
    }

    pub(crate) fn held(&self) -> usize {
        self.lines.len()
    }

    fn chosen(&self, destination: &str, means: impl Fn(LetterState) -> bool) -> Vec<u64> {
        let is_chosen =
            |line: &Line| jobs::destination(line.entry.job) == destination && means(line.entry.state);
        self.lines.iter().filter(|(_, line)| is_chosen(line)).map(|(id, _)| *id).collect()
    }
}
