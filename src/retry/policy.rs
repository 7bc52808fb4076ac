//! The settings of retrying.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::budget::RetryBudget;
use super::limits::{Timed, Untimed};
use super::rules::{Nested, OnEmptyBudget, RetryRules, Schedule};
use super::throttle::{Throttle, ThrottleBuilder};
use crate::backoff::{Backoff, DelayBounds, Jitter};
use crate::classification::Category;
use crate::random::Dice;
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("retry policy");

/// With fewer, what fails one attempt in ten by chance would fail more than one call in a thousand.
const DEFAULT_ATTEMPTS: u32 = 4;

/// The gate of a policy whose number of attempts nobody chose.
const DEFAULT_GATE: u32 = 3;

/// How failed attempts are repeated. Built once and shared: clones share the retry budget.
///
/// The defaults are safe for a fleet: at most 4 attempts, exponential backoff from 100 ms up to 30 s with full
/// jitter, and a [`Throttle`] that lets retries be at most a fifth of what succeeds, and few when nothing does.
///
/// ```
/// use std::time::Duration;
/// use recoup::{Jitter, RetryPolicy};
///
/// let policy = RetryPolicy::exponential(Duration::from_millis(50))
///     .max_delay(Duration::from_secs(2))
///     .max_attempts(5)
///     .jitter(Jitter::Full)
///     .build()?;
/// let longest: Vec<u128> = policy.preview(7).iter().map(|wait| wait.max.as_millis()).collect();
/// assert_eq!(longest, [50, 100, 200, 400], "five attempts, four waits");
/// # Ok::<(), recoup::SettingError>(())
/// ```
///
/// # Time limits
///
/// A policy with an [`attempt_timeout`](RetryPolicyBuilder::attempt_timeout) or a
/// [`deadline`](RetryPolicyBuilder::deadline) is a `RetryPolicy<Timed>`. When such a limit cuts an attempt
/// short there is no error of the operation to give back, so [`retry`](crate::retry) under a timed policy
/// ends in a [`RecoveryError`](crate::RecoveryError), which can say so; under an untimed one it ends in the
/// operation's own error. The type tells which.
#[derive(Debug)]
pub struct RetryPolicy<L = Untimed> {
    rules: Arc<RetryRules>,
    limits: PhantomData<fn() -> L>,
}

impl RetryPolicy {
    /// Starts from the defaults.
    pub fn builder() -> RetryPolicyBuilder {
        let mut rules = RetryRules::plain();
        rules.schedule.max_attempts = Some(DEFAULT_ATTEMPTS);
        let own = Some(Throttle::builder());
        RetryPolicyBuilder { rules, overrides: Vec::new(), own, problem: None, limits: PhantomData }
    }

    /// Starts from the defaults, with this backoff. Jitter is full unless said otherwise.
    pub fn backoff(backoff: Backoff) -> RetryPolicyBuilder {
        Self::builder().backoff(backoff)
    }

    /// Waits that double each time: `base`, 2 × `base`, 4 × `base`, … up to 30 s.
    pub fn exponential(base: Duration) -> RetryPolicyBuilder {
        Self::backoff(Backoff::exponential(base).jitter(Jitter::Full))
    }

    /// Waits that are all the same.
    pub fn fixed(delay: Duration) -> RetryPolicyBuilder {
        Self::backoff(Backoff::fixed(delay).jitter(Jitter::Full))
    }

    /// Waits that grow by `step` each time, up to 30 s.
    pub fn linear(step: Duration) -> RetryPolicyBuilder {
        Self::backoff(Backoff::linear(step).jitter(Jitter::Full))
    }

    /// Waits of which each is the sum of the two before it, up to 30 s.
    pub fn fibonacci(base: Duration) -> RetryPolicyBuilder {
        Self::backoff(Backoff::fibonacci(base).jitter(Jitter::Full))
    }

    /// Waits drawn between `base` and three times the last one, up to 30 s.
    pub fn decorrelated(base: Duration) -> RetryPolicyBuilder {
        Self::backoff(Backoff::decorrelated(base))
    }

    /// For one of many clients: the default, by its name.
    #[must_use]
    pub fn fleet() -> Self {
        Self::default()
    }

    /// For a program that calls a service alone, or as one of a few: as the default, but a timeout is retried
    /// even if nothing is known of the service yet. See [`Throttle::single_client`].
    #[must_use]
    pub fn single_client() -> Self {
        Self::builder().throttle(Throttle::single_client()).unchecked()
    }

    /// For a connection that must come back, however long it takes: without end, waits of 100 ms and more up to
    /// 30 s of which half is left to chance, and nothing that withholds an attempt. Of 100,000 sessions lost for
    /// a minute the last is back no later than with full jitter, after half as many attempts.
    #[must_use]
    pub fn reconnect() -> Self {
        let waits = Backoff::exponential(Duration::from_millis(100)).jitter(Jitter::Equal);
        Self::builder().backoff(waits).unlimited_attempts().no_budget().unchecked()
    }

