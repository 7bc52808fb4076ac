//! The retry policy of gRPC.

use std::time::Duration;

use tonic::Code;

use super::Codes;
use crate::backoff::{Backoff, Jitter};
use crate::retry::{RetryPolicy, RetryPolicyBuilder, Timed};
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("gRPC retry policy");

/// How the failed calls of one method are made again: the `retryPolicy` of a gRPC service config.
///
/// Before the n-th retry it waits by chance from nothing to `initial_backoff * multiplier^(n-1)`, and to no
/// more than `max_backoff`. A server that says when to come back (`grpc-retry-pushback-ms`) is obeyed, up to five
/// minutes, and the waits then begin anew. Source: gRPC proposal A6, "Retry Policy".
///
/// ```
/// use std::time::Duration;
/// use recoup::tonic::Retry;
/// use tonic::Code;
///
/// let retry = Retry::builder()
///     .max_attempts(4)
///     .initial_backoff(Duration::from_millis(50))
///     .codes([Code::Unavailable, Code::Aborted])
///     .build()?;
/// assert!(retry.is_retryable(Code::Aborted) && !retry.is_retryable(Code::Internal));
/// assert_eq!(Retry::builder().max_attempts(1).build().unwrap_err().setting, "max_attempts");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Retry {
    settings: RetryBuilder,
    // Made once, when the settings are checked.
    policy: RetryPolicy<Timed>,
}

impl Retry {
    /// Starts from the defaults.
    pub fn builder() -> RetryBuilder {
        RetryBuilder {
            max_attempts: 4,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            multiplier: 2.0,
            codes: [Code::Unavailable].into_iter().collect(),
        }
    }

    /// The most attempts that one call makes, the first included.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.settings.max_attempts
    }

    /// The longest wait before the first retry.
    #[must_use]
    pub const fn initial_backoff(&self) -> Duration {
        self.settings.initial_backoff
    }

    /// The longest wait before any retry.
    #[must_use]
    pub const fn max_backoff(&self) -> Duration {
        self.settings.max_backoff
    }

    /// How many times longer each wait may be than the one before.
    #[must_use]
    pub const fn multiplier(&self) -> f64 {
        self.settings.multiplier
    }

    /// Whether a call that failed with this code is made again.
    #[must_use]
    pub const fn is_retryable(&self, code: Code) -> bool {
        self.settings.codes.contains(code)
    }

    /// The codes with which a failed call is made again.
    pub fn codes(&self) -> impl Iterator<Item = Code> + use<> {
        self.settings.codes.iter()
    }

    pub(in crate::adapters::tonic) const fn policy(&self) -> &RetryPolicy<Timed> {
        &self.policy
    }
}

impl PartialEq for Retry {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

/// Builds a [`Retry`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a builder does nothing until `build`"]
pub struct RetryBuilder {
    max_attempts: u32,
    initial_backoff: Duration,
    max_backoff: Duration,
    multiplier: f64,
    codes: Codes,
}

impl RetryBuilder {
    /// The most attempts that one call makes, the first included, at least 2. Default: 4. A service config
    /// may say more than 5, which counts as 5; who says it here is taken at their word.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// The longest wait before the first retry, longer than zero. Default: 100 ms.
    pub const fn initial_backoff(mut self, wait: Duration) -> Self {
        self.initial_backoff = wait;
        self
    }

    /// The longest wait before any retry, longer than zero. Default: 10 s.
    pub const fn max_backoff(mut self, wait: Duration) -> Self {
        self.max_backoff = wait;
        self
    }

    /// How many times longer each wait may be than the one before: finite and above 0.0. Default: 2.0.
    pub const fn multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = multiplier;
        self
    }

    /// The codes with which a failed call is made again, at least one, and not [`Code::Ok`].
    /// Default: [`Code::Unavailable`].
    pub fn codes(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.codes = codes.into_iter().collect();
        self
    }

