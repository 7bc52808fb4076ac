//! Wires a recovery.

use std::error::Error;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::{LETTER_TIMEOUT, Letters, Observer, Observers, Parts, Recovery, Shard, Shards};
use crate::bulkhead::Bulkhead;
use crate::call::{FailedAttempt, Limits};
use crate::circuit_breaker::CircuitBreaker;
use crate::classify::{ErrorClassifier, Transient};
use crate::concurrency_limit::ConcurrencyLimit;
use crate::cooldown::Cooldown;
use crate::dead_letter::{DeadLetterQueue, ErrorChain};
use crate::error::RecoveryError;
use crate::rate_limit::RateLimiter;
use crate::retry::{RetryPolicy, Timed};
use crate::setting::{Check, SettingError};
use crate::shutdown::Shutdown;

/// Builds a [`Recovery`]. Policies are handed over built or as builders; the first mistake in any of them is
/// told by [`build`](Self::build).
#[must_use = "a builder does nothing until `build`"]
pub struct RecoveryBuilder<E> {
    parts: Parts<E>,
    problem: Option<SettingError>,
}

impl<E> RecoveryBuilder<E> {
    pub(super) fn new(name: Arc<str>) -> Self {
        let parts = Parts {
            name,
            classifier: Box::new(Transient),
            retry: RetryPolicy::default().into(),
            limits: Limits::default(),
            slow_after: None,
            first_look: None,
            whole: Shard { throttle: None, breaker: None },
            cooldown: None,
            bulkhead: None,
            limiting: None,
            shutdown: None,
            letters: None,
            letter_timeout: LETTER_TIMEOUT,
            observers: Observers::default(),
            plain: false,
            before_retry: None,
            on_give_up: None,
            shards: Shards::default(),
        };
        Self { parts, problem: None }
    }

    /// Who says what an error means. Asked once for each failed attempt. Default: [`Transient`], to which
    /// every error is worth a retry and a failure of the dependency.
    pub fn classifier(mut self, classifier: impl ErrorClassifier<E> + Send + Sync + 'static) -> Self {
        self.parts.classifier = Box::new(classifier);
        self
    }

    /// How often and after what waits. Default: [`RetryPolicy::default`], with its budget.
    pub fn retry<P>(mut self, policy: P) -> Self
    where
        P: TryInto<RetryPolicy<Timed>>,
        SettingError: From<P::Error>,
    {
        if let Some(policy) = self.built(policy.try_into()) {
            self.parts.retry = policy;
        }
        self
    }

    /// The breaker that every attempt asks. Share one among all recoveries of one dependency.
    /// Default: none.
    pub fn circuit_breaker<B>(mut self, breaker: B) -> Self
    where
        B: TryInto<CircuitBreaker>,
        SettingError: From<B::Error>,
    {
        self.parts.whole.breaker = self.built(breaker.try_into());
        self
    }

    /// The limiter that every attempt asks, retries too. A call that has to wait for its turn holds nothing
    /// meanwhile, and how long it may wait is the limiter's to say. Default: none.
    pub fn rate_limit<R>(mut self, limiter: R) -> Self
    where
        R: TryInto<RateLimiter>,
        SettingError: From<R::Error>,
    {
        let limiter = self.built(limiter.try_into());
        self.parts.limiting.get_or_insert_default().rate_limiter = limiter;
        self
    }

    /// The bulkhead in which every attempt takes a slot. A call that waits to retry holds none. Of which
    /// [partition](crate::BulkheadBuilder::partition) the slot is, and who is next where several wait, the call
    /// says by [`CallContext::partition`](crate::CallContext::partition) and
    /// [`with_priority`](crate::CallContext::with_priority). Default: none.
    pub fn bulkhead<B>(mut self, bulkhead: B) -> Self
    where
        B: TryInto<Bulkhead>,
        SettingError: From<B::Error>,
    {
        self.parts.bulkhead = self.built(bulkhead.try_into());
        self
    }

    /// The adaptive limit on how many attempts are under way at once. It refuses what the dependency would not
    /// bear, and never lets a call wait; it learns from successes how long an answer takes, and from timeouts
    /// and refusals that there were too many. Default: none.
    pub fn concurrency_limit<L>(mut self, limit: L) -> Self
    where
        L: TryInto<ConcurrencyLimit>,
        SettingError: From<L::Error>,
    {
        let limit = self.built(limit.try_into());
        self.parts.limiting.get_or_insert_default().concurrency_limit = limit;
        self
    }

    /// The cooldown by which one call's hint from the server holds for all of them. Default: none.
    pub fn cooldown<C>(mut self, cooldown: C) -> Self
    where
        C: TryInto<Cooldown>,
        SettingError: From<C::Error>,
    {
        self.parts.cooldown = self.built(cooldown.try_into());
        self
    }

