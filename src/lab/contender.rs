//! A policy that takes part in a comparison.

use std::fmt;
use std::sync::Arc;

use super::clients::{Fleet, Kit};
use super::scenario::Scenario;
use crate::circuit_breaker::CircuitBreakerBuilder;
use crate::event::{Observer, Observers};
use crate::retry::{RetryPolicy, RetryPolicyBuilder, Timed};
use crate::setting::SettingError;
use crate::time::Instant;

/// A policy that takes part in a comparison: what every client of the fleet is given.
///
/// It is made of the crate's own builders, and a run makes of them what a program would: one retry policy for
/// all, and a throttle, a retry budget and a circuit breaker for each client.
///
/// ```
/// use std::time::Duration;
/// use recoup::lab::Contender;
/// use recoup::{CircuitBreaker, RetryBudget, RetryPolicy};
///
/// let budget = RetryBudget::builder().share(0.1).build()?;
/// let policy = RetryPolicy::exponential(Duration::from_millis(50)).max_attempts(4).budget(budget);
/// let breaker = CircuitBreaker::builder("mine").failure_rate(0.5);
/// let mine = Contender::new("mine", policy).circuit_breaker(breaker);
/// assert_eq!(mine.name(), "mine");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone)]
#[must_use = "a contender does nothing until it is run"]
pub struct Contender {
    name: Arc<str>,
    policy: RetryPolicyBuilder<Timed>,
    breaker: Option<CircuitBreakerBuilder>,
    per_shard: bool,
    observers: Vec<Arc<dyn Observer>>,
}

impl Contender {
    /// Every client retries by this. Its throttle and its budget are one for each client: a handle that was handed
    /// to the builder is not shared by the fleet, but each client gets another like it, that has seen nothing.
    pub fn new<L>(name: impl Into<Arc<str>>, policy: RetryPolicyBuilder<L>) -> Self {
        let policy = policy.with_limits();
        Self { name: name.into(), policy, breaker: None, per_shard: false, observers: Vec::new() }
    }

    /// Every client has a circuit breaker with these settings. Default: none.
    pub fn circuit_breaker(mut self, breaker: CircuitBreakerBuilder) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Every client keeps budget and breaker for each shard apart. Default: one for the whole backend.
    pub fn per_shard(mut self) -> Self {
        self.per_shard = true;
        self
    }

    /// Somebody who watches the calls of all clients. May be called more than once. Slows the run.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// What it is called in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the clients of this scenario are given at `start`.
    pub(super) fn equip(
        &self,
        scenario: &Scenario,
        seed: u64,
        start: Instant,
    ) -> Result<Fleet, SettingError> {
        let policy = RetryPolicy::<Timed>::try_from(self.policy.clone().seed(seed))?;
        let observers = Observers::default();
        self.observers.iter().for_each(|observer| observers.add(Arc::clone(observer)));
        let kit = Kit {
            name: Arc::clone(&self.name),
            policy,
            breaker: self.breaker.clone(),
            timeout: scenario.timeout,
            observers,
            seed,
        };
        let shards = if self.per_shard { scenario.backend.shards } else { 1 };
        Fleet::equip(kit, scenario.fleet.clients, shards, start)
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}
