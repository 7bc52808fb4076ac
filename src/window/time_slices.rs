//! The calls of the last so long.

use std::cmp::Ordering as CmpOrdering;
use std::time::Duration;

use super::{Mark, Tally};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Lock, Spread};
use crate::time::{Instant, later};

/// Into how many slices a window is cut. It slides by one slice at a time.
const SLICES: usize = 10;

/// How long slices are told apart: longer than a process lives.
const LIFETIME_NANOS: u64 = 50 * 365 * 24 * 60 * 60 * 1_000_000_000;

/// Leaves a slice's number at least a byte.
const MOST_CALL_BITS: u32 = 56;

/// Counts the calls of the last `span` in slices of a tenth of it.
///
/// Time since `origin` is cut into numbered slices. Ten of them are kept, each in the place that its number
/// gives it; a call in a slice whose place still holds an older one takes the place over. The window is the
/// present slice and the nine before it. Cost and memory do not depend on how many calls it holds.
#[derive(Debug)]
pub(crate) struct TimeWindow {
    origin: Instant,
    slice_nanos: u64,
    /// The length of a slice again, as it is added to a moment; of very long ones, as much of it as fits.
    whole_seconds: u32,
    nanos_beyond: u32,
    /// How many calls a word can count.
    most_calls: u64,
    /// How many bits of a word count calls; those above them hold the slice's number.
    call_bits: u32,
    /// Number and calls of a slice in one word, so that a success is counted by one exchange and never in
    /// a slice that has just been taken over. All parts together are the window.
    words: Spread<[AtomicU64; SLICES]>,
    /// The place of the slice that was begun last. Only a hint where to look first.
    present: AtomicUsize,
    marks: Lock<[SliceMarks; SLICES]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct SliceMarks {
    slice: u64,
    failed: u64,
    slow: u64,
    abandoned: u64,
}

impl TimeWindow {
    /// The shortest window: its slices are still long enough for their numbers to last for years.
    pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

    pub(crate) fn new(span: Duration, origin: Instant) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let slice_nanos = nanos.div_ceil(SLICES as u64).max(1);
        // A slice's number gets the bits that it needs to last, its calls get the others: a million calls
        // in slices of 100 us, and more the longer a slice is.
        let call_bits = (LIFETIME_NANOS / slice_nanos).leading_zeros().min(MOST_CALL_BITS);
        let slice = Duration::from_nanos(slice_nanos);
        Self {
            origin,
            slice_nanos,
            whole_seconds: u32::try_from(slice.as_secs()).unwrap_or(u32::MAX),
            nanos_beyond: slice.subsec_nanos(),
            call_bits,
            most_calls: (1 << call_bits) - 1,
            words: Spread::default(),
            present: AtomicUsize::new(0),
            marks: Lock::default(),
        }
    }

    /// A plain success.
    ///
    /// Most come in the slice of the one before. Whether `now` is in that slice is found out without a
    /// division: a subtraction and a division of moments take longer than all else that is done here.
    #[inline(always)]
    pub(crate) fn success(&self, now: Instant) {
        let counted = match self.words.others() {
            None => self.count_in_present(self.words.first(), now),
            Some(words) => self.count_in_present(words, now),
        };
        if !counted {
            self.count(self.slice(now));
        }
    }

