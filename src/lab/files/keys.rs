//! The keys of a scenario's file, which are those of a report's `scenario` too.

use serde::{Deserialize, Serialize};

use super::span::Span;
use crate::lab::scenario::{Arrivals, Backend, Discipline, Fault, FaultKind, QueueBound, Scenario, Spread};

/// The keys of a scenario's file, which are those of a report's `scenario` too.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScenarioKeys {
    pub(super) name: Option<String>,
    pub(super) timeout: Option<Span>,
    pub(super) warm_up: Option<Span>,
    pub(super) after: Option<Span>,
    pub(super) fleet: FleetKeys,
    #[serde(default)]
    pub(super) backend: BackendKeys,
    #[serde(default)]
    pub(super) faults: Vec<FaultKeys>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FleetKeys {
    pub(super) clients: u32,
    pub(super) rate_per_client: f64,
    #[serde(default)]
    pub(super) arrivals: ArrivalsName,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ArrivalsName {
    #[default]
    Poisson,
    Even,
    Regular,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendKeys {
    pub(super) servers: Option<u32>,
    pub(super) service: Option<Span>,
    pub(super) spread: Option<SpreadName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sigma: Option<f64>,
    pub(super) queue: Option<QueueKeys>,
    pub(super) discipline: Option<DisciplineName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval: Option<Span>,
    pub(super) skip_expired: Option<bool>,
    pub(super) slowdown: Option<f64>,
    pub(super) shards: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SpreadName {
    Fixed,
    Exponential,
    LogNormal,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum QueueKeys {
    Work(Span),
    Calls(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DisciplineName {
    Fifo,
    CodelLifo,
    Shedder,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultKeys {
    pub(super) kind: FaultName,
    pub(super) from: Span,
    pub(super) lasting: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shards: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultName {
    Outage,
    BlackHole,
    Spike,
    Errors,
    Losses,
    Brownout,
    DeadShards,
}

impl From<&Scenario> for ScenarioKeys {
    fn from(scenario: &Scenario) -> Self {
        let arrivals = match scenario.fleet.arrivals {
            Arrivals::Poisson => ArrivalsName::Poisson,
            Arrivals::Even => ArrivalsName::Even,
            Arrivals::Regular => ArrivalsName::Regular,
        };
        let (clients, rate_per_client) = (scenario.fleet.clients, scenario.fleet.rate_per_client);
        Self {
            name: Some(scenario.name.clone()),
            timeout: Some(Span(scenario.timeout)),
            warm_up: Some(Span(scenario.warm_up)),
            after: Some(Span(scenario.after)),
            fleet: FleetKeys { clients, rate_per_client, arrivals },
            backend: (&scenario.backend).into(),
            faults: scenario.faults.iter().map(FaultKeys::from).collect(),
        }
    }
}

impl From<&Backend> for BackendKeys {
    fn from(backend: &Backend) -> Self {
        let (spread, sigma) = match backend.spread {
            Spread::Fixed => (SpreadName::Fixed, None),
            Spread::Exponential => (SpreadName::Exponential, None),
            Spread::LogNormal { sigma } => (SpreadName::LogNormal, Some(sigma)),
        };
        let (discipline, target, interval) = match backend.discipline {
            Discipline::Fifo => (DisciplineName::Fifo, None, None),
            Discipline::CoDelLifo { target, interval } => {
                (DisciplineName::CodelLifo, Some(Span(target)), Some(Span(interval)))
            }
            Discipline::Shedder { target, interval } => {
                (DisciplineName::Shedder, Some(Span(target)), Some(Span(interval)))
            }
        };
        Self {
            servers: Some(backend.servers),
            service: Some(Span(backend.service)),
            spread: Some(spread),
            sigma,
            queue: Some(match backend.queue {
                QueueBound::Work(span) => QueueKeys::Work(Span(span)),
                QueueBound::Calls(calls) => QueueKeys::Calls(calls),
            }),
            discipline: Some(discipline),
            target,
            interval,
            skip_expired: Some(backend.skip_expired),
            slowdown: Some(backend.slowdown),
            shards: Some(backend.shards),
        }
    }
}

impl From<&Fault> for FaultKeys {
    fn from(fault: &Fault) -> Self {
        let (kind, factor, share, shards) = match fault.kind {
            FaultKind::Outage => (FaultName::Outage, None, None, None),
            FaultKind::BlackHole => (FaultName::BlackHole, None, None, None),
            FaultKind::Spike { factor } => (FaultName::Spike, Some(factor), None, None),
            FaultKind::Errors { share } => (FaultName::Errors, None, Some(share), None),
            FaultKind::Losses { share } => (FaultName::Losses, None, Some(share), None),
            FaultKind::Brownout { factor } => (FaultName::Brownout, Some(factor), None, None),
            FaultKind::DeadShards { shards } => (FaultName::DeadShards, None, None, Some(shards)),
        };
        Self { kind, from: Span(fault.from), lasting: Span(fault.lasting), factor, share, shards }
    }
}
