//! The four scenarios that policies are compared by.
//!
//! Their constants are one set, found so that the model gives what was measured elsewhere for 5,000 clients with
//! a request a second, without retries and with three retries after full jitter:
//!
//! - With the queue of 2 s and the patience of 0.5 s, the headroom alone says how long a fleet without retries
//!   is without service after a brownout: until 1.5 s of work are gone at what capacity is left over, which is
//!   7 s with 28 % more capacity than load.
//! - The same fleet takes 11 s after a spike, so that backend is slower while its queue is long. How much is
//!   said by the spike on a queue of 100 ms, which is full all the time and serves 74 % of what is offered:
//!   1.2 × 0.74 is 12 % less than its capacity.
//! - Service times are short beside the patience: after a brownout the calls under way are slow ones.

use std::time::Duration;

use super::scenario::{Backend, Fault, FaultKind, Fleet, Scenario};

/// Capacity over what is offered on a quiet day: 78 % of the servers are busy.
const HEADROOM: f64 = 1.28;

/// Mean service time, in seconds, of a backend with servers enough.
const SERVICE: f64 = 0.01;

/// With fewer servers than this, chance alone makes queues of seconds.
const FEWEST_SERVERS: f64 = 8.0;

/// The longest mean service time, in seconds: for fleets so small that there are fewer servers after all.
const LONGEST_SERVICE: f64 = 0.05;

/// How long a client waits for an answer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// How much slower the vulnerable backend is while its queue is full.
const VULNERABLE: f64 = 0.12;

/// When the fault begins, and when counting does.
const QUIET: Duration = Duration::from_secs(30);

/// How long the fleet is watched after the fault.
const AFTER: Duration = Duration::from_secs(90);

impl Scenario {
    /// No fault yet: a fleet, a backend of the size that it needs, and 30 s of warm-up.
    #[must_use]
    pub fn quiet(fleet: Fleet) -> Self {
        Self {
            name: "quiet".to_owned(),
            backend: Backend::sized_for(&fleet),
            fleet,
            timeout: TIMEOUT,
            faults: Vec::new(),
            warm_up: QUIET,
            after: AFTER,
        }
    }

    /// S2: the backend refuses every call for 60 s.
    #[must_use]
    pub fn outage(fleet: Fleet) -> Self {
        Self::with("outage", FaultKind::Outage, 60, fleet)
    }

    /// S3: for 30 s the fleet offers 1.2 times the capacity of a backend that gets slower as its queue grows.
    #[must_use]
    pub fn spike(fleet: Fleet) -> Self {
        let mut scenario = Self::with("spike", FaultKind::Spike { factor: 1.2 }, 30, fleet);
        scenario.backend.slowdown = VULNERABLE;
        scenario
    }

    /// S4: one call in ten fails by chance, for 60 s.
    #[must_use]
    pub fn errors(fleet: Fleet) -> Self {
        Self::with("errors", FaultKind::Errors { share: 0.1 }, 60, fleet)
    }

    /// S5: for 60 s each call takes ten times as long to serve.
    #[must_use]
    pub fn brownout(fleet: Fleet) -> Self {
        Self::with("brownout", FaultKind::Brownout { factor: 10.0 }, 60, fleet)
    }

    fn with(name: &str, kind: FaultKind, seconds: u64, fleet: Fleet) -> Self {
        let fault = Fault::new(kind, QUIET, Duration::from_secs(seconds));
        Self { name: name.to_owned(), faults: vec![fault], ..Self::quiet(fleet) }
    }

    /// When the run is over, from its start.
    #[must_use]
    pub fn ends(&self) -> Duration {
        self.faults.iter().map(Fault::ends).fold(self.warm_up, Duration::max).saturating_add(self.after)
    }

    /// When the first fault begins and the last one ends.
    #[must_use]
    pub fn trouble(&self) -> Option<(Duration, Duration)> {
        let from = self.faults.iter().map(|fault| fault.from).min()?;
        let ends = self.faults.iter().map(Fault::ends).max()?;
        Some((from, ends))
    }
}

impl Backend {
    /// Of the size that a fleet needs, with a little headroom.
    fn sized_for(fleet: &Fleet) -> Self {
        let capacity = fleet.offered() * HEADROOM;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let servers =
            (capacity * SERVICE).max(FEWEST_SERVERS.min(capacity * LONGEST_SERVICE)).round().max(1.0) as u32;
        let service = Duration::try_from_secs_f64(f64::from(servers) / capacity);
        Self::new(servers, service.unwrap_or_default()) // what is no time is refused by the check
    }
}
