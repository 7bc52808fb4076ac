//! The one source of randomness: fresh for every draw, or seeded so that a run can be repeated.

use std::hash::{BuildHasher, RandomState};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::sync::atomic::{AtomicU64, Ordering};

/// Where a policy's random draws come from. A clone of a seeded source goes on from where it is, and then its
/// own way: nobody's draws depend on how often somebody else has drawn.
///
/// The generator is named, not "the small one of this machine": a seed must give the same waits on machines
/// of 32 and of 64 bits, for a test may write them down.
#[derive(Debug, Default)]
pub(crate) enum Dice {
    /// Each draw starts from keys that the standard library makes anew: nothing is shared between calls,
    /// so no two of them repeat each other's sequence, and no lock or cache line is fought over.
    #[default]
    Fresh,
    /// The draws of one seed, in the order in which they are asked for.
    Seeded { seed: u64, drawn: AtomicU64 },
}

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded { seed, drawn: AtomicU64::new(0) }
    }

    /// A number from 0.0 up to, but not including, 1.0.
    pub(crate) fn draw(&self) -> f64 {
        Xoshiro256PlusPlus::seed_from_u64(self.entropy()).random()
    }

    /// A number of 128 random bits, for identities. Each half has a starting point of its own: from one of 64
    /// bits, all 128 would take no more than 2^64 values.
    pub(crate) fn bits(&self) -> u128 {
        u128::from(self.half()) << 64 | u128::from(self.half())
    }

    fn half(&self) -> u64 {
        Xoshiro256PlusPlus::seed_from_u64(self.entropy()).random()
    }

    fn entropy(&self) -> u64 {
        match self {
            Self::Fresh => RandomState::new().hash_one(0_u8),
            Self::Seeded { seed, drawn } => {
                // An odd constant keeps the starting points of neighbouring draws and seeds far apart. It is not
                // the one by which SplitMix64 steps: the generator steps by that to fill its state, and
                // neighbours would start with three of their four words in common.
                let nth = drawn.fetch_add(1, Ordering::Relaxed);
                seed.rotate_left(32).wrapping_add(nth.wrapping_mul(0xD1B5_4A32_D192_ED03))
            }
        }
    }
}

impl Clone for Dice {
    fn clone(&self) -> Self {
        match self {
            Self::Fresh => Self::Fresh,
            Self::Seeded { seed, drawn } => {
                Self::Seeded { seed: *seed, drawn: AtomicU64::new(drawn.load(Ordering::Relaxed)) }
            }
        }
    }
}

/// Whether both draw the same from now on, as far as a seed says.
impl PartialEq for Dice {
    fn eq(&self, other: &Self) -> bool {
        let drawn = |drawn: &AtomicU64| drawn.load(Ordering::Relaxed);
        match (self, other) {
            (Self::Fresh, Self::Fresh) => true,
            (Self::Seeded { seed: a, drawn: m }, Self::Seeded { seed: b, drawn: n }) => {
                a == b && drawn(m) == drawn(n)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_the_same_sequence() {
        let (a, b) = (Dice::seeded(7), Dice::seeded(7));
        let first: Vec<f64> = (0..100).map(|_| a.draw()).collect();
        let second: Vec<f64> = (0..100).map(|_| b.draw()).collect();
        assert_eq!(first, second);
        assert_ne!(first, (0..100).map(|_| Dice::seeded(8).draw()).collect::<Vec<f64>>());
    }

    #[test]
    fn clone_goes_on_from_where_it_is_and_then_its_own_way() {
        let dice = Dice::seeded(7);
        dice.bits();
        let clone = dice.clone();
        let expected: Vec<u128> = (0..10).map(|_| dice.bits()).collect();
        assert_eq!((0..10).map(|_| clone.bits()).collect::<Vec<_>>(), expected);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the very same numbers, or written-down waits would move")]
    fn a_seed_gives_numbers_that_can_be_written_down() {
        let dice = Dice::seeded(1);
        assert_eq!(
            [dice.draw(), dice.draw(), dice.draw()],
            [0.399_781_283_626_102_55, 0.168_948_077_373_681_12, 0.371_082_718_259_453_27]
        );
    }

    #[test]
    fn sources_are_equal_that_draw_the_same_from_now_on() {
        let (a, b) = (Dice::seeded(7), Dice::seeded(7));
        assert_eq!(a, b);
        assert_ne!(a, Dice::seeded(8));
        assert_ne!(a, Dice::Fresh);
        assert_eq!(Dice::Fresh, Dice::Fresh);
        a.draw();
        assert_ne!(a, b);
        b.draw();
        assert_eq!(a, b);
    }

    /// What starts from 64 bits takes only 2^64 values, however many bits are drawn from it: among a hundred
    /// million identities two would be the same once in some four thousand programs.
    #[test]
    fn identity_is_made_of_two_independent_halves() {
        let (dice, same) = (Dice::seeded(1), Dice::seeded(1));
        let halves =
            [same.entropy(), same.entropy()].map(|start| Xoshiro256PlusPlus::seed_from_u64(start).random());
        let [high, low]: [u64; 2] = halves;
        assert_eq!(dice.bits(), u128::from(high) << 64 | u128::from(low));
        assert_ne!(dice.bits(), Dice::seeded(1).bits());
        assert_ne!(Dice::Fresh.bits(), Dice::Fresh.bits());
    }

    #[test]
    fn draws_fill_the_range_evenly() {
        for dice in [Dice::Fresh, Dice::seeded(1)] {
            let mut tenths = [0_u32; 10];
            for _ in 0..10_000 {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
                let tenth = (dice.draw() * 10.0) as usize;
                tenths[tenth] += 1;
            }
            assert!(tenths.iter().all(|&n| (800..1200).contains(&n)), "{tenths:?}");
        }
    }
}
