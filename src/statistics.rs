//! What has gone well and wrong so far, by destination and by kind of trouble.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::classification::Category;
use crate::event::{CallInfo, Event, Observer};
use crate::setting::{Check, SettingError};
use crate::sync::Lock;

/// How many destinations are told apart, unless said otherwise.
const DEFAULT_DESTINATIONS: usize = 1_000;

/// Counts what happens to calls. Hand it to a recovery as an observer, and read it with
/// [`snapshot`](Self::snapshot). A cheap handle; clones count together.
///
/// Calls are told apart by the destination in their context, or by their recovery's name if they have none.
/// At most 1,000 destinations are told apart; what comes after is counted under `other`, whoever sends the
/// names.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::sync::Arc;
/// use recoup::{Category, Recovery, RetryPolicy, Statistics, execute_with_recovery};
///
/// let statistics = Statistics::new();
/// let recovery = Recovery::builder("search")
///     .classifier(|_: &&str| Category::Timeout)
///     .retry(RetryPolicy::single_client())
///     .observer(Arc::new(statistics.clone()))
///     .build()
///     .unwrap();
/// let _ = execute_with_recovery(&recovery, |attempt| async move {
///     if attempt.is_first() { Err("slow") } else { Ok(()) }
/// })
/// .await;
///
/// let snapshot = statistics.snapshot();
/// let search = &snapshot.by_destination["search"];
/// assert_eq!((search.calls(), search.attempts, search.succeeded_after_retry), (1, 2, 1));
/// assert_eq!(search.failures[&Category::Timeout], 1);
/// # }
/// ```
#[derive(Clone)]
pub struct Statistics {
    shared: Arc<Shared>,
}

struct Shared {
    most: usize,
    // Each destination has a lock of its own, so that the one which every call needs is held for a look-up
    // only, and not while a snapshot copies a thousand tables.
    by_destination: Lock<BTreeMap<Arc<str>, Arc<Lock<DestinationStatistics>>>>,
}

/// All that was counted, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatisticsSnapshot {
    /// By destination, or by the recovery's name for calls without one.
    pub by_destination: BTreeMap<String, DestinationStatistics>,
}

impl StatisticsSnapshot {
    /// Everything together.
    #[must_use]
    pub fn total(&self) -> DestinationStatistics {
        let mut total = DestinationStatistics::default();
        for one in self.by_destination.values() {
            total.add(one);
        }
        total
    }
}

/// What was counted for one destination.
///
/// Every call that has ended is in `succeeded` or in `given_up`; a call that was dropped is in neither, though
/// its attempts are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestinationStatistics {
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts that failed, by what the classifier said.
    pub failures: BTreeMap<Category, u64>,
    /// What the classifier said of the last attempt that failed.
    pub last_failure: Option<Category>,
    /// Waits for another attempt that were begun.
    pub retries: u64,
    /// Calls that ended with a value.
    pub succeeded: u64,
    /// Those of them that took more than one attempt.
    pub succeeded_after_retry: u64,
    /// Calls that ended without a value, by the reason in one word.
    pub given_up: BTreeMap<&'static str, u64>,
    /// Letters stored.
    pub letters: u64,
    /// Letters that could not be stored; their callers got them back.
    pub letters_refused: u64,
    /// How long the calls took that have ended, waits included, all together.
    pub total_duration: Duration,
    /// How long the slowest of them took.
    pub longest: Duration,
}