    /// Checks the settings and makes the policy.
    ///
    /// # Errors
    ///
    /// [`SettingError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<Retry, SettingError> {
        if self.max_attempts < 2 {
            return Err(CHECK.refuse("max_attempts", self.max_attempts, "at least 2"));
        }
        CHECK.longer_than_zero("initial_backoff", self.initial_backoff)?;
        CHECK.longer_than_zero("max_backoff", self.max_backoff)?;
        if !(self.multiplier > 0.0 && self.multiplier.is_finite()) {
            return Err(CHECK.refuse("multiplier", self.multiplier, "finite and above 0.0"));
        }
        if self.codes.is_empty() || self.codes.contains(Code::Ok) {
            return Err(CHECK.refuse("codes", self.codes, "at least one code, and not `Ok`"));
        }
        // Throttling is the layer's, for all methods together.
        let policy: RetryPolicyBuilder<Timed> = RetryPolicy::builder()
            .max_attempts(self.max_attempts)
            .backoff(self.waits())
            .restart_after_hint()
            .no_budget()
            .with_limits();
        Ok(Retry { policy: policy.build()?, settings: self })
    }

    fn waits(&self) -> Backoff {
        // Where a first wait is longer than the longest, all are as long as that.
        let first = self.initial_backoff.min(self.max_backoff);
        let waits = if self.multiplier >= 1.0 {
            Backoff::exponential(first).factor(self.multiplier)
        } else {
            let (base, factor) = (self.initial_backoff, self.multiplier);
            Backoff::from_fn(move |n| {
                let shrunk = base.as_secs_f64() * factor.powf(f64::from(n - 1));
                Duration::try_from_secs_f64(shrunk).unwrap_or(base)
            })
        };
        waits.max_delay(self.max_backoff).jitter(Jitter::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn longest(builder: RetryBuilder) -> Vec<Duration> {
        let retry = builder.max_attempts(5).build().unwrap();
        retry.policy().preview(9).into_iter().map(|bounds| bounds.max).collect()
    }

    #[test]
    fn a6_waits_are_by_chance_up_to_the_initial_backoff_times_the_multiplier() {
        let builder = Retry::builder().initial_backoff(100 * MS).max_backoff(500 * MS);
        assert_eq!(longest(builder.clone()), [100 * MS, 200 * MS, 400 * MS, 500 * MS]);
        assert_eq!(
            longest(builder.clone().multiplier(0.5)),
            [100 * MS, 50 * MS, 25 * MS, 12_500 * MS / 1000]
        );
        assert_eq!(longest(builder.clone().multiplier(1.0)), [100 * MS; 4]);
        assert_eq!(longest(builder.initial_backoff(900 * MS)), [500 * MS; 4]);
        let least = Retry::builder().build().unwrap().policy().preview(3);
        assert!(least.iter().all(|bounds| bounds.min.is_zero()));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let setting = |builder: RetryBuilder| builder.build().unwrap_err().setting;
        let builder = Retry::builder;
        assert_eq!(setting(builder().max_attempts(0)), "max_attempts");
        assert_eq!(setting(builder().max_attempts(1)), "max_attempts");
        assert_eq!(setting(builder().initial_backoff(Duration::ZERO)), "initial_backoff");
        assert_eq!(setting(builder().max_backoff(Duration::ZERO)), "max_backoff");
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(setting(builder().multiplier(bad)), "multiplier");
        }
        assert_eq!(setting(builder().codes([])), "codes");
        assert_eq!(setting(builder().codes([Code::Unavailable, Code::Ok])), "codes");
        let most = builder().max_attempts(u32::MAX).initial_backoff(Duration::MAX).multiplier(f64::MAX);
        assert!(most.max_backoff(Duration::MAX).build().is_ok());
        assert!(builder().multiplier(f64::MIN_POSITIVE).initial_backoff(Duration::MAX).build().is_ok());
    }
}
