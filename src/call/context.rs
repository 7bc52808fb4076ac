//! What a call is about: for letters, events and idempotency.

#[cfg(feature = "tonic")]
mod own;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::dead_letter::{DeadLetter, LetterId, Payload};
use crate::event::CallInfo;
use crate::priority::Priority;
use crate::random::Dice;
use crate::retry::{RetryBudget, RetryPolicy, Timed};
use crate::time::Instant;

/// What one call is about. Made before the call, lent to it, and readable by its operation.
///
/// The idempotency key is the same over all attempts of the call, and stands in its dead letter, so that a
/// server which honours it does the work once. It is made up unless given.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{CallContext, Payload, Recovery, execute_with_recovery};
/// # let recovery = Recovery::<&str>::builder("payments").build().unwrap();
/// let order = br#"{"order":7}"#;
/// let call = CallContext::new("charge")
///     .destination("payments.example")
///     .correlation_id("order-7")
///     .payload(|| Payload::json(order)); // made only if the call is buried
///
/// let keys = std::sync::Mutex::new(Vec::new());
/// let result = execute_with_recovery(recovery.with_context(&call), |attempt| {
///     keys.lock().unwrap().push(call.idempotency_key().to_owned());
///     async move { if attempt.is_first() { Err("refused") } else { Ok(()) } }
/// });
/// result.await.unwrap();
/// let keys = keys.into_inner().unwrap();
/// assert_eq!(keys[0], keys[1]);
/// # }
/// ```
pub struct CallContext<'p> {
    operation: String,
    destination: Option<String>,
    correlation_id: Option<String>,
    idempotency_key: String,
    traceparent: Option<String>,
    tenant: Option<String>,
    headers: BTreeMap<String, String>,
    payload: Option<Box<dyn Fn() -> Payload + Send + Sync + 'p>>,
    deadline: Option<Instant>,
    most_attempts: Option<NonZeroU32>,
    attempt_timeout: Option<Duration>,
    priority: Priority,
    partition: Option<Arc<str>>,
    redriven: Option<LetterId>,
    own: Option<Box<Own>>,
}

/// What one call has instead of its recovery's, where a protocol has rules for each method.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// Its limits in time are the recovery's all the same.
    pub(crate) retry: Option<RetryPolicy<Timed>>,
    /// Asked instead of the recovery's budget. Who gives one also calls a shard without a throttle.
    pub(crate) budget: Option<RetryBudget>,
}

