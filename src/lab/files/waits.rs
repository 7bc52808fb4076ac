//! Waits in TOML: how they grow, and what is left to chance.

use serde::Deserialize;

use super::span::Span;
use super::withhold::{time, when};
use crate::backoff::{Backoff, Jitter};
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("backoff");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackoffKeys {
    kind: BackoffName,
    base: Option<Span>,
    delays: Option<Vec<Span>>,
    factor: Option<f64>,
    max_delay: Option<Span>,
    jitter: Option<JitterKeys>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BackoffName {
    None,
    Fixed,
    Linear,
    Exponential,
    Fibonacci,
    Decorrelated,
    Delays,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum JitterKeys {
    None,
    Full,
    Equal,
    Proportional(f64),
}

impl From<JitterKeys> for Jitter {
    fn from(keys: JitterKeys) -> Self {
        match keys {
            JitterKeys::None => Self::None,
            JitterKeys::Full => Self::Full,
            JitterKeys::Equal => Self::Equal,
            JitterKeys::Proportional(share) => Self::Proportional(share),
        }
    }
}

impl BackoffKeys {
    /// The waits. Without a word about jitter they have none.
    pub(super) fn read(&self) -> Result<Backoff, SettingError> {
        let is_listed = self.kind == BackoffName::Delays;
        let has_base = !is_listed && self.kind != BackoffName::None;
        let left_out = |setting, allowed| Err(CHECK.refuse(setting, format_args!("left out"), allowed));
        let given = |setting| Err(CHECK.refuse(setting, format_args!("given"), "left out with this kind"));
        let base = match self.base {
            Some(_) if !has_base => return given("base"),
            None if has_base => return left_out("base", "given with this kind"),
            base => base.map_or(std::time::Duration::ZERO, |base| base.0),
        };
        let delays = match &self.delays {
            Some(_) if !is_listed => return given("delays"),
            None if is_listed => return left_out("delays", "a list with this kind"),
            delays => delays.iter().flatten().map(|delay| delay.0),
        };
        let backoff = match self.kind {
            BackoffName::None => Backoff::none(),
            BackoffName::Fixed => Backoff::fixed(base),
            BackoffName::Linear => Backoff::linear(base),
            BackoffName::Exponential => Backoff::exponential(base),
            BackoffName::Fibonacci => Backoff::fibonacci(base),
            BackoffName::Decorrelated => Backoff::decorrelated(base),
            BackoffName::Delays => Backoff::delays(delays),
        };
        let backoff = when(backoff, self.factor, Backoff::factor);
        let backoff = when(backoff, time(self.max_delay), Backoff::max_delay);
        Ok(when(backoff, self.jitter.map(Jitter::from), Backoff::jitter))
    }

    /// What is left to chance of the waits of a retry policy that says nothing of it: everything, unless the
    /// waits are drawn anyway.
    pub(super) fn usual_jitter(&self) -> Option<Jitter> {
        let is_drawn = matches!(self.kind, BackoffName::Decorrelated) || self.jitter.is_some();
        (!is_drawn).then_some(Jitter::Full)
    }
}
