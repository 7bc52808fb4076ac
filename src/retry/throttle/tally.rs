//! What became of retries, by what they repeated.

use super::Withheld;
use crate::classification::Category;
use crate::sync::OnceLock;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Before so many retries of a category have been seen, nothing follows from what became of them.
const ENOUGH: u32 = 20;

/// The share is that of the last so many, the older ones weighing less and less.
const MEMORY: u32 = 20;

/// While retries of a category are withheld, one in so many is made, to find out.
const PROBE: u32 = 20;

/// A share of one, in the unit that shares are kept in. A twentieth part of it is a whole number.
const WHOLE: u32 = 60_000;

/// Below this share retries of a category are withheld.
const HOPELESS: u32 = WHOLE / 20;

const CATEGORIES: usize = Category::ALL.len();

/// How retries of one category have fared.
///
/// ```
/// use recoup::{Category, Throttle};
/// let seen = Throttle::fleet().snapshot().retries_of(Category::Network);
/// assert_eq!((seen.count, seen.helped), (0, 0.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RetriesSeen {
    /// How many have ended, counted up to 65,535.
    pub count: u32,
    /// The share of them that succeeded, from 0.0 to 1.0: of all, as long as they are few, and then smoothed
    /// over the last twenty.
    pub helped: f32,
}

/// Made when there is something to count: most of a fleet's clients never retry.
#[derive(Debug, Default)]
pub(super) struct Tally(OnceLock<Box<Table>>);

/// Every order is relaxed: nothing else is guarded by these numbers.
#[derive(Debug)]
struct Table {
    withheld: [AtomicU64; Withheld::ALL.len()],
    retries: [Fate; CATEGORIES],
}

impl Table {
    fn new() -> Box<Self> {
        Box::new(Self {
            withheld: std::array::from_fn(|_| AtomicU64::new(0)),
            retries: std::array::from_fn(|_| Fate::new()),
        })
    }
}

impl Tally {
    fn table(&self) -> &Table {
        self.0.get_or_init(Table::new)
    }

    pub(super) fn withheld(&self, why: Withheld) {
        self.table().withheld[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn all_withheld(&self) -> [u64; Withheld::ALL.len()] {
        let Some(table) = self.0.get() else { return [0; Withheld::ALL.len()] };
        Withheld::ALL.map(|why| table.withheld[why as usize].load(Ordering::Relaxed))
    }

    /// A retry of this category has ended.
    pub(super) fn repeated(&self, category: Category, helped: bool) {
        self.table().retries[category as usize].repeated(helped);
    }

    /// Whether a retry of this category may help.
    pub(super) fn may_help(&self, category: Category) -> bool {
        self.0.get().is_none_or(|table| table.retries[category as usize].may_help())
    }

    pub(super) fn retries(&self) -> [RetriesSeen; CATEGORIES] {
        let Some(table) = self.0.get() else { return [RetriesSeen::default(); CATEGORIES] };
        Category::ALL.map(|category| table.retries[category as usize].seen())
    }
}

/// What became of the retries of one category.
#[derive(Debug)]
struct Fate {
    /// The share that helped in the upper half, how many there were in the lower.
    word: AtomicU32,
    /// How often leave was asked for while it was withheld.
    asked: AtomicU32,
}

impl Fate {
    fn new() -> Self {
        Self { word: AtomicU32::new(0), asked: AtomicU32::new(0) }
    }

    fn read(word: u32) -> (u32, u32) {
        (word >> 16, word & 0xFFFF)
    }

    fn repeated(&self, helped: bool) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let (share, count) = Self::read(word);
            let count = (count + 1).min(0xFFFF);
            let weight = count.min(MEMORY);
            // Rounded in favour of retries, both ways: one in twenty is never less than it is.
            let share =
                if helped { share + (WHOLE - share).div_ceil(weight) } else { share - share / weight };
            let new = share << 16 | count;
            match self.word.compare_exchange_weak(word, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(actual) => word = actual,
            }
        }
    }

    fn may_help(&self) -> bool {
        let (share, count) = Self::read(self.word.load(Ordering::Relaxed));
        if count < ENOUGH || share >= HOPELESS {
            return true;
        }
        self.asked.fetch_add(1, Ordering::Relaxed) % PROBE == PROBE - 1
    }

    fn seen(&self) -> RetriesSeen {
        let (share, count) = Self::read(self.word.load(Ordering::Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "both have sixteen bits")]
        let helped = share as f32 / WHOLE as f32;
        RetriesSeen { count, helped }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANY: Category = Category::Database;

    fn after(helped: impl IntoIterator<Item = bool>) -> Tally {
        let tally = Tally::default();
        helped.into_iter().for_each(|helped| tally.repeated(ANY, helped));
        tally
    }

    /// How many of so many retries would be made.
    fn made(tally: &Tally, asked: usize) -> usize {
        (0..asked).filter(|_| tally.may_help(ANY)).count()
    }

    #[test]
    fn twenty_retries_without_help_are_hopeless_but_for_one_in_twenty() {
        assert_eq!(made(&after([false; 19]), 100), 100, "nineteen prove nothing");
        let hopeless = after([false; 20]);
        assert_eq!(made(&hopeless, 19), 0);
        assert_eq!(made(&hopeless, 381), 20);
        assert!(hopeless.may_help(Category::Network), "others are not concerned");
    }

    #[test]
    fn one_in_twenty_is_help_wherever_it_is() {
        for at in 0..20 {
            let tally = after((0..20).map(|nth| nth == at));
            assert_eq!(made(&tally, 100), 100, "{at}");
        }
    }

    #[test]
    fn first_retry_that_helps_again_brings_all_of_them_back() {
        let tally = after((0..10_000).map(|_| false));
        assert_eq!(made(&tally, 10), 0);
        tally.repeated(ANY, true);
        assert_eq!(made(&tally, 100), 100);
        tally.repeated(ANY, false);
        assert!(made(&tally, 100) <= 5, "until another does not");
    }

    #[test]
    fn count_stops_at_what_it_can_hold_and_the_share_goes_on() {
        let tally = after((0..70_000).map(|_| true));
        assert_eq!(tally.retries()[ANY as usize], RetriesSeen { count: 65_535, helped: 1.0 });
        (0..1_000).for_each(|_| tally.repeated(ANY, false));
        let seen = tally.retries()[ANY as usize];
        assert!(seen.count == 65_535 && seen.helped < 0.001, "{seen:?}");
    }

    proptest! {
        #[test]
        fn share_is_that_of_real_numbers_to_a_thousandth(fates in prop::collection::vec(any::<bool>(), 0..300)) {
            let tally = after(fates.iter().copied());
            let mut share = 0.0_f64;
            for (n, helped) in (1_u32..).zip(&fates) {
                share += (f64::from(u8::from(*helped)) - share) / f64::from(n.min(20));
            }
            let seen = tally.retries()[ANY as usize];
            prop_assert_eq!(seen.count as usize, fates.len());
            prop_assert!((f64::from(seen.helped) - share).abs() < 0.001, "{} {}", seen.helped, share);
        }
    }
}
