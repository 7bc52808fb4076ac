//! What breakers elsewhere did to their users in a closed or an open circuit, and that this one does not. The
//! names begin with the numbers under which those stories are kept.

use std::convert::Infallible;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use recoup::{
    Abandoned, CallError, CircuitBreaker, CircuitBreakerBuilder, CircuitState, HalfOpen, Outcome, Ramp, Trip,
    Window,
};

use crate::breaker_watch::{kinds, lets_in, report, watch};

const SECOND: Duration = Duration::from_secs(1);

fn breaker() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("db").open_for(5 * SECOND).no_ramp()
}

/// A window of calls only ever grew elsewhere: after 100,000 successes it took 100,000 failures to open.
#[tokio::test(start_paused = true)]
async fn t1_window_of_ten_opens_at_the_fifth_failure_after_any_history() {
    for successes in [0, 5, 10, 11, 100_000] {
        let breaker = breaker().window(Window::last_calls(10)).minimum_calls(5).build().unwrap();
        (0..successes).for_each(|_| report(&breaker, Outcome::Success));
        (0..4).for_each(|_| report(&breaker, Outcome::Failure));
        assert_eq!(breaker.state(), CircuitState::Closed, "after {successes} successes");
        report(&breaker, Outcome::Failure);
        assert_eq!(breaker.state(), CircuitState::Open, "after {successes} successes");
    }
}

/// A half-open circuit that permits no probe was accepted elsewhere, and then rejected every call for ever.
#[test]
fn t2_no_probes_at_all_are_refused() {
    let error = breaker().half_open(HalfOpen::probes(0)).build().unwrap_err();
    assert_eq!(error.setting, "half_open.probes");
    let error = breaker().half_open(HalfOpen::probes(3).successes(4)).build().unwrap_err();
    assert_eq!(error.setting, "half_open.successes", "nor a number that the probes cannot reach");
}

/// 500 calls that an outer time limit cancelled left no trace elsewhere, so the breaker never opened.
#[tokio::test(start_paused = true)]
async fn t5_f6_c5_calls_that_are_all_cancelled_open_the_circuit() {
    let breaker = breaker().build().unwrap();
    let mut made = 0;
    for _ in 0..500 {
        let call = breaker.call(|| {
            made += 1;
            pending::<Result<(), Infallible>>()
        });
        tokio::time::timeout(Duration::from_millis(1), call).await.ok();
    }
    assert_eq!(made, 20, "as many as the minimum, and none once it is open");
    assert_eq!(breaker.snapshot().last_trip, Some(Trip::Abandoned { abandoned: 20, calls: 20 }));
}

/// The same, where users who go away now and then say nothing of the dependency.
#[tokio::test(start_paused = true)]
async fn t5_f6_c5_five_of_a_hundred_cancelled_calls_do_not_open_it() {
    let breaker = breaker().build().unwrap();
    for _ in 0..50 {
        for number in 1..=100 {
            match number % 20 {
                0 => drop(breaker.admit().unwrap()),
                _ => report(&breaker, Outcome::Success),
            }
        }
    }
    assert_eq!((breaker.state(), breaker.snapshot().failures), (CircuitState::Closed, 0));
}

