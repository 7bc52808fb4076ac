//! Which letters a run means.

use crate::dead_letter::{
    DeadLetter, DeadLetterQueue, Grouping, LetterFilter, LetterGroup, LetterId, LetterState, QueueError,
};

/// How many letters are looked at together.
const PAGE: usize = 64;

/// So many groups of a dry run are told of.
const MAX_GROUPS: usize = 100;

/// Those letters of the filter that came after `after` and up to `up_to`.
pub(super) fn between(filter: &LetterFilter, after: LetterId, up_to: LetterId) -> LetterFilter {
    let mut filter = filter.clone();
    filter.after = filter.after.max(Some(after));
    filter.up_to = Some(filter.up_to.map_or(up_to, |own| own.min(up_to)));
    filter
}

/// The letters that are meant now: those that can be leased, and those that somebody works on. Only their
/// numbers are kept.
#[derive(Debug, Default)]
pub(super) struct Meant {
    pub(super) free: Vec<LetterId>,
    pub(super) leased: Vec<LetterId>,
}

impl Meant {
    pub(super) async fn by(queue: &dyn DeadLetterQueue, filter: LetterFilter) -> Result<Self, QueueError> {
        let mut meant = Self::default();
        each(queue, filter, |letter| match letter.state {
            LetterState::Leased => meant.leased.push(letter.id),
            LetterState::Ready | LetterState::Quarantined => meant.free.push(letter.id),
        })
        .await?;
        Ok(meant)
    }

    /// How many they are.
    pub(super) fn len(&self) -> u64 {
        wide(self.free.len()) + wide(self.leased.len())
    }
}

/// What a dry run finds.
#[derive(Debug, Default)]
pub(super) struct WouldSend {
    pub(super) letters: u64,
    /// Those that somebody works on.
    pub(super) leased: u64,
    pub(super) groups: Vec<LetterGroup>,
}

impl WouldSend {
    pub(super) async fn by(queue: &dyn DeadLetterQueue, filter: LetterFilter) -> Result<Self, QueueError> {
        let (mut found, mut grouping) = (Self::default(), Grouping::default());
        each(queue, filter, |letter| match letter.state {
            LetterState::Leased => found.leased += 1,
            LetterState::Ready | LetterState::Quarantined => {
                found.letters += 1;
                grouping.add(letter);
            }
        })
        .await?;
        found.groups = grouping.largest(MAX_GROUPS);
        Ok(found)
    }
}

/// Shows each letter of the filter, a page at a time.
async fn each(
    queue: &dyn DeadLetterQueue,
    mut filter: LetterFilter,
    mut look: impl FnMut(DeadLetter),
) -> Result<(), QueueError> {
    loop {
        let page = queue.peek(&filter, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        filter = filter.after(last.id);
        page.into_iter().for_each(&mut look);
    }
}

/// A count in the width of the numbers that users see.
pub(super) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
