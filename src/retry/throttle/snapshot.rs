//! What a throttle has seen, for those who operate it.

use std::time::Duration;

use super::cubic::Cubic;
use super::rules::Rules;
use super::sre::Sre;
use super::state::State;
use super::tally::{RetriesSeen, Tally};
use super::withheld::Withheld;
use crate::classification::Category;
use crate::time::Instant;

/// What a [`Throttle`](super::Throttle) has seen of its dependency, and what it allows.
///
/// ```
/// use recoup::{Throttle, Withheld};
/// let seen = Throttle::fleet().snapshot();
/// assert_eq!((seen.tokens, seen.admission, seen.failures_in_a_row), (10.0, 1.0, 0));
/// assert_eq!((seen.kind, seen.withheld(Withheld::Failing)), ("adaptive", 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ThrottleSnapshot {
    /// What kind of throttle it is: `adaptive`, `sre` or `cubic`.
    pub kind: &'static str,
    /// Tokens, of which a retry costs one, or of [`cubic`](super::Throttle::aws_adaptive) some; infinite where
    /// attempts cost none.
    pub tokens: f32,
    /// The smoothed share of attempts that said overload, from 0.0 to 1.0. Of [`sre`](super::Throttle::sre) the
    /// share of requests that were not accepted; of `cubic` 0.0.
    pub overload: f32,
    /// The share of first attempts that are let through, from 0.0 to 1.0. Of `cubic` that for which its rate
    /// is enough, if calls go on as they were answered.
    pub admission: f32,
    /// The attempts a second that `cubic` allows; `None` while it limits nothing, and of others.
    pub rate: Option<f32>,
    /// Failed attempts since the last success. Only `adaptive` counts them.
    pub failures_in_a_row: u32,
    /// The share of attempts that failed and were mended by another. Only of `adaptive`.
    pub blips: f32,
    /// The mean time between calls; `None` before there were two. Only of `adaptive`.
    pub gap: Option<Duration>,
    /// Attempts that ended within the memory, counted up to 255; of `sre`, the requests of two minutes.
    pub history: u32,
    /// Why a retry would be withheld now, whatever its attempt failed with; of an overload more are, and of a
    /// category whose [retries do not help](Self::retries_of).
    pub holds_back: Option<Withheld>,
    withheld: [u64; Withheld::ALL.len()],
    retries: [RetriesSeen; Category::ALL.len()],
}

impl ThrottleSnapshot {
    /// Of a throttle that has seen nothing and holds nothing back.
    fn blank(kind: &'static str, tally: &Tally) -> Self {
        Self {
            kind,
            tokens: f32::INFINITY,
            overload: 0.0,
            admission: 1.0,
            rate: None,
            failures_in_a_row: 0,
            blips: 0.0,
            gap: None,
            history: 0,
            holds_back: None,
            withheld: tally.all_withheld(),
            retries: tally.retries(),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "shares")]
    pub(super) fn of_sre(sre: &Sre, tally: &Tally, now: Instant) -> Self {
        let ([requests, accepts], rejected) = sre.seen(now);
        let not_accepted = 1.0 - accepts as f64 / requests.max(1) as f64;
        Self {
            overload: if requests == 0 { 0.0 } else { not_accepted as f32 },
            admission: (1.0 - rejected) as f32,
            history: u32::try_from(requests).unwrap_or(u32::MAX),
            ..Self::blank("sre", tally)
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "as exact as a person wants to know")]
    pub(super) fn of_cubic(cubic: &Cubic, tally: &Tally, now: Instant) -> Self {
        let seen = cubic.seen(now);
        let blank = Self::blank("cubic", tally);
        if !seen.limits {
            return blank;
        }
        Self {
            tokens: seen.tokens as f32,
            admission: (seen.fill / seen.measured.max(seen.fill)) as f32,
            rate: Some(seen.fill as f32),
            holds_back: (!cubic.affords_a_retry(now)).then_some(Withheld::Spent),
            ..blank
        }
    }

    pub(super) fn of(state: &State, rules: &Rules, tally: &Tally) -> Self {
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
            ..Self::blank("adaptive", tally)
        }
    }

    /// How many retries were withheld for this reason, by this throttle and all that were made
    /// [fresh](super::Throttle::fresh) from it.
    #[must_use]
    pub const fn withheld(&self, why: Withheld) -> u64 {
        self.withheld[why as usize]
    }
    /// How retries of errors of this category have fared, with this throttle and all that were made
    /// [fresh](super::Throttle::fresh) from it.
    #[must_use]
    pub const fn retries_of(&self, category: Category) -> RetriesSeen {
        self.retries[category as usize]
    }
}
