//! Every way in which the letters of a memory queue change, with the time as a parameter.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::dead_letter::by_hand::{Act, ByHand, Deed};
use crate::dead_letter::error::{PushError, PushErrorKind, SettleError};
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::letter::{DeadLetter, LetterId, LetterState};
use crate::dead_letter::memory::book::Runs;
use crate::dead_letter::memory::line::{Line, Ticket};
use crate::dead_letter::memory::rules::{Rules, wide};
use crate::dead_letter::memory::slots::{Hold, Slot, Slots};
use crate::dead_letter::memory::{Loss, WhenFull};
use crate::dead_letter::queue::{LeaseToken, MAX_UNSETTLED, Receipt};
use crate::dead_letter::runs::RedriveRun;
use crate::dead_letter::settlement::{Failed, Settled, Settlement};
use crate::dead_letter::stats::QueueStats;
use crate::dead_letter::{Filling, MAX_ACTS};
use crate::random::Dice;
use crate::time::{self, Instant};

#[derive(Debug)]
pub(super) struct Ledger {
    rules: Rules,
    /// Tells this queue from every other.
    identity: u128,
    pub(super) slots: Slots,
    last_id: u64,
    last_fence: u64,
    lost: Vec<(Arc<DeadLetter>, Loss)>,
    /// What was done by hand, oldest first.
    acts: VecDeque<Act>,
    pub(super) runs: Runs,
    /// Who waits for room.
    pub(super) line: Line,
    filling: Filling,
}

impl Ledger {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            identity: Dice::Fresh.bits(),
            slots: Slots::default(),
            last_id: 0,
            last_fence: 0,
            lost: Vec::new(),
            acts: VecDeque::new(),
            runs: Runs::default(),
            line: Line::default(),
            filling: Filling::default(),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn identity(&self) -> u128 {
        self.identity
    }

    pub(super) fn stats(&self) -> QueueStats {
        self.slots.stats()
    }

