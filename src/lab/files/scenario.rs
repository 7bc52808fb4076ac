//! Scenarios in TOML.

use std::fmt;
use std::time::Duration;

use super::error::FileError;
use super::keys::{
    ArrivalsName, BackendKeys, DisciplineName, FaultKeys, FaultName, QueueKeys, ScenarioKeys, SpreadName,
};
use super::place::line_of;
use super::span::Span;
use crate::lab::scenario::{
    Arrivals, Backend, Discipline, Fault, FaultKind, Fleet, QueueBound, Scenario, Spread,
};
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("lab");

// What goes with a kind, when it is missing and when it is there without it.
const LOG_NORMAL: [&str; 2] =
    ["given with the spread `log_normal`", "left out unless the spread is `log_normal`"];
const MANAGED: [&str; 2] =
    ["given with the discipline `codel_lifo`", "left out unless the discipline is `codel_lifo` or `shedder`"];
const TIMES: [&str; 2] =
    ["given with the kinds `spike` and `brownout`", "left out unless the kind is `spike` or `brownout`"];
const PART: [&str; 2] =
    ["given with the kinds `errors` and `losses`", "left out unless the kind is `errors` or `losses`"];
const DEAD: [&str; 2] = ["given with the kind `dead_shards`", "left out unless the kind is `dead_shards`"];

impl Scenario {
    /// The scenario of a TOML file. `examples/lab/spike.toml` shows every key.
    ///
    /// What is left out is as in [`Scenario::quiet`]; only the fleet must be there. Times carry their units.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recoup::lab::{FaultKind, Scenario};
    ///
    /// let scenario = Scenario::from_toml(
    ///     r#"
    ///     name = "half of it is gone"
    ///     fleet = { clients = 50, rate_per_client = 100.0 }
    ///     backend = { shards = 2 }
    ///
    ///     [[faults]]
    ///     kind = "dead_shards"
    ///     shards = 1
    ///     from = "30s"
    ///     lasting = "1m"
    ///     "#,
    /// )?;
    /// assert_eq!(scenario.faults[0].kind, FaultKind::DeadShards { shards: 1 });
    /// assert_eq!(scenario.timeout, Duration::from_millis(500));
    ///
    /// let error = Scenario::from_toml("fleet = { clients = 50, rate_per_client = -1 }").unwrap_err();
    /// assert_eq!((error.line, error.setting.as_deref()), (Some(1), Some("rate_per_client")));
    /// # Ok::<(), recoup::lab::files::FileError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FileError`] for a text that is no TOML, a key that is unknown or missing, a time without its unit, and for
    /// all that [`check`](Self::check) refuses.
    pub fn from_toml(text: &str) -> Result<Self, FileError> {
        let keys: ScenarioKeys = super::parse(text)?;
        let mut scenario = Self::quiet(Fleet {
            clients: keys.fleet.clients,
            rate_per_client: keys.fleet.rate_per_client,
            arrivals: match keys.fleet.arrivals {
                ArrivalsName::Poisson => Arrivals::Poisson,
                ArrivalsName::Even => Arrivals::Even,
                ArrivalsName::Regular => Arrivals::Regular,
            },
        });
        let refused = |table: &str, nth, error: &SettingError| {
            let line = line_of(text, Some((table, nth)), error.setting);
            FileError::refused(error, line.or_else(|| line_of(text, None, error.setting)))
        };
        scenario.name = keys.name.unwrap_or_else(|| "scenario".to_owned());
        set(&mut scenario.timeout, keys.timeout.map(|span| span.0));
        set(&mut scenario.warm_up, keys.warm_up.map(|span| span.0));
        set(&mut scenario.after, keys.after.map(|span| span.0));
        let changed = keys.backend.change(scenario.timeout, &mut scenario.backend);
        changed.map_err(|error| refused("backend", 0, &error))?;
        // One after the other, so that the line is that of what is wrong: the fleet, with a backend that nobody
        // can object to; the backend, which has the size that the fleet needs if nobody said another; each fault.
        let fleet =
            Self { backend: Backend::new(1, Duration::from_millis(10)), ..Self::quiet(scenario.fleet) };
        fleet.check().map_err(|error| refused("fleet", 0, &error))?;
        scenario.check().map_err(|error| refused("backend", 0, &error))?;
        for (nth, fault) in keys.faults.iter().enumerate() {
            let alone = fault.read().and_then(|fault| {
                let alone = Self { faults: vec![fault], ..scenario.clone() };
                alone.check().map(|()| fault)
            });
            scenario.faults.push(alone.map_err(|error| refused("faults", nth, &error))?);
            // With those before it: together they may be longer than a run, or more than all of the calls.
            scenario.check().map_err(|error| refused("faults", nth, &error))?;
        }
        Ok(scenario)
    }
}

