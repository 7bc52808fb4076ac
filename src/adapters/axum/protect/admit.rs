//! Which policies a request passes, in which order, and what it holds of each.

use std::time::Duration;

use http::request::Parts;

use super::Rules;
use crate::adapters::axum::rejection::Rejection;
use crate::adapters::by::by;
use crate::bulkhead::Slot;
use crate::circuit_breaker::{CircuitBreaker, Permit};
use crate::classification::Outcome;
use crate::concurrency_limit::InFlight;
use crate::load_shedder::{Serving, Shed, ShedReason, Work};
use crate::priority::Priority;
use crate::time::{self, Instant, Now};

/// What the policies want to know of a request.
pub(super) struct Asked {
    priority: Priority,
    deadline: Option<Instant>,
}

impl Asked {
    pub(super) fn of(rules: &Rules, parts: &Parts) -> Self {
        Self {
            priority: rules.priority.as_ref().map_or(Priority::Normal, |of| of(parts)),
            deadline: rules.deadline.as_ref().and_then(|of| of(parts)),
        }
    }

    fn work(&self) -> Work {
        let work = Work::new().priority(self.priority);
        self.deadline.map_or(work, |deadline| work.deadline(deadline))
    }

    /// At the shedder's own deadline the server is overloaded; at the caller's, the caller has gone.
    fn shed(&self, shed: &Shed) -> Rejection {
        match self.deadline {
            Some(_) if shed.reason == ShedReason::Expired => Rejection::expired(),
            _ => shed.into(),
        }
    }
}

/// Leave to be served. Dropped, all of it comes back.
pub(super) struct Way<'r> {
    vote: Vote<'r>,
    held: Slots<'r>,
}

/// The places that a request takes.
pub(super) struct Slots<'r> {
    in_flight: Option<InFlight<'r>>,
    _serving: Option<Serving>,
    _slot: Option<Slot<'r>>,
}

/// Leave of the circuit breaker.
struct Vote<'r>(Option<Permit<'r>>);

// A service that panics has failed; one that is dropped was abandoned, which the permit says by itself.
impl Drop for Vote<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.settle(Outcome::Failure);
        }
    }
}

impl Vote<'_> {
    fn settle(&mut self, outcome: Outcome) {
        if let Some(permit) = self.0.take() {
            permit.settle(outcome);
        }
    }
}

impl<'r> Way<'r> {
    /// The head of the answer is there: the circuit hears of it, the slots are still held.
    pub(super) fn answered(mut self, outcome: Outcome) -> Slots<'r> {
        self.vote.settle(outcome);
        self.held
    }

    /// The service gave an error, and no answer.
    pub(super) fn failed(self) {
        self.answered(Outcome::Failure).settle(Outcome::Ignored);
    }
}

impl Slots<'_> {
    /// Gives everything back. The concurrency limit learns how long it was held, and whether it met overload.
    pub(super) fn settle(self, load: Outcome) {
        if let Some(in_flight) = self.in_flight {
            in_flight.settle(load);
        }
    }
}

/// How long the service may take, and whose limit that is.
pub(super) struct Limit {
    pub(super) time: Duration,
    /// The caller's: that it was too short says nothing of the service. Else callers who are in a hurry could open
    /// the circuit for all.
    pub(super) is_callers: bool,
}

/// Asks the policies, and waits for them no longer than somebody waits for the answer. Says how long the service may
/// take.
pub(super) async fn admit<'r>(rules: &'r Rules, asked: &Asked) -> Result<(Way<'r>, Limit), Rejection> {
    let Some(deadline) = asked.deadline else { return pass(rules, asked).await };
    if deadline <= time::now() {
        return Err(Rejection::expired());
    }
    by(deadline, pass(rules, asked)).await.unwrap_or_else(|| Err(Rejection::expired()))
}

async fn pass<'r>(rules: &'r Rules, asked: &Asked) -> Result<(Way<'r>, Limit), Rejection> {
    let breaker = rules.circuit_breaker.as_ref();
    let enter = |breaker: &'r CircuitBreaker| breaker.enter(&Now::unread());
    // Until it is served, to be refused or to go away says nothing of the service: a permit fresh from the
    // breaker reports nothing when it is dropped.
    let mut permit = breaker.map(enter).transpose()?;
    if let Some(limiter) = &rules.rate_limiter {
        limiter.with_priority(asked.priority).acquire().await?;
    }
    let serving = match &rules.load_shedder {
        Some(shedder) => Some(shedder.admit(asked.work()).await.map_err(|shed| asked.shed(&shed))?),
        None => None,
    };
    let slot = match &rules.bulkhead {
        Some(bulkhead) => Some(bulkhead.at(asked.priority).acquire().await?),
        None => None,
    };
    let now = Now::unread();
    let left = asked.deadline.map(|deadline| deadline.saturating_duration_since(now.get()));
    let limit = match left {
        Some(Duration::ZERO) => return Err(Rejection::expired()),
        Some(left) if left < rules.timeout => Limit { time: left, is_callers: true },
        _ => Limit { time: rules.timeout, is_callers: false },
    };
    // The circuit may have opened while the request waited in a queue.
    if permit.as_ref().is_some_and(|permit| !permit.is_current()) {
        permit = breaker.map(enter).transpose()?;
    }
    // Last, for it measures how long it is held: what waits in a queue is not under way.
    let in_flight = match &rules.concurrency_limit {
        Some(limit) => Some(limit.try_enter(asked.priority)?),
        None => None,
    };
    if let Some(permit) = &mut permit {
        permit.begins(&now);
        permit.assume(Outcome::Abandoned);
    }
    let held = Slots { in_flight, _serving: serving, _slot: slot };
    Ok((Way { vote: Vote(permit), held }, limit))
}
