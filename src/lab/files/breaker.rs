//! Circuit breakers in TOML.

use serde::Deserialize;

use super::span::Span;
use super::waits::BackoffKeys;
use super::withhold::{time, when};
use crate::circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder, HalfOpen, Ramp};
use crate::setting::{Check, SettingError};
use crate::window::Window;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerKeys {
    window: Option<WindowKeys>,
    failure_rate: Option<f64>,
    #[serde(default)]
    no_failure_rate: bool,
    slow_calls: Option<SlowKeys>,
    consecutive_failures: Option<u32>,
    minimum_calls: Option<u32>,
    #[serde(default)]
    judge_successes: bool,
    open_for: Option<BackoffKeys>,
    reset_after: Option<Span>,
    half_open: Option<HalfOpenKeys>,
    ramp: Option<RampKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowKeys {
    last_calls: Option<u32>,
    last: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowKeys {
    limit: Span,
    share: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HalfOpenKeys {
    probes: u32,
    successes: Option<u32>,
    failure_rate: Option<f64>,
    lease: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RampKeys {
    start: f64,
    over: Span,
}

impl BreakerKeys {
    /// The settings, which are known to build.
    pub(super) fn read(&self) -> Result<CircuitBreakerBuilder, SettingError> {
        let builder = CircuitBreaker::builder("lab");
        let window = self.window.as_ref().map(WindowKeys::read).transpose()?;
        let builder = when(builder, window, CircuitBreakerBuilder::window);
        let builder = when(builder, self.failure_rate, CircuitBreakerBuilder::failure_rate);
        let builder = if self.no_failure_rate { builder.no_failure_rate() } else { builder };
        let slow = self.slow_calls.as_ref();
        let builder = when(builder, slow, |builder, slow| builder.slow_calls(slow.limit.0, slow.share));
        let builder = when(builder, self.consecutive_failures, CircuitBreakerBuilder::consecutive_failures);
        let builder = when(builder, self.minimum_calls, CircuitBreakerBuilder::minimum_calls);
        let builder = if self.judge_successes { builder.judge_successes() } else { builder };
        let open_for = self.open_for.as_ref().map(BackoffKeys::read).transpose()?;
        let builder = when(builder, open_for, CircuitBreakerBuilder::open_for);
        let builder = when(builder, time(self.reset_after), CircuitBreakerBuilder::reset_after);
        let half_open = self.half_open.as_ref().map(HalfOpenKeys::read);
        let builder = when(builder, half_open, CircuitBreakerBuilder::half_open);
        let ramp = self.ramp.as_ref().map(|ramp| Ramp::new(ramp.start, ramp.over.0));
        let builder = when(builder, ramp, CircuitBreakerBuilder::ramp);
        builder.clone().build().map(|_| builder)
    }
}

impl WindowKeys {
    fn read(&self) -> Result<Window, SettingError> {
        match (self.last_calls, self.last) {
            (Some(calls), Some(span)) => Ok(Window::last_calls(calls).and_last(span.0)),
            (Some(calls), None) => Ok(Window::last_calls(calls)),
            (None, Some(span)) => Ok(Window::last(span.0)),
            (None, None) => {
                let allowed = "a number of `last_calls`, the time of the `last` ones, or both";
                Err(Check("circuit breaker").refuse("window", format_args!("empty"), allowed))
            }
        }
    }
}

impl HalfOpenKeys {
    fn read(&self) -> HalfOpen {
        let half_open = HalfOpen::probes(self.probes);
        let half_open = when(half_open, self.successes, HalfOpen::successes);
        let half_open = when(half_open, self.failure_rate, HalfOpen::failure_rate);
        when(half_open, time(self.lease), HalfOpen::lease)
    }
}
