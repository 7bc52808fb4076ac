//! Leases: how letters are given out and come back.

use std::time::Duration;

use redb::ReadableTable as _;

use super::clock::nanos;
use super::fault::Io;
use super::find::{Found, Wanted};
use super::ledger::Ledger;
use super::row::{Row, State};
use super::rules::wide;
use super::tables::Tag;
use crate::dead_letter::{Failed, LeaseToken, Loss, MAX_UNSETTLED, SettleError, Settled, Settlement};
use crate::dead_letter::{LetterFilter, LetterId};
use crate::envelope::part;

impl Ledger<'_, '_> {
    /// Ends the leases and drops the letters whose time is over, `budget` of them at most. Leases first: a letter
    /// that comes back may have outlived its time meanwhile.
    pub(super) fn sweep(&mut self, budget: usize) -> Io<()> {
        let now = self.now;
        let ended: Vec<(u64, u64)> =
            self.tables.tagged_until(Tag::Lease, now)?.take(budget).collect::<Io<_>>()?;
        let mut left = budget - ended.len();
        for (until, id) in ended {
            self.run_out(until, id)?;
        }
        if let Some(over) = self.over() {
            let over: Vec<(u64, u64)> =
                self.tables.tagged_until(Tag::Kept, over)?.take(left).collect::<Io<_>>()?;
            left -= over.len();
            for (kept, id) in over {
                match self.tables.row(id)? {
                    // ## Ready => gone, its time is over
                    Some(row) if row.state == State::Ready => self.lose(id, row, Loss::Expired)?,
                    // It comes back to this list with its lease's end.
                    Some(row) if row.state == State::Leased => self.tables.leave(Tag::Kept, kept, id)?,
                    _ => {
                        self.set_aside(id)?;
                        self.tables.leave(Tag::Kept, kept, id)?;
                    }
                }
            }
        }
        if let Some(forgotten) = self.forgotten() {
            let gone: Vec<(u64, u64)> =
                self.tables.tagged_until(Tag::Gone, forgotten)?.take(left).collect::<Io<_>>()?;
            for (since, id) in gone {
                self.tables.leave(Tag::Gone, since, id)?;
                let origin = self.tables.comes_from.remove(id)?.map(|origin| origin.value());
                // What took its place came from there as well, and is known for longer.
                if let Some(origin) = origin
                    && self.tables.origins.get(origin)?.is_some_and(|known| known.value() == id)
                {
                    self.tables.origins.remove(origin)?;
                }
            }
        }
        Ok(())
    }

    /// Gives letters out. They are read, and their deliveries counted, in this transaction.
    pub(super) fn lease(
        &mut self,
        filter: &LetterFilter,
        limit: usize,
        time: Duration,
    ) -> Io<Vec<(Found, LeaseToken)>> {
        let search = self.tables.find(Wanted { filter, free: true, limit, whole: true })?;
        for id in search.damaged {
            self.set_aside(id)?;
        }
        // About thirty years, as for every other wait, so that no sum of it overflows.
        let until = self.now.saturating_add(nanos(time.min(Duration::from_secs(60 * 60 * 24 * 365 * 30))));
        let over = self.over();
        let mut leased = Vec::new();
        for mut found in search.found {
            let row = found.row;
            // A sweep that had too much to do has left it for the next one.
            if row.state == State::Ready && over.is_some_and(|over| row.kept <= over) {
                continue;
            }
            self.numbers.last_fence = self.numbers.last_fence.saturating_add(1);
            // ## Ready => Leased, Quarantined => Leased if asked for
            found.row = Row {
                state: State::Leased,
                was_quarantined: row.state == State::Quarantined,
                deliveries: row.deliveries.saturating_add(1),
                fence: self.numbers.last_fence,
                until,
                ..row
            };
            self.change(found.id, &row, found.row)?;
            let token = LeaseToken::new(LetterId::new(found.id), found.row.fence);
            leased.push((found, token));
        }
        Ok(leased)
    }

    pub(super) fn settle(
        &mut self,
        token: LeaseToken,
        settlement: &Settlement,
    ) -> Io<Result<Settled, SettleError>> {
        let id = token.letter().get();
        let Some(row) = self.tables.row(id)? else { return Ok(Err(SettleError::Gone)) };
        if row.state != State::Leased || row.fence != token.fence() || row.until <= self.now {
            return Ok(Err(SettleError::Fenced));
        }
        Ok(match settlement {
            // ## Leased => gone
            Settlement::Delivered => {
                self.numbers.delivered += 1;
                self.remove(id, &row)?;
                Ok(Settled::Removed)
            }
            // ## Leased => Ready, or => Quarantined after too many redrives or if it was quarantined before
            Settlement::Release { failed, redriven } => {
                let mut to = row;
                to.redrives = row.redrives.saturating_add(u32::from(*redriven));
                let poison = row.was_quarantined || to.redrives >= self.rules.quarantine_after;
                to.state = if poison { State::Quarantined } else { State::Ready };
                if let Some(failed) = failed
                    && !self.record(id, &mut to, failed)?
                {
                    to.state = State::Damaged;
                }
                self.change(id, &row, to)?;
                Ok(if to.state == State::Ready { Settled::Released } else { Settled::Quarantined })
            }
            // ## Leased => Quarantined, by hand
            Settlement::Quarantine => {
                self.change(id, &row, Row { state: State::Quarantined, ..row })?;
                Ok(Settled::Quarantined)
            }
            // ## Leased => Leased, for longer or shorter
            Settlement::Extend(time) if time.is_zero() => Err(SettleError::ZeroLease),
            Settlement::Extend(time) => {
                let until = self.now.saturating_add(nanos(*time));
                self.change(id, &row, Row { until, ..row })?;
                Ok(Settled::Extended)
            }
        })
    }

    /// Writes a failure down on its letter; without its texts, if these would break the limit on bytes. Says
    /// whether the letter could be read for that.
    fn record(&mut self, id: u64, row: &mut Row, failed: &Failed) -> Io<bool> {
        let Some(mut letter) = self.tables.found(id, *row)?.open() else { return Ok(false) };
        let mut failed = failed.clone();
        if self.numbers.bytes.saturating_add(wide(failed.size())) > self.rules.max_bytes {
            failed.forget_texts();
        }
        letter.record(failed);
        self.tables.stories.insert(id, &*part::story(&letter))?;
        row.tell(&letter);
        Ok(true)
    }

    // ## Leased => Ready when the lease runs out, or => Quarantined if that happened too often
    fn run_out(&mut self, until: u64, id: u64) -> Io<()> {
        let leased = |row: &Row| row.state == State::Leased && row.until == until;
        let Some(row) = self.tables.row(id)?.filter(leased) else {
            // Damage has left an entry of no such letter; it would be met again and again.
            self.set_aside(id)?;
            return self.tables.leave(Tag::Lease, until, id);
        };
        let unsettled = row.unsettled.saturating_add(1);
        let poison = row.was_quarantined || unsettled >= MAX_UNSETTLED;
        let state = if poison { State::Quarantined } else { State::Ready };
        self.change(id, &row, Row { state, unsettled, ..row })
    }
}
