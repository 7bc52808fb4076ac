//! What users asked of breakers, one need after the other: who is let in and who votes.
#![expect(clippy::unwrap_used, reason = "what helps a test panics for it")]

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use recoup::{
    Abandoned, CallError, CircuitBreaker, CircuitBreakerBuilder, CircuitState, Event, HalfOpen, Health,
    Outcome, Trip, Window,
};

use crate::breaker_watch::{Seen, kinds, lets_in, report, watch};

const SECOND: Duration = Duration::from_secs(1);

fn breaker() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("db").open_for(5 * SECOND).no_ramp()
}

/// A circuit with one place for a probe, whose open time has just ended.
async fn at_half_open() -> CircuitBreaker {
    let half_open = HalfOpen::probes(1).lease(7 * SECOND);
    let breaker = breaker().consecutive_failures(1).half_open(half_open).build().unwrap();
    report(&breaker, Outcome::Failure);
    tokio::time::advance(5 * SECOND).await;
    breaker
}

/// A healthy call, as soon as the circuit lets it in, closes the circuit.
async fn heals(breaker: &CircuitBreaker) {
    if let Err(open) = breaker.admit().map(drop) {
        tokio::time::advance(open.retry_in().expect("it says when")).await;
    }
    breaker.call(|| async { Ok::<_, ()>(()) }).await.unwrap();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// However a probe ends, the next state is reached without a restart.
#[tokio::test(start_paused = true)]
async fn b1_half_open_never_gets_stuck() {
    let breaker = at_half_open().await;
    breaker.call(|| async { Ok::<_, ()>(()) }).await.unwrap();
    assert_eq!(breaker.state(), CircuitState::Closed, "ok");
    heals(&breaker).await;

    let breaker = at_half_open().await;
    breaker.call(|| async { Err::<(), _>(()) }).await.unwrap_err();
    assert_eq!(breaker.state(), CircuitState::Open, "a failure");
    heals(&breaker).await;

    let breaker = at_half_open().await;
    let ignored = breaker.call_judged(|| async { Err::<(), _>(()) }, |()| Health::Ignored).await;
    assert!(matches!(ignored, Err(CallError::Operation(()))));
    assert_eq!(breaker.state(), CircuitState::HalfOpen, "an ignored error");
    assert!(lets_in(&breaker));
    heals(&breaker).await;

    let breaker = at_half_open().await;
    let hangs = breaker.call(pending::<Result<(), ()>>);
    tokio::time::timeout(SECOND, hangs).await.unwrap_err();
    assert_eq!(breaker.state(), CircuitState::HalfOpen, "a dropped probe");
    assert!(lets_in(&breaker));
    heals(&breaker).await;

    let breaker = at_half_open().await;
    let panics = breaker.call(|| async { panic!("the probe") as Result<(), ()> });
    AssertUnwindSafe(panics).catch_unwind().await.unwrap_err();
    assert_eq!(breaker.state(), CircuitState::Open, "a panic counts as a failure");
    heals(&breaker).await;

    let breaker = at_half_open().await;
    let hangs = breaker.admit().unwrap();
    assert!(!lets_in(&breaker));
    tokio::time::advance(7 * SECOND).await;
    assert!(lets_in(&breaker), "its lease is over");
    heals(&breaker).await;
    drop(hangs);
}

/// A call that began before the outage neither closes nor opens anything now.
#[tokio::test(start_paused = true)]
async fn b3_late_results_do_not_vote_in_the_wrong_state() {
    let (observer, seen) = watch();
    let breaker = breaker().consecutive_failures(1).observer(observer).build().unwrap();
    let (a, b) = (breaker.admit().unwrap(), breaker.admit().unwrap());
    report(&breaker, Outcome::Failure);
    tokio::time::advance(2 * SECOND).await;
    b.settle(Outcome::Failure);
    assert_eq!(breaker.snapshot().probe_in, Some(3 * SECOND), "the end is not moved");
    assert_eq!(kinds(&seen), ["opened"]);
    tokio::time::advance(3 * SECOND).await;
    assert!(lets_in(&breaker));
    a.settle(Outcome::Success);
    assert_eq!((breaker.state(), breaker.snapshot().probes), (CircuitState::HalfOpen, Some((0, 0))));
    assert_eq!(kinds(&seen), ["half-opened"]);

    // Six failures at once, with a threshold of five.
    let breaker = self::breaker().consecutive_failures(5).build().unwrap();
    let six: Vec<_> = (0..6).map(|_| breaker.admit().unwrap()).collect();
    for permit in six {
        permit.settle(Outcome::Failure);
    }
    assert_eq!(breaker.snapshot().generation, 1);
    tokio::time::advance(5 * SECOND).await;
    assert!(lets_in(&breaker));
}

/// Outcomes that say nothing of the dependency are in no rate.
#[tokio::test(start_paused = true)]
async fn b4_neutral_outcomes_count_nowhere() {
    let breaker = breaker().minimum_calls(5).build().unwrap();
    let not_found = || breaker.call_judged(|| async { Err::<(), _>(404) }, |_| Health::Ignored);
    for _ in 0..100 {
        not_found().await.unwrap_err();
    }
    (0..4).for_each(|_| report(&breaker, Outcome::Failure));
    not_found().await.unwrap_err();
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.calls, snapshot.failures), (CircuitState::Closed, 4, 4));
    assert!((snapshot.failure_rate() - 1.0).abs() < f64::EPSILON, "over 4, and not over 104");
    report(&breaker, Outcome::Failure);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// An outer time limit that drops every call lets the breaker see that the dependency hangs.