    /// One attempt, and no other; nothing holds it back.
    #[must_use]
    pub fn never() -> Self {
        Self::builder().max_attempts(1).no_budget().unchecked()
    }
}

impl<L> RetryPolicy<L> {
    /// The least and the longest wait after each of the first `attempts` attempts, without the last that the
    /// policy allows: after that nobody waits.
    #[must_use]
    pub fn preview(&self, attempts: usize) -> Vec<DelayBounds> {
        let waits = self.rules.schedule.max_attempts.map_or(usize::MAX, |most| most as usize - 1);
        self.rules.schedule.backoff.preview(attempts.min(waits))
    }

    /// The throttle that calls under this policy share.
    #[must_use]
    pub fn throttle(&self) -> Option<&Throttle> {
        self.rules.throttle.as_ref()
    }

    /// The budget that calls under this policy share, if it was given one.
    #[must_use]
    pub fn budget(&self) -> Option<&RetryBudget> {
        self.rules.budget.as_ref()
    }

    /// The most attempts that one call makes, the first included; `None` is without limit.
    #[must_use]
    pub fn max_attempts(&self) -> Option<u32> {
        self.rules.schedule.max_attempts
    }

    pub(crate) fn rules(&self) -> &RetryRules {
        &self.rules
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::builder().unchecked()
    }
}

impl<L> Clone for RetryPolicy<L> {
    fn clone(&self) -> Self {
        Self { rules: Arc::clone(&self.rules), limits: PhantomData }
    }
}

impl From<RetryPolicy> for RetryPolicy<Timed> {
    fn from(policy: RetryPolicy) -> Self {
        Self { rules: policy.rules, limits: PhantomData }
    }
}

impl<L> TryFrom<RetryPolicyBuilder<L>> for RetryPolicy<Timed> {
    type Error = SettingError;

    fn try_from(builder: RetryPolicyBuilder<L>) -> Result<Self, SettingError> {
        builder.with_limits::<Timed>().build()
    }
}

/// Builds a [`RetryPolicy`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct RetryPolicyBuilder<L = Untimed> {
    rules: RetryRules,
    overrides: Vec<(Category, Schedule)>,
    /// What each policy that is built gets a throttle of its own by.
    own: Option<ThrottleBuilder>,
    /// The first mistake that a setter met; `build` tells it.
    problem: Option<SettingError>,
    limits: PhantomData<fn() -> L>,
}

