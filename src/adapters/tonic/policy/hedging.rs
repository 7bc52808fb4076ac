//! The hedging policy of gRPC.

use std::time::Duration;

use tonic::Code;

use super::Codes;
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("gRPC hedging policy");

/// As for every hedge of this crate: with a delay of zero all are made at once.
const MOST_ATTEMPTS: u32 = 10;

/// How the calls of one method are made again beside themselves while they are slow: the `hedgingPolicy` of a
/// gRPC service config.
///
/// Each further attempt follows `delay` after the one before, or at once when one fails with a code that is
/// [not fatal](HedgingBuilder::non_fatal_codes). The first good answer wins and the others are dropped; so does
/// the first failure of another code. A server that says when to come back (`grpc-retry-pushback-ms`) puts off
/// the next attempt until then, for up to five minutes: beyond that, or beyond the deadline, none follows.
///
/// If the call sends more than is kept ([`body_cap`](crate::tonic::GrpcLayer::body_cap)) while several attempts are
/// under way, the one that gets that far goes on alone.
///
/// To the layer's recovery the whole race is one attempt: within one attempt's limit in time, in one slot of the
/// bulkhead, with one answer for the circuit breaker. Each further attempt asks the throttling, or what the recovery
/// has instead, and is left out where that says no. Source: gRPC proposal A6, "Hedging Policy".
///
/// ```
/// use std::time::Duration;
/// use recoup::tonic::Hedging;
/// use tonic::Code;
///
/// let hedging = Hedging::builder()
///     .max_attempts(3)
///     .delay(Duration::from_millis(50))
///     .non_fatal_codes([Code::Unavailable])
///     .build()?;
/// assert!(hedging.is_fatal(Code::Internal) && !hedging.is_fatal(Code::Unavailable));
/// assert_eq!(Hedging::builder().max_attempts(1).build().unwrap_err().setting, "max_attempts");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Hedging {
    settings: HedgingBuilder,
}

impl Hedging {
    /// Starts from the defaults.
    pub fn builder() -> HedgingBuilder {
        HedgingBuilder { max_attempts: 2, delay: Duration::from_millis(100), non_fatal: Codes::default() }
    }

    /// The most attempts that one call makes, the first included.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.settings.max_attempts
    }

    /// How long after the attempt before it each further one follows.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.settings.delay
    }

    /// Whether a failure with this code ends the call, whatever else is under way.
    #[must_use]
    pub const fn is_fatal(&self, code: Code) -> bool {
        !self.settings.non_fatal.contains(code)
    }

    /// The codes that are not fatal.
    pub fn non_fatal_codes(&self) -> impl Iterator<Item = Code> + use<> {
        self.settings.non_fatal.iter()
    }
}

/// Builds a [`Hedging`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a builder does nothing until `build`"]
pub struct HedgingBuilder {
    max_attempts: u32,
    delay: Duration,
    non_fatal: Codes,
}

impl HedgingBuilder {
    /// The most attempts that one call makes, the first included, from 2 to 10. Default: 2. A service config may
    /// say more than 5, which counts as 5.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long after the attempt before it each further one follows. Zero makes them all at once. Default: 100 ms.
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The codes of failures after which the next attempt follows at once, and the others go on. Not
    /// [`Code::Ok`]. Default: none, so that each failure ends the call.
    pub fn non_fatal_codes(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.non_fatal = codes.into_iter().collect();
        self
    }

    /// Checks the settings and makes the policy.
    ///
    /// # Errors
    ///
    /// [`SettingError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<Hedging, SettingError> {
        if !(2..=MOST_ATTEMPTS).contains(&self.max_attempts) {
            return Err(CHECK.refuse("max_attempts", self.max_attempts, "from 2 to 10"));
        }
        if self.non_fatal.contains(Code::Ok) {
            return Err(CHECK.refuse("non_fatal_codes", self.non_fatal, "without `Ok`"));
        }
        Ok(Hedging { settings: self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let setting = |builder: HedgingBuilder| builder.build().unwrap_err().setting;
        for bad in [0, 1, 11, u32::MAX] {
            assert_eq!(setting(Hedging::builder().max_attempts(bad)), "max_attempts");
        }
        assert_eq!(setting(Hedging::builder().non_fatal_codes([Code::Ok])), "non_fatal_codes");
        assert!(Hedging::builder().max_attempts(10).delay(Duration::MAX).build().is_ok());
        assert!(Hedging::builder().delay(Duration::ZERO).build().is_ok());
    }
}
