//! What the writer shows to everyone else.

use std::sync::Arc;

use super::fault::{Fault, Io};
use super::handle::Handle;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Lock, watch};

/// What the writer shows to everyone else.
pub(super) struct Gauge {
    /// The open file; without it, why there is none.
    database: Lock<Io<Arc<Handle>>>,
    /// When the first lease ends or the first letter expires, by the clock of the store.
    due: AtomicU64,
    closed: AtomicBool,
    /// Counts how often letters have gone, so that those who wait for room look again.
    room: watch::Sender<u64>,
}

impl Gauge {
    pub(super) fn new(database: Arc<Handle>, due: u64) -> Self {
        Self {
            database: Lock::new(Ok(database)),
            due: AtomicU64::new(due),
            closed: AtomicBool::new(false),
            room: watch::Sender::new(0),
        }
    }

    pub(super) fn database(&self) -> Io<Arc<Handle>> {
        self.database.lock().clone()
    }

    pub(super) fn is_open(&self) -> bool {
        self.database.lock().is_ok()
    }

    pub(super) fn show(&self, database: Arc<Handle>) {
        *self.database.lock() = Ok(database);
    }

    /// Takes the file away from those who read it, because of this.
    pub(super) fn hide(&self, why: Fault) -> Io<Arc<Handle>> {
        std::mem::replace(&mut *self.database.lock(), Err(why))
    }

    pub(super) fn due(&self) -> u64 {
        self.due.load(Ordering::Acquire)
    }

    pub(super) fn set_due(&self, due: u64) {
        self.due.store(due, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
        self.made_room();
    }

    pub(super) fn made_room(&self) {
        self.room.send_modify(|times| *times = times.wrapping_add(1));
    }

    pub(super) fn room(&self) -> watch::Receiver<u64> {
        self.room.subscribe()
    }
}
