//! A call that was given up, with all that is needed to try it again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use crate::classification::{Category, Classification};
use crate::dead_letter::by_hand::ByHand;
use crate::dead_letter::chain::ErrorChain;
use crate::dead_letter::fingerprint::Fingerprint;
use crate::dead_letter::history::{AttemptRecord, History};
use crate::dead_letter::payload::Payload;
use crate::dead_letter::reason::DeadReason;
use crate::dead_letter::settlement::Failed;
use crate::time;

/// The number of a letter in its queue. Numbers only grow and are never used twice.
///
/// ```
/// use recoup::LetterId;
/// assert!(LetterId::new(2) > LetterId::new(1));
/// assert_eq!(LetterId::default(), LetterId::UNASSIGNED);
/// assert_eq!(LetterId::new(7).to_string(), "7");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterId(u64);

impl LetterId {
    /// What a letter has before a queue took it: zero.
    pub const UNASSIGNED: Self = Self(0);

    /// The letter with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What an edited letter was before.
///
/// ```
/// use std::time::SystemTime;
/// use recoup::{ByHand, Edited, LetterId};
/// let edited = Edited::new(LetterId::new(7), [0; 32], ByHand::of("ana"), SystemTime::UNIX_EPOCH);
/// assert_eq!(edited.from, LetterId::new(7));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Edited {
    /// The number that it had.
    pub from: LetterId,
    /// The SHA-256 of the payload that it had.
    pub sha256: [u8; 32],
    /// Who edited it, and why.
    pub by: ByHand,
    /// When, by the wall clock.
    pub at: SystemTime,
}

impl Edited {
    /// Made of the letter with this number, whose payload had this SHA-256.
    #[must_use]
    pub const fn new(from: LetterId, sha256: [u8; 32], by: ByHand, at: SystemTime) -> Self {
        Self { from, sha256, by, at }
    }
}

/// Where a letter was first stored: in which queue, and under which number there. No two letters share one.
///
/// ```
/// use recoup::{LetterId, Origin};
/// let origin = Origin::new(0xabc, LetterId::new(7));
/// assert_eq!((origin.queue, origin.id.get()), (0xabc, 7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Origin {
    /// The queue, by the random number that it was given when it was made.
    pub queue: u128,
    /// The number of the letter there.
    pub id: LetterId,
}

impl Origin {
    /// This letter of that queue.
    #[must_use]
    pub const fn new(queue: u128, id: LetterId) -> Self {
        Self { queue, id }
    }
}

/// Where a letter stands in its queue.
///
/// ```
/// use recoup::{DeadLetter, LetterState};
/// assert_eq!(DeadLetter::new("charge").state, LetterState::Ready);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LetterState {
    /// Waits to be leased.
    #[default]
    Ready,
    /// Somebody works on it.
    Leased,
    /// Put aside until somebody looks at it: no lease takes it unless asked to, and it does not expire.
    Quarantined,
}

/// A call that was given up, with all that is needed to try it again.
///
/// The fields are for reading and writing; a letter is made with [`new`](Self::new) and the setters. What is
/// kept of errors and attempts is bounded (see [`ErrorChain`] and [`History`]); the payload, the headers and
/// the names are bounded by the queue.
///
/// ```
/// use recoup::{Category, DeadLetter, DeadReason, ErrorChain, Payload};
///
/// let letter = DeadLetter::new("charge")
///     .destination("payments")
///     .payload(Payload::json(r#"{"amount":3}"#))
///     .reason(DeadReason::Exhausted)
///     .error(ErrorChain::from_display(&"no answer"))
///     .category(Category::Timeout)
///     .idempotency_key("order-7")
///     .header("tenant", "acme");
/// assert_eq!(letter.destination.as_deref(), Some("payments"));
/// assert_eq!(letter.error.to_string(), "no answer");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its number, given by the queue. [`LetterId::UNASSIGNED`] before.
    pub id: LetterId,
    /// What was called: the name of the recovery or of the operation.
    pub operation: String,
    /// Where it was going: the dependency, the topic, the address.
    pub destination: Option<String>,
    /// What the call was made with, if that was given. Without it a letter tells, but cannot be redriven.
    pub payload: Option<Payload>,
    /// Why it was given up.
    pub reason: DeadReason,
    /// The error that ended it.
    pub error: ErrorChain,
    /// What kind of trouble that error was.
    pub category: Option<Category>,
    /// The status code that the error carried.
    pub status: Option<u16>,
    /// The failed attempts, those of redrives included.
    pub attempts: History,
    /// When the call was given up, by the wall clock.
    pub died_at: SystemTime,
    /// What ties it to other work: a trace, a request.
    pub correlation_id: Option<String>,
    /// The key under which the call was made. A redrive uses the same, so it cannot take effect twice.
    pub idempotency_key: Option<String>,
    /// The W3C trace that the call was part of, so that a redrive can be seen beside it.
    pub traceparent: Option<String>,
    /// On whose behalf the call was made, so that one customer's letters can be found, or erased.
    pub tenant: Option<String>,
    /// What else should travel with it. `Debug` shows it: keep secrets out.
    pub headers: BTreeMap<String, String>,
    /// What it was before somebody edited it.
    pub edited: Option<Box<Edited>>,
    /// Where it was first stored, if it was brought in from another queue.
    pub origin: Option<Origin>,
    /// How often the queue has leased it out.
    pub deliveries: u32,
    /// How many redrives failed since it was stored or last reinstated.
    pub redrives: u32,
    /// How many leases ran out with nothing said since it was stored or last reinstated. A letter that kills
    /// the process which works on it shows here.
    pub unsettled: u32,
    /// Where it stands in its queue.
    pub state: LetterState,
}

