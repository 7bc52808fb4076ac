//! What breakers elsewhere did to their users in a half-open circuit, and that this one does not. The names
//! begin with the numbers under which those stories are kept.
#![expect(clippy::unwrap_used, reason = "what helps a test panics for it")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use recoup::{
    Abandoned, CircuitBreaker, CircuitBreakerBuilder, CircuitState, HalfOpen, Outcome, Permit, Trip, Window,
};

use crate::breaker_watch::report;

const SECOND: Duration = Duration::from_secs(1);

fn breaker(probes: u32) -> CircuitBreakerBuilder {
    let half_open = HalfOpen::probes(probes).lease(7 * SECOND);
    CircuitBreaker::builder("db").consecutive_failures(1).open_for(5 * SECOND).half_open(half_open).no_ramp()
}

/// A circuit whose open time has just ended.
async fn at_half_open(settings: CircuitBreakerBuilder) -> CircuitBreaker {
    let breaker = settings.build().unwrap();
    report(&breaker, Outcome::Failure);
    tokio::time::advance(5 * SECOND).await;
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    breaker
}

/// Under a slow trickle of calls, a half-open circuit used up its permits elsewhere and never left that
/// state, on a healthy dependency.
#[tokio::test(start_paused = true)]
async fn t3_trickle_of_successes_closes_the_circuit() {
    for pause in [SECOND, 60 * SECOND, 3600 * SECOND] {
        for probes in [1, 3, 10] {
            let settings = breaker(probes).window(Window::last(10 * SECOND));
            let breaker = at_half_open(settings).await;
            for _ in 0..probes {
                assert_eq!(breaker.state(), CircuitState::HalfOpen);
                report(&breaker, Outcome::Success);
                tokio::time::advance(pause).await;
            }
            assert_eq!(breaker.state(), CircuitState::Closed, "{probes} probes, one every {pause:?}");
        }
    }
}

/// The same with probes that never end: the next caller is let in at the end of each lease.
#[tokio::test(start_paused = true)]
async fn t3_half_open_is_bounded_in_time_though_every_probe_hangs() {
    let breaker = at_half_open(breaker(2)).await;
    let mut hanging = Vec::new();
    for _ in 0..10 {
        hanging.extend([breaker.admit().unwrap(), breaker.admit().unwrap()]);
        let rejected = breaker.admit().unwrap_err();
        assert!(rejected.retry_in() <= Some(7 * SECOND), "told to come back before the first lease ends");
        tokio::time::advance(6 * SECOND).await;
        let rejected = breaker.admit().unwrap_err();
        assert_eq!(rejected.retry_in(), Some(SECOND), "and never later than that");
        tokio::time::advance(SECOND).await;
    }
    report(&breaker, Outcome::Success);
    report(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// Elsewhere, a call from before the outage that ended well at last closed a half-open circuit.
#[tokio::test(start_paused = true)]
async fn t4_f5_calls_from_before_the_outage_do_not_vote() {
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Abandoned] {
        let breaker = breaker(1).build().unwrap();
        let before: Vec<Permit<'_>> = (0..4).map(|_| breaker.admit().unwrap()).collect();
        let mut before = before.into_iter();
        let mut settle = || before.next().unwrap().settle(outcome);
        report(&breaker, Outcome::Failure);
        let open = breaker.snapshot();
        settle();
        assert_eq!(breaker.snapshot(), open, "while open");
        tokio::time::advance(5 * SECOND).await;
        let probe = breaker.admit().unwrap();
        let half_open = breaker.snapshot();
        settle();
        assert_eq!(breaker.snapshot(), half_open, "while half-open");
        assert!(breaker.admit().is_err(), "the probe keeps its place");
        probe.settle(Outcome::Success);
        let closed = breaker.snapshot();
        settle();
        assert_eq!(breaker.snapshot(), closed, "while closed again");
        assert_eq!((closed.state, closed.calls), (CircuitState::Closed, 0));
    }
}

/// Elsewhere, a slow probe of the first half-open episode decided the second one.
#[tokio::test(start_paused = true)]
async fn s2_probe_of_an_earlier_episode_does_not_vote() {
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Abandoned] {
        let breaker = at_half_open(breaker(2)).await;
        let slow = breaker.admit().unwrap();
        report(&breaker, Outcome::Failure);
        assert_eq!(breaker.state(), CircuitState::Open);
        tokio::time::advance(5 * SECOND).await;
        let probes = [breaker.admit().unwrap(), breaker.admit().unwrap()];
        slow.settle(outcome);
        assert_eq!(breaker.snapshot().probes, Some((0, 0)), "{outcome:?}");
        assert!(breaker.admit().is_err(), "nor does it give the place of another back");
        for probe in probes {
            probe.settle(Outcome::Success);
        }
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}

/// A half-open circuit let in 1,000 of 1,000 callers elsewhere.
#[tokio::test(start_paused = true)]
async fn f1_c3_half_open_lets_in_exactly_as_many_as_it_says() {
    for probes in [1, 3, 10, 1_000] {
        let breaker = at_half_open(breaker(probes)).await;
        let called = AtomicU32::new(0);
        let results = join_all((0..1_000).map(|_| {
            breaker.call(async || {
                called.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(SECOND).await;
                Ok::<_, ()>(())
            })
        }))
        .await;
        assert_eq!(called.into_inner(), probes);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), probes as usize);
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}