#[tokio::test(start_paused = true)]
async fn b5_abandoned_calls_can_open_the_circuit() {
    async fn hang(breaker: &CircuitBreaker, times: u32) {
        for _ in 0..times {
            let call = breaker.call(pending::<Result<(), ()>>);
            tokio::time::timeout(Duration::from_millis(50), call).await.ok();
        }
    }
    let by_default = breaker().build().unwrap();
    hang(&by_default, 19).await;
    assert_eq!(by_default.state(), CircuitState::Closed);
    hang(&by_default, 1).await;
    assert_eq!(by_default.state(), CircuitState::Open);

    let mostly_well = breaker().build().unwrap();
    for _ in 0..5 {
        (0..19).for_each(|_| report(&mostly_well, Outcome::Success));
        hang(&mostly_well, 1).await;
    }
    hang(&mostly_well, 14).await;
    assert_eq!(mostly_well.state(), CircuitState::Closed);

    // Whichever way a success is counted, it ends the row.
    let judging = breaker().judge_successes().build().unwrap();
    for _ in 0..5 {
        hang(&judging, 19).await;
        report(&judging, Outcome::Success);
    }
    assert_eq!(judging.state(), CircuitState::Closed);

    let ignoring = breaker().abandoned(Abandoned::Ignore).build().unwrap();
    hang(&ignoring, 1_000).await;
    assert_eq!(ignoring.state(), CircuitState::Closed);

    let by_rate = breaker().abandoned(Abandoned::Rate(0.25)).build().unwrap();
    (0..57).for_each(|_| report(&by_rate, Outcome::Success));
    hang(&by_rate, 18).await;
    assert_eq!(by_rate.state(), CircuitState::Closed);
    hang(&by_rate, 1).await;
    assert_eq!(by_rate.snapshot().last_trip, Some(Trip::Abandoned { abandoned: 19, calls: 76 }));

    let as_failure = breaker().abandoned(Abandoned::AsFailure).build().unwrap();
    hang(&as_failure, 20).await;
    assert_eq!(as_failure.snapshot().last_trip, Some(Trip::FailureRate { rate: 1.0, calls: 20 }));
}

