//! Which scenarios can be run.

use std::time::Duration;

use super::scenario::{Backend, Discipline, Fault, FaultKind, Fleet, Scenario, Spread};
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("lab");

/// The most clients of a fleet, times the shards that each keeps state for: beyond it memory runs out.
const MOST_CELLS: u64 = 16_000_000;

/// The most requests of one run: beyond it a run takes hours.
const MOST_REQUESTS: f64 = 1e9;

/// The most calls that may wait in one shard, and the most servers: memory again.
const MOST_IN_A_SHARD: f64 = 1e8;

/// The longest run. What is counted for each second of it takes a few kilobytes.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

const ABOVE_ZERO: &str = "finite and above 0.0";

impl Scenario {
    /// Whether it can be run.
    ///
    /// # Errors
    ///
    /// Names the first setting that cannot work: one that is zero, negative or NaN where it must not be, or too
    /// large for the memory or the patience of anybody; and shares of errors and losses that are more than all of
    /// the calls at any moment.
    pub fn check(&self) -> Result<(), SettingError> {
        self.fleet.check()?;
        // Before the backend, whose shedder may have its target from it.
        span("timeout", self.timeout, false)?;
        self.backend.check()?;
        let cells = u64::from(self.fleet.clients) * u64::from(self.backend.shards);
        if cells > MOST_CELLS {
            let allowed = "at most 16,000,000 together with the shards that each client keeps state for";
            return Err(CHECK.refuse("clients", self.fleet.clients, allowed));
        }
        for fault in &self.faults {
            fault.check(&self.backend)?;
        }
        self.shares_fit()?;
        span("warm_up", self.warm_up, true)?;
        span("after", self.after, true)?;
        span("after", self.ends(), false)?;
        if self.busiest() * self.ends().as_secs_f64() > MOST_REQUESTS {
            let allowed = "low enough for at most a thousand million requests in the whole run";
            return Err(CHECK.refuse("rate_per_client", self.fleet.rate_per_client, allowed));
        }
        Ok(())
    }

    /// Whether the calls that fail and those that are lost are together no more than all, at every moment.
    fn shares_fit(&self) -> Result<(), SettingError> {
        let share = |fault: &Fault| match fault.kind {
            FaultKind::Errors { share } | FaultKind::Losses { share } => share,
            _ => 0.0,
        };
        for fault in self.faults.iter().filter(|fault| share(fault) > 0.0) {
            // A sum is at its highest when one of its parts begins.
            let is_on = |other: &&Fault| other.from <= fault.from && fault.from < other.ends();
            let sum: f64 = self.faults.iter().filter(is_on).map(share).sum();
            // Tenths add up to a little more than they are.
            if sum > 1.0 + 1e-9 {
                return Err(CHECK.refuse(
                    "share",
                    sum,
                    "at most 1.0 with those of all faults at the same time",
                ));
            }
        }
        Ok(())
    }

    /// The most requests that are made in a second.
    fn busiest(&self) -> f64 {
        let spike = |fault: &Fault| match fault.kind {
            FaultKind::Spike { factor } => Some(factor * self.backend.capacity()),
            _ => None,
        };
        self.faults.iter().filter_map(spike).fold(self.fleet.offered(), f64::max)
    }
}

impl Fleet {
    fn check(&self) -> Result<(), SettingError> {
        CHECK.at_least_one("clients", self.clients)?;
        above_zero("rate_per_client", self.rate_per_client)
    }
}

impl Backend {
    fn check(&self) -> Result<(), SettingError> {
        CHECK.at_least_one("shards", self.shards)?;
        if self.servers < self.shards {
            return Err(CHECK.refuse("servers", self.servers, "at least one for each shard"));
        }
        if f64::from(self.servers) > MOST_IN_A_SHARD {
            return Err(CHECK.refuse("servers", self.servers, "at most 100,000,000"));
        }
        span("service", self.service, false)?;
        if let Spread::LogNormal { sigma } = self.spread
            && !(0.0..=3.0).contains(&sigma)
        {
            return Err(CHECK.refuse("sigma", sigma, "from 0.0 to 3.0"));
        }
        if self.queue_of_a_shard() > MOST_IN_A_SHARD {
            return Err(CHECK.refuse("queue", self.queue, "at most 100,000,000 calls in each shard"));
        }
        match self.discipline {
            Discipline::Fifo => {}
            Discipline::CoDelLifo { target, interval } | Discipline::Shedder { target, interval } => {
                span("target", target, false)?;
                span("interval", interval, false)?;
            }
        }
        if !(0.0..1.0).contains(&self.slowdown) {
            return Err(CHECK.refuse("slowdown", self.slowdown, "from 0.0 and below 1.0"));
        }
        Ok(())
    }
}

impl Fault {
    fn check(&self, backend: &Backend) -> Result<(), SettingError> {
        span("from", self.from, true)?;
        span("lasting", self.lasting, false)?;
        match self.kind {
            FaultKind::Outage | FaultKind::BlackHole => Ok(()),
            FaultKind::Spike { factor } | FaultKind::Brownout { factor } => above_zero("factor", factor),
            FaultKind::Errors { share } | FaultKind::Losses { share } => CHECK.share("share", share),
            FaultKind::DeadShards { shards } if (1..=backend.shards).contains(&shards) => Ok(()),
            FaultKind::DeadShards { shards } => {
                Err(CHECK.refuse("shards", shards, "at least 1 and at most as many as there are"))
            }
        }
    }
}