impl<L> RetryPolicyBuilder<L> {
    /// The most attempts that one call makes, the first included, at least 1. Default: 4, of which a dependency
    /// that answers nothing gets 3 and then one a call, see [`gate`](ThrottleBuilder::gate). The gate of the
    /// default throttle is as wide as the number given here, if that is more than 3.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.rules.schedule.max_attempts = Some(attempts);
        self.own = self.own.map(|own| own.gate(attempts.max(DEFAULT_GATE)));
        self
    }

    /// As many attempts as it takes. Give the call a deadline, or be ready to drop it.
    pub fn unlimited_attempts(mut self) -> Self {
        self.rules.schedule.max_attempts = None;
        self.own = self.own.map(|own| own.gate(u32::MAX));
        self
    }

    /// The waits between attempts, with their jitter and cap.
    /// Default: `Backoff::exponential` from 100 ms up to 30 s with full jitter.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.rules.schedule.backoff = backoff;
        self
    }

    /// The longest wait that the backoff may give, jitter included. Default: 30 s for growing waits.
    pub fn max_delay(mut self, longest: Duration) -> Self {
        self.rules.schedule.backoff = self.rules.schedule.backoff.max_delay(longest);
        self
    }

    /// How waits are shortened by chance. Default: [`Jitter::Full`].
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.rules.schedule.backoff = self.rules.schedule.backoff.jitter(jitter);
        self
    }

    /// How long one attempt may take. Default: for ever. Makes the policy a timed one.
    pub fn attempt_timeout(mut self, limit: Duration) -> RetryPolicyBuilder<Timed> {
        self.rules.attempt_timeout = Some(limit);
        self.with_limits()
    }

    /// How long the whole call may take, with all its attempts and waits. A wait that does not fit is not
    /// begun. The time runs from the moment the call first has to wait. Default: for ever. Makes the policy
    /// a timed one.
    pub fn deadline(mut self, limit: Duration) -> RetryPolicyBuilder<Timed> {
        self.rules.deadline = Some(limit);
        self.with_limits()
    }

    /// The longest hint of a server (`Retry-After`) that is obeyed; to a longer one the call gives up, with
    /// the hint in its error. Default: 5 min.
    pub fn max_hint(mut self, longest: Duration) -> Self {
        self.rules.max_hint = longest;
        self
    }

    /// Waits [`max_hint`](Self::max_hint) when the server asks for more, instead of giving up.
    pub fn clamp_hints(mut self) -> Self {
        self.rules.clamp_hints = true;
        self
    }

    /// After a wait that the server asked for, the backoff begins anew, as gRPC has it (proposal A6, on pushback).
    /// Default: it goes on growing.
    pub fn restart_after_hint(mut self) -> Self {
        self.rules.restart_after_hint = true;
        self
    }

    /// Other waits and another number of attempts for errors of one category. Of `policy` only these two
    /// count, and its attempts are counted apart: throttling does not use up what is meant for blips.
    pub fn for_category<M>(mut self, category: Category, policy: RetryPolicyBuilder<M>) -> Self {
        self.overrides.retain(|(of, _)| *of != category);
        self.overrides.push((category, policy.rules.schedule));
        self.problem = self.problem.or(policy.problem);
        self
    }

    /// What holds back attempts that would make an outage worse. Hand the same one to every policy for one
    /// dependency. Default: one of this policy's own, [`Throttle::fleet`].
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.rules.throttle = Some(throttle);
        self.own = None;
        self
    }

    /// A budget that limits retries to a share of what succeeds, instead of the default throttle. Hand the same
    /// one to every policy for one dependency. Default: none; a policy that is given a
    /// [`throttle`](Self::throttle) as well asks both.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.rules.budget = Some(budget);
        self.own = None;
        self
    }

    /// Neither throttle nor budget. An outage then meets every retry that the attempts allow.
    pub fn no_budget(mut self) -> Self {
        self.rules.budget = None;
        self.rules.throttle = None;
        self.own = None;
        self
    }

    /// What to do when the budget is empty, or the throttle withholds a retry. Default: [`OnEmptyBudget::Fail`].
    pub fn on_empty_budget(mut self, what: OnEmptyBudget) -> Self {
        self.rules.on_empty = what;
        self
    }

    /// What to do when a retry inside the operation has given up already. Default: [`Nested::Stop`].
    pub fn nested(mut self, nested: Nested) -> Self {
        self.rules.nested = nested;
        self
    }

    /// Waits for an open circuit when it says when to come back and that fits into the deadline; each such
    /// wait uses up an attempt. Default: an open circuit ends the call at once.
    pub fn wait_for_open_circuit(mut self) -> Self {
        self.rules.wait_for_circuit = true;
        self
    }

    /// The seed of the jitter, so that a run can be repeated. Default: fresh randomness.
    pub fn seed(mut self, seed: u64) -> Self {
        self.rules.dice = Dice::seeded(seed);
        self.own = self.own.map(|own| own.seed(!seed));
        self
    }

    /// Checks the settings and makes the policy.
    ///
    /// # Errors
    ///
    /// [`SettingError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<RetryPolicy<L>, SettingError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.rules.schedule.check(CHECK)?;
        for (_, schedule) in &self.overrides {
            schedule.check(CHECK)?;
        }
        let patience = match self.rules.on_empty {
            OnEmptyBudget::Fail => None,
            OnEmptyBudget::Wait(most) => Some(most),
        };
        let limits = [
            ("on_empty_budget", patience),
            ("attempt_timeout", self.rules.attempt_timeout),
            ("deadline", self.rules.deadline),
            ("max_hint", Some(self.rules.max_hint)),
        ];
        for (setting, limit) in limits {
            if let Some(limit) = limit {
                CHECK.longer_than_zero(setting, limit)?;
            }
        }
        if let (Some(attempt), Some(deadline)) = (self.rules.attempt_timeout, self.rules.deadline)
            && attempt > deadline
        {
            return Err(CHECK.refuse("attempt_timeout", attempt, "at most the deadline"));
        }
        Ok(self.unchecked())
    }

    /// For settings that are known to work.
    fn unchecked(mut self) -> RetryPolicy<L> {
        self.rules.by_category = self.overrides;
        if let Some(own) = self.own {
            self.rules.throttle = Some(own.unchecked());
        }
        self.rules.is_plain = self.rules.budget.is_none();
        RetryPolicy { rules: Arc::new(self.rules), limits: PhantomData }
    }

    pub(crate) fn with_limits<M>(self) -> RetryPolicyBuilder<M> {
        let Self { rules, overrides, own, problem, limits: _ } = self;
        RetryPolicyBuilder { rules, overrides, own, problem, limits: PhantomData }
    }
}

impl<L> Clone for RetryPolicyBuilder<L> {
    fn clone(&self) -> Self {
        let Self { rules, overrides, own, problem, limits } = self;
        Self {
            rules: rules.clone(),
            overrides: overrides.clone(),
            own: own.clone(),
            problem: problem.clone(),
            limits: *limits,
        }
    }
}
