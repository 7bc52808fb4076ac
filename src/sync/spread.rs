//! What every call writes to, spread over the threads once they get into each other's way.

use std::cell::Cell;
// Not a checker's: who belongs to which group is no part of any model.
use std::sync::atomic::{AtomicUsize, Ordering};

use super::OnceLock;
use super::made_of::LINES;

/// One thing while one thread at a time writes to it, as it is for most. Once two have met in it: one for each
/// group of threads, each on a line of its own, and the whole is what all parts say together. A write to a line
/// that another core has written to takes some twenty times as long as one to a line of one's own.
///
/// Nothing is lost when it is spread: the first part stays and is one of them.
#[derive(Debug, Default)]
pub(crate) struct Spread<T> {
    first: T,
    others: Others<T>,
}

/// The parts but for the first, for those who keep that elsewhere. None, and one word, until they are needed.
#[derive(Debug, Default)]
pub(crate) struct Others<T>(OnceLock<Box<[Line<T>; LINES]>>);

/// Two lines of 64 bytes, which some processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

impl<T> Spread<T> {
    /// The part that this thread writes to.
    #[inline]
    pub(crate) fn mine(&self) -> &T {
        self.others.mine().unwrap_or(&self.first)
    }

    /// The part that there is from the beginning.
    #[inline(always)]
    pub(crate) fn first(&self) -> &T {
        &self.first
    }

    /// The part that this thread writes to, if it is not the first.
    #[inline(always)]
    pub(crate) fn others(&self) -> Option<&T> {
        self.others.mine()
    }

    /// All parts, in an order that does not change.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(self.others.parts())
    }
}

impl<T: Default> Spread<T> {
    /// Two threads have met: from now on each writes to its own part.
    #[cold]
    pub(crate) fn spread(&self) -> &T {
        self.others.spread()
    }
}

impl<T> Others<T> {
    /// The part that this thread writes to, if it is not the first.
    #[inline]
    pub(crate) fn mine(&self) -> Option<&T> {
        self.0.get().map(|others| &others[stripe() % LINES].0)
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &T> {
        self.0.get().into_iter().flat_map(|others| others.iter().map(|line| &line.0))
    }
}

impl<T: Default> Others<T> {
    /// Two threads have met: from now on each writes to its own part.
    #[cold]
    pub(crate) fn spread(&self) -> &T {
        let others = self.0.get_or_init(|| Box::new(std::array::from_fn(|_| Line::default())));
        &others[stripe() % LINES].0
    }
}

/// Which group this thread belongs to. Threads are dealt out in turn.
#[inline]
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    STRIPE.get().unwrap_or_else(|| {
        let stripe = NEXT.fetch_add(1, Ordering::Relaxed);
        STRIPE.set(Some(stripe));
        stripe
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::AtomicU64;

    #[test]
    fn nothing_is_lost_when_it_is_spread() {
        let count = Spread::<AtomicU64>::default();
        count.mine().fetch_add(1, Ordering::Relaxed);
        count.spread().fetch_add(2, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| count.mine().fetch_add(4, Ordering::Relaxed));
            }
        });
        let parts: Vec<u64> = count.parts().map(|part| part.load(Ordering::Relaxed)).collect();
        assert_eq!(parts.iter().sum::<u64>(), 19);
        assert_eq!((parts.len(), parts[0]), (1 + LINES, 1));
    }

    #[test]
    fn threads_started_one_after_the_other_have_parts_of_their_own() {
        let stripe = || std::thread::spawn(stripe).join().unwrap();
        let (first, second) = (stripe(), stripe());
        assert_ne!(first, second);
    }

    #[test]
    fn thread_that_meets_another_writes_to_the_part_that_is_its_own_from_then_on() {
        let count = Spread::<AtomicU64>::default();
        std::thread::scope(|scope| {
            for _ in 0..=2 * LINES {
                scope.spawn(|| assert!(std::ptr::eq(count.spread(), count.mine()))).join().unwrap();
            }
        });
    }

    #[test]
    fn threads_dealt_out_in_turn_write_to_different_parts() {
        let count = Spread::<AtomicU64>::default();
        count.spread();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| count.mine().fetch_add(1, Ordering::Relaxed)).join().unwrap();
            }
        });
        let written = count.parts().filter(|part| part.load(Ordering::Relaxed) > 0).count();
        assert!(written > 1, "eight threads wrote to one and the same part");
    }
}
