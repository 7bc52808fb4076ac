//! Everything wired together, built once and shared by every caller of a dependency.

mod builder;
mod execute;
#[cfg(feature = "tonic")]
mod refine;
mod shards;
mod using;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

pub use self::builder::RecoveryBuilder;
pub use self::execute::{ExecuteWithRecovery, execute_with_recovery, execute_with_recovery_mut};
pub use self::shards::Shard;
use self::shards::Shards;
pub(crate) use self::using::Judged;
pub use self::using::Using;
use crate::bulkhead::Bulkhead;
use crate::call::{CallContext, Describe, FailedAttempt, Limits};
use crate::circuit_breaker::CircuitBreaker;
use crate::classify::ErrorClassifier;
use crate::concurrency_limit::ConcurrencyLimit;
use crate::cooldown::Cooldown;
use crate::dead_letter::DeadLetterQueue;
use crate::error::RecoveryError;
use crate::event::{Observer, Observers};
use crate::rate_limit::RateLimiter;
use crate::retry::{RetryBudget, RetryPolicy, Throttle, Timed};
use crate::shutdown::Shutdown;

/// What is done about the failures of one dependency: retry, circuit breaker, bulkhead, limits in time and
/// dead letters in their right order. A cheap handle; clones share everything.
///
/// A call goes through [`execute_with_recovery`]: is there time left · does the circuit admit it · is there a
/// slot · one attempt under its limit · its error is classified once, and breaker, budget and cooldown learn
/// from that one answer · wait, holding no slot, and again · or give up, and write a letter. Shown, a
/// recovery prints that order:
///
/// ```
/// use std::time::Duration;
/// use recoup::{Bulkhead, Category, CircuitBreaker, Recovery, RetryPolicy};
///
/// let recovery = Recovery::builder("payments")
///     .classifier(|error: &std::io::Error| match error.kind() {
///         std::io::ErrorKind::InvalidInput => Category::Validation,
///         _ => Category::Network,
///     })
///     .retry(RetryPolicy::exponential(Duration::from_millis(50)).max_attempts(4))
///     .circuit_breaker(CircuitBreaker::builder("payments").failure_rate(0.5))
///     .bulkhead(Bulkhead::builder(64).queue(32))
///     .attempt_timeout(Duration::from_secs(2))
///     .deadline(Duration::from_secs(10))
///     .build()?;
/// assert_eq!(
///     recovery.to_string(),
///     "payments: deadline 10s(retry 4(circuit_breaker payments(bulkhead 64+32(attempt_timeout 2s(operation)))))"
/// );
/// # Ok::<(), recoup::SettingError>(())
/// ```
pub struct Recovery<E> {
    parts: Arc<Parts<E>>,
}

/// What the clones share.
struct Parts<E> {
    name: Arc<str>,
    classifier: Box<dyn ErrorClassifier<E> + Send + Sync>,
    retry: RetryPolicy<Timed>,
    /// Of the recovery; where it says nothing, of its retry.
    limits: Limits,
    /// What follows from the attempt's limit for the throttle.
    slow_after: Option<Duration>,
    /// What follows from all of these for an attempt that has to wait.
    first_look: Option<Duration>,
    /// The breaker, and the throttle of the retry policy.
    whole: Shard,
    cooldown: Option<Cooldown>,
    bulkhead: Option<Bulkhead>,
    limiting: Option<Box<Limiting>>,
    shutdown: Option<Shutdown>,
    letters: Option<Letters<E>>,
    letter_timeout: Duration,
    observers: Observers,
    /// Whether there is nobody to ask and to tell of a success but throttle, breaker and bulkhead.
    plain: bool,
    before_retry: Option<Box<AskBeforeRetry<E>>>,
    on_give_up: Option<Box<TellGiveUp<E>>>,
    shards: Shards,
}

/// What few recoveries have, behind one question.
#[derive(Default)]
struct Limiting {
    rate_limiter: Option<RateLimiter>,
    concurrency_limit: Option<ConcurrencyLimit>,
}