    /// How long one attempt may take; an attempt that takes longer is a failure of category timeout.
    /// Overrides the retry policy's. Default: for ever.
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.parts.limits.attempt = Some(limit);
        self
    }

    /// How long a whole call may take, with all its attempts and waits. A wait that does not fit is not
    /// begun. The time runs from the moment the call first has to wait. Overrides the retry policy's.
    /// Default: for ever.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.parts.limits.call = Some(limit);
        self
    }

    /// Where the letters of calls that fail for good go. A call returns only once its letter is stored, or
    /// with what kept it from being stored. Default: nowhere.
    pub fn dead_letters(self, queue: impl DeadLetterQueue + 'static) -> Self
    where
        E: Error + 'static,
    {
        self.dead_letters_described(queue, |error| ErrorChain::of(error))
    }

    /// As [`dead_letters`](Self::dead_letters), for errors that do not implement `Error`: `describe` writes
    /// them down.
    ///
    /// ```
    /// use recoup::{ErrorChain, MemoryQueue, Recovery};
    /// let recovery = Recovery::<String>::builder("mail")
    ///     .dead_letters_described(MemoryQueue::default(), |error| ErrorChain::from_display(error))
    ///     .build()?;
    /// assert_eq!(recovery.to_string(), "mail: dead_letters(retry 4(operation))");
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    pub fn dead_letters_described(
        mut self,
        queue: impl DeadLetterQueue + 'static,
        describe: impl Fn(&E) -> ErrorChain + Send + Sync + 'static,
    ) -> Self {
        self.parts.letters = Some(Letters { queue: Arc::new(queue), describe: Box::new(describe) });
        self
    }

    /// How long a queue may take to store a letter. After that the caller gets the letter back in the error,
    /// and nobody knows whether it is stored as well. `Duration::MAX` waits for ever. Default: 30 s.
    pub fn letter_timeout(mut self, limit: Duration) -> Self {
        self.parts.letter_timeout = limit;
        self
    }

    /// Somebody who watches the calls, and the policies of this recovery too. May be called more than once.
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        self.parts.observers.add(observer);
        self
    }

    /// Ends waits as soon as the program wants to end. Default: nothing does.
    pub fn shutdown(mut self, shutdown: &Shutdown) -> Self {
        self.parts.shutdown = Some(shutdown.clone());
        self
    }

    /// How many [shards](Recovery::shard) are remembered, at least 1. Default: 1,000.
    pub fn shards(mut self, most: usize) -> Self {
        self.parts.shards = Shards::new(most);
        self
    }

    /// Runs before each wait for a retry, and may break the call off. Default: nothing.
    pub fn before_retry<H>(mut self, hook: impl Fn(FailedAttempt<'_, E>) -> H + Send + Sync + 'static) -> Self
    where
        H: Future<Output = ControlFlow<()>> + Send + 'static,
    {
        self.parts.before_retry = Some(Box::new(move |failed| Box::pin(hook(failed))));
        self
    }

    /// Is told of each call that ends without a value. Default: nothing.
    pub fn on_give_up(mut self, hook: impl Fn(&RecoveryError<E>) + Send + Sync + 'static) -> Self {
        self.parts.on_give_up = Some(Box::new(hook));
        self
    }

    /// Checks the settings and wires the policies.
    ///
    /// # Errors
    ///
    /// [`SettingError`], naming the first setting, of the recovery or of a policy in it, that cannot work.
    pub fn build(self) -> Result<Recovery<E>, SettingError> {
        const CHECK: Check = Check("recovery");
        let Self { mut parts, problem } = self;
        if let Some(problem) = problem {
            return Err(problem);
        }
        parts.whole.throttle = parts.retry.throttle().cloned();
        let (limits, rules) = (&mut parts.limits, parts.retry.rules());
        limits.attempt = limits.attempt.or(rules.attempt_timeout);
        limits.call = limits.call.or(rules.deadline);
        let limits = [
            ("attempt_timeout", limits.attempt),
            ("deadline", limits.call),
            ("letter_timeout", Some(parts.letter_timeout)),
        ];
        for (setting, limit) in limits {
            if let Some(limit) = limit {
                CHECK.longer_than_zero(setting, limit)?;
            }
        }
        if parts.shards.capacity() == 0 {
            return Err(CHECK.refuse("shards", 0, "at least 1"));
        }
        if let (Some(attempt), Some(call)) = (parts.limits.attempt, parts.limits.call)
            && attempt > call
        {
            return Err(CHECK.refuse("attempt_timeout", attempt, "at most the deadline"));
        }
        for observer in parts.observers.all().iter() {
            if let Some(breaker) = &parts.whole.breaker {
                breaker.observe(Arc::clone(observer));
            }
            let limiting = parts.limiting.as_deref();
            if let Some(limiter) = limiting.and_then(|limiting| limiting.rate_limiter.as_ref()) {
                limiter.observe(Arc::clone(observer));
            }
            if let Some(limit) = limiting.and_then(|limiting| limiting.concurrency_limit.as_ref()) {
                limit.observe(Arc::clone(observer));
            }
            if let Some(bulkhead) = &parts.bulkhead {
                bulkhead.observe(Arc::clone(observer));
            }
        }
        parts.slow_after =
            parts.limits.attempt.and_then(|limit| parts.whole.throttle.as_ref()?.slow_after(limit));
        parts.first_look = parts.limits.first_look(parts.slow_after);
        let asked = parts.cooldown.is_some() || parts.limiting.is_some();
        parts.plain = !asked && parts.retry.rules().budget.is_none();
        Ok(Recovery { parts: Arc::new(parts) })
    }

    fn built<P, X>(&mut self, policy: Result<P, X>) -> Option<P>
    where
        SettingError: From<X>,
    {
        match policy {
            Ok(policy) => Some(policy),
            Err(problem) => {
                self.problem.get_or_insert(problem.into());
                None
            }
        }
    }
}

impl<E> std::fmt::Debug for RecoveryBuilder<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecoveryBuilder").field("name", &self.parts.name).finish_non_exhaustive()
    }
}
