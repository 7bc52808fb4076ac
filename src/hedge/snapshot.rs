//! What a hedge has done.

use std::time::Duration;

use crate::sync::Spread;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What a [`Hedge`](super::Hedge) has done since it was built.
///
/// The numbers are read one after the other, so of calls under way one may say more than another.
///
/// ```
/// use std::time::Duration;
/// use recoup::Hedge;
/// let hedge = Hedge::after(Duration::from_millis(50)).build().unwrap();
/// let snapshot = hedge.snapshot();
/// assert_eq!((snapshot.calls, snapshot.launched, snapshot.suppressed), (0, 0, 0));
/// assert_eq!(snapshot.delay, Some(Duration::from_millis(50)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeSnapshot {
    /// Calls begun; inside a retry each of its attempts is one.
    pub calls: u64,
    /// Hedges launched: attempts made beside the first.
    pub launched: u64,
    /// Hedges whose value was taken.
    pub won: u64,
    /// Hedges that were due, and left out because the share or the budget was used up. One call counts once.
    pub suppressed: u64,
    /// Hedges launched in vain: they lost, failed, or were dropped with their call.
    pub wasted: u64,
    /// After what time a call that begins now would be hedged; `None` while it is not known.
    pub delay: Option<Duration>,
}

/// The counts behind a snapshot.
#[derive(Debug, Default)]
pub(super) struct Counts {
    calls: Spread<AtomicU64>,
    pub(super) launched: AtomicU64,
    won: AtomicU64,
    pub(super) suppressed: AtomicU64,
    wasted: AtomicU64,
}

impl Counts {
    /// Every call counts, so those of many threads do so apart.
    #[inline]
    pub(super) fn called(&self) {
        let mine = self.calls.mine();
        let seen = mine.load(Ordering::Relaxed);
        if mine.compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            self.calls.spread().fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn snapshot(&self, delay: Option<Duration>) -> HedgeSnapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        HedgeSnapshot {
            calls: self.calls.parts().map(read).sum(),
            launched: read(&self.launched),
            won: read(&self.won),
            suppressed: read(&self.suppressed),
            wasted: read(&self.wasted),
            delay,
        }
    }
}

/// The hedges of one race. Those whose value nobody took were launched in vain, which is counted when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Ventured<'h> {
    counts: &'h Counts,
    in_vain: u64,
}

impl<'h> Ventured<'h> {
    #[inline]
    pub(super) const fn none(counts: &'h Counts) -> Self {
        Self { counts, in_vain: 0 }
    }

    /// One more is made.
    pub(super) const fn launched(&mut self) {
        self.in_vain += 1;
    }

    /// The value of one that was launched is taken.
    pub(super) fn won(&mut self) {
        self.in_vain -= 1;
        self.counts.won.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Ventured<'_> {
    fn drop(&mut self) {
        if self.in_vain > 0 {
            self.counts.wasted.fetch_add(self.in_vain, Ordering::Relaxed);
        }
    }
}
