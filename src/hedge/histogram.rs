//! Counts times by their size, to within a sixteenth.

use std::time::Duration;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Into how many equal steps each doubling is divided: a step is at most a sixteenth of what it holds.
const STEPS: usize = 1 << STEP_BITS;
const STEP_BITS: u32 = 4;

/// Up to 2^40 microseconds, which is twelve days. What is longer counts as that.
const LONGEST: u64 = (1 << 40) - 1;
const CELLS: usize = place(LONGEST) + 1;

/// How many times of each size there were. Log-linear: as many cells for each doubling, all equally wide
/// (G. Tene's `HdrHistogram` is laid out so). Below 16 µs the cells are a microsecond wide.
#[derive(Debug)]
pub(super) struct Histogram(Box<[AtomicU64]>);

impl Histogram {
    pub(super) fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0[place(micros.min(LONGEST))].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.0.iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self((0..CELLS).map(|_| AtomicU64::new(0)).collect())
    }
}

/// A time than which at least `share` of those in both are no longer, and how many there are. It is the end of
/// a cell: the exact one, or up to a sixteenth and a microsecond more.
///
/// It goes through them twice, so that nothing has to be kept. Of what is recorded meanwhile it may miss some;
/// if both are cleared meanwhile, there are none.
pub(super) fn quantile(share: f64, both: [&Histogram; 2]) -> (u64, Duration) {
    let cells = || both[0].0.iter().zip(&both[1].0).map(|(a, b)| load(a).saturating_add(load(b)));
    let total = cells().fold(0, u64::saturating_add);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "exact up to 2^53 of them"
    )]
    let rank = ((total as f64 * share).ceil() as u64).max(1);
    let mut seen = 0_u64;
    let cell = cells().position(|cell| {
        seen = seen.saturating_add(cell);
        seen >= rank
    });
    cell.map_or((0, Duration::ZERO), |cell| (total, Duration::from_micros(end(cell))))
}

fn load(cell: &AtomicU64) -> u64 {
    cell.load(Ordering::Relaxed)
}

/// In which cell so many microseconds are counted.
const fn place(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return step(micros);
    }
    let doublings = micros.ilog2() - STEP_BITS;
    (doublings as usize) * STEPS + step(micros >> doublings)
}

/// Where a cell ends, in microseconds.
const fn end(cell: usize) -> u64 {
    if cell < STEPS {
        return cell as u64 + 1;
    }
    let doublings = cell / STEPS - 1;
    ((STEPS + cell % STEPS) as u64 + 1) << doublings
}

#[expect(clippy::cast_possible_truncation, reason = "at most 31")]
const fn step(small: u64) -> usize {
    small as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(share: f64, sorted: &[u64]) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few hundred"
        )]
        let rank = ((sorted.len() as f64 * share).ceil() as usize).max(1);
        sorted[rank - 1]
    }

    /// From microseconds to days, each order of magnitude as often.
    fn times() -> impl Strategy<Value = Vec<u64>> {
        let time = (0_u32..40, 0_u64..1 << 39).prop_map(|(order, bits)| bits >> (39 - order.min(39)));
        prop::collection::vec(time, 1..400)
    }

    proptest! {
        #[test]
        fn quantile_is_the_exact_one_or_a_sixteenth_more(times in times(), more in times(), share in 0.001..=1.0) {
            let both = [Histogram::default(), Histogram::default()];
            for (histogram, times) in both.iter().zip([&times, &more]) {
                for micros in times {
                    histogram.record(Duration::from_micros(*micros));
                }
            }
            let mut all = [times, more].concat();
            all.sort_unstable();
            let exact = exact(share, &all);
            let (count, told) = quantile(share, [&both[0], &both[1]]);
            let told = u64::try_from(told.as_micros()).unwrap();
            prop_assert_eq!(count, all.len() as u64);
            prop_assert!(told > exact && told <= exact + exact / 16 + 1, "{} for {}", told, exact);
        }

        #[test]
        fn cells_follow_one_another_without_a_gap(micros in 0..=LONGEST) {
            let cell = place(micros);
            prop_assert!(micros < end(cell));
            prop_assert!(cell == 0 || micros >= end(cell - 1));
        }
    }

    #[test]
    fn nothing_is_too_long_to_be_counted() {
        let both = [Histogram::default(), Histogram::default()];
        both[0].record(Duration::MAX);
        assert_eq!(quantile(1.0, [&both[0], &both[1]]), (1, Duration::from_micros(LONGEST + 1)));
        both[0].clear();
        assert_eq!(quantile(0.5, [&both[0], &both[1]]).0, 0);
    }
}
