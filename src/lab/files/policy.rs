//! Policies in TOML.

use std::sync::Arc;

use serde::Deserialize;

use super::breaker::BreakerKeys;
use super::error::FileError;
use super::place::line_of;
use super::span::Span;
use super::waits::{BackoffKeys, JitterKeys};
use super::withhold::{BudgetKeys, ThrottleKeys, when};
use crate::backoff::Jitter;
use crate::lab::contender::Contender;
use crate::retry::{RetryPolicy, RetryPolicyBuilder, Timed};
use crate::setting::SettingError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyKeys {
    name: Option<String>,
    max_attempts: Option<u32>,
    backoff: Option<BackoffKeys>,
    jitter: Option<JitterKeys>,
    attempt_timeout: Option<Span>,
    deadline: Option<Span>,
    throttle: Option<ThrottleKeys>,
    budget: Option<BudgetKeys>,
    circuit_breaker: Option<BreakerKeys>,
    #[serde(default)]
    per_shard: bool,
}

impl Contender {
    /// The policy of a TOML file. `examples/lab/policy.toml` shows every key. `name` is what it is called in
    /// reports if the file gives it no other.
    ///
    /// The keys are the names of the builders' setters, and what is left out has their defaults. A file that says
    /// nothing at all is the default policy. As with the builder, a budget takes the place of the default
    /// throttle, unless the file names a throttle too.
    ///
    /// ```
    /// use recoup::lab::Contender;
    ///
    /// let mine = Contender::from_toml(
    ///     "mine",
    ///     r#"
    ///     max_attempts = 3
    ///     backoff = { kind = "exponential", base = "50ms", max_delay = "10s" }
    ///     budget = { kind = "tokens", share = 0.1 }
    ///     circuit_breaker = { consecutive_failures = 5 }
    ///     "#,
    /// )?;
    /// assert_eq!(mine.name(), "mine");
    ///
    /// let error = Contender::from_toml("mine", "budget = { kind = \"tokens\", share = -1 }").unwrap_err();
    /// assert_eq!((error.line, error.setting.as_deref()), (Some(1), Some("share")));
    /// # Ok::<(), recoup::lab::files::FileError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FileError`] for a text that is no TOML, a key that is unknown or missing, a time without its unit, and for
    /// all that the builders refuse.
    pub fn from_toml(name: impl Into<Arc<str>>, text: &str) -> Result<Self, FileError> {
        let keys: PolicyKeys = super::parse(text)?;
        let refused = |table: &'static str| {
            move |error: SettingError| {
                let line = line_of(text, Some((table, 0)), error.setting);
                FileError::refused(&error, line.or_else(|| line_of(text, None, error.setting)))
            }
        };
        let (throttle, budget) = (keys.throttle.as_ref(), keys.budget.as_ref());
        let throttle = throttle.map(ThrottleKeys::read).transpose().map_err(refused("throttle"))?;
        let budget = budget.map(BudgetKeys::read).transpose().map_err(refused("budget"))?;
        let breaker = keys.circuit_breaker.as_ref().map(BreakerKeys::read).transpose();
        let breaker = breaker.map_err(refused("circuit_breaker"))?;

        let policy = keys.schedule().map_err(refused("backoff"))?;
        let policy = match (&throttle, &budget) {
            (Some(None), _) | (None, Some(None)) => policy.no_budget(),
            _ => policy,
        };
        let policy = when(policy, budget.flatten(), RetryPolicyBuilder::budget);
        let policy = when(policy, throttle.flatten(), RetryPolicyBuilder::throttle);
        RetryPolicy::<Timed>::try_from(policy.clone()).map_err(refused("backoff"))?;

        let mut contender = Self::new(keys.name.map_or_else(|| name.into(), Arc::from), policy);
        if let Some(breaker) = breaker {
            contender = contender.circuit_breaker(breaker);
        }
        Ok(if keys.per_shard { contender.per_shard() } else { contender })
    }
}

impl PolicyKeys {
    /// How many attempts, how far apart, and for how long.
    fn schedule(&self) -> Result<RetryPolicyBuilder<Timed>, SettingError> {
        let mut policy = RetryPolicy::builder();
        if let Some(attempts) = self.max_attempts {
            policy = policy.max_attempts(attempts);
        }
        if let Some(keys) = &self.backoff {
            policy = policy.backoff(keys.read()?);
            if let Some(usual) = keys.usual_jitter() {
                policy = policy.jitter(usual);
            }
        }
        if let Some(jitter) = self.jitter {
            policy = policy.jitter(Jitter::from(jitter));
        }
        let mut policy = policy.with_limits();
        if let Some(limit) = self.attempt_timeout {
            policy = policy.attempt_timeout(limit.0);
        }
        if let Some(limit) = self.deadline {
            policy = policy.deadline(limit.0);
        }
        Ok(policy)
    }
}
