//! The last n calls.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use super::{Mark, Tally};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Lock, OnceLock, Others};

/// Counts the last `size` calls without remembering them.
///
/// All calls are numbered by one count. Of a plain success nothing more is kept; of every other call its
/// number is. A call is in the window while its number is among the last `size`, so the window holds the
/// numbers above `total - size`, and sliding it is forgetting the ones at the front. That is exact after
/// any history, costs a success one addition whatever the size is, and takes no memory while all is well.
///
/// The count may be spread over several words, which are read one after the other while others count on. Each
/// of them only grows, and by ones, so there was a moment at which the total was what was read. Successes are
/// all alike, so it does not matter which of those that were counted meanwhile came before that moment.
///
/// Of a million windows most see one thread at a time and nothing but successes, so all else that a window needs
/// is made when it does.
#[derive(Debug)]
pub(crate) struct CountWindow {
    size: NonZeroU32,
    /// Calls ever recorded, but for those in [`More::others`].
    total: AtomicU64,
    more: OnceLock<Box<More>>,
}

/// What a window needs once calls fail, or once threads meet in it.
#[derive(Debug, Default)]
struct More {
    marks: Lock<Marks>,
    /// The other parts of the count.
    others: Others<AtomicU64>,
}

#[derive(Debug, Default)]
struct Marks {
    /// The total when the window was last emptied: earlier calls are not in it.
    start: u64,
    failed: VecDeque<u64>,
    slow: VecDeque<u64>,
    abandoned: VecDeque<u64>,
}

impl CountWindow {
    /// The last `size` calls, at least one.
    pub(crate) fn new(size: u32) -> Self {
        let size = NonZeroU32::new(size).unwrap_or(NonZeroU32::MIN);
        Self { size, total: AtomicU64::new(0), more: OnceLock::new() }
    }

    /// A plain success.
    #[inline(always)]
    pub(crate) fn success(&self) {
        let total = self.mine();
        let seen = total.load(Ordering::Relaxed);
        if total.compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            self.success_among_others();
        }
    }

    #[cold]
    fn success_among_others(&self) {
        self.more().others.spread().fetch_add(1, Ordering::Relaxed);
    }

    /// The part of the count that this thread writes to.
    #[inline(always)]
    fn mine(&self) -> &AtomicU64 {
        self.more.get().and_then(|more| more.others.mine()).unwrap_or(&self.total)
    }

    fn more(&self) -> &More {
        self.more.get_or_init(Box::default)
    }

    fn size(&self) -> u64 {
        self.size.get().into()
    }

    /// How many calls were ever recorded.
    fn total(&self) -> u64 {
        // Acquired, and released by each failure: `tally` relies on it.
        let others = self.more.get().into_iter().flat_map(|more| more.others.parts());
        std::iter::once(&self.total).chain(others).map(|part| part.load(Ordering::Acquire)).sum()
    }

    /// A call that was not a plain success.
    pub(crate) fn record(&self, mark: Mark) {
        let mut marks = self.more().marks.lock();
        // Numbered under the lock, so that the numbers in each queue rise.
        self.mine().fetch_add(1, Ordering::Release);
        let number = self.total();
        marks.slide(number, self.size());
        for (set, queue) in marks.queues(mark) {
            if set {
                queue.push_back(number);
            }
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        let plain = self.total();
        let Some(more) = self.more.get() else {
            // Whoever sees the count of a failure sees what was made for it, so there was none of them.
            return Tally { calls: plain.min(self.size()), ..Tally::default() };
        };
        let mut marks = more.marks.lock();
        let total = self.total();
        marks.slide(total, self.size());
        Tally {
            calls: (total - marks.start).min(self.size()),
            failed: marks.failed.len() as u64,
            slow: marks.slow.len() as u64,
            abandoned: marks.abandoned.len() as u64,
        }
    }

    /// Empties the window and gives its memory back.
    pub(crate) fn reset(&self) {
        let mut marks = self.more().marks.lock();
        // Read under the lock: a failure that came after would lose its mark, and still count as a call.
        *marks = Marks { start: self.total(), ..Marks::default() };
    }
}

impl Marks {
    fn queues(&mut self, mark: Mark) -> [(bool, &mut VecDeque<u64>); 3] {
        [(mark.failed, &mut self.failed), (mark.slow, &mut self.slow), (mark.abandoned, &mut self.abandoned)]
    }

    fn slide(&mut self, total: u64, size: u64) {
        let left_behind = total.saturating_sub(size).max(self.start);
        let everything = Mark { failed: true, slow: true, abandoned: true };
        for (_, queue) in self.queues(everything) {
            while queue.front().is_some_and(|&number| number <= left_behind) {
                queue.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn window_slides_past_any_number_of_successes() {
        let window = CountWindow::new(10);
        (0..100_000).for_each(|_| window.success());
        (0..5).for_each(|_| window.record(Mark { failed: true, ..Mark::default() }));
        assert_eq!(window.tally(), Tally { calls: 10, failed: 5, ..Tally::default() });
    }

    #[test]
    fn success_that_meets_another_thread_is_counted_in_the_part_of_its_own() {
        let window = CountWindow::new(10);
        window.success();
        window.success_among_others();
        window.success();
        assert_eq!(window.tally(), Tally { calls: 3, ..Tally::default() });
        assert_eq!(
            window.total.load(Ordering::Relaxed),
            1,
            "once they have met, each writes to its own part"
        );
    }

    proptest! {
        #[test]
        fn tally_equals_a_recount_of_the_last_n(
            size in 1_u32..20,
            history in proptest::collection::vec(proptest::option::weighted(0.98, (any::<bool>(), any::<bool>(), any::<bool>())), 0..400),
        ) {
            let window = CountWindow::new(size);
            let mut all: Vec<(bool, bool, bool)> = Vec::new();
            for step in history {
                match step {
                    None => { window.reset(); all.clear(); }
                    Some(mark @ (false, false, false)) => { window.success(); all.push(mark); }
                    Some(mark @ (failed, slow, abandoned)) => {
                        window.record(Mark { failed, slow, abandoned });
                        all.push(mark);
                    }
                }
                let last = &all[all.len().saturating_sub(size as usize)..];
                let count = |pick: fn(&(bool, bool, bool)) -> bool| last.iter().filter(|m| pick(m)).count() as u64;
                prop_assert_eq!(window.tally(), Tally {
                    calls: last.len() as u64,
                    failed: count(|m| m.0),
                    slow: count(|m| m.1),
                    abandoned: count(|m| m.2),
                });
            }
        }
    }
}
