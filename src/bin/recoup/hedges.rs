//! S6: hedges of calls to a hundred servers.

use std::time::Duration;

use recoup::lab::FanOut;
use recoup::{Hedge, HedgeBuilder};

use crate::named::Subject;

/// The delay whose effect was published.
const AFTER: Duration = Duration::from_millis(10);

/// Where a few calls are slow: no hedge, one at that delay, and one that learns its delay. Where all calls are: one
/// that nothing bounds, too.
pub(crate) fn subjects() -> [Subject; 2] {
    let few = [
        Hedge::after(AFTER).max_attempts(1).name("no hedge"),
        Hedge::after(AFTER).name("after 10 ms"),
        Hedge::at_quantile(0.95).name("95th percentile"),
    ];
    let all = few.iter().cloned().chain([Hedge::after(AFTER).no_max_extra().name("after 10 ms, unbounded")]);
    let subject = |fan_out, hedges: Vec<HedgeBuilder>| Subject::FanOut(Box::new(fan_out), hedges);
    let all = subject(FanOut::slow_as_a_whole(), all.collect());
    [subject(FanOut::tail_at_scale(), few.to_vec()), all]
}