pub(super) fn above_zero(setting: &'static str, number: f64) -> Result<(), SettingError> {
    if number > 0.0 && number.is_finite() {
        return Ok(());
    }
    Err(CHECK.refuse(setting, number, ABOVE_ZERO))
}

pub(super) fn span(setting: &'static str, span: Duration, may_be_zero: bool) -> Result<(), SettingError> {
    if !may_be_zero {
        CHECK.longer_than_zero(setting, span)?;
    }
    if span > LONGEST {
        return Err(CHECK.refuse(setting, span, "at most a day, with all of the run"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::QueueBound;

    fn refused(change: impl FnOnce(&mut Scenario)) -> &'static str {
        let mut scenario = Scenario::spike(Fleet::new(50, 10.0));
        scenario.check().unwrap();
        change(&mut scenario);
        scenario.check().unwrap_err().setting
    }

    #[test]
    fn rates_that_are_none_are_refused_by_name() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(refused(|s| s.fleet.rate_per_client = rate), "rate_per_client");
            assert_eq!(refused(|s| s.faults[0].kind = FaultKind::Brownout { factor: -rate.abs() }), "factor");
        }
        // A ready scenario of such a fleet is no panic either.
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX] {
            let scenario = Scenario::brownout(Fleet::new(50, rate));
            assert!(scenario.check().is_err(), "{rate}");
        }
    }

    #[test]
    fn shares_of_more_than_all_are_refused_by_name() {
        for share in [0.0, -0.1, 1.1, f64::NAN] {
            assert_eq!(refused(|s| s.faults[0].kind = FaultKind::Errors { share }), "share");
            assert_eq!(refused(|s| s.faults[0].kind = FaultKind::Losses { share }), "share");
        }
        let with = |kind, from| {
            move |s: &mut Scenario| {
                s.faults[0].kind = FaultKind::Errors { share: 0.6 };
                s.faults.push(Fault::new(kind, from, Duration::from_secs(5)));
            }
        };
        let (errors, losses) = (FaultKind::Errors { share: 0.5 }, FaultKind::Losses { share: 0.5 });
        // The first is there from 30 s to 60 s, the other for 5 s.
        let second = Duration::from_secs(1);
        for from in [25 * second + Duration::from_nanos(1), 30 * second, Duration::from_nanos(59_999_999_999)]
        {
            assert_eq!(refused(with(errors, from)), "share");
            assert_eq!(refused(with(losses, from)), "share");
        }
        for (kind, from) in
            [(errors, 60 * second), (losses, 25 * second), (FaultKind::Losses { share: 0.4 }, 30 * second)]
        {
            let mut scenario = Scenario::spike(Fleet::new(50, 10.0));
            with(kind, from)(&mut scenario);
            scenario.check().unwrap();
        }
        for slowdown in [-0.1, 1.0, f64::NAN] {
            assert_eq!(refused(|s| s.backend.slowdown = slowdown), "slowdown");
        }
        assert_eq!(refused(|s| s.faults[0].kind = FaultKind::DeadShards { shards: 2 }), "shards");
        assert_eq!(refused(|s| s.faults[0].kind = FaultKind::DeadShards { shards: 0 }), "shards");
    }

    #[test]
    fn what_does_not_fit_into_memory_is_refused_by_name() {
        assert_eq!(refused(|s| s.fleet.clients = u32::MAX), "clients");
        assert_eq!(refused(|s| s.fleet.clients = 0), "clients");
        assert_eq!(refused(|s| s.backend.servers = u32::MAX), "servers");
        assert_eq!(refused(|s| s.backend.servers = 0), "servers");
        assert_eq!(refused(|s| s.backend.queue = QueueBound::Calls(u32::MAX)), "queue");
        assert_eq!(refused(|s| s.backend.queue = QueueBound::Work(Duration::MAX)), "queue");
        assert_eq!(refused(|s| s.faults[0].kind = FaultKind::Spike { factor: 1e12 }), "rate_per_client");
    }

    #[test]
    fn times_of_nothing_and_for_ever_are_refused_by_name() {
        for none in [Duration::ZERO, Duration::MAX] {
            assert_eq!(refused(|s| s.timeout = none), "timeout");
            assert_eq!(refused(|s| s.backend.service = none), "service");
            assert_eq!(refused(|s| s.faults[0].lasting = none), "lasting");
            let managed = Discipline::CoDelLifo { target: none, interval: none };
            assert_eq!(refused(|s| s.backend.discipline = managed), "target");
            let shedder = |target, interval| Discipline::Shedder { target, interval };
            assert_eq!(refused(|s| s.backend.discipline = shedder(none, s.timeout)), "target");
            assert_eq!(refused(|s| s.backend.discipline = shedder(s.timeout, none)), "interval");
        }
        assert_eq!(refused(|s| s.after = Duration::MAX), "after");
        assert_eq!(refused(|s| s.warm_up = Duration::MAX), "warm_up");
        assert_eq!(refused(|s| s.faults[0].from = Duration::MAX), "from");
    }
}
