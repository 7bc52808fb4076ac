//! What withholds retries, in TOML: throttles and budgets.

use std::time::Duration;

use serde::Deserialize;

use super::span::Span;
use crate::retry::{RetryBudget, RetryBudgetBuilder, Throttle, ThrottleBuilder};
use crate::setting::{Check, SettingError};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThrottleKeys {
    kind: ThrottleName,
    share: Option<f64>,
    capacity: Option<u32>,
    gate: Option<u32>,
    history: Option<u32>,
    without_history: Option<f64>,
    overloaded_at: Option<f64>,
    slow_from: Option<f64>,
    cut: Option<f64>,
    least_admission: Option<f64>,
    probe_within: Option<Span>,
    memory: Option<Span>,
    trickle: Option<Span>,
    /// How many times what it accepts a backend is sent, under the throttle of the SRE book.
    k: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ThrottleName {
    Fleet,
    SingleClient,
    Sre,
    AwsAdaptive,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetKeys {
    kind: BudgetName,
    share: Option<f64>,
    reserve: Option<u32>,
    capacity: Option<u32>,
    trickle: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BudgetName {
    Tokens,
    Finagle,
    Grpc,
    AwsStandard,
    Envoy,
    None,
}

/// A builder's setter, called only if the file says something.
pub(super) fn when<B, T>(builder: B, said: Option<T>, set: impl FnOnce(B, T) -> B) -> B {
    match said {
        Some(said) => set(builder, said),
        None => builder,
    }
}

pub(super) fn time(span: Option<Span>) -> Option<Duration> {
    span.map(|span| span.0)
}

/// Refuses the first constant that was given to a kind that has no such constant.
fn none_of(check: Check, given: &[(&'static str, bool)]) -> Result<(), SettingError> {
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((setting, _)) => Err(check.refuse(setting, format_args!("given"), "left out with this kind")),
        None => Ok(()),
    }
}

impl ThrottleKeys {
    /// `None` if there is to be none.
    pub(super) fn read(&self) -> Result<Option<Throttle>, SettingError> {
        let check = Check("throttle");
        if self.kind != ThrottleName::Sre {
            none_of(check, &[("k", self.k.is_some())])?;
        }
        let other = || none_of(check, &self.given());
        let builder = match self.kind {
            ThrottleName::None => return other().map(|()| None),
            ThrottleName::AwsAdaptive => return other().map(|()| Some(Throttle::aws_adaptive())),
            ThrottleName::Sre => {
                other()?;
                return Throttle::sre(self.k.unwrap_or(2.0)).map(Some);
            }
            ThrottleName::Fleet => Throttle::builder(),
            ThrottleName::SingleClient => Throttle::builder().without_history(1.0),
        };
        let builder = when(builder, self.share, ThrottleBuilder::share);
        let builder = when(builder, self.capacity, ThrottleBuilder::capacity);
        let builder = when(builder, self.gate, ThrottleBuilder::gate);
        let builder = when(builder, self.history, ThrottleBuilder::history);
        let builder = when(builder, self.without_history, ThrottleBuilder::without_history);
        let builder = when(builder, self.overloaded_at, ThrottleBuilder::overloaded_at);
        let builder = when(builder, self.slow_from, ThrottleBuilder::slow_from);
        let builder = when(builder, self.cut, ThrottleBuilder::cut);
        let builder = when(builder, self.least_admission, ThrottleBuilder::least_admission);
        let builder = when(builder, time(self.probe_within), ThrottleBuilder::probe_within);
        let builder = when(builder, time(self.memory), ThrottleBuilder::memory);
        let builder = when(builder, time(self.trickle), ThrottleBuilder::trickle);
        builder.build().map(Some)
    }

    fn given(&self) -> [(&'static str, bool); 12] {
        [
            ("share", self.share.is_some()),
            ("capacity", self.capacity.is_some()),
            ("gate", self.gate.is_some()),
            ("history", self.history.is_some()),
            ("without_history", self.without_history.is_some()),
            ("overloaded_at", self.overloaded_at.is_some()),
            ("slow_from", self.slow_from.is_some()),
            ("cut", self.cut.is_some()),
            ("least_admission", self.least_admission.is_some()),
            ("probe_within", self.probe_within.is_some()),
            ("memory", self.memory.is_some()),
            ("trickle", self.trickle.is_some()),
        ]
    }
}

impl BudgetKeys {
    /// `None` if there is to be none.
    pub(super) fn read(&self) -> Result<Option<RetryBudget>, SettingError> {
        let ready = match self.kind {
            BudgetName::Tokens => return self.tokens().map(Some),
            BudgetName::Finagle => Some(RetryBudget::finagle()),
            BudgetName::Grpc => Some(RetryBudget::grpc()),
            BudgetName::AwsStandard => Some(RetryBudget::aws_standard()),
            BudgetName::Envoy => Some(RetryBudget::envoy()),
            BudgetName::None => None,
        };
        let given = [
            ("share", self.share.is_some()),
            ("reserve", self.reserve.is_some()),
            ("capacity", self.capacity.is_some()),
            ("trickle", self.trickle.is_some()),
        ];
        none_of(Check("retry budget"), &given).map(|()| ready)
    }

    fn tokens(&self) -> Result<RetryBudget, SettingError> {
        let builder = RetryBudget::builder();
        let builder = when(builder, self.share, RetryBudgetBuilder::share);
        let builder = when(builder, self.reserve, RetryBudgetBuilder::reserve);
        let builder = when(builder, self.capacity, RetryBudgetBuilder::capacity);
        let builder = when(builder, time(self.trickle), RetryBudgetBuilder::trickle);
        builder.build()
    }
}