/// Elsewhere, a client's own mistake, such as a 400, closed a half-open circuit, or used up its probe.
#[tokio::test(start_paused = true)]
async fn f7_s5_ignored_outcome_is_neutral_and_gives_the_place_back() {
    let breaker = at_half_open(breaker(1)).await;
    for _ in 0..100 {
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_err());
        probe.settle(Outcome::Ignored);
        assert_eq!(breaker.snapshot().probes, Some((0, 0)));
    }
    report(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// A cancelled probe put the recovery off by a whole open time elsewhere.
#[tokio::test(start_paused = true)]
async fn s7_place_of_a_cancelled_probe_is_free_at_once() {
    for meaning in [Abandoned::Ignore, Abandoned::AllAbandoned, Abandoned::Rate(0.5)] {
        let breaker = at_half_open(breaker(1).abandoned(meaning)).await;
        for _ in 0..19 {
            drop(breaker.admit().expect("free at once"));
        }
        report(&breaker, Outcome::Success);
        assert_eq!(breaker.state(), CircuitState::Closed, "{meaning:?}");
    }
}

/// A dependency that answers no probe hangs, however quickly its callers give up. Where dropped calls mean
/// nothing, neither do dropped probes.
#[tokio::test(start_paused = true)]
async fn s7_as_many_dropped_probes_as_open_a_closed_circuit_open_it_again() {
    let breaker_of = |meaning| breaker(1).minimum_calls(5).abandoned(meaning);
    let hangs = at_half_open(breaker_of(Abandoned::AllAbandoned)).await;
    for _ in 0..5 {
        assert_eq!(hangs.state(), CircuitState::HalfOpen);
        drop(hangs.admit().unwrap());
    }
    assert_eq!(hangs.state(), CircuitState::Open);
    assert_eq!(hangs.snapshot().last_trip, Some(Trip::Abandoned { abandoned: 5, calls: 5 }));

    let ignores = at_half_open(breaker_of(Abandoned::Ignore)).await;
    (0..20).for_each(|_| drop(ignores.admit().unwrap()));
    assert_eq!(ignores.state(), CircuitState::HalfOpen);
}

/// Where a dropped call counts as a failure, a dropped probe does, and opens the circuit again.
#[tokio::test(start_paused = true)]
async fn s7_dropped_probe_has_failed_where_abandoned_calls_are_failures() {
    let breaker = at_half_open(breaker(1).abandoned(Abandoned::AsFailure)).await;
    drop(breaker.admit().unwrap());
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// One probe that hung kept a half-open circuit shut for as long as it hung, elsewhere.
#[tokio::test(start_paused = true)]
async fn x1_hung_probe_loses_its_place_when_its_lease_ends() {
    let breaker = at_half_open(breaker(1)).await;
    let hung = breaker.admit().unwrap();
    tokio::time::advance(Duration::from_millis(6_999)).await;
    assert_eq!(breaker.admit().unwrap_err().retry_in(), Some(Duration::from_millis(1)));
    tokio::time::advance(Duration::from_millis(1)).await;
    let next = breaker.admit().expect("exactly at its end");
    assert!(breaker.admit().is_err(), "one more, and no two");
    drop(hung);
    assert!(breaker.admit().is_err(), "the first one had no place left to give back");
    next.settle(Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// Default settings elsewhere rejected most calls for half a minute after the dependency was healthy again.
#[tokio::test(start_paused = true)]
async fn s3_full_traffic_is_back_within_one_round_of_probes_and_the_ramp() {
    for seed in 0..20 {
        let breaker = CircuitBreaker::builder("db").seed(seed).build().unwrap();
        // 100 calls a second. The dependency is down for the first 600 ms; each call takes 10 ms.
        let mut admitted = Vec::new();
        for tick in 0..400 {
            let down = tick < 60;
            let permit = breaker.admit().ok();
            tokio::time::advance(Duration::from_millis(10)).await;
            admitted.push(permit.is_some());
            if let Some(permit) = permit {
                permit.settle(if down { Outcome::Failure } else { Outcome::Success });
            }
        }
        let healthy = &admitted[60..];
        let first_probe = healthy.iter().position(|in_| *in_).unwrap();
        assert!(first_probe <= 60, "open for at most a second in all: {first_probe}");
        let after = &healthy[first_probe..];
        let rejected = |calls: &[bool]| calls.iter().filter(|in_| !**in_).count();
        assert!(rejected(&after[..110]) <= 42, "a ramp from a fifth: two in five of its second");
        assert_eq!(rejected(&after[110..]), 0, "then everyone");
        assert!(rejected(healthy) * 3 < healthy.len(), "seed {seed}: {}", rejected(healthy));
    }
}