/// A permit that is dropped while the thread unwinds must not panic once more, which would end the process.
#[tokio::test(start_paused = true)]
async fn b5_drop_while_unwinding_does_not_panic_twice() {
    let observer = |event: &Event<'_>| {
        assert!(!matches!(event, Event::CircuitOpened { .. }), "the observer");
    };
    let breaker = breaker().consecutive_failures(1).observer(Arc::new(observer)).build().unwrap();
    // The block owns the call, so the call is dropped by the unwinding itself.
    let panicked = AssertUnwindSafe(async {
        breaker.call(|| async { panic!("the call") as Result<(), ()> }).await.ok();
    });
    let panic = panicked.catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the call"));
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// (a) The minimum of calls is what opens, and not a full window.
#[tokio::test(start_paused = true)]
async fn b6_a_window_need_not_be_full() {
    let breaker = breaker().window(Window::last_calls(100)).minimum_calls(5).build().unwrap();
    (0..4).for_each(|_| report(&breaker, Outcome::Failure));
    assert_eq!(breaker.state(), CircuitState::Closed);
    report(&breaker, Outcome::Failure);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// (b) Failures leave a window of time.
#[tokio::test(start_paused = true)]
async fn b6_b_failure_after_a_silence_does_not_open() {
    let breaker = breaker().window(Window::last(60 * SECOND)).minimum_calls(5).build().unwrap();
    (0..4).for_each(|_| report(&breaker, Outcome::Failure));
    tokio::time::advance(61 * SECOND).await;
    report(&breaker, Outcome::Failure);
    assert_eq!((breaker.state(), breaker.snapshot().failures), (CircuitState::Closed, 1));
}

/// (c) Failures in a row are counted however far apart they are.
#[tokio::test(start_paused = true)]
async fn b6_c_slow_outage_opens_by_its_row() {
    let settings = breaker().window(Window::last(30 * SECOND)).consecutive_failures(5);
    let breaker = settings.build().unwrap();
    for failures in 1..=5 {
        tokio::time::advance(19 * SECOND).await;
        report(&breaker, Outcome::Failure);
        assert_eq!(breaker.state() == CircuitState::Open, failures == 5);
    }
}

/// (d) After many mixed calls the rate is that of a recount.
#[tokio::test(start_paused = true)]
async fn b6_d_rate_equals_a_recount() {
    let breaker = breaker().window(Window::last_calls(73)).failure_rate(1.0).build().unwrap();
    let mut history = Vec::new();
    for number in 0_u64..1_000 {
        let failed = number * number % 7 < 3;
        history.push(failed);
        report(&breaker, if failed { Outcome::Failure } else { Outcome::Success });
        let last = &history[history.len().saturating_sub(73)..];
        let failures = last.iter().filter(|failed| **failed).count() as u64;
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.calls, snapshot.failures), (last.len() as u64, failures));
    }
}

/// Who looks at a circuit sees how far it is from opening.
#[tokio::test(start_paused = true)]
async fn b6_snapshot_tells_the_share_of_the_window_that_failed() {
    let breaker = breaker().build().unwrap();
    let share = || breaker.snapshot().failure_rate();
    assert!(share().abs() < f64::EPSILON, "of nothing, nothing failed");
    for outcome in [Outcome::Failure, Outcome::Success, Outcome::Success, Outcome::Success] {
        report(&breaker, outcome);
    }
    assert!((share() - 0.25).abs() < f64::EPSILON, "{}", share());
}

