//! What each client of a fleet keeps: the crate's own policies, asked as a call asks them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::call::{FailedAttempt, Gives, Held, Limits, Policies};
use crate::circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder};
use crate::classification::{Category, Classification};
use crate::error::RecoveryError;
use crate::event::{CallInfo, Observers};
use crate::retry::{RetryBudget, RetryPolicy, RetryRules, Throttle, Timed};
use crate::setting::SettingError;
use crate::time::Instant;
use crate::timer::Timer;

/// What went wrong with an attempt that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody listens there.
    Refused,
    /// The backend has no room, and may say when to come back.
    Overloaded(Option<Duration>),
    /// The backend did its work, and failed.
    Failed,
}

impl From<Trouble> for Classification {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused => Self::of(Category::Network),
            Trouble::Overloaded(None) => Self::of(Category::ServiceUnavailable),
            Trouble::Overloaded(Some(hint)) => Self::of(Category::ServiceUnavailable).retry_after(hint),
            Trouble::Failed => Self::of(Category::ExternalService),
        }
    }
}

/// The policies of a whole fleet.
#[derive(Debug)]
pub(super) struct Fleet {
    name: Arc<str>,
    policy: RetryPolicy<Timed>,
    limits: Limits,
    /// How many of the cells belong to each client.
    shards: u32,
    observers: Observers,
    cells: Vec<Cell>,
}

/// What one client keeps for the backend, or for one shard of it.
#[derive(Debug)]
struct Cell {
    throttle: Option<Throttle>,
    budget: Option<RetryBudget>,
    breaker: Option<CircuitBreaker>,
}

/// What a fleet is equipped with.
pub(super) struct Kit {
    pub(super) name: Arc<str>,
    pub(super) policy: RetryPolicy<Timed>,
    pub(super) breaker: Option<CircuitBreakerBuilder>,
    /// How long a client waits for an answer.
    pub(super) timeout: Duration,
    pub(super) observers: Observers,
    pub(super) seed: u64,
}

impl Fleet {
    /// Deals the policies out to so many clients, for so many shards each. Their time starts at `start`.
    pub(super) fn equip(kit: Kit, clients: u32, shards: u32, start: Instant) -> Result<Self, SettingError> {
        let Kit { name, policy, breaker, timeout, observers, seed } = kit;
        if let Some(breaker) = &breaker {
            breaker.check()?;
        }
        let throttle = policy.throttle().map(|throttle| throttle.anew(start, seed));
        let cell = |nth: u64| Cell {
            throttle: throttle.as_ref().map(|throttle| throttle.one_more(start, seed.wrapping_add(nth))),
            budget: policy.budget().map(|budget| budget.anew(start)),
            // Circuits of one seed would draw the same and come back together.
            breaker: breaker.clone().map(|breaker| breaker.seed(seed.wrapping_add(nth)).unchecked_at(start)),
        };
        let cells = (0..u64::from(clients) * u64::from(shards)).map(cell).collect();
        let rules = policy.rules().limits();
        let attempt = rules.attempt.map_or(timeout, |limit| limit.min(timeout));
        let limits = Limits { attempt: Some(attempt), call: rules.call, until: None };
        Ok(Self { name, policy, limits, shards, observers, cells })
    }

    /// What this client asks about a call that belongs to this shard.
    pub(super) fn client(&self, client: u32, shard: u32) -> Client<'_> {
        let cell = client as usize * self.shards as usize + (shard % self.shards) as usize;
        Client { fleet: self, cell: &self.cells[cell] }
    }
}

/// One client, about one shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client<'r> {
    fleet: &'r Fleet,
    cell: &'r Cell,
}

impl<'r> Gives for Client<'r> {
    type Pass = Held<'r>;
    type Timer = Timer;
    type Hooks = ();
}

impl<'r> Policies<'r, Trouble> for Client<'r> {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.fleet.name)
    }

    fn info(&self) -> CallInfo<'_> {
        CallInfo { name: &self.fleet.name, operation: None, destination: None, correlation_id: None }
    }

    fn rules(&self) -> &RetryRules {
        self.fleet.policy.rules()
    }

    fn limits(&self) -> Limits {
        self.fleet.limits
    }

    fn classify(&self, trouble: &Trouble) -> Classification {
        (*trouble).into()
    }

    fn throttle(&self) -> Option<&Throttle> {
        self.cell.throttle.as_ref()
    }

    fn budget(&self) -> Option<&RetryBudget> {
        self.cell.budget.as_ref()
    }

    fn breaker(&self) -> Option<&'r CircuitBreaker> {
        self.cell.breaker.as_ref()
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.fleet.observers)
    }

    fn before_retry(
        &self,
        (): &mut (),
        _: FailedAttempt<'_, Trouble>,
    ) -> Option<BoxFuture<'r, ControlFlow<()>>> {
        None
    }

    fn gave_up(&self, _: Option<&mut ()>, _: &RecoveryError<Trouble>) {}
}