impl<'p> CallContext<'p> {
    /// A call that does `operation`, with a new idempotency key.
    #[must_use]
    pub fn new(operation: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            destination: None,
            correlation_id: None,
            idempotency_key: format!("{:032x}", Dice::Fresh.bits()),
            traceparent: None,
            tenant: None,
            headers: BTreeMap::new(),
            payload: None,
            deadline: None,
            most_attempts: None,
            attempt_timeout: None,
            priority: Priority::Normal,
            partition: None,
            redriven: None,
            own: None,
        }
    }

    /// The same call, so that more can be said of it without changing this one: same key, same ids, same limits,
    /// and the same payload, asked of this one.
    ///
    /// ```
    /// # use recoup::{CallContext, Priority};
    /// let call = CallContext::new("charge");
    /// let urgent = call.lent().with_priority(Priority::High);
    /// assert_eq!(urgent.idempotency_key(), call.idempotency_key());
    /// assert_eq!(call.priority(), Priority::Normal);
    /// ```
    #[must_use]
    pub fn lent(&self) -> CallContext<'_> {
        let payload =
            self.payload.as_ref().map(|make| Box::new(make) as Box<dyn Fn() -> Payload + Send + Sync>);
        CallContext {
            operation: self.operation.clone(),
            destination: self.destination.clone(),
            correlation_id: self.correlation_id.clone(),
            idempotency_key: self.idempotency_key.clone(),
            traceparent: self.traceparent.clone(),
            tenant: self.tenant.clone(),
            headers: self.headers.clone(),
            payload,
            deadline: self.deadline,
            most_attempts: self.most_attempts,
            attempt_timeout: self.attempt_timeout,
            priority: self.priority,
            partition: self.partition.clone(),
            redriven: self.redriven,
            own: self.own.clone(),
        }
    }

    /// To whom the call goes.
    #[must_use]
    pub fn destination(mut self, destination: impl Into<String>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// What ties this call to others, in events and letters.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// The key by which the server knows attempts of the same call. Default: 128 random bits in hexadecimal.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = key.into();
        self
    }

    /// The W3C trace that the call is part of, kept in a letter of it so that a redrive is seen beside it.
    /// Default: none. Not checked.
    #[must_use]
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// On whose behalf the call is made, kept in a letter of it so that one customer's letters can be found, or
    /// erased. Default: nobody's.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// A header that a letter of this call keeps.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// What a letter of this call carries. Asked for only if the call is buried.
    #[must_use]
    pub fn payload(mut self, payload: impl Fn() -> Payload + Send + Sync + 'p) -> Self {
        self.payload = Some(Box::new(payload));
        self
    }

    /// When the call must have ended. It shortens what the policies allow and never lengthens it. For calls
    /// made on behalf of a caller who has a deadline.
    #[must_use]
    pub fn deadline(mut self, at: Instant) -> Self {
        self.deadline = Some(at);
        self
    }

    /// How many attempts this call may make at most, the first included. It shortens what the policies allow and
    /// never lengthens it. Default: as many as they allow.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::num::NonZeroU32;
    /// use recoup::{CallContext, Recovery, execute_with_recovery};
    ///
    /// let recovery = Recovery::<&str>::builder("search").build().unwrap();
    /// let call = CallContext::new("suggest").max_attempts(NonZeroU32::MIN);
    /// let error = execute_with_recovery(recovery.with_context(&call), |_| async { Err::<(), _>("busy") }).await;
    /// assert_eq!(error.unwrap_err().attempts(), 1);
    /// # }
    /// ```
    #[must_use]
    pub fn max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.most_attempts = Some(attempts);
        self
    }

    /// How long each attempt of this call may take. It shortens what the policies allow and never lengthens it.
    /// Default: what they allow.
    #[must_use]
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = Some(limit);
        self
    }

    /// How much the call matters where something is scarce. Default: [`Priority::Normal`].
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// How much the call matters where something is scarce.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// For whom the call is made, where a bulkhead keeps slots for them: the name of a
    /// [partition](crate::BulkheadBuilder::partition) of the recovery's bulkhead. Each attempt takes its slot of
    /// that share, and waits in that queue. Default: none, so that it takes of what is no partition's.
    ///
    /// A name that is not among the bulkhead's partitions gets no slot: the call is refused with
    /// [`FullReason::NoSuchPartition`](crate::FullReason). Whoever does not choose the names asks
    /// [`Bulkhead::partition`](crate::Bulkhead::partition) first. Without a bulkhead, or with one that has no
    /// partitions, all calls share alike and the name says nothing. A redrive of the call's letter names none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{Bulkhead, CallContext, FullReason, Reason, Recovery, execute_with_recovery};
    ///
    /// let bulkhead = Bulkhead::builder(4).queue(8).partition("tenant-a", 0.5).build().unwrap();
    /// let recovery = Recovery::<&str>::builder("reports").bulkhead(bulkhead.clone()).build().unwrap();
    ///
    /// let call = CallContext::new("monthly").partition("tenant-a");
    /// let in_use = execute_with_recovery(recovery.with_context(&call), |_| {
    ///     let in_use = bulkhead.snapshot().partitions[0].in_use;
    ///     async move { Ok(in_use) }
    /// });
    /// assert_eq!(in_use.await.unwrap(), 1);
    ///
    /// let call = CallContext::new("monthly").partition("tenant-b");
    /// let refused = execute_with_recovery(recovery.with_context(&call), |_| async { Ok(()) });
    /// let refused = refused.await.unwrap_err();
    /// let Reason::BulkheadFull(full) = refused.reason() else { panic!("{refused}") };
    /// assert_eq!(full.reason, FullReason::NoSuchPartition);
    /// # }
    /// ```
    #[must_use]
    pub fn partition(mut self, name: impl Into<Arc<str>>) -> Self {
        self.partition = Some(name.into());
        self
    }

    /// The key by which the server knows attempts of the same call.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    /// The W3C trace that the call is part of, if it was said: see [`traceparent`](Self::traceparent).
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// The call that `letter` tells of, made again: same key, same ids. If it fails, its letter is told so,
    /// and no second one is written.
    pub(crate) fn redrive(letter: &DeadLetter) -> Self {
        Self {
            operation: letter.operation.clone(),
            destination: letter.destination.clone(),
            correlation_id: letter.correlation_id.clone(),
            idempotency_key: redrive_key(letter),
            traceparent: letter.traceparent.clone(),
            tenant: letter.tenant.clone(),
            headers: letter.headers.clone(),
            payload: None,
            deadline: None,
            most_attempts: None,
            attempt_timeout: None,
            priority: Priority::Normal,
            partition: None,
            redriven: Some(letter.id),
            own: None,
        }
    }

    /// The letter of which this is a redrive.
    pub(crate) fn redriven(&self) -> Option<LetterId> {
        self.redriven
    }

    pub(crate) fn own(&self) -> Option<&Own> {
        self.own.as_deref()
    }

    pub(crate) fn named_partition(&self) -> Option<&str> {
        self.partition.as_deref()
    }

    pub(crate) fn latest_end(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn most_attempts(&self) -> Option<u32> {
        self.most_attempts.map(NonZeroU32::get)
    }

    /// Whether the limits in time of this call, and its rules, are those of its recovery.
    pub(crate) fn leaves_all(&self) -> bool {
        self.deadline.is_none() && self.attempt_timeout.is_none() && self.own.is_none()
    }

    pub(crate) fn shortest_attempt(&self) -> Option<Duration> {
        self.attempt_timeout
    }

    pub(crate) fn info<'a>(&'a self, name: &'a str) -> CallInfo<'a> {
        CallInfo {
            name,
            operation: Some(&self.operation),
            destination: self.destination.as_deref(),
            correlation_id: self.correlation_id.as_deref(),
        }
    }

    /// A letter about this call that knows nothing yet of how it failed.
    pub(crate) fn letter(&self) -> DeadLetter {
        let mut letter = DeadLetter::new(&self.operation).idempotency_key(&self.idempotency_key);
        letter.destination.clone_from(&self.destination);
        letter.correlation_id.clone_from(&self.correlation_id);
        letter.traceparent.clone_from(&self.traceparent);
        letter.tenant.clone_from(&self.tenant);
        letter.headers.clone_from(&self.headers);
        letter.payload = self.payload.as_ref().map(|make| make());
        letter
    }
}