/// A dependency that answers after half a minute is as bad as one that fails.
#[tokio::test(start_paused = true)]
async fn b7_slow_calls_open_the_circuit() {
    let (observer, seen) = watch();
    let slow = || breaker().slow_calls(SECOND, 0.5).minimum_calls(4);
    let breaker = slow().observer(observer).build().unwrap();
    for calls in 1..=4 {
        breaker
            .call(async || {
                tokio::time::sleep(2 * SECOND).await;
                Ok::<_, ()>(())
            })
            .await
            .unwrap();
        assert_eq!(breaker.state() == CircuitState::Open, calls == 4);
    }
    let opened = seen.try_iter().next();
    let Some(Seen::Opened { trip: Trip::SlowCallRate { rate, calls: 4 }, .. }) = opened else {
        panic!("{opened:?}");
    };
    assert!((rate - 1.0).abs() < f64::EPSILON);

    // A call took as long as it lived, if it was dropped.
    let breaker = slow().abandoned(Abandoned::Ignore).build().unwrap();
    for _ in 0..4 {
        let call = breaker.call(pending::<Result<(), ()>>);
        tokio::time::timeout(2 * SECOND, call).await.unwrap_err();
    }
    assert!(matches!(breaker.snapshot().last_trip, Some(Trip::SlowCallRate { .. })));

    // Exactly at the limit is not slower than it.
    let breaker = slow().build().unwrap();
    for _ in 0..4 {
        let permit = breaker.admit().unwrap();
        tokio::time::advance(SECOND).await;
        permit.settle(Outcome::Success);
    }
    assert_eq!((breaker.state(), breaker.snapshot().slow_calls), (CircuitState::Closed, 0));
}

/// Where slow calls count as bad, a probe that answers in time still shows that the dependency is back.
#[tokio::test(start_paused = true)]
async fn b7_probes_are_judged_each_by_its_own_time() {
    for (took, ends) in [(SECOND, CircuitState::Closed), (SECOND * 2, CircuitState::Open)] {
        let settings = breaker().consecutive_failures(1).slow_calls(SECOND, 0.5);
        let breaker = settings.half_open(HalfOpen::probes(1)).open_for(SECOND).build().unwrap();
        breaker.admit().unwrap().settle(Outcome::Failure);
        tokio::time::advance(SECOND).await;
        let probe = breaker.admit().unwrap();
        tokio::time::advance(took).await;
        probe.settle(Outcome::Success);
        assert_eq!(breaker.state(), ends, "{took:?}");
    }
}

/// One unlucky probe does not cost another break, and one lucky one does not end it.
#[tokio::test(start_paused = true)]
async fn b8_half_open_is_decided_by_a_share() {
    async fn probe(half_open: HalfOpen, outcomes: &str) -> (CircuitState, usize) {
        let breaker = breaker().consecutive_failures(1).half_open(half_open).build().unwrap();
        report(&breaker, Outcome::Failure);
        tokio::time::advance(5 * SECOND).await;
        let permits: Vec<_> = outcomes.chars().map(|kind| (breaker.admit().unwrap(), kind)).collect();
        let mut decided = 0;
        for (permit, kind) in permits {
            if breaker.state() == CircuitState::HalfOpen {
                decided += 1;
            }
            permit.settle(if kind == 'F' { Outcome::Failure } else { Outcome::Success });
        }
        (breaker.state(), decided)
    }
    let ten = HalfOpen::probes(10).failure_rate(0.2);
    assert_eq!(probe(ten, "FSSSSSSSSS").await, (CircuitState::Closed, 9));
    assert_eq!(probe(ten, "FFFSSSSSSS").await, (CircuitState::Open, 3));
    assert_eq!(probe(ten, "SSSSSSSFFF").await, (CircuitState::Open, 10));
    assert_eq!(probe(ten, "SSSSSSSSFF").await, (CircuitState::Closed, 8), "no more than two can fail");
    // Of the three of the default, two decide.
    for (outcomes, ends) in [
        ("FSS", (CircuitState::Closed, 3)),
        ("SFS", (CircuitState::Closed, 3)),
        ("SSF", (CircuitState::Closed, 2)),
        ("FSF", (CircuitState::Open, 3)),
        ("FFS", (CircuitState::Open, 2)),
    ] {
        assert_eq!(probe(HalfOpen::default(), outcomes).await, ends, "{outcomes}");
    }
    // A number and a share together: both must hold.
    let both = HalfOpen::probes(4).successes(2).failure_rate(0.25);
    assert_eq!(probe(both, "FSSS").await, (CircuitState::Closed, 3));
    assert_eq!(probe(both, "FFSS").await, (CircuitState::Open, 2));
}