fn set<T>(setting: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *setting = said;
    }
}

impl BackendKeys {
    fn change(self, timeout: Duration, backend: &mut Backend) -> Result<(), SettingError> {
        set(&mut backend.servers, self.servers);
        set(&mut backend.service, self.service.map(|span| span.0));
        let is_log_normal = self.spread == Some(SpreadName::LogNormal);
        let sigma = belongs("sigma", self.sigma, is_log_normal, LOG_NORMAL)?;
        match (self.spread, sigma) {
            (Some(SpreadName::Fixed), _) => backend.spread = Spread::Fixed,
            (_, Some(sigma)) => backend.spread = Spread::LogNormal { sigma },
            _ => {}
        }
        match self.queue {
            Some(QueueKeys::Work(span)) => backend.queue = QueueBound::Work(span.0),
            Some(QueueKeys::Calls(calls)) => backend.queue = QueueBound::Calls(calls),
            None => {}
        }
        if self.discipline == Some(DisciplineName::Shedder) {
            backend.discipline = shedder(timeout, self.target, self.interval);
        } else {
            let is_codel = self.discipline == Some(DisciplineName::CodelLifo);
            let target = belongs("target", self.target, is_codel, MANAGED)?;
            let interval = belongs("interval", self.interval, is_codel, MANAGED)?;
            if let (Some(target), Some(interval)) = (target, interval) {
                backend.discipline = Discipline::CoDelLifo { target: target.0, interval: interval.0 };
            }
        }
        set(&mut backend.skip_expired, self.skip_expired);
        set(&mut backend.slowdown, self.slowdown);
        set(&mut backend.shards, self.shards);
        Ok(())
    }
}

/// What is not said is that of the builder of a shedder whose deadline is the timeout.
fn shedder(timeout: Duration, target: Option<Span>, interval: Option<Span>) -> Discipline {
    let mut shedder = Discipline::shedder(timeout);
    if let Discipline::Shedder { target: wait, interval: stands } = &mut shedder {
        set(wait, target.map(|span| span.0));
        set(stands, interval.map(|span| span.0));
    }
    shedder
}

/// A setting that must be there for one kind of a thing, and must not be for the others.
fn belongs<T: fmt::Debug>(
    setting: &'static str,
    said: Option<T>,
    must: bool,
    [with, without]: [&'static str; 2],
) -> Result<Option<T>, SettingError> {
    match said {
        Some(said) if !must => Err(CHECK.refuse(setting, said, without)),
        None if must => Err(CHECK.refuse(setting, format_args!("left out"), with)),
        said => Ok(said),
    }
}

impl FaultKeys {
    fn read(&self) -> Result<Fault, SettingError> {
        use FaultName::{BlackHole, Brownout, DeadShards, Errors, Losses, Outage, Spike};
        let kind = self.kind;
        let factor = belongs("factor", self.factor, matches!(kind, Spike | Brownout), TIMES)?;
        let share = belongs("share", self.share, matches!(kind, Errors | Losses), PART)?;
        let shards = belongs("shards", self.shards, kind == DeadShards, DEAD)?;
        // What belongs to the kind is there: this was just asked.
        let (factor, share) = (factor.unwrap_or_default(), share.unwrap_or_default());
        let kind = match kind {
            Outage => FaultKind::Outage,
            BlackHole => FaultKind::BlackHole,
            Spike => FaultKind::Spike { factor },
            Errors => FaultKind::Errors { share },
            Losses => FaultKind::Losses { share },
            Brownout => FaultKind::Brownout { factor },
            DeadShards => FaultKind::DeadShards { shards: shards.unwrap_or_default() },
        };
        Ok(Fault::new(kind, self.from.0, self.lasting.0))
    }
}