/// The key of a letter's redrives, the same each time. A letter without one gets a key of its own: under one
/// that letters share, the server would do the first of them and drop the others. The moment of death is
/// part of it, as the numbers of a queue in memory begin again with the process.
fn redrive_key(letter: &DeadLetter) -> String {
    match &letter.idempotency_key {
        Some(key) if !key.is_empty() => key.clone(),
        _ => {
            let since = letter.died_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            format!("dead-letter-{}-{:x}", letter.id, since.as_nanos())
        }
    }
}

impl fmt::Debug for CallContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("operation", &self.operation)
            .field("destination", &self.destination)
            .field("correlation_id", &self.correlation_id)
            .field("idempotency_key", &self.idempotency_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: u64) -> DeadLetter {
        let mut letter = DeadLetter::new("charge").died_at(SystemTime::UNIX_EPOCH);
        letter.id = LetterId::new(id);
        letter
    }

    #[test]
    fn lent_call_is_the_same_call() {
        let call = CallContext::redrive(&letter(7).idempotency_key("order-7").traceparent("00-1"));
        let call = call.tenant("ada").header("x", "1").payload(|| Payload::json("{}"));
        let call = call.max_attempts(NonZeroU32::MIN).attempt_timeout(Duration::from_secs(1)).partition("a");
        let lent = call.lent();
        let written = |call: &CallContext<'_>| format!("{:?}", call.letter().died_at(SystemTime::UNIX_EPOCH));
        assert_eq!(written(&lent), written(&call));
        assert_eq!(lent.redriven(), call.redriven());
        assert_eq!((lent.most_attempts(), lent.shortest_attempt()), (Some(1), Some(Duration::from_secs(1))));
        assert_eq!((lent.named_partition(), lent.latest_end()), (Some("a"), None));
        assert_eq!(call.lent().max_attempts(NonZeroU32::MAX).most_attempts(), Some(u32::MAX));
        assert_eq!(call.most_attempts(), Some(1), "the first one stays as it is");
    }

    #[test]
    fn redrive_keeps_the_key_of_its_letter() {
        let kept = letter(7).idempotency_key("order-7");
        assert_eq!(CallContext::redrive(&kept).idempotency_key(), "order-7");
    }

    #[test]
    fn letters_without_a_key_do_not_share_one() {
        let key = |letter: &DeadLetter| CallContext::redrive(letter).idempotency_key().to_owned();
        assert_eq!(key(&letter(7)), key(&letter(7)), "the same on every redrive");
        assert_ne!(key(&letter(7)), key(&letter(8)));
        let empty = |id| letter(id).idempotency_key("");
        assert_ne!(key(&empty(7)), key(&empty(8)), "an empty one is none");
        let of_another_run = letter(7).died_at(SystemTime::UNIX_EPOCH + Duration::from_nanos(1));
        assert_ne!(key(&letter(7)), key(&of_another_run), "numbers of a memory queue begin again");
    }
}