/// A panic in the operation was not seen by breakers elsewhere, or poisoned their locks.
#[tokio::test(start_paused = true)]
async fn t6_s4_panic_counts_as_failure_unwinds_on_and_poisons_nothing() {
    let breaker = breaker().consecutive_failures(3).build().unwrap();
    for failures in 1..=3 {
        // In the closure, in the first poll, and in a later one.
        let panicked = AssertUnwindSafe(breaker.call(|| {
            assert!(failures != 1, "in the closure");
            async move {
                if failures == 3 {
                    tokio::task::yield_now().await;
                }
                panic!("in the future");
                #[expect(unreachable_code, reason = "gives the future its type")]
                Ok::<(), Infallible>(())
            }
        }))
        .catch_unwind()
        .await;
        assert!(panicked.is_err(), "the panic reaches the caller");
        assert_eq!(breaker.snapshot().failures, failures);
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    breaker.reset();
    for _ in 0..100 {
        breaker.call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    }
}

/// Elsewhere, windows shorter than a second were cut to nothing, and one failure in 10,001 calls opened.
#[tokio::test(start_paused = true)]
async fn f2_windows_below_a_second_hold_their_calls() {
    for millis in [1, 7, 50, 500, 999] {
        let span = Duration::from_millis(millis);
        let breaker = breaker().window(Window::last(span)).minimum_calls(1).build().unwrap();
        (0..10_000).for_each(|_| report(&breaker, Outcome::Success));
        tokio::time::advance(span * 8 / 10).await;
        report(&breaker, Outcome::Failure);
        assert_eq!(breaker.state(), CircuitState::Closed, "{span:?}");
        assert_eq!((breaker.snapshot().calls, breaker.snapshot().failures), (10_001, 1), "{span:?}");
        tokio::time::advance(span * 3 / 10).await;
        assert_eq!(breaker.snapshot().calls, 1, "the successes are older than {span:?}");
        report(&breaker, Outcome::Failure);
        assert_eq!(breaker.state(), CircuitState::Open, "{span:?}");
    }
    let error = breaker().window(Window::last(Duration::from_micros(999))).build().unwrap_err();
    assert_eq!(error.setting, "window");
}

/// A window without length panicked elsewhere while it held a lock, and the next call hung.
#[test]
fn c2_window_without_length_is_refused() {
    for window in [
        Window::last_calls(0),
        Window::last(Duration::ZERO),
        Window::last_calls(0).and_last(SECOND),
        Window::last(SECOND).and_last_calls(0),
        Window::last_calls(100).and_last(Duration::ZERO),
    ] {
        assert_eq!(breaker().window(window).build().unwrap_err().setting, "window", "{window}");
    }
}

/// A window of n calls opened only after n+1 results elsewhere.
#[tokio::test(start_paused = true)]
async fn c4_window_of_n_opens_after_n_results() {
    for n in [1, 2, 10, 100] {
        let breaker = breaker().window(Window::last_calls(n)).minimum_calls(n).failure_rate(1.0);
        let breaker = breaker.build().unwrap();
        (1..n).for_each(|_| report(&breaker, Outcome::Failure));
        assert_eq!(breaker.state(), CircuitState::Closed, "{n}");
        report(&breaker, Outcome::Failure);
        assert_eq!(breaker.snapshot().last_trip, Some(Trip::FailureRate { rate: 1.0, calls: n.into() }));
    }
}

/// A threshold that is not a number was accepted elsewhere, and the breaker never opened.
#[test]
fn c6_thresholds_that_are_not_shares_are_refused() {
    for share in [f64::NAN, f64::INFINITY, -0.5, 0.0, 1.01, 50.0] {
        assert_eq!(breaker().failure_rate(share).build().unwrap_err().setting, "failure_rate");
        assert_eq!(breaker().slow_calls(SECOND, share).build().unwrap_err().setting, "slow_calls");
        let abandoned = breaker().abandoned(Abandoned::Rate(share));
        assert_eq!(abandoned.build().unwrap_err().setting, "abandoned");
        assert_eq!(breaker().ramp(Ramp::new(share, SECOND)).build().unwrap_err().setting, "ramp");
    }
    for share in [f64::NAN, -0.1, 1.0, 2.0] {
        let error = breaker().half_open(HalfOpen::probes(2).failure_rate(share)).build().unwrap_err();
        assert_eq!(error.setting, "half_open.failure_rate");
    }
}

/// The longest time to stay open made a breaker elsewhere panic under its lock, which poisoned it.
#[tokio::test(start_paused = true)]
async fn s8_open_for_the_longest_time_there_is() {
    let breaker = breaker().open_for(Duration::MAX).consecutive_failures(1).build().unwrap();
    report(&breaker, Outcome::Failure);
    tokio::time::advance(SECOND * 60 * 60 * 24 * 365).await;
    let rejected = breaker.admit().unwrap_err();
    assert_eq!((rejected.until, rejected.retry_in()), (None, None));
    assert_eq!((breaker.state(), breaker.snapshot().probe_in), (CircuitState::Open, None));
    breaker.reset();
    assert!(lets_in(&breaker), "it works on");
}

/// A hint of the server that never ends is believed only as far as allowed.
#[tokio::test(start_paused = true)]
async fn s8_longest_hint_there_is_counts_as_the_longest_believed() {
    let breaker = breaker().consecutive_failures(1).max_hint(60 * SECOND).build().unwrap();
    breaker.admit().unwrap().settle_with_hint(Outcome::Failure, Duration::MAX);
    assert_eq!(breaker.snapshot().probe_in, Some(60 * SECOND));
}

/// Elsewhere, the results that a time window held were gone through one by one under the lock. Here none is
/// kept, which `tests/breaker_memory.rs` shows, and still they are counted.
#[tokio::test(start_paused = true)]
async fn t7_time_window_counts_a_million_calls_exactly() {
    let breaker = breaker().window(Window::last(10 * SECOND)).build().unwrap();
    for second in 0..10 {
        (0..100_000).for_each(|_| report(&breaker, Outcome::Success));
        (0..10).for_each(|_| report(&breaker, Outcome::Failure));
        assert_eq!(breaker.snapshot().calls, (second + 1) * 100_010);
        tokio::time::advance(Duration::from_millis(999)).await;
    }
    assert_eq!((breaker.snapshot().failures, breaker.state()), (100, CircuitState::Closed));
}

/// Six failures at once with a threshold of five: elsewhere the sixth stopped the timer, and the circuit
/// stayed open for ever.
#[tokio::test(start_paused = true)]
async fn failure_beyond_the_threshold_neither_opens_twice_nor_moves_the_end() {
    let (observer, seen) = watch();
    let breaker = breaker().consecutive_failures(5).observer(observer).build().unwrap();
    let permits: Vec<_> = (0..6).map(|_| breaker.admit().unwrap()).collect();
    for permit in permits {
        permit.settle(Outcome::Failure);
        tokio::time::advance(SECOND).await;
    }
    assert_eq!(kinds(&seen), ["opened"]);
    assert_eq!(breaker.snapshot().probe_in, Some(3 * SECOND), "the fifth failure was two seconds ago");
    tokio::time::advance(3 * SECOND).await;
    let result = breaker.call(|| async { Ok::<_, CallError<(), ()>>(()) }).await;
    assert!(result.is_ok());
    assert_eq!(kinds(&seen), ["half-opened"]);
}
