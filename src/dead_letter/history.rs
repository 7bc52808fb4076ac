//! The failed attempts behind a letter: the first and the latest, and how many there were.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::classification::Category;
use crate::dead_letter::chain;

/// One attempt that failed.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use recoup::{AttemptRecord, Category};
///
/// let record = AttemptRecord::new(2, SystemTime::UNIX_EPOCH, "no answer")
///     .took(Duration::from_secs(5))
///     .delay_before(Duration::from_millis(100))
///     .category(Category::Timeout);
/// assert_eq!((record.number, record.message.as_str()), (2, "no answer"));
/// assert_eq!(record.took, Some(Duration::from_secs(5)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// Its number within its call, from 1. A redrive is a call of its own and starts from 1 again.
    pub number: u32,
    /// When it failed.
    pub at: SystemTime,
    /// How long it ran, where that was measured.
    pub took: Option<Duration>,
    /// How long the call waited before it. Zero for a first attempt.
    pub delay_before: Duration,
    /// What kind of trouble it was.
    pub category: Option<Category>,
    /// What the error said, up to 4 KiB.
    pub message: String,
}

impl AttemptRecord {
    /// An attempt that failed at `at`, saying `message`.
    #[must_use]
    pub fn new(number: u32, at: SystemTime, message: impl fmt::Display) -> Self {
        let message = chain::text(&message);
        Self { number, at, took: None, delay_before: Duration::ZERO, category: None, message }
    }

    /// How long it ran.
    #[must_use]
    pub const fn took(mut self, took: Duration) -> Self {
        self.took = Some(took);
        self
    }

    /// How long the call waited before it. Default: zero.
    #[must_use]
    pub const fn delay_before(mut self, delay: Duration) -> Self {
        self.delay_before = delay;
        self
    }

    /// What kind of trouble it was.
    #[must_use]
    pub const fn category(mut self, category: Category) -> Self {
        self.category = Some(category);
        self
    }
}

/// The failed attempts of one letter: the first and the last nine are kept, and all are counted.
///
/// ```
/// use std::time::SystemTime;
/// use recoup::{AttemptRecord, History};
///
/// let mut history = History::default();
/// for number in 1..=100 {
///     history.push(AttemptRecord::new(number, SystemTime::UNIX_EPOCH, "no"));
/// }
/// let kept: Vec<u32> = history.records().iter().map(|record| record.number).collect();
/// assert_eq!(kept, [1, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
/// assert_eq!(history.total(), 100);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    records: Vec<AttemptRecord>,
    total: u32,
}

impl History {
    /// The most records kept: the first one and the latest nine.
    pub const MAX_RECORDS: usize = 10;

    /// A history read back from a store: what was kept of it, oldest first, and how many there had been.
    /// A total smaller than the number of records is raised to it.
    #[must_use]
    pub fn restored(records: impl IntoIterator<Item = AttemptRecord>, total: u32) -> Self {
        let mut history: Self = records.into_iter().collect();
        history.total = history.total.max(total);
        history
    }

    /// Adds a failed attempt, and forgets the second oldest record if there are too many.
    pub fn push(&mut self, mut record: AttemptRecord) {
        record.message = chain::cut(record.message);
        if self.records.len() >= Self::MAX_RECORDS {
            self.records.remove(1);
        }
        self.records.push(record);
        self.total = self.total.saturating_add(1);
    }

    /// Adds a later history, counting those of its attempts too that it does not hold any more.
    pub fn append(&mut self, later: Self) {
        let total = self.total.saturating_add(later.total);
        self.extend(later.records);
        self.total = total;
    }

    /// What is kept, oldest first.
    #[must_use]
    pub fn records(&self) -> &[AttemptRecord] {
        &self.records
    }

    /// How many attempts failed, those included that are not kept.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// The first failure.
    #[must_use]
    pub fn first(&self) -> Option<&AttemptRecord> {
        self.records.first()
    }

    /// The latest failure.
    #[must_use]
    pub fn last(&self) -> Option<&AttemptRecord> {
        self.records.last()
    }

    /// The bytes of text it holds.
    pub(super) fn size(&self) -> usize {
        self.records.iter().map(|record| record.message.len()).sum()
    }

    /// Puts what `rewrite` makes of it in place of every message.
    pub(super) fn rewrite(&mut self, rewrite: &mut impl FnMut(&str) -> String) {
        for record in &mut self.records {
            record.message = chain::cut(rewrite(&record.message));
        }
    }

    /// Forgets what the errors said, and nothing else.
    pub(super) fn forget_texts(&mut self) {
        for record in &mut self.records {
            record.message = String::new();
        }
    }
}

impl Extend<AttemptRecord> for History {
    fn extend<I: IntoIterator<Item = AttemptRecord>>(&mut self, records: I) {
        for record in records {
            self.push(record);
        }
    }
}

impl FromIterator<AttemptRecord> for History {
    fn from_iter<I: IntoIterator<Item = AttemptRecord>>(records: I) -> Self {
        let mut history = Self::default();
        history.extend(records);
        history
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32) -> AttemptRecord {
        AttemptRecord::new(number, SystemTime::UNIX_EPOCH, format!("failure {number}"))
    }

    fn numbers(history: &History) -> Vec<u32> {
        history.records().iter().map(|record| record.number).collect()
    }

    #[test]
    fn first_and_last_nine_are_kept_and_all_are_counted() {
        let ten: History = (1..=10).map(record).collect();
        assert_eq!(numbers(&ten), (1..=10).collect::<Vec<_>>());
        let eleven: History = (1..=11).map(record).collect();
        assert_eq!(numbers(&eleven), [1, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!((eleven.first(), eleven.last()), (Some(&record(1)), Some(&record(11))));
        assert_eq!(eleven.total(), 11);
    }

    #[test]
    fn appended_history_brings_its_count() {
        let mut history: History = (1..=3).map(record).collect();
        history.append((1..=100).map(record).collect());
        assert_eq!(numbers(&history), [1, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
        assert_eq!(history.total(), 103);
        history.append(History::restored([record(1)], u32::MAX));
        assert_eq!(history.total(), u32::MAX);
    }

    #[test]
    fn restored_history_is_the_one_that_was_kept() {
        let history: History = (1..=30).map(record).collect();
        assert_eq!(History::restored(history.records().to_vec(), history.total()), history);
        assert_eq!(History::restored([record(1)], 0).total(), 1);
    }

    #[test]
    fn messages_are_bounded_however_they_came_in() {
        let mut long = record(1);
        long.message = "x".repeat(10_000);
        let history: History = [long].into_iter().collect();
        assert_eq!(history.size(), 4096);
        assert_eq!(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "x".repeat(10_000)).message.len(), 4096);
    }
}
