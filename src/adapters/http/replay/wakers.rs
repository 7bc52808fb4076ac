//! Who waits for a stream that several may read.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::sync::Lock;

/// The wakers of all who wait, by the number of the reader. As a waker it wakes every one of them: whoever of them
/// polls the stream next, and whoever is dropped before, nobody is forgotten.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    waiting: Lock<Vec<(u64, Waker)>>,
}

impl Wakers {
    /// The reader waits.
    pub(super) fn add(&self, reader: u64, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        let old = match waiting.iter_mut().find(|(other, _)| *other == reader) {
            Some((_, known)) if known.will_wake(waker) => None,
            Some((_, known)) => Some(std::mem::replace(known, waker.clone())),
            None => {
                waiting.push((reader, waker.clone()));
                None
            }
        };
        drop(waiting);
        // A task may go with its last waker, and with the task a reader, who asks for the lock.
        drop(old);
    }

    /// The reader is gone, and waits no more.
    pub(super) fn remove(&self, reader: u64) {
        let mut waiting = self.waiting.lock();
        let place = waiting.iter().position(|(other, _)| *other == reader);
        let removed = place.map(|place| waiting.swap_remove(place));
        drop(waiting);
        drop(removed);
    }

    /// Wakes all but this one.
    pub(super) fn wake_others(&self, reader: u64) {
        let woken: Vec<_> = self.waiting.lock().extract_if(.., |(other, _)| *other != reader).collect();
        for (_, waker) in woken {
            waker.wake();
        }
    }

    pub(super) fn wake_all(&self) {
        let woken = std::mem::take(&mut *self.waiting.lock());
        for (_, waker) in woken {
            waker.wake();
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
