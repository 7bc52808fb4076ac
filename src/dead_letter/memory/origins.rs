//! Where letters came from that were brought in from other queues, so that none comes in twice.

use std::collections::{BTreeMap, VecDeque};

use crate::dead_letter::letter::Origin;

/// So many letters that are gone are still known by where they came from.
const MAX_GONE: usize = 10_000;

/// The origins of the letters held, and of the latest that are gone.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// How many letters held share it; zero for one that is gone.
    known: BTreeMap<Origin, usize>,
    /// Oldest first. One that came back and went again is in here twice, and is forgotten with its first.
    gone: VecDeque<Origin>,
}

impl Origins {
    pub(super) fn knows(&self, origin: Origin) -> bool {
        self.known.contains_key(&origin)
    }

    /// A letter from there is held.
    pub(super) fn enter(&mut self, origin: Origin) {
        *self.known.entry(origin).or_default() += 1;
    }

    /// It is held no more.
    pub(super) fn leave(&mut self, origin: Origin) {
        let Some(count) = self.known.get_mut(&origin) else { return };
        *count = count.saturating_sub(1);
        if *count > 0 {
            return;
        }
        self.gone.push_back(origin);
        if self.gone.len() > MAX_GONE
            && let Some(oldest) = self.gone.pop_front()
            && self.known.get(&oldest) == Some(&0)
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::letter::LetterId;

    fn from(number: usize) -> Origin {
        Origin::new(1, LetterId::new(u64::try_from(number).unwrap()))
    }

    #[test]
    fn the_latest_that_are_gone_are_known_and_no_more_are_kept() {
        let mut origins = Origins::default();
        origins.enter(from(0));
        for number in 1..=MAX_GONE + 1 {
            origins.enter(from(number));
            origins.leave(from(number));
        }
        assert!(origins.knows(from(0)), "it is held");
        assert!(!origins.knows(from(1)) && origins.knows(from(2)) && origins.knows(from(MAX_GONE + 1)));
        assert_eq!((origins.known.len(), origins.gone.len()), (MAX_GONE + 1, MAX_GONE));
    }

    #[test]
    fn one_that_is_held_again_is_not_forgotten_with_those_that_are_gone() {
        let mut origins = Origins::default();
        origins.enter(from(0));
        origins.leave(from(0));
        origins.enter(from(0));
        for number in 1..=MAX_GONE {
            origins.enter(from(number));
            origins.leave(from(number));
        }
        assert!(origins.knows(from(0)));
    }
}
