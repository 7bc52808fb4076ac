//! The count of calls in flight, and the limit that it is held against.

use crate::sync::atomic::{AtomicU64, Ordering};

/// The bits below are the calls in flight, those above the limit.
const LIMIT: u32 = u32::BITS;

/// Both in one word, so that whoever is let in was let in under the limit of that moment.
#[derive(Debug)]
pub(super) struct Gate(AtomicU64);

/// What the word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) limit: u32,
    pub(super) in_flight: u32,
}

impl From<u64> for Counts {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    fn from(word: u64) -> Self {
        Self { limit: (word >> LIMIT) as u32, in_flight: word as u32 }
    }
}

impl Gate {
    pub(super) fn new(limit: u32) -> Self {
        Self(AtomicU64::new(u64::from(limit) << LIMIT))
    }

    pub(super) fn counts(&self) -> Counts {
        self.0.load(Ordering::Relaxed).into()
    }

    /// Lets one in if more than `kept` places of the limit are free.
    #[inline]
    pub(super) fn try_enter(&self, kept: impl Fn(u64) -> u64) -> Result<(), Counts> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let counts = Counts::from(word);
            let Counts { limit, in_flight } = counts;
            let limit = u64::from(limit);
            if u64::from(in_flight) >= limit.saturating_sub(kept(limit)) {
                return Err(counts);
            }
            // In flight is below the limit, so the lower half does not overflow into the upper.
            let swap = (Ordering::Acquire, Ordering::Relaxed);
            match self.0.compare_exchange_weak(word, word + 1, swap.0, swap.1) {
                Ok(_) => return Ok(()),
                Err(changed) => word = changed,
            }
        }
    }

    /// Gives a place back that [`try_enter`](Self::try_enter) gave. How many were in flight, that one included.
    #[inline]
    pub(super) fn leave(&self) -> u32 {
        Counts::from(self.0.fetch_sub(1, Ordering::Release)).in_flight
    }

    /// Those in flight stay, be it more than the limit.
    pub(super) fn set_limit(&self, limit: u32) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = u64::from(limit) << LIMIT | u64::from(Counts::from(word).in_flight);
            match self.0.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => word = changed,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_the_word_do_not_touch_each_other() {
        let gate = Gate::new(2);
        assert_eq!((gate.try_enter(|_| 0), gate.try_enter(|_| 0)), (Ok(()), Ok(())));
        assert_eq!(gate.try_enter(|_| 0), Err(Counts { limit: 2, in_flight: 2 }));
        gate.set_limit(u32::MAX);
        assert_eq!(gate.counts(), Counts { limit: u32::MAX, in_flight: 2 });
        gate.set_limit(1);
        assert_eq!(gate.leave(), 2);
        assert!(gate.try_enter(|_| 0).is_err(), "lowered, it drains");
        assert_eq!(gate.leave(), 1);
        assert_eq!(gate.try_enter(|_| 0), Ok(()));
        assert_eq!(gate.counts(), Counts { limit: 1, in_flight: 1 });
    }

    #[test]
    fn more_kept_than_there_is_lets_nobody_in() {
        assert!(Gate::new(3).try_enter(|_| u64::MAX).is_err());
        assert!(Gate::new(3).try_enter(|limit| limit).is_err());
        assert!(Gate::new(3).try_enter(|limit| limit - 1).is_ok());
    }
}
