//! When a queue fills up.

/// Told from this share of a limit on, in tenths.
const HIGH: u128 = 8;

/// Told again only after falling below this share of both limits, in tenths: a queue that stands at the mark
/// would not stop telling.
const LOW: u128 = 7;

/// Whether it was told that the queue fills up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filling {
    told: bool,
}

impl Filling {
    /// Whether the queue has come to four fifths of a limit since the last time this was so. Each pair is what
    /// is held, and how much may be.
    pub(crate) fn crosses(&mut self, levels: [(u64, u64); 2]) -> bool {
        let at =
            |tenths| levels.iter().any(|&(held, limit)| u128::from(held) * 10 >= u128::from(limit) * tenths);
        let crosses = !self.told && at(HIGH);
        self.told = crosses || self.told && at(LOW);
        crosses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_is_crossed_once_until_it_was_well_below() {
        let mut filling = Filling::default();
        let mut letters = |held| filling.crosses([(held, 10), (0, 10)]);
        assert_eq!(
            [7, 8, 9, 10, 8, 7, 8].map(&mut letters),
            [false, true, false, false, false, false, false]
        );
        assert_eq!([6, 8].map(&mut letters), [false, true]);
    }

    #[test]
    fn either_limit_counts_and_both_must_fall() {
        let mut filling = Filling::default();
        assert!(filling.crosses([(0, 10), (80, 100)]));
        assert!(!filling.crosses([(9, 10), (0, 100)]), "it has not been well below");
        assert!(!filling.crosses([(0, 10), (0, 100)]));
        assert!(filling.crosses([(u64::MAX, u64::MAX), (0, 1)]));
        assert!(Filling::default().crosses([(1, 1), (0, 1)]));
    }
}