impl DestinationStatistics {
    /// Calls that have ended.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.succeeded + self.given_up.values().sum::<u64>()
    }

    /// How long a call took on average; zero if none has ended.
    #[must_use]
    pub fn mean_duration(&self) -> Duration {
        let calls = self.calls();
        if calls == 0 {
            return Duration::ZERO;
        }
        let nanos = self.total_duration.as_nanos() / u128::from(calls);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The share of the calls that ended with a value, 0.0 to 1.0; of no calls, 1.0.
    #[must_use]
    pub fn success_share(&self) -> f64 {
        let calls = self.calls();
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 calls")]
        let share = if calls == 0 { 1.0 } else { self.succeeded as f64 / calls as f64 };
        share
    }

    fn ended(&mut self, took: Duration) {
        self.total_duration = self.total_duration.saturating_add(took);
        self.longest = self.longest.max(took);
    }

    fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.retries += other.retries;
        self.succeeded += other.succeeded;
        self.succeeded_after_retry += other.succeeded_after_retry;
        self.letters += other.letters;
        self.letters_refused += other.letters_refused;
        self.total_duration = self.total_duration.saturating_add(other.total_duration);
        self.longest = self.longest.max(other.longest);
        self.last_failure = other.last_failure.or(self.last_failure);
        for (category, count) in &other.failures {
            *self.failures.entry(*category).or_default() += count;
        }
        for (reason, count) in &other.given_up {
            *self.given_up.entry(reason).or_default() += count;
        }
    }
}

impl Statistics {
    /// Counts of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_room_for(DEFAULT_DESTINATIONS)
    }

    /// Tells at most so many destinations apart.
    ///
    /// # Errors
    ///
    /// [`SettingError`] when it is zero.
    pub fn bounded(destinations: usize) -> Result<Self, SettingError> {
        if destinations == 0 {
            return Err(Check("statistics").refuse("destinations", 0, "at least 1"));
        }
        Ok(Self::with_room_for(destinations))
    }

    fn with_room_for(most: usize) -> Self {
        Self { shared: Arc::new(Shared { most, by_destination: Lock::default() }) }
    }

    /// All that was counted so far. What is said of one destination fits together; of two, one may be some
    /// calls ahead of the other.
    #[must_use]
    pub fn snapshot(&self) -> StatisticsSnapshot {
        let all = self.shared.by_destination.lock().clone();
        let by_destination = all.iter().map(|(name, one)| (name.to_string(), one.lock().clone())).collect();
        StatisticsSnapshot { by_destination }
    }

    /// Starts again from nothing.
    pub fn clear(&self) {
        let forgotten = std::mem::take(&mut *self.shared.by_destination.lock());
        drop(forgotten); // outside the lock
    }

    fn count(&self, call: &CallInfo<'_>, change: impl FnOnce(&mut DestinationStatistics)) {
        change(&mut self.one(call.destination.unwrap_or(call.name)).lock());
    }

    fn one(&self, name: &str) -> Arc<Lock<DestinationStatistics>> {
        let mut all = self.shared.by_destination.lock();
        let known = all.contains_key(name) || all.len() < self.shared.most;
        let name = if known { name } else { "other" };
        if let Some(one) = all.get(name) {
            return Arc::clone(one);
        }
        Arc::clone(all.entry(name.into()).or_default())
    }
}

impl Observer for Statistics {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::AttemptStarted { call, .. } => self.count(call, |one| one.attempts += 1),
            Event::AttemptFailed { call, classification, .. } => self.count(call, |one| {
                let category = classification.category();
                *one.failures.entry(category).or_default() += 1;
                one.last_failure = Some(category);
            }),
            Event::RetryScheduled { call, .. } => self.count(call, |one| one.retries += 1),
            Event::CallSucceeded { call, attempts, took } => self.count(call, |one| {
                one.succeeded += 1;
                one.succeeded_after_retry += u64::from(*attempts > 1);
                one.ended(*took);
            }),
            Event::GaveUp { call, reason, took, .. } => self.count(call, |one| {
                *one.given_up.entry(reason).or_default() += 1;
                one.ended(*took);
            }),
            Event::LetterBuried { call, .. } => self.count(call, |one| one.letters += 1),
            Event::LetterRefused { call } => self.count(call, |one| one.letters_refused += 1),
            _ => {}
        }
    }
}

impl Default for Statistics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destinations = self.shared.by_destination.lock().len();
        f.debug_struct("Statistics").field("destinations", &destinations).finish_non_exhaustive()
    }
}
