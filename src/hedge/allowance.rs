//! How much load hedges may add.

use std::any::Any;

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::{Instant, Now};

/// One token, in the unit that everything here is counted in.
const TOKEN: u64 = 1_000_000;

/// What a good hour may save up for a bad minute.
const CAPACITY: u64 = 100 * TOKEN;

/// Attempts to spare, kept by somebody else.
pub(crate) trait Spare: Any + Send + Sync {
    /// Takes one, if there is one, for an attempt that is made now.
    fn take(&self, now: Instant) -> bool;

    /// A call has succeeded, `now` unless nobody has to know.
    fn earn(&self, now: &Now);
}

/// Who refused a hedge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The share of the calls that may be hedged is used up.
    Extra,
    /// The shared budget is empty.
    Budget,
}

impl Refused {
    /// For events.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Extra => "max_extra",
            Self::Budget => "budget",
        }
    }
}

/// Hedges as a share of the calls, counted exactly.
///
/// Every order is relaxed: the number guards no other memory, and it is only changed by compare-and-swap.
#[derive(Debug)]
pub(super) struct Extra {
    /// What is saved up, in millionths of a token.
    level: AtomicU64,
    share: u64,
}

impl Extra {
    /// Nothing is given on credit. `share` is from a millionth to 1.0.
    pub(super) fn new(share: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 10^6")]
        let share = (share * 1e6).round() as u64;
        Self { level: AtomicU64::new(0), share }
    }

    /// A call is made. One load, and no write, while as much is saved up as may be.
    #[inline]
    pub(super) fn earn(&self) {
        self.add(self.share);
    }

    /// A token that was taken is not used.
    pub(super) fn give_back(&self) {
        self.add(TOKEN);
    }

    fn add(&self, amount: u64) {
        let mut level = self.level.load(Ordering::Relaxed);
        while level < CAPACITY {
            let raised = (level + amount).min(CAPACITY);
            match self.level.compare_exchange_weak(level, raised, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(actual) => level = actual,
            }
        }
    }

    /// Takes a token for one hedge, if there is one.
    pub(super) fn take(&self) -> bool {
        let mut level = self.level.load(Ordering::Relaxed);
        while let Some(rest) = level.checked_sub(TOKEN) {
            match self.level.compare_exchange_weak(level, rest, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(actual) => level = actual,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hedges_never_exceed_their_share_and_reach_it(share in 1_u64..=TOKEN, asks in prop::collection::vec(any::<bool>(), 1..2_000)) {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let extra = Extra::new(share as f64 / 1e6);
            let (mut calls, mut hedges) = (0_u64, 0_u64);
            for ask in asks {
                extra.earn();
                calls += 1;
                let room = (hedges + 1) * TOKEN <= calls * share;
                if ask {
                    let given = extra.take();
                    prop_assert!(!given || room, "on credit");
                    // As long as no more has been saved up than may be, none is held back either.
                    prop_assert!(given || !room || calls * share > CAPACITY);
                    hedges += u64::from(given);
                }
                prop_assert!(hedges * TOKEN <= calls * share);
            }
        }
    }

    #[test]
    fn threads_take_no_token_twice() {
        let extra = Extra::new(0.5);
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        extra.earn();
                        taken.fetch_add(u64::from(extra.take()), Ordering::Relaxed);
                    }
                });
            }
        });
        while extra.take() {
            taken.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(taken.into_inner(), 2_000);
    }

    #[test]
    fn good_hour_saves_up_no_more_than_for_a_bad_minute() {
        let extra = Extra::new(1.0);
        (0..10_000).for_each(|_| extra.earn());
        assert_eq!((0..10_000).filter(|_| extra.take()).count(), 100);
        extra.give_back();
        assert!(extra.take());
        assert!(!extra.take());
    }
}
