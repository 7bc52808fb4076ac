//! Two counts over the last while, kept in slices of time. Pure: slices are numbered by who asks.

/// Two counts over the last `N` slices. What is older than that is forgotten, a whole slice at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent<const N: usize> {
    slices: [[u64; 2]; N],
    /// The slice that is counted in.
    latest: u64,
}

impl<const N: usize> Recent<N> {
    pub(super) const fn new() -> Self {
        Self { slices: [[0; 2]; N], latest: 0 }
    }

    /// Forgets what is too old in this slice. An earlier one than the latest changes nothing: another thread
    /// was later.
    pub(super) fn slide(&mut self, now: u64) {
        let passed = usize::try_from(now.saturating_sub(self.latest)).unwrap_or(usize::MAX);
        for _ in 0..passed.min(N) {
            self.latest += 1;
            *self.at(self.latest) = [0; 2];
        }
        self.latest = self.latest.max(now);
    }

    /// Counts one more, and says in which slice.
    pub(super) fn count(&mut self, which: usize) -> u64 {
        let count = &mut self.at(self.latest)[which];
        *count = count.saturating_add(1);
        self.latest
    }

    /// Takes back what was counted in that slice, unless it is forgotten already.
    pub(super) fn take_back(&mut self, which: usize, slice: u64) {
        if self.latest.saturating_sub(slice) < N as u64 {
            let count = &mut self.at(slice)[which];
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn sums(&self) -> [u64; 2] {
        self.slices
            .iter()
            .fold([0, 0], |sums, slice| [sums[0].saturating_add(slice[0]), sums[1].saturating_add(slice[1])])
    }

    /// The slice that is counted in.
    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    fn at(&mut self, slice: u64) -> &mut [u64; 2] {
        #[expect(clippy::cast_possible_truncation, reason = "less than N")]
        let at = (slice % N as u64) as usize;
        &mut self.slices[at]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slices_are_forgotten_one_by_one_and_a_long_pause_forgets_all() {
        let mut recent = Recent::<3>::new();
        for slice in 0..3 {
            recent.slide(slice);
            recent.count(0);
            recent.count(1);
        }
        assert_eq!(recent.sums(), [3, 3]);
        for (slice, left) in [(3, 2), (2, 2), (4, 1), (5, 0)] {
            recent.slide(slice);
            assert_eq!(recent.sums(), [left, left], "{slice}");
        }
        recent.count(0);
        recent.slide(u64::MAX);
        assert_eq!((recent.sums(), recent.latest()), ([0, 0], u64::MAX));
        recent.count(1);
        assert_eq!(recent.sums(), [0, 1]);
    }

    proptest! {
        #[test]
        fn any_history_matches_a_list_of_all_that_was_counted(
            steps in prop::collection::vec((0_u64..4, 0_usize..2, any::<bool>()), 0..200),
        ) {
            let mut recent = Recent::<4>::new();
            let (mut now, mut all) = (0, Vec::new());
            for (passed, which, back) in steps {
                now += passed;
                recent.slide(now);
                match all.pop() {
                    Some((slice, which)) if back => recent.take_back(which, slice),
                    kept => {
                        all.extend(kept);
                        all.push((recent.count(which), which));
                    }
                }
                let expected = [0, 1].map(|of| {
                    all.iter().filter(|(slice, which)| *which == of && slice + 4 > now).count() as u64
                });
                prop_assert_eq!(recent.sums(), expected);
            }
        }
    }
}
