//! Every way in which the letters of a memory queue change, with the time as a parameter.

use std::sync::Arc;
use std::time::Duration;

use crate::dead_letter::error::{PushError, PushErrorKind, SettleError};
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::letter::{DeadLetter, LetterId, LetterState};
use crate::dead_letter::memory::rules::{Rules, wide};
use crate::dead_letter::memory::slots::{Hold, Slot, Slots};
use crate::dead_letter::memory::{Loss, WhenFull};
use crate::dead_letter::queue::{LeaseToken, MAX_UNSETTLED, Receipt};
use crate::dead_letter::settlement::{Failed, Settled, Settlement};
use crate::dead_letter::stats::QueueStats;
use crate::time::{self, Instant};

#[derive(Debug)]
pub(super) struct Ledger {
    rules: Rules,
    slots: Slots,
    last_id: u64,
    last_fence: u64,
    lost: Vec<(Arc<DeadLetter>, Loss)>,
}

impl Ledger {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, slots: Slots::default(), last_id: 0, last_fence: 0, lost: Vec::new() }
    }

    pub(super) fn held(&self) -> usize {
        self.slots.len()
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

    pub(super) fn push(&mut self, mut letter: DeadLetter, now: Instant) -> Result<Receipt, PushError> {
        let bytes = letter.size();
        let payload = letter.payload.as_ref().map_or(0, |payload| payload.bytes.len());
        if payload > self.rules.max_payload || bytes > wide(self.rules.max_bytes) {
            return Err(PushError::new(letter, PushErrorKind::TooLarge));
        }
        let (Some(number), Some(evicted)) = (self.last_id.checked_add(1), self.room_for(bytes)) else {
            return Err(PushError::new(letter, PushErrorKind::Full));
        };
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
        let chosen: Vec<LetterId> = if filter.means(LetterState::Parked) {
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
        let (fence, was_parked) = match self.slots.get(id).ok_or(SettleError::Gone)?.hold {
            Hold::Leased { fence, was_parked, .. } if fence == token.fence() => (fence, was_parked),
            _ => return Err(SettleError::Fenced),
        };
        match settlement {
            // ## Leased => gone
            Settlement::Delivered => {
                self.slots.counts.delivered += 1;
                self.slots.remove(id);
                Ok(Settled::Removed)
            }
            // ## Leased => Ready, or => Parked after too many redrives or if it was parked before
            Settlement::Release { failed, redriven } => {
                if let Some(failed) = failed {
                    self.record(id, *failed);
                }
                let redrives = self.slots.count(id, |letter| &mut letter.redrives, u32::from(redriven));
                if was_parked || redrives >= self.rules.park_after {
                    self.slots.change(id, Hold::Parked);
                    return Ok(Settled::Parked);
                }
                self.slots.change(id, Hold::Ready);
                Ok(Settled::Released)
            }
            // ## Leased => Parked, by hand
            Settlement::Park => {
                self.slots.change(id, Hold::Parked);
                Ok(Settled::Parked)
            }
            // ## Leased => Leased, for longer or shorter
            Settlement::Extend(time) if time.is_zero() => Err(SettleError::ZeroLease),
            Settlement::Extend(time) => {
                let until = time::later_or_far(now, time);
                self.slots.change(id, Hold::Leased { fence, until, was_parked });
                Ok(Settled::Extended)
            }
        }
    }

    // ## Parked => Ready
    pub(super) fn unpark(&mut self, id: LetterId, now: Instant) -> bool {
        let parked = self.slots.get(id).is_some_and(|slot| matches!(slot.hold, Hold::Parked));
        if parked {
            self.slots.renew(id, self.expires(now));
        }
        parked
    }

    /// The letters removed, for the caller to drop outside the lock.
    pub(super) fn discard(&mut self, filter: &LetterFilter) -> Vec<Arc<DeadLetter>> {
        let chosen: Vec<LetterId> = self.slots.meant(filter).map(|slot| slot.letter.id).collect();
        let removed: Vec<_> = chosen.into_iter().filter_map(|id| self.slots.remove(id)).collect();
        self.slots.counts.discarded += wide(removed.len());
        removed
    }

    /// What has to be evicted for one more letter to fit; `None` if that would not be enough or not allowed.
    fn room_for(&self, bytes: u64) -> Option<Vec<LetterId>> {
        let (mut held, mut total) = (self.slots.len(), self.slots.counts.bytes);
        let mut evicted = Vec::new();
        let mut oldest = self.slots.ready();
        while held >= self.rules.capacity || total.saturating_add(bytes) > wide(self.rules.max_bytes) {
            let id = match self.rules.when_full {
                WhenFull::Refuse => return None,
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

    // ## Ready => Leased, Parked => Leased if asked for
    fn lend(&mut self, id: LetterId, until: Instant) -> Option<(Arc<DeadLetter>, LeaseToken)> {
        let was_parked = matches!(self.slots.get(id)?.hold, Hold::Parked);
        self.last_fence = self.last_fence.saturating_add(1);
        let fence = self.last_fence;
        self.slots.count(id, |letter| &mut letter.deliveries, 1);
        self.slots.change(id, Hold::Leased { fence, until, was_parked });
        Some((Arc::clone(&self.slots.get(id)?.letter), LeaseToken::new(id, fence)))
    }

    // ## Leased => Ready when the lease runs out, or => Parked if that happened too often
    fn run_out(&mut self, id: LetterId) {
        let Some(&Slot { hold: Hold::Leased { was_parked, .. }, .. }) = self.slots.get(id) else { return };
        let unsettled = self.slots.count(id, |letter| &mut letter.unsettled, 1);
        let parks = was_parked || unsettled >= MAX_UNSETTLED;
        self.slots.change(id, if parks { Hold::Parked } else { Hold::Ready });
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
