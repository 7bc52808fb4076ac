//! What a throttle has seen, for those who operate it.

use std::time::Duration;

use super::Withheld;
use super::rules::Rules;
use super::state::State;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What a [`Throttle`](super::Throttle) has seen of its dependency, and what it allows.
///
/// ```
/// use recoup::{Throttle, Withheld};
/// let seen = Throttle::fleet().snapshot();
/// assert_eq!((seen.tokens, seen.admission, seen.failures_in_a_row), (10.0, 1.0, 0));
/// assert_eq!(seen.withheld(Withheld::Failing), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ThrottleSnapshot {
    /// Tokens, of which a retry costs one.
    pub tokens: f32,
    /// The smoothed share of attempts that said overload, from 0.0 to 1.0.
    pub overload: f32,
    /// The share of first attempts that are let through, from 0.0 to 1.0.
    pub admission: f32,
    /// Failed attempts since the last success.
    pub failures_in_a_row: u32,
    /// The share of attempts that failed and were mended by another.
    pub blips: f32,
    /// The mean time between calls; `None` before there were two.
    pub gap: Option<Duration>,
    /// Attempts that ended within the memory, counted up to 255.
    pub history: u32,
    /// Why a retry would be withheld now, whatever its attempt failed with; of an overload more are.
    pub holds_back: Option<Withheld>,
    withheld: [u64; Withheld::ALL.len()],
}

impl ThrottleSnapshot {
    pub(super) fn of(state: &State, rules: &Rules) -> Self {
        let holds_back = match (state.is_failing(rules), state.tokens < 1.0) {
            (true, _) => Some(Withheld::Failing),
            (false, true) => Some(Withheld::Spent),
            (false, false) => None,
        };
        Self {
            tokens: state.tokens,
            overload: state.overload,
            admission: state.admission,
            failures_in_a_row: state.run.into(),
            blips: state.blips,
            gap: (state.gap > 0.0).then(|| Duration::try_from_secs_f32(state.gap).unwrap_or_default()),
            history: state.seen.into(),
            holds_back,
            withheld: Withheld::ALL.map(|why| rules.withheld.counted(why)),
        }
    }

    /// How many retries were withheld for this reason, by this throttle and all that were made
    /// [fresh](super::Throttle::fresh) from it.
    #[must_use]
    pub const fn withheld(&self, why: Withheld) -> u64 {
        self.withheld[why as usize]
    }
}

/// How many retries were withheld, by reason.
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicU64; Withheld::ALL.len()]);

impl Counts {
    pub(super) fn count(&self, why: Withheld) {
        self.0[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn counted(&self, why: Withheld) -> u64 {
        self.0[why as usize].load(Ordering::Relaxed)
    }
}
