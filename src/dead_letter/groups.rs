//! Letters that died of the same thing, counted together.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::dead_letter::fingerprint::Fingerprint;
use crate::dead_letter::letter::DeadLetter;

/// Letters with the same [`Fingerprint`], counted together: what an operator looks at first.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, ErrorChain, LetterFilter, MemoryQueue};
///
/// let queue = MemoryQueue::default();
/// for order in 0..3 {
///     let error = ErrorChain::from_display(&format!("order {order} timed out"));
///     queue.push(DeadLetter::new("charge").error(error)).await?;
/// }
/// let groups = queue.groups(&LetterFilter::new(), 10).await?;
/// assert_eq!((groups.len(), groups[0].letters), (1, 3));
/// assert_eq!(groups[0].sample.error.to_string(), "order 2 timed out");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LetterGroup {
    /// What they have in common.
    pub fingerprint: Fingerprint,
    /// How many they are.
    pub letters: u64,
    /// When the first of them died.
    pub first: SystemTime,
    /// When the latest of them died.
    pub last: SystemTime,
    /// One of them: the one stored last.
    pub sample: Box<DeadLetter>,
}

impl LetterGroup {
    /// A group of this one letter.
    #[must_use]
    pub fn of(letter: DeadLetter) -> Self {
        let (fingerprint, died_at) = (letter.fingerprint(), letter.died_at);
        Self { fingerprint, letters: 1, first: died_at, last: died_at, sample: Box::new(letter) }
    }
}

/// Groups letters as they come.
#[derive(Debug, Default)]
pub(crate) struct Grouping(BTreeMap<Fingerprint, LetterGroup>);

impl Grouping {
    /// Adds a letter whose number is greater than that of those before.
    pub(crate) fn add(&mut self, letter: DeadLetter) {
        let Some(group) = self.0.get_mut(&letter.fingerprint()) else {
            let group = LetterGroup::of(letter);
            self.0.insert(group.fingerprint, group);
            return;
        };
        group.letters += 1;
        group.first = group.first.min(letter.died_at);
        group.last = group.last.max(letter.died_at);
        *group.sample = letter;
    }

    /// The largest groups first, and of two equals the one that had news last.
    pub(crate) fn largest(self, limit: usize) -> Vec<LetterGroup> {
        let mut groups: Vec<_> = self.0.into_values().collect();
        groups.sort_by_key(|group| (std::cmp::Reverse((group.letters, group.last)), group.fingerprint));
        groups.truncate(limit);
        groups
    }
}
