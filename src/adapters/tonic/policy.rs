//! What a gRPC service config says of one method, and of all of them together.

mod codes;
mod hedging;
mod retry;

use std::time::Duration;

pub(super) use self::codes::Codes;
pub use self::hedging::{Hedging, HedgingBuilder};
pub use self::retry::{Retry, RetryBuilder};
use crate::retry::RetryBudget;
use crate::setting::{Check, SettingError};

/// What is done about the calls of one method: how long they may take, and whether they are made again after
/// a failure or beside one that is slow. A plain value; clones are cheap.
///
/// It says what a `methodConfig` of a gRPC service config says. Nothing of it has to be said: what is left
/// out is as the layer's recovery has it.
///
/// ```
/// use std::time::Duration;
/// use recoup::tonic::{MethodPolicy, Retry};
///
/// let policy = MethodPolicy::new()
///     .timeout(Duration::from_secs(2))?
///     .retry(Retry::builder().max_attempts(4).build()?);
/// assert_eq!(policy.retries().unwrap().max_attempts(), 4);
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MethodPolicy {
    timeout: Option<Duration>,
    wait_for_ready: Option<bool>,
    idempotent: bool,
    repeats: Repeats,
}

/// How calls are repeated: in one of two ways, as gRPC has it.
#[derive(Clone, Debug, Default, PartialEq)]
enum Repeats {
    #[default]
    AsTheRecoverySays,
    Retry(Retry),
    Hedge(Hedging),
}

impl MethodPolicy {
    /// A policy that says nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a call may take, with all its attempts and waits and to the end of its answer. It shortens
    /// what the request itself says (`grpc-timeout`), and never lengthens it. Default: no limit of its own.
    ///
    /// # Errors
    ///
    /// [`SettingError`] if it is zero.
    pub fn timeout(mut self, limit: Duration) -> Result<Self, SettingError> {
        Check("method policy").longer_than_zero("timeout", limit)?;
        self.timeout = Some(limit);
        Ok(self)
    }

    /// Whether calls wait for a connection while there is none, instead of failing: longer from try to try, up to
    /// two minutes, and until the call's time is over. It counts as no attempt, and is part of the one that waits,
    /// with the slot that this holds. Default: they fail, as gRPC has it.
    #[must_use]
    pub const fn wait_for_ready(mut self, wait: bool) -> Self {
        self.wait_for_ready = Some(wait);
        self
    }

    /// Calls may be made twice: twice is as good as once. Then they are retried as the layer's recovery says.
    /// Default: only a call that surely did nothing is made again.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Failed calls are made again by these rules, instead of the recovery's. To say so is to say that they may
    /// be made twice. It takes the place of [`hedge`](Self::hedge): gRPC allows one of the two.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.repeats = Repeats::Retry(retry);
        self
    }

    /// Calls are made again beside themselves while they are slow, and not retried. To say so is to say that
    /// they may be made twice. It takes the place of [`retry`](Self::retry): gRPC allows one of the two.
    #[must_use]
    pub fn hedge(mut self, hedging: Hedging) -> Self {
        self.repeats = Repeats::Hedge(hedging);
        self
    }

    /// How long a call may take.
    #[must_use]
    pub const fn limit(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether calls wait for a connection, if it says so.
    #[must_use]
    pub const fn waits_for_ready(&self) -> Option<bool> {
        self.wait_for_ready
    }

    /// Whether calls may be made twice.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        self.idempotent || !matches!(self.repeats, Repeats::AsTheRecoverySays)
    }

    /// The rules of its retries, if it has such.
    #[must_use]
    pub const fn retries(&self) -> Option<&Retry> {
        match &self.repeats {
            Repeats::Retry(retry) => Some(retry),
            _ => None,
        }
    }

    /// The rules of its hedges, if it has such.
    #[must_use]
    pub const fn hedges(&self) -> Option<&Hedging> {
        match &self.repeats {
            Repeats::Hedge(hedging) => Some(hedging),
            _ => None,
        }
    }
}

/// How many failures all calls to one server may have before nothing is repeated any more: the
/// `retryThrottling` of a gRPC service config.
///
/// There are `max_tokens` at first and at most. A failure takes one away, a success adds `token_ratio`, and
/// retries and hedges are made only while more than half of them are there. Source: gRPC proposal A6,
/// "Throttling Retry Attempts and Hedged RPCs".
///
/// ```
/// use recoup::tonic::Throttling;
///
/// let throttling = Throttling::new(10.0, 0.1)?;
/// assert_eq!((throttling.max_tokens(), throttling.token_ratio()), (10.0, 0.1));
/// assert_eq!(Throttling::new(f64::NAN, 0.1).unwrap_err().setting, "max_tokens");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttling {
    max_tokens: f64,
    token_ratio: f64,
}

impl Throttling {
    /// Checks the two numbers. Of the ratio three decimals count, as there.
    ///
    /// # Errors
    ///
    /// [`SettingError`] if `max_tokens` is not above 0 and at most 1,000, or `token_ratio` is not at least a
    /// thousandth and at most 1,000.
    pub fn new(max_tokens: f64, token_ratio: f64) -> Result<Self, SettingError> {
        RetryBudget::grpc_with(max_tokens, token_ratio)?;
        Ok(Self { max_tokens, token_ratio })
    }

    /// A store of tokens of its own. There is one for numbers that were checked.
    pub(super) fn budget(self) -> Option<RetryBudget> {
        RetryBudget::grpc_with(self.max_tokens, self.token_ratio).ok()
    }

    /// The tokens at first and at most.
    #[must_use]
    pub const fn max_tokens(self) -> f64 {
        self.max_tokens
    }

    /// What a success adds.
    #[must_use]
    pub const fn token_ratio(self) -> f64 {
        self.token_ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_time_for_a_call() {
        let error = MethodPolicy::new().timeout(Duration::ZERO).unwrap_err();
        assert_eq!((error.policy, error.setting), ("method policy", "timeout"));
        assert!(MethodPolicy::new().timeout(Duration::MAX).is_ok());
    }

    #[test]
    fn last_of_retry_and_hedge_counts() {
        let retry = Retry::builder().build().unwrap();
        let hedging = Hedging::builder().build().unwrap();
        let hedged = MethodPolicy::new().retry(retry.clone()).hedge(hedging.clone());
        assert_eq!((hedged.retries(), hedged.hedges()), (None, Some(&hedging)));
        let retried = hedged.retry(retry.clone());
        assert_eq!((retried.retries(), retried.hedges()), (Some(&retry), None));
        assert!(retried.is_idempotent() && !MethodPolicy::new().is_idempotent());
    }

    #[test]
    fn throttling_that_cannot_work_is_refused_by_name() {
        for bad in [0.0, -1.0, 1000.5, f64::NAN, f64::INFINITY, f64::MAX] {
            assert_eq!(Throttling::new(bad, 0.1).unwrap_err().setting, "max_tokens", "{bad}");
        }
        for bad in [0.0, -0.1, 0.000_4, 1000.5, f64::NAN, f64::INFINITY] {
            assert_eq!(Throttling::new(10.0, bad).unwrap_err().setting, "token_ratio", "{bad}");
        }
        assert!(Throttling::new(1000.0, 0.001).is_ok() && Throttling::new(0.5, 2.0).is_ok());
    }
}
