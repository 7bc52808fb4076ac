//! Whose turn it is.

use std::collections::{BTreeSet, VecDeque};

use crate::dead_letter::LetterId;

/// The letters of a run: each has one turn, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Those that have not had it, ascending.
    left: VecDeque<LetterId>,
    under_way: BTreeSet<LetterId>,
    /// Given back with nothing tried: they are first as soon as the run goes on.
    again: BTreeSet<LetterId>,
    /// In somebody else's hands, to be asked for later.
    busy: BTreeSet<LetterId>,
    /// The greatest number that was begun.
    reached: LetterId,
}

impl Turns {
    /// These letters, of which those up to `reached` were begun before.
    pub(super) fn new(mut letters: Vec<LetterId>, reached: LetterId) -> Self {
        letters.sort_unstable();
        letters.dedup();
        Self { left: letters.into(), reached, ..Self::default() }
    }

    /// Whether one can begin.
    pub(super) fn has_next(&self) -> bool {
        !self.left.is_empty() || !self.again.is_empty()
    }

    /// Begins the turn of the letter with the smallest number.
    pub(super) fn begin(&mut self) -> Option<LetterId> {
        let again = self.again.first().copied();
        let id = match self.left.front() {
            Some(&left) if again.is_none_or(|again| left < again) => self.left.pop_front()?,
            _ => self.again.pop_first()?,
        };
        self.under_way.insert(id);
        self.reached = self.reached.max(id);
        Some(id)
    }

    /// A letter had its turn.
    pub(super) fn end(&mut self, id: LetterId) {
        self.under_way.remove(&id);
    }

    /// A letter comes back with nothing tried.
    pub(super) fn give_back(&mut self, id: LetterId) {
        self.under_way.remove(&id);
        self.again.insert(id);
    }

    /// Somebody else has the letter.
    pub(super) fn set_aside(&mut self, id: LetterId) {
        self.under_way.remove(&id);
        self.busy.insert(id);
    }

    /// Those that were set aside can be asked for again.
    pub(super) fn ask_again(&mut self) {
        self.again.append(&mut self.busy);
    }

    pub(super) fn some_are_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Whether nobody's turn is left, but those that are under way.
    pub(super) fn none_left(&self) -> bool {
        !self.has_next() && self.busy.is_empty()
    }

    /// The greatest number that was begun, and those up to it whose turn is not over.
    pub(super) fn place(&self) -> (LetterId, Vec<LetterId>) {
        let before = self.left.iter().take_while(|&&id| id <= self.reached);
        let open = before.chain(&self.under_way).chain(&self.again).chain(&self.busy);
        let open: BTreeSet<LetterId> = open.copied().collect();
        (self.reached, open.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u64) -> LetterId {
        LetterId::new(number)
    }

    #[test]
    fn letter_given_back_is_first_again() {
        let mut turns = Turns::new([1, 2, 3].map(id).into(), LetterId::UNASSIGNED);
        assert_eq!((turns.begin(), turns.begin()), (Some(id(1)), Some(id(2))));
        turns.give_back(id(1));
        assert_eq!(turns.begin(), Some(id(1)));
        turns.set_aside(id(2));
        assert_eq!(turns.begin(), Some(id(3)));
        assert!(!turns.has_next() && !turns.none_left());
        turns.ask_again();
        assert_eq!((turns.begin(), turns.begin()), (Some(id(2)), None));
    }

    proptest! {
        /// Whenever a run is written down, what was written is enough to find every letter that has not had
        /// its turn, and none that has.
        #[test]
        fn place_tells_who_has_not_had_a_turn(steps in prop::collection::vec(0_u8..5, 0..60), width in 1_usize..5) {
            let all: Vec<LetterId> = (1..=20).map(|number| id(number * 3)).collect();
            let mut turns = Turns::new(all.clone(), LetterId::UNASSIGNED);
            let (mut under_way, mut ended) = (Vec::new(), BTreeSet::new());
            for step in steps {
                match step {
                    0 | 1 if under_way.len() < width => under_way.extend(turns.begin()),
                    2 => if let Some(id) = under_way.pop() { turns.end(id); ended.insert(id); },
                    3 => if let Some(id) = under_way.pop() { turns.give_back(id); },
                    4 if !under_way.is_empty() => turns.set_aside(under_way.remove(0)),
                    _ => turns.ask_again(),
                }
                let (reached, open) = turns.place();
                let found: BTreeSet<LetterId> =
                    all.iter().copied().filter(|id| *id > reached || open.contains(id)).collect();
                let expected: BTreeSet<LetterId> =
                    all.iter().copied().filter(|id| !ended.contains(id)).collect();
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(turns.none_left(), found.len() == under_way.len());

                // Whoever takes over from there saves the same place until something is begun.
                let next = Turns::new(found.into_iter().collect(), reached);
                prop_assert_eq!(next.place(), (reached, open));
            }
        }
    }
}
