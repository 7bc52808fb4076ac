//! What hedging does for requests that ask a hundred servers and wait for all of them, as measured in J. Dean
//! and L. A. Barroso, *The Tail at Scale* (Communications of the ACM 56, 2, 2013): hedged after 10 ms, reads
//! from a hundred servers took 74 ms at the 99.9th percentile instead of 1,800 ms, for 2 % more requests.

use std::time::Duration;

use super::plan::Plan;
use super::{Hedge, HedgeBuilder};
use crate::random::Dice;
use crate::time::{self, Now};

const MS: Duration = Duration::from_millis(1);
const FAN_OUT: usize = 100;
const REQUESTS: usize = 10_000;

/// A server that answers 98 % within 10 ms, stalls once in a thousand calls for up to 1.8 s, and is somewhat
/// late otherwise. Whether one is slow says nothing of another.
fn latency(dice: &Dice) -> Duration {
    let (kind, within) = (dice.draw(), dice.draw());
    let (least, most) = match kind {
        kind if kind < 0.98 => (1.0, 9.9),
        kind if kind < 0.999 => (10.1, 40.0),
        _ => (100.0, 1_830.0),
    };
    Duration::from_secs_f64((least + (most - least) * within) / 1e3)
}

/// The time of the slowest in a thousand requests, and how many calls were made for each that was asked for.
fn simulated(hedge: &Hedge, dice: &Dice) -> (Duration, f64) {
    let mut now = time::now();
    let mut slowest = Vec::new();
    for _ in 0..REQUESTS {
        let call = || {
            let hedge = &*hedge.shared;
            let (mut plan, mut took) = (Plan::new(), latency(dice));
            plan.begin(hedge);
            if let Some(due) = plan.due(hedge, &Now::from(now)).filter(|due| *due < now + took)
                && plan.launch(hedge, &Now::from(due)).is_some()
            {
                took = took.min(due - now + latency(dice));
            }
            if let Some(latencies) = hedge.delay.learns() {
                latencies.record(took, now + took);
            }
            took
        };
        slowest.extend((0..FAN_OUT).map(|_| call()).max());
        now += 20 * MS;
    }
    slowest.sort_unstable();
    let seen = hedge.snapshot();
    #[expect(clippy::cast_precision_loss, reason = "a million")]
    let load = (seen.calls + seen.launched) as f64 / seen.calls as f64;
    (slowest[REQUESTS - REQUESTS / 1_000], load)
}

fn run(hedge: HedgeBuilder) -> (Duration, f64) {
    simulated(&hedge.build().unwrap(), &Dice::seeded(2013))
}

#[test]
fn c1_hedges_cut_the_tail_of_a_hundred_servers_for_two_percent_more_calls() {
    let (unhedged, load) = run(Hedge::after(10 * MS).max_attempts(1));
    assert!(unhedged > 1_700 * MS, "{unhedged:?}");
    assert!((load - 1.0).abs() < f64::EPSILON);

    let (hedged, load) = run(Hedge::after(10 * MS));
    assert!(hedged < 100 * MS, "{hedged:?}");
    assert!((1.015..1.025).contains(&load), "{load}");
}

#[test]
fn c1_percentile_that_is_learned_does_as_well_as_one_that_is_told() {
    let (hedged, load) = run(Hedge::at_quantile(0.98));
    assert!(hedged < 100 * MS, "{hedged:?}");
    assert!(load < 1.03, "{load}");
}

#[test]
fn c1_hedges_of_a_service_that_is_slow_as_a_whole_stay_within_their_share() {
    let hedge = Hedge::after(MS / 2).build().unwrap(); // everything is slower than that
    let (_, load) = simulated(&hedge, &Dice::seeded(2013));
    assert!(load > 1.049 && load <= 1.05, "{load}");
}