type AskBeforeRetry<E> = dyn Fn(FailedAttempt<'_, E>) -> BoxFuture<'static, ControlFlow<()>> + Send + Sync;
type TellGiveUp<E> = dyn Fn(&RecoveryError<E>) + Send + Sync;

/// Where letters go, and how errors are written down in them.
struct Letters<E> {
    queue: Arc<dyn DeadLetterQueue>,
    describe: Box<Describe<E>>,
}

/// How long a queue may take to store a letter, unless said otherwise: long beside a disk or a network that
/// works, and short beside a caller who waits for ever.
const LETTER_TIMEOUT: Duration = Duration::from_secs(30);

impl<E> Recovery<E> {
    /// Starts building a recovery. The name stands in errors, events and letters.
    pub fn builder(name: impl Into<Arc<str>>) -> RecoveryBuilder<E> {
        RecoveryBuilder::new(name.into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// This recovery, for a call about which more is known. To be handed to [`execute_with_recovery`].
    #[must_use]
    pub fn with_context<'r>(&'r self, context: &'r CallContext<'_>) -> Using<'r, E> {
        Using { context: Some(context), ..Using::from(self) }
    }

    /// This recovery, for a call to one [shard](Self::shard). To be handed to [`execute_with_recovery`].
    #[must_use]
    pub fn on<'r>(&'r self, shard: &'r Shard) -> Using<'r, E> {
        Using::from(self).on(shard)
    }

    /// What is known of one endpoint, shard or tenant of the dependency, under whatever key the caller tells
    /// them apart: a throttle and a circuit breaker of its own, with the settings of the recovery's. What one
    /// shard does then says nothing about another. Retries, limits and letters stay the recovery's.
    ///
    /// At most 1,000 are remembered, unless the builder [says otherwise](RecoveryBuilder::shards). When the
    /// table is full, one goes of which forgetting changes nothing; if there is none such, the new key gets a
    /// shard that nobody remembers.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{Recovery, execute_with_recovery};
    ///
    /// let recovery = Recovery::<&str>::builder("orders-db").build().unwrap();
    /// let (dead, well) = (recovery.shard("shard-3"), recovery.shard("shard-4"));
    /// for _ in 0..3 {
    ///     let _ = execute_with_recovery(recovery.on(&dead), |_| async { Err::<(), _>("down") }).await;
    /// }
    /// assert!(dead.throttle().unwrap().snapshot().holds_back.is_some());
    /// assert!(well.throttle().unwrap().snapshot().holds_back.is_none());
    /// # }
    /// ```
    #[must_use]
    pub fn shard(&self, key: &str) -> Shard {
        self.parts.shards.get(key, self.throttle(), self.circuit_breaker())
    }

    /// The circuit breaker, if there is one.
    #[must_use]
    pub fn circuit_breaker(&self) -> Option<&CircuitBreaker> {
        self.parts.whole.breaker.as_ref()
    }

    /// The rate limiter, if there is one.
    #[must_use]
    pub fn rate_limiter(&self) -> Option<&RateLimiter> {
        self.parts.limiting.as_ref()?.rate_limiter.as_ref()
    }

    /// The bulkhead, if there is one.
    #[must_use]
    pub fn bulkhead(&self) -> Option<&Bulkhead> {
        self.parts.bulkhead.as_ref()
    }

    /// The adaptive concurrency limit, if there is one.
    #[must_use]
    pub fn concurrency_limit(&self) -> Option<&ConcurrencyLimit> {
        self.parts.limiting.as_ref()?.concurrency_limit.as_ref()
    }

    /// The cooldown, if there is one.
    #[must_use]
    pub fn cooldown(&self) -> Option<&Cooldown> {
        self.parts.cooldown.as_ref()
    }

    /// The throttle that its calls share, if there is one.
    #[must_use]
    pub fn throttle(&self) -> Option<&Throttle> {
        self.parts.whole.throttle.as_ref()
    }

    /// The retry budget, if it was given one.
    #[must_use]
    pub fn retry_budget(&self) -> Option<&RetryBudget> {
        self.parts.retry.budget()
    }

    /// The shutdown that its calls watch, if there is one.
    pub(crate) fn shutdown(&self) -> Option<&Shutdown> {
        self.parts.shutdown.as_ref()
    }

    /// The queue that letters go to, if there is one.
    #[must_use]
    pub fn dead_letters(&self) -> Option<&Arc<dyn DeadLetterQueue>> {
        self.parts.letters.as_ref().map(|letters| &letters.queue)
    }
}

impl<E> Clone for Recovery<E> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts) }
    }
}

impl<E> fmt::Display for Recovery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.parts;
        let mut layers = Vec::new();
        layers.extend(parts.letters.as_ref().map(|_| "dead_letters".to_owned()));
        layers.extend(parts.limits.call.map(|limit| format!("deadline {limit:?}")));
        layers.push(match parts.retry.max_attempts() {
            Some(attempts) => format!("retry {attempts}"),
            None => "retry unlimited".to_owned(),
        });
        layers.extend(parts.cooldown.as_ref().map(|_| "cooldown".to_owned()));
        layers.extend(
            parts.whole.breaker.as_ref().map(|breaker| format!("circuit_breaker {}", breaker.name())),
        );
        layers.extend(self.rate_limiter().map(|limiter| format!("rate_limit {}", limiter.name())));
        layers.extend(parts.bulkhead.as_ref().map(|bulkhead| match bulkhead.queue() {
            0 => format!("bulkhead {}", bulkhead.slots()),
            queue => format!("bulkhead {}+{queue}", bulkhead.slots()),
        }));
        layers.extend(self.concurrency_limit().map(|limit| format!("concurrency_limit {}", limit.name())));
        layers.extend(parts.limits.attempt.map(|limit| format!("attempt_timeout {limit:?}")));
        write!(f, "{}: {}(operation{}", parts.name, layers.join("("), ")".repeat(layers.len()))
    }
}

impl<E> fmt::Debug for Recovery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recovery({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::{DeadLetter, LetterFilter, MemoryQueue};
    use crate::error::Burial;

    #[tokio::test(start_paused = true)]
    async fn redrive_that_fails_writes_no_second_letter() {
        let queue = MemoryQueue::default();
        let recovery = Recovery::<std::io::Error>::builder("bank").dead_letters(queue.clone());
        let recovery = recovery.build().unwrap();
        let id = queue.push(DeadLetter::new("charge").idempotency_key("order-7")).await.unwrap().id;
        let letter = queue.peek(&LetterFilter::new(), 1).await.unwrap().remove(0);
        let call = CallContext::redrive(&letter);
        assert_eq!(call.idempotency_key(), "order-7");

        let fails = |_| async { Err::<(), _>(std::io::Error::other("still down")) };
        let error = execute_with_recovery(recovery.with_context(&call), fails).await.unwrap_err();
        assert_eq!(queue.stats().await.unwrap().pushed, 1, "the letter that it came from");
        assert_eq!(error.dead_letter(), Some(id));
        let Some(Burial::Redriven(_, failed)) = error.story.burial.as_deref() else { panic!("{error:?}") };
        assert_eq!(failed.attempts.total(), 3, "its attempts are kept for that letter");
        assert_eq!(failed.error.as_ref().unwrap().to_string(), "still down");
    }
}
