//! How much it matters that a call is made now, and what is kept for those that matter more.

use crate::setting::{Check, SettingError};

/// How much it matters that a call is made now. Where something is scarce, the lowest go without first.
///
/// It rides in the [`CallContext`](crate::CallContext). Every limit can keep a part for those who matter more.
/// Without such a reserve all are alike.
///
/// ```
/// use recoup::Priority;
///
/// assert_eq!(Priority::default(), Priority::Normal);
/// assert!(Priority::Critical > Priority::High && Priority::Normal > Priority::Low);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Work that may wait or be dropped: prefetching, batches.
    Low,
    /// Everything that nobody said anything about.
    #[default]
    Normal,
    /// A person waits for it.
    High,
    /// The business stands still without it. Keep it rare.
    Critical,
}

impl Priority {
    /// All of them, from the lowest to the highest.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The name in snake case, as it stands in logs and settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a limit keeps for each priority and those above it, as shares of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reserves {
    shares: [f64; Priority::ALL.len()],
}

/// Shares add up to a little more than they are.
const ROUNDING: f64 = 1e-6;

impl Reserves {
    /// Nothing is kept.
    pub(crate) const NONE: Self = Self { shares: [0.0; Priority::ALL.len()] };

    /// `share` of the whole is for `priority` and above.
    pub(crate) const fn keep(mut self, priority: Priority, share: f64) -> Self {
        self.shares[priority as usize] = share;
        self
    }

    /// # Errors
    ///
    /// Names `reserve` if a share is not one, if together they are more than the whole, or if one is kept for
    /// the lowest, from whom nobody could take it.
    pub(crate) fn check(&self, check: Check) -> Result<(), SettingError> {
        for share in self.shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(check.refuse("reserve", share, "at least 0.0 and at most 1.0"));
            }
        }
        let [lowest, ..] = self.shares;
        if lowest > 0.0 {
            return Err(check.refuse("reserve", lowest, "for a priority above `Low`"));
        }
        let sum: f64 = self.shares.iter().sum();
        if sum > 1.0 + ROUNDING {
            return Err(check.refuse("reserve", sum, "at most 1.0 over all priorities"));
        }
        Ok(())
    }

    /// Priorities between which nothing is kept have the same rank; where something is, the higher one has a
    /// higher rank.
    pub(crate) fn rank(&self, priority: Priority) -> usize {
        (0..=priority as usize).rev().find(|&rank| self.shares[rank] > 0.0).unwrap_or(0)
    }

    /// How many of `whole` are kept from `priority`: that many must be free after it has taken its part.
    /// Rounded up, but the lowest can always have the last one of an idle whole.
    pub(crate) fn kept_from(&self, priority: Priority, whole: u64) -> u64 {
        let share: f64 = self.shares.iter().skip(priority as usize + 1).sum();
        if share <= 0.0 {
            return 0;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count, and the casts saturate"
        )]
        let kept = (share * whole as f64 - ROUNDING).ceil() as u64;
        kept.min(whole.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: Check = Check("test");

    #[test]
    fn reserve_is_kept_from_those_below_only() {
        let reserves = Reserves::default().keep(Priority::Critical, 0.1).keep(Priority::High, 0.2);
        let kept = Priority::ALL.map(|priority| reserves.kept_from(priority, 100));
        assert_eq!(kept, [30, 30, 10, 0]);
    }

    #[test]
    fn nobody_is_shut_out_of_an_idle_whole() {
        let all = Reserves::default().keep(Priority::Critical, 1.0);
        assert_eq!([0, 1, 2, 100].map(|whole| all.kept_from(Priority::Low, whole)), [0, 0, 1, 99]);
    }

    #[test]
    fn rank_rises_where_something_is_kept_and_nowhere_else() {
        let ranks = |reserves: Reserves| Priority::ALL.map(|priority| reserves.rank(priority));
        assert_eq!(ranks(Reserves::default()), [0; 4]);
        assert_eq!(ranks(Reserves::default().keep(Priority::High, 0.2)), [0, 0, 2, 2]);
        assert_eq!(
            ranks(Reserves::default().keep(Priority::Normal, 0.2).keep(Priority::High, 0.2)),
            [0, 1, 2, 2]
        );
    }

    #[test]
    fn no_reserve_keeps_nothing() {
        assert_eq!(Reserves::default().kept_from(Priority::Low, u64::MAX), 0);
    }

    #[test]
    fn shares_that_are_none_are_refused_by_name() {
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let error = Reserves::default().keep(Priority::High, share).check(CHECK).unwrap_err();
            assert_eq!(error.setting, "reserve");
        }
        let much = Reserves::default().keep(Priority::High, 0.6).keep(Priority::Critical, 0.6);
        assert!(much.check(CHECK).is_err());
        assert!(Reserves::default().keep(Priority::Low, 0.1).check(CHECK).is_err());
        assert!(Reserves::default().keep(Priority::High, 0.6).check(CHECK).is_ok());
    }
}