    /// Ends the leases and drops the letters whose time is over. Leases first: a letter that comes back may
    /// have outlived its time meanwhile.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((_, id)) = self.slots.next_lease().filter(|&(until, _)| until <= now) {
            self.run_out(id);
        }
        while let Some((_, id)) = self.slots.next_expiry().filter(|&(at, _)| at <= now) {
            self.lose(id, Loss::Expired);
        }
    }

    /// The letters let go of since this was last asked.
    pub(super) fn take_lost(&mut self) -> Vec<(Arc<DeadLetter>, Loss)> {
        std::mem::take(&mut self.lost)
    }

    /// What is held, how much that is, and when that changes by itself.
    pub(super) fn load(&self) -> (usize, u64, Option<Instant>) {
        (self.slots.len(), self.slots.counts.bytes, self.next_moment())
    }

    /// When a letter or a lease is over next.
    pub(super) fn next_moment(&self) -> Option<Instant> {
        let (lease, expiry) = (self.slots.next_lease(), self.slots.next_expiry());
        time::earlier(lease.map(|(until, _)| until), expiry.map(|(at, _)| at))
    }

    /// The numbers, if the queue has just become so full that somebody should know.
    pub(super) fn take_filling(&mut self) -> Option<QueueStats> {
        let letters = (wide(self.slots.len()), wide(self.rules.capacity));
        let bytes = (self.slots.counts.bytes, wide(self.rules.max_bytes));
        self.filling.crosses([letters, bytes]).then(|| self.stats())
    }

    pub(super) fn push(&mut self, letter: DeadLetter, now: Instant) -> Result<Receipt, PushError> {
        self.push_in_turn(letter, None, now)
    }

    /// Stores a letter unless others came before it.
    pub(super) fn push_in_turn(
        &mut self,
        letter: DeadLetter,
        ticket: Option<Ticket>,
        now: Instant,
    ) -> Result<Receipt, PushError> {
        if !self.line.is_turn(ticket) && !self.is_too_large(&letter) {
            return Err(PushError::new(letter, PushErrorKind::Full));
        }
        self.store(letter, None, now)
    }

    fn is_too_large(&self, letter: &DeadLetter) -> bool {
        let payload = letter.payload.as_ref().map_or(0, |payload| payload.bytes.len());
        payload > self.rules.max_payload || letter.size() > wide(self.rules.max_bytes)
    }

    /// Stores a letter, and removes the one that it replaces.
    pub(super) fn store(
        &mut self,
        mut letter: DeadLetter,
        replaces: Option<LetterId>,
        now: Instant,
    ) -> Result<Receipt, PushError> {
        let bytes = letter.size();
        if self.is_too_large(&letter) {
            return Err(PushError::new(letter, PushErrorKind::TooLarge));
        }
        let (Some(number), Some(evicted)) = (self.last_id.checked_add(1), self.room_for(bytes, replaces))
        else {
            return Err(PushError::new(letter, PushErrorKind::Full));
        };
        if let Some(replaced) = replaces {
            self.slots.remove(replaced);
        }
        for &id in &evicted {
            self.lose(id, Loss::Evicted);
        }
        self.last_id = number;
        letter.id = LetterId::new(number);
        letter.state = LetterState::Ready;
        (letter.deliveries, letter.redrives, letter.unsettled) = (0, 0, 0);
        let mut receipt = Receipt::new(letter.id);
        receipt.evicted = evicted;
        self.slots.counts.pushed += 1;
        self.slots.insert(letter, self.expires(now));
        Ok(receipt)
    }

    pub(super) fn peek(&self, filter: &LetterFilter, limit: usize) -> Vec<Arc<DeadLetter>> {
        self.slots.meant(filter).take(limit).map(|slot| Arc::clone(&slot.letter)).collect()
    }

    pub(super) fn lease(
        &mut self,
        filter: &LetterFilter,
        limit: usize,
        time: Duration,
        now: Instant,
    ) -> Vec<(Arc<DeadLetter>, LeaseToken)> {
        let free = |slot: &&Slot| !matches!(slot.hold, Hold::Leased { .. });
        let id = |slot: &Slot| slot.letter.id;
        let chosen: Vec<LetterId> = if filter.means(LetterState::Quarantined) {
            self.slots.meant(filter).filter(free).take(limit).map(id).collect()
        } else {
            self.slots.ready_and_meant(filter).take(limit).map(id).collect()
        };
        let until = time::later_or_far(now, time);
        chosen.into_iter().filter_map(|id| self.lend(id, until)).collect()
    }

    pub(super) fn settle(
        &mut self,
        token: LeaseToken,
        settlement: Settlement,
        now: Instant,
    ) -> Result<Settled, SettleError> {
        let id = token.letter();
        let (fence, was_quarantined) = match self.slots.get(id).ok_or(SettleError::Gone)?.hold {
            Hold::Leased { fence, was_quarantined, .. } if fence == token.fence() => (fence, was_quarantined),
            _ => return Err(SettleError::Fenced),
        };
        match settlement {
            // ## Leased => gone
            Settlement::Delivered => {
                self.slots.counts.delivered += 1;
                self.slots.remove(id);
                Ok(Settled::Removed)
            }
            // ## Leased => Ready, or => Quarantined after too many redrives or if it was quarantined before
            Settlement::Release { failed, redriven } => {
                if let Some(failed) = failed {
                    self.record(id, *failed);
                }
                let redrives = self.slots.count(id, |letter| &mut letter.redrives, u32::from(redriven));
                if was_quarantined || redrives >= self.rules.quarantine_after {
                    self.slots.change(id, Hold::Quarantined);
                    return Ok(Settled::Quarantined);
                }
                self.slots.change(id, Hold::Ready);
                Ok(Settled::Released)
            }
            // ## Leased => Quarantined, by hand
            Settlement::Quarantine => {
                self.slots.change(id, Hold::Quarantined);
                Ok(Settled::Quarantined)
            }
            // ## Leased => Leased, for longer or shorter
            Settlement::Extend(time) if time.is_zero() => Err(SettleError::ZeroLease),
            Settlement::Extend(time) => {
                let until = time::later_or_far(now, time);
                self.slots.change(id, Hold::Leased { fence, until, was_quarantined });
                Ok(Settled::Extended)
            }
        }
    }

    // ## Ready => Quarantined, by hand
    pub(super) fn quarantine(&mut self, filter: &LetterFilter, by: &ByHand, now: Instant) -> u64 {
        let chosen: Vec<LetterId> = self.slots.ready_and_meant(filter).map(|slot| slot.letter.id).collect();
        for &id in &chosen {
            self.slots.change(id, Hold::Quarantined);
        }
        self.note(Deed::Quarantined, filter, by, chosen.len(), now)
    }

    // ## Quarantined => Ready
    pub(super) fn reinstate(&mut self, filter: &LetterFilter, by: &ByHand, now: Instant) -> u64 {
        let quarantined = filter.clone().state(LetterState::Quarantined);
        let chosen: Vec<LetterId> = self.slots.meant(&quarantined).map(|slot| slot.letter.id).collect();
        let expires = self.expires(now);
        for &id in &chosen {
            self.slots.renew(id, expires);
        }
        self.note(Deed::Reinstated, filter, by, chosen.len(), now)
    }

    /// The letters removed, for the caller to drop outside the lock.
    pub(super) fn discard(
        &mut self,
        filter: &LetterFilter,
        by: &ByHand,
        now: Instant,
    ) -> Vec<Arc<DeadLetter>> {
        let chosen: Vec<LetterId> = self.slots.meant(filter).map(|slot| slot.letter.id).collect();
        let removed: Vec<_> = chosen.into_iter().filter_map(|id| self.slots.remove(id)).collect();
        self.slots.counts.discarded += self.note(Deed::Discarded, filter, by, removed.len(), now);
        removed
    }

    /// Stores a letter in place of another.
    pub(super) fn replace(
        &mut self,
        old: LetterId,
        letter: DeadLetter,
        by: &ByHand,
        now: Instant,
    ) -> Result<Receipt, PushError> {
        if self.slots.get(old).is_none_or(|slot| matches!(slot.hold, Hold::Leased { .. })) {
            return Err(PushError::new(letter, PushErrorKind::NotAvailable(old)));
        }
        let receipt = self.store(letter, Some(old), now)?;
        let filter = LetterFilter::new().any_state().id(old);
        self.slots.counts.discarded += self.note(Deed::Edited, &filter, by, 1, now);
        Ok(receipt)
    }

    /// What was done by hand, the newest first.
    pub(super) fn acts(&self, limit: usize) -> Vec<Act> {
        self.acts.iter().rev().take(limit).cloned().collect()
    }

    /// The last number that was given out.
    pub(super) const fn last_id(&self) -> LetterId {
        LetterId::new(self.last_id)
    }

    /// How many letters the filter means.
    pub(super) fn count(&self, filter: &LetterFilter) -> u64 {
        wide(self.slots.meant(filter).count())
    }

    /// Writes down that a redrive was ordered.
    pub(super) fn note_redrive(&mut self, run: &RedriveRun) {
        let (order, meant) = (&run.order, run.progress.meant);
        let act = Act::new(run.created_at, order.by().clone(), Deed::Redriven, order.filter().clone(), meant);
        self.note_act(act);
    }

    /// Writes down what was done by hand, and says to how many letters.
    pub(super) fn note(
        &mut self,
        deed: Deed,
        filter: &LetterFilter,
        by: &ByHand,
        letters: usize,
        now: Instant,
    ) -> u64 {
        let letters = wide(letters);
        self.note_act(Act::new(time::wall(now), by.clone(), deed, filter.clone(), letters));
        letters
    }

    fn note_act(&mut self, act: Act) {
        if self.acts.len() >= MAX_ACTS {
            self.acts.pop_front();
        }
        self.acts.push_back(act);
    }

    /// What has to be evicted for one more letter to fit; `None` if that would not be enough or not allowed.
    fn room_for(&self, bytes: u64, replaces: Option<LetterId>) -> Option<Vec<LetterId>> {
        let (mut held, mut total) = (self.slots.len(), self.slots.counts.bytes);
        if let Some(replaced) = replaces {
            held -= 1;
            total -= self.slots.get(replaced)?.letter.size();
        }
        let mut evicted = Vec::new();
        let mut oldest = self.slots.ready().filter(|&id| Some(id) != replaces);
        while held >= self.rules.capacity || total.saturating_add(bytes) > wide(self.rules.max_bytes) {
            let id = match self.rules.when_full {
                WhenFull::Refuse | WhenFull::Wait(_) => return None,
                WhenFull::DropOldest => oldest.next()?,
            };
            held -= 1;
            total -= self.slots.get(id)?.letter.size();
            evicted.push(id);
        }
        Some(evicted)
    }

    fn expires(&self, now: Instant) -> Option<Instant> {
        self.rules.time_to_live.and_then(|time| time::later(now, time))
    }

    // ## Ready => Leased, Quarantined => Leased if asked for
    fn lend(&mut self, id: LetterId, until: Instant) -> Option<(Arc<DeadLetter>, LeaseToken)> {
        let was_quarantined = matches!(self.slots.get(id)?.hold, Hold::Quarantined);
        self.last_fence = self.last_fence.saturating_add(1);
        let fence = self.last_fence;
        self.slots.count(id, |letter| &mut letter.deliveries, 1);
        self.slots.change(id, Hold::Leased { fence, until, was_quarantined });
        Some((Arc::clone(&self.slots.get(id)?.letter), LeaseToken::new(id, fence)))
    }

    // ## Leased => Ready when the lease runs out, or => Quarantined if that happened too often
    fn run_out(&mut self, id: LetterId) {
        let Some(&Slot { hold: Hold::Leased { was_quarantined, .. }, .. }) = self.slots.get(id) else {
            return;
        };
        let unsettled = self.slots.count(id, |letter| &mut letter.unsettled, 1);
        let quarantines = was_quarantined || unsettled >= MAX_UNSETTLED;
        self.slots.change(id, if quarantines { Hold::Quarantined } else { Hold::Ready });
    }

    /// Writes a failure down; without its texts, if these would break the limit on bytes.
    fn record(&mut self, id: LetterId, mut failed: Failed) {
        if self.slots.counts.bytes.saturating_add(wide(failed.size())) > wide(self.rules.max_bytes) {
            failed.forget_texts();
        }
        self.slots.record(id, failed);
    }

    fn lose(&mut self, id: LetterId, loss: Loss) {
        match loss {
            Loss::Evicted => self.slots.counts.evicted += 1,
            Loss::Expired => self.slots.counts.expired += 1,
        }
        let letter = self.slots.remove(id);
        self.lost.extend(letter.map(|letter| (letter, loss)));
    }
}
