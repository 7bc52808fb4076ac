//! Everything wired together, built once and shared by every caller of a dependency.

mod builder;
mod execute;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

pub use self::builder::RecoveryBuilder;
pub use self::execute::{ExecuteWithRecovery, execute_with_recovery, execute_with_recovery_mut};
use crate::bulkhead::Bulkhead;
use crate::call::{
    AnyValue, CallContext, Describe, FailedAttempt, Gives, Graveyard, Held, Judge, Limits, Policies,
};
use crate::circuit_breaker::CircuitBreaker;
use crate::classification::Classification;
use crate::classify::ErrorClassifier;
use crate::cooldown::Cooldown;
use crate::dead_letter::DeadLetterQueue;
use crate::error::RecoveryError;
use crate::event::{CallInfo, Observer, Observers};
use crate::priority::Priority;
use crate::retry::{RetryBudget, RetryPolicy, RetryRules, Throttle, Timed};
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
    breaker: Option<CircuitBreaker>,
    cooldown: Option<Cooldown>,
    bulkhead: Option<Bulkhead>,
    shutdown: Option<Shutdown>,
    letters: Option<Letters<E>>,
    letter_timeout: Duration,
    observers: Observers,
    before_retry: Option<Box<AskBeforeRetry<E>>>,
    on_give_up: Option<Box<TellGiveUp<E>>>,
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
        Using { parts: &self.parts, context: Some(context) }
    }

    /// The circuit breaker, if there is one.
    #[must_use]
    pub fn circuit_breaker(&self) -> Option<&CircuitBreaker> {
        self.parts.breaker.as_ref()
    }

    /// The bulkhead, if there is one.
    #[must_use]
    pub fn bulkhead(&self) -> Option<&Bulkhead> {
        self.parts.bulkhead.as_ref()
    }

    /// The cooldown, if there is one.
    #[must_use]
    pub fn cooldown(&self) -> Option<&Cooldown> {
        self.parts.cooldown.as_ref()
    }

    /// The throttle that its calls share, if there is one.
    #[must_use]
    pub fn throttle(&self) -> Option<&Throttle> {
        self.parts.retry.throttle()
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
        layers.extend(parts.breaker.as_ref().map(|breaker| format!("circuit_breaker {}", breaker.name())));
        layers.extend(parts.bulkhead.as_ref().map(|bulkhead| match bulkhead.queue() {
            0 => format!("bulkhead {}", bulkhead.slots()),
            queue => format!("bulkhead {}+{queue}", bulkhead.slots()),
        }));
        layers.extend(parts.limits.attempt.map(|limit| format!("attempt_timeout {limit:?}")));
        write!(f, "{}: {}(operation{}", parts.name, layers.join("("), ")".repeat(layers.len()))
    }
}

impl<E> fmt::Debug for Recovery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recovery({self})")
    }
}

/// A recovery about to be used for one call: `&recovery`, or
/// [`recovery.with_context(&call)`](Recovery::with_context).
pub struct Using<'r, E> {
    parts: &'r Parts<E>,
    context: Option<&'r CallContext<'r>>,
}

impl<'r, E> From<&'r Recovery<E>> for Using<'r, E> {
    fn from(recovery: &'r Recovery<E>) -> Self {
        Self { parts: &recovery.parts, context: None }
    }
}

impl<E> Clone for Using<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Using<'_, E> {}

impl<E> fmt::Debug for Using<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Using").field("name", &self.parts.name).field("context", &self.context).finish()
    }
}

/// The policies of one call of a recovery, and what is said of its values.
pub(crate) struct Judged<'r, E, J> {
    using: Using<'r, E>,
    judge: J,
}

impl<'r, E> Judged<'r, E, AnyValue> {
    fn any(using: Using<'r, E>) -> Self {
        Self { using, judge: AnyValue }
    }
}

impl<T, E, J: Judge<T>> Judge<T> for Judged<'_, E, J> {
    fn judge(&self, value: &T) -> Option<Classification> {
        self.judge.judge(value)
    }
}

impl<'r, E, J> Gives for Judged<'r, E, J> {
    type Pass = Held<'r>;
    type Hooks = ();
}

impl<'r, E: 'r, J> Policies<'r, E> for Judged<'r, E, J> {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.using.parts.name)
    }

    fn info(&self) -> CallInfo<'_> {
        let name = &*self.using.parts.name;
        match self.using.context {
            Some(context) => context.info(name),
            None => CallInfo { name, ..CallInfo::default() },
        }
    }

    fn rules(&self) -> &RetryRules {
        self.using.parts.retry.rules()
    }

    fn priority(&self) -> Priority {
        self.using.context.map_or(Priority::Normal, CallContext::priority)
    }

    fn limits(&self) -> Limits {
        let Using { parts, context } = self.using;
        Limits { until: context.and_then(CallContext::latest_end), ..parts.limits }
    }

    fn classify(&self, error: &E) -> Classification {
        self.using.parts.classifier.classify(error)
    }

    fn breaker(&self) -> Option<&'r CircuitBreaker> {
        self.using.parts.breaker.as_ref()
    }

    fn bulkhead(&self) -> Option<&'r Bulkhead> {
        self.using.parts.bulkhead.as_ref()
    }

    fn cooldown(&self) -> Option<&'r Cooldown> {
        self.using.parts.cooldown.as_ref()
    }

    fn shutdown(&self) -> Option<&'r Shutdown> {
        self.using.parts.shutdown.as_ref()
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.using.parts.observers)
    }

    fn graveyard(&self) -> Option<Graveyard<'r, E>> {
        let Using { parts, context } = self.using;
        let letters = parts.letters.as_ref()?;
        Some(Graveyard {
            queue: &letters.queue,
            describe: &*letters.describe,
            context,
            name: &parts.name,
            patience: parts.letter_timeout,
        })
    }

    fn before_retry(
        &self,
        (): &mut (),
        failed: FailedAttempt<'_, E>,
    ) -> Option<BoxFuture<'r, ControlFlow<()>>> {
        self.using.parts.before_retry.as_ref().map(|hook| hook(failed))
    }

    fn gave_up(&self, _: Option<&mut ()>, error: &RecoveryError<E>) {
        if let Some(hook) = &self.using.parts.on_give_up {
            hook(error);
        }
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
        let Some(Burial::Redriven(_, failed)) = error.burial.as_deref() else { panic!("{error:?}") };
        assert_eq!(failed.attempts.total(), 3, "its attempts are kept for that letter");
        assert_eq!(failed.error.as_ref().unwrap().to_string(), "still down");
    }
}
