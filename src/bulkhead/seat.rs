//! The place of one gate at the pool that it shares with others.

use std::sync::Arc;

use super::FullReason;
use super::gate::Counts;
use super::hold::Waiter;
use super::line::Ticket;
use super::pool::{Joined, PartCounts, Pool, Turn};
use crate::priority::Priority;
use crate::sync::Lock;
use crate::time::Now;

/// The place of one gate at a pool. What is taken off its lines is given to the caller, who drops and wakes it
/// outside the lock.
pub(super) struct Seat {
    pool: Arc<Lock<Pool<Waiter>>>,
    part: usize,
}

impl Seat {
    pub(super) const fn new(pool: Arc<Lock<Pool<Waiter>>>, part: usize) -> Self {
        Self { pool, part }
    }

    pub(super) fn take(&self, priority: Priority) -> Result<(), FullReason> {
        self.pool.lock().take(self.part, priority)
    }

    pub(super) fn enter(
        &self,
        priority: Priority,
        bound: u32,
        waiter: impl FnOnce() -> Waiter,
        now: &Now,
    ) -> Result<Joined<Waiter>, FullReason> {
        self.pool.lock().enter(self.part, priority, bound, waiter, now)
    }

    pub(super) fn leave(&self, ticket: Ticket) -> Option<Waiter> {
        self.pool.lock().leave(self.part, ticket)
    }

    pub(super) fn give_back(&self) {
        self.pool.lock().give_back(self.part);
    }

    pub(super) fn next(&self, now: &Now) -> Option<Turn<Waiter>> {
        self.pool.lock().next(now)
    }

    pub(super) fn set_slots(&self, slots: u32) {
        self.pool.lock().set_slots(slots);
    }

    pub(super) fn close(&self) -> Vec<Waiter> {
        self.pool.lock().close()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.pool.lock().is_closed()
    }

    pub(super) fn counts(&self) -> Counts {
        self.pool.lock().counts()
    }

    pub(super) fn parts(&self) -> (Counts, Vec<PartCounts>) {
        let pool = self.pool.lock();
        (pool.counts(), pool.parts())
    }
}