impl DeadLetter {
    /// A letter for a call of `operation` that dies now, put there [by hand](DeadReason::ByHand).
    #[must_use]
    pub fn new(operation: impl Into<String>) -> Self {
        Self {
            id: LetterId::UNASSIGNED,
            operation: operation.into(),
            destination: None,
            payload: None,
            reason: DeadReason::ByHand,
            error: ErrorChain::default(),
            category: None,
            status: None,
            attempts: History::default(),
            died_at: time::wall(time::now()),
            correlation_id: None,
            idempotency_key: None,
            traceparent: None,
            tenant: None,
            edited: None,
            origin: None,
            headers: BTreeMap::new(),
            deliveries: 0,
            redrives: 0,
            unsettled: 0,
            state: LetterState::Ready,
        }
    }

    /// Where it was going. Default: nowhere that has a name.
    #[must_use]
    pub fn destination(mut self, destination: impl Into<String>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// What the call was made with. Default: nothing.
    #[must_use]
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Why it was given up. Default: [`DeadReason::ByHand`].
    #[must_use]
    pub const fn reason(mut self, reason: DeadReason) -> Self {
        self.reason = reason;
        self
    }

    /// The error that ended it. Default: empty.
    #[must_use]
    pub fn error(mut self, error: ErrorChain) -> Self {
        self.error = error;
        self
    }

    /// What kind of trouble it was. Default: not known.
    #[must_use]
    pub const fn category(mut self, category: Category) -> Self {
        self.category = Some(category);
        self
    }

    /// The status code that the error carried. Default: none.
    #[must_use]
    pub const fn status(mut self, code: u16) -> Self {
        self.status = Some(code);
        self
    }

    /// Takes the category and the status code from what the classifier said.
    #[must_use]
    pub const fn classified(mut self, classification: &Classification) -> Self {
        self.category = Some(classification.category());
        self.status = classification.status_code();
        self
    }

    /// Adds an attempt that failed.
    #[must_use]
    pub fn attempt(mut self, record: AttemptRecord) -> Self {
        self.attempts.push(record);
        self
    }

    /// The failed attempts, in place of those added before. Default: none.
    #[must_use]
    pub fn attempts(mut self, attempts: History) -> Self {
        self.attempts = attempts;
        self
    }

    /// When the call was given up. Default: when the letter was made.
    #[must_use]
    pub const fn died_at(mut self, at: SystemTime) -> Self {
        self.died_at = at;
        self
    }

    /// What ties it to other work. Default: nothing.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// The key under which the call was made. Default: none.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// The W3C trace that the call was part of. Default: none. Not checked.
    #[must_use]
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// On whose behalf the call was made. Default: nobody's.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Adds a header, in place of one of the same name.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// What it has in common with letters that died of the same thing.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }

    /// How many attempts failed in all, exactly.
    #[must_use]
    pub const fn attempts_total(&self) -> u32 {
        self.attempts.total()
    }

    /// When the first attempt failed, if one is recorded.
    #[must_use]
    pub fn first_failure(&self) -> Option<SystemTime> {
        self.attempts.first().map(|record| record.at)
    }

    /// When the latest attempt failed, if one is recorded.
    #[must_use]
    pub fn last_failure(&self) -> Option<SystemTime> {
        self.attempts.last().map(|record| record.at)
    }

    /// The bytes that it carries: payload, headers, names and texts. Its fixed part is not counted.
    #[must_use]
    pub fn size(&self) -> u64 {
        let payload = self.payload.as_ref().map_or(0, |it| it.content_type.len() + it.bytes.len());
        let names: usize =
            [&self.destination, &self.correlation_id, &self.idempotency_key, &self.traceparent, &self.tenant]
                .into_iter()
                .flatten()
                .map(String::len)
                .sum();
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let edited = self.edited.as_ref().map_or(0, |edited| edited.by.size());
        let texts = edited + self.operation.len() + self.error.size() + self.attempts.size();
        u64::try_from(payload + names + headers + texts).unwrap_or(u64::MAX)
    }

    /// Writes down a redrive that failed: its attempts are added to the history, and what it says of the
    /// error replaces what was known. For those who write a queue.
    pub fn record(&mut self, failed: Failed) {
        self.attempts.append(failed.attempts);
        self.reason = failed.reason.unwrap_or(self.reason);
        if let Some(error) = failed.error {
            self.error = error;
        }
        if failed.category.is_some() {
            self.category = failed.category;
            self.status = failed.status;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn size_counts_every_byte_that_is_carried_once() {
        let letter = DeadLetter::new("op") // 2
            .destination("abc") // 3
            .payload(Payload::new("t/x", [0; 100])) // 103
            .error(ErrorChain::from_display(&"four")) // 4
            .attempt(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "fives")) // 5
            .correlation_id("sixsix") // 6
            .idempotency_key("sevens!") // 7
            .tenant("eighteig") // 8
            .traceparent("ninenine9") // 9
            .header("k", "vv"); // 3
        assert_eq!(letter.size(), 150);
    }

    #[test]
    fn first_and_last_failure_come_from_the_history() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut letter = DeadLetter::new("op");
        assert_eq!(letter.first_failure(), None);
        for number in 1..=50 {
            letter = letter.attempt(AttemptRecord::new(number, at(u64::from(number)), "no"));
        }
        assert_eq!((letter.first_failure(), letter.last_failure()), (Some(at(1)), Some(at(50))));
        assert_eq!(letter.attempts_total(), 50);
    }

    #[test]
    fn classification_is_taken_over() {
        let answer = Classification::of(Category::RateLimited).status(429);
        let letter = DeadLetter::new("op").classified(&answer);
        assert_eq!((letter.category, letter.status), (Some(Category::RateLimited), Some(429)));
    }
}
