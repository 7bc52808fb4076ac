//! Which policies a call passes, in which order.

use http::HeaderMap;

use super::held::Held;
use super::{Refusal, Rules};
use crate::adapters::by::by;
use crate::adapters::tonic::deadline;
use crate::load_shedder::Work;
use crate::priority::Priority;
use crate::time::{self, Instant, Now};
use crate::timer;

/// What the policies want to know of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    priority: Priority,
    /// Until when somebody waits for the answer; `None`: for ever.
    deadline: Option<Instant>,
}

impl Asked {
    /// The time that the headers give it runs from now.
    pub(super) fn of(priority: Priority, headers: &HeaderMap) -> Self {
        let deadline = deadline::read(headers).and_then(|left| timer::ends(left, &Now::unread()));
        Self { priority, deadline }
    }

    fn work(self) -> Work {
        let work = Work::new().priority(self.priority);
        self.deadline.map_or(work, |deadline| work.deadline(deadline))
    }
}

/// Asks the policies, and waits for them no longer than somebody waits for the answer.
pub(super) async fn admit(rules: &Rules, asked: Asked) -> Result<Held, Refusal> {
    let Some(deadline) = asked.deadline else { return pass(rules, asked).await };
    if deadline <= time::now() {
        return Err(Refusal::Expired);
    }
    let held = by(deadline, pass(rules, asked)).await.unwrap_or(Err(Refusal::Expired))?;
    // What was granted in time may be taken late, by a task that had no turn.
    if deadline <= time::now() {
        return Err(Refusal::Expired);
    }
    Ok(held)
}

async fn pass(rules: &Rules, asked: Asked) -> Result<Held, Refusal> {
    if let Some(limiter) = &rules.rate_limiter {
        let limiter = limiter.with_priority(asked.priority);
        limiter.acquire().await.map_err(Refusal::RateLimited)?;
    }
    let serving = match &rules.load_shedder {
        Some(shedder) => Some(shedder.admit(asked.work()).await.map_err(Refusal::Shed)?),
        None => None,
    };
    let slot = match &rules.bulkhead {
        Some(bulkhead) => {
            let slot = bulkhead.at(asked.priority).acquire().await.map_err(Refusal::Full)?;
            Some(slot.into_owned())
        }
        None => None,
    };
    // Last, for it measures how long it is held: what waits in a queue is not under way.
    let in_flight = match &rules.concurrency_limit {
        Some(limit) => Some(limit.try_enter_owned(asked.priority).map_err(Refusal::Saturated)?),
        None => None,
    };
    Ok(Held { in_flight, _serving: serving, _slot: slot })
}
