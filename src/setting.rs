//! What a setting may be, and the error that names the one that may not.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// A setting that cannot work. It names the policy, the setting, the value that was given and what is
/// allowed.
///
/// ```
/// let error = recoup::RetryPolicy::builder().max_attempts(0).build().unwrap_err();
/// assert_eq!(error.setting, "max_attempts");
/// assert_eq!(error.to_string(), "retry policy: `max_attempts` is 0, but must be at least 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{policy}: `{setting}` is {value}, but must be {allowed}")]
#[non_exhaustive]
pub struct SettingError {
    /// The policy that was being built.
    pub policy: &'static str,
    /// The setting, by the name of its setter.
    pub setting: &'static str,
    /// The value that was given.
    pub value: String,
    /// What would have been accepted.
    pub allowed: &'static str,
}

impl From<std::convert::Infallible> for SettingError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Checks the settings of one policy, by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check(pub(crate) &'static str);

impl Check {
    /// The error for a setting that this policy refuses.
    pub(crate) fn refuse(
        self,
        setting: &'static str,
        value: impl fmt::Debug,
        allowed: &'static str,
    ) -> SettingError {
        SettingError { policy: self.0, setting, value: format!("{value:?}"), allowed }
    }

    /// A share of a whole, above 0.0 and up to 1.0. NaN is refused.
    pub(crate) fn share(self, setting: &'static str, share: f64) -> Result<(), SettingError> {
        if share > 0.0 && share <= 1.0 {
            return Ok(());
        }
        Err(self.refuse(setting, share, "above 0.0 and at most 1.0"))
    }

    /// A count of at least one.
    pub(crate) fn at_least_one(
        self,
        setting: &'static str,
        count: impl Into<u64>,
    ) -> Result<(), SettingError> {
        match count.into() {
            0 => Err(self.refuse(setting, 0, "at least 1")),
            _ => Ok(()),
        }
    }

    /// A span of time longer than nothing.
    pub(crate) fn longer_than_zero(self, setting: &'static str, span: Duration) -> Result<(), SettingError> {
        if span.is_zero() {
            return Err(self.refuse(setting, span, "longer than zero"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_outside_the_whole_are_refused_by_name() {
        let check = Check("test");
        for share in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = check.share("rate", share).unwrap_err();
            assert_eq!((error.policy, error.setting), ("test", "rate"));
        }
        assert!(check.share("rate", 1.0).is_ok());
        assert!(check.share("rate", f64::MIN_POSITIVE).is_ok());
    }
}