    /// Counts one call if its slice is the present one. `false`: it may be another.
    #[inline(always)]
    fn count_in_present(&self, words: &[AtomicU64; SLICES], now: Instant) -> bool {
        let Some(word) = words.get(self.present.load(Ordering::Relaxed)) else { return false };
        let seen = word.load(Ordering::Relaxed);
        // A number never comes back to its place, so what is exchanged was not taken over since it was seen. An
        // emptied window looks like slice 0, and if it is that one, it counts on.
        seen & self.most_calls != self.most_calls
            && self.holds(seen >> self.call_bits, now)
            && word.compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether a moment is in a slice.
    #[inline(always)]
    fn holds(&self, slice: u64, now: Instant) -> bool {
        let nanos = Duration::from_nanos(slice.wrapping_mul(self.slice_nanos));
        let Some(begin) = later(self.origin, nanos) else { return false };
        let end = later(begin, Duration::new(self.whole_seconds.into(), self.nanos_beyond));
        begin <= now && end.is_some_and(|end| now < end)
    }

    /// A call that was not a plain success.
    pub(crate) fn record(&self, mark: Mark, now: Instant) {
        let slice = self.slice(now);
        let mut marks = self.marks.lock();
        let place = &mut marks[Self::place(slice)];
        if place.slice > slice {
            return; // it has left the window already
        }
        if place.slice < slice {
            *place = SliceMarks { slice, ..SliceMarks::default() };
        }
        self.count(slice);
        place.failed += u64::from(mark.failed);
        place.slow += u64::from(mark.slow);
        place.abandoned += u64::from(mark.abandoned);
    }

    pub(crate) fn tally(&self, now: Instant) -> Tally {
        let newest = self.slice(now);
        let within = |slice: u64| slice <= newest && newest - slice < SLICES as u64;
        let mut tally = Tally::default();
        let marks = self.marks.lock();
        for mark in marks.iter().filter(|mark| within(mark.slice)) {
            tally.failed += mark.failed;
            tally.slow += mark.slow;
            tally.abandoned += mark.abandoned;
        }
        for word in self.words.parts().flatten() {
            let (slice, calls) = self.unpack(word.load(Ordering::Relaxed));
            if within(slice) {
                tally.calls += calls;
            }
        }
        tally
    }

    /// Empties the window.
    pub(crate) fn reset(&self) {
        let mut marks = self.marks.lock();
        *marks = Default::default();
        for word in self.words.parts().flatten() {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Counts one call in its slice, unless the slice has left the window already.
    #[cold]
    fn count(&self, slice: u64) {
        let mut word = &self.words.mine()[Self::place(slice)];
        loop {
            let seen = word.load(Ordering::Relaxed);
            let (held, calls) = self.unpack(seen);
            let next = match held.cmp(&slice) {
                CmpOrdering::Less => self.pack(slice, 1),
                CmpOrdering::Equal if calls < self.most_calls => seen + 1,
                CmpOrdering::Equal | CmpOrdering::Greater => return,
            };
            if word.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                if held < slice {
                    self.present.store(Self::place(slice), Ordering::Relaxed);
                }
                return;
            }
            word = &self.words.spread()[Self::place(slice)];
        }
    }

    #[cold]
    fn slice(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.origin);
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        let slice = seconds.saturating_add(since.subsec_nanos().into()) / self.slice_nanos;
        // The last that a word can hold is decades away; it lasts for ever, and what comes counts in it.
        slice.min(u64::MAX >> self.call_bits)
    }

    fn place(slice: u64) -> usize {
        usize::try_from(slice % SLICES as u64).expect("below ten")
    }

    fn pack(&self, slice: u64, calls: u64) -> u64 {
        slice << self.call_bits | calls
    }

    fn unpack(&self, word: u64) -> (u64, u64) {
        (word >> self.call_bits, word & self.most_calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;
    use proptest::prelude::*;

    const FAILED: Mark = Mark { failed: true, slow: false, abandoned: false };

    #[test]
    fn failures_leave_the_window_with_time() {
        let start = now();
        let window = TimeWindow::new(Duration::from_secs(60), start);
        (0..4).for_each(|_| window.record(FAILED, start));
        let after = start + Duration::from_secs(61);
        window.record(FAILED, after);
        assert_eq!(window.tally(after), Tally { calls: 1, failed: 1, ..Tally::default() });
    }

    #[test]
    fn window_below_a_second_is_not_cut_to_zero() {
        let start = now();
        let window = TimeWindow::new(Duration::from_millis(500), start);
        (0..10_000).for_each(|_| window.success(start));
        window.record(FAILED, start + Duration::from_millis(400));
        let tally = window.tally(start + Duration::from_millis(449));
        assert_eq!((tally.calls, tally.failed), (10_001, 1));
    }

    #[test]
    fn late_results_do_not_count_in_a_newer_slice() {
        let start = now();
        let window = TimeWindow::new(Duration::from_secs(10), start);
        let later = start + Duration::from_secs(10);
        window.success(later);
        window.record(FAILED, start);
        window.success(start);
        assert_eq!(window.tally(later), Tally { calls: 1, ..Tally::default() });
    }

    #[test]
    fn success_at_the_very_end_of_a_slice_is_in_the_next() {
        let start = now();
        let window = TimeWindow::new(Duration::from_secs(10), start);
        window.success(start);
        window.success(start + Duration::from_secs(1));
        assert_eq!(window.tally(start + Duration::from_secs(10)).calls, 1, "only the first has left");
        assert_eq!(window.tally(start + Duration::from_secs(11)).calls, 0);
    }

    #[test]
    fn shortest_window_works_for_decades() {
        let start = now();
        for span in [1, 9, 500, 9_999, 10_000, 60_000].map(Duration::from_millis) {
            let window = TimeWindow::new(span, start);
            for years in [1, 4, 9, 30, 49] {
                let later = start + Duration::from_secs(60 * 60 * 24 * 365 * years);
                (0..5).for_each(|_| window.record(FAILED, later));
                let tally = window.tally(later);
                assert_eq!((tally.calls, tally.failed), (5, 5), "{span:?} after {years} years");
            }
        }
    }

    #[test]
    fn what_outlives_the_numbers_of_the_slices_still_counts_whole() {
        let start = now();
        let window = TimeWindow::new(TimeWindow::SHORTEST, start);
        for years in [100_u64, 200, 400] {
            let later = start + Duration::from_secs(60 * 60 * 24 * 365 * years);
            window.record(FAILED, later);
            window.success(later);
            let tally = window.tally(later);
            assert_eq!(tally.calls, 2 * tally.failed, "after {years} years");
            assert!(tally.failed > 0);
        }
    }

    #[test]
    fn slice_holds_a_billion_calls_a_second() {
        let start = now();
        for millis in [1, 100, 500, 9_999, 60_000] {
            let window = TimeWindow::new(Duration::from_millis(millis), start);
            let calls = millis * 100_000;
            window.success(start);
            window.words.mine()[0].fetch_add(calls - 2, Ordering::Relaxed); // as many more
            window.record(FAILED, start);
            assert_eq!(window.tally(start).calls, calls, "{millis} ms");
        }
    }

    #[test]
    fn slice_that_is_full_stays_full_and_makes_no_other() {
        let start = now();
        for slice in [0_u8, 1] {
            let now = start + Duration::from_micros(100) * slice.into();
            let window = TimeWindow::new(Duration::from_millis(1), start);
            window.success(now);
            let most = (1 << window.call_bits) - 1;
            window.words.mine()[usize::from(slice)].fetch_add(most - 1, Ordering::Relaxed); // as many more
            for _ in 0..3 {
                window.success(now);
                assert_eq!(window.tally(now).calls, most, "slice {slice}");
            }
        }
    }

    #[test]
    fn longest_window_holds_everything() {
        let start = now();
        let window = TimeWindow::new(Duration::MAX, start);
        window.record(FAILED, start);
        assert_eq!(window.tally(start + Duration::from_secs(1 << 30)).failed, 1);
    }

    proptest! {
        #[test]
        fn tally_equals_a_recount_of_the_last_ten_slices(
            span_ms in prop_oneof![Just(1_u64), Just(7), Just(500), Just(1_000), Just(60_000)],
            history in proptest::collection::vec((0_u64..4_000, any::<(bool, bool, bool)>(), 0_u8..40), 0..300),
        ) {
            let start = now();
            let window = TimeWindow::new(Duration::from_millis(span_ms), start);
            let slice = span_ms * 1_000_000_u64 / 10;
            let mut at = 0_u64; // nanoseconds since the start
            let mut all: Vec<(u64, Mark)> = Vec::new();
            for (step, (failed, slow, abandoned), dice) in history {
                at += step * span_ms * 100; // up to 0.4 of the span
                let now = start + Duration::from_nanos(at);
                if dice == 0 {
                    window.reset();
                    all.clear();
                } else {
                    let mark = Mark { failed, slow, abandoned };
                    if mark == Mark::default() { window.success(now) } else { window.record(mark, now) }
                    all.push((at, mark));
                }
                let within: Vec<_> = all.iter().filter(|c| at / slice - c.0 / slice < 10).collect();
                let count = |pick: fn(Mark) -> bool| within.iter().filter(|c| pick(c.1)).count() as u64;
                prop_assert_eq!(window.tally(now), Tally {
                    calls: count(|_| true),
                    failed: count(|mark| mark.failed),
                    slow: count(|mark| mark.slow),
                    abandoned: count(|mark| mark.abandoned),
                });
            }
        }
    }
}
