//! A number between nothing and a capacity, which threads raise and lower without a lock.

use crate::sync::atomic::{AtomicU64, Ordering};

// Every order is relaxed: the number guards no other memory, and it is only changed by compare-and-swap.
pub(super) struct Level {
    units: AtomicU64,
    capacity: u64,
}

impl Level {
    pub(super) fn new(units: u64, capacity: u64) -> Self {
        Self { units: AtomicU64::new(units), capacity }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn units(&self) -> u64 {
        self.units.load(Ordering::Relaxed)
    }

    /// Pays in, up to the capacity. One load, and no write, when it is full.
    #[inline]
    pub(super) fn add(&self, amount: u64) {
        let mut units = self.units();
        while units < self.capacity {
            let raised = units.saturating_add(amount).min(self.capacity);
            match self.units.compare_exchange_weak(units, raised, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(actual) => units = actual,
            }
        }
    }

    /// Takes so much, or nothing if there is less.
    pub(super) fn take(&self, amount: u64) -> bool {
        let mut units = self.units();
        while let Some(rest) = units.checked_sub(amount) {
            match self.units.compare_exchange_weak(units, rest, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(actual) => units = actual,
            }
        }
        false
    }

    /// Takes so much, or what is left.
    pub(super) fn lower(&self, amount: u64) {
        let mut units = self.units();
        while units > 0 {
            let rest = units.saturating_sub(amount);
            match self.units.compare_exchange_weak(units, rest, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(actual) => units = actual,
            }
        }
    }
}
