//! What users asked of breakers, one need after the other: time, order, rejections, keys and groups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::{join_all, pending};
use recoup::{
    Backoff, BreakerGroup, Bulkhead, CallError, CircuitBreaker, CircuitBreakerBuilder, CircuitBreakers,
    CircuitState, Control, HalfOpen, Instant, Outcome, Ramp, Reason, Recovery, RetryPolicy, Transient, Trip,
    execute_with_recovery,
};
use tokio::sync::{Barrier, mpsc};

use crate::breaker_watch::{Seen, kinds, lets_in, report, watch};

const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "the clock is paused, and recoup's own way to it is private")]
fn now() -> Instant {
    Instant::now()
}

fn breaker() -> CircuitBreakerBuilder {
    let half_open = HalfOpen::probes(1);
    CircuitBreaker::builder("db").consecutive_failures(1).open_for(5 * SECOND).half_open(half_open).no_ramp()
}

/// The instant the wait ends, 1,000 waiting tasks must not all become probes. 200 rounds in all, on threads.
#[test]
fn b2_half_open_lets_in_exactly_n_under_contention() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    for round in 0..200 {
        let probes = [1, 3, 10][round % 3];
        let settings = breaker().open_for(Duration::from_nanos(1)).half_open(HalfOpen::probes(probes));
        let breaker = settings.build().unwrap();
        report(&breaker, Outcome::Failure); // its open time is over at once
        let called = runtime.block_on(async {
            let barrier = Arc::new(Barrier::new(1_000));
            let (tell, mut told) = mpsc::unbounded_channel();
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..1_000 {
                let (breaker, barrier, tell) = (breaker.clone(), Arc::clone(&barrier), tell.clone());
                tasks.spawn(async move {
                    barrier.wait().await;
                    let call = breaker.call(|| {
                        tell.send(true).unwrap();
                        pending::<Result<(), ()>>() // the dependency hangs
                    });
                    assert!(matches!(call.await, Err(CallError::Rejected(_))));
                    tell.send(false).unwrap();
                });
            }
            let mut called = 0;
            for _ in 0..1_000 {
                called += u32::from(told.recv().await.unwrap());
            }
            called
        });
        assert_eq!(called, probes, "round {round}");
    }
}

/// The break grows while the outage lasts, and is short again after a while in which all was well.
#[tokio::test(start_paused = true)]
async fn b9_break_grows_while_the_outage_lasts() {
    let (observer, seen) = watch();
    let growing = Backoff::exponential(5 * SECOND).max_delay(60 * SECOND);
    let breaker = breaker().open_for(growing).reset_after(100 * SECOND).observer(observer).build().unwrap();
    let breaks = || -> Vec<u64> {
        let opened = seen.try_iter().filter_map(|seen| match seen {
            Seen::Opened { open_for, .. } => Some(open_for.as_secs()),
            _ => None,
        });
        opened.collect()
    };
    let outage = async |rounds: u32| {
        for _ in 0..rounds {
            report(&breaker, Outcome::Failure);
            let wait = breaker.admit().unwrap_err().retry_in().unwrap();
            tokio::time::advance(wait).await;
        }
        report(&breaker, Outcome::Success);
    };
    outage(6).await;
    assert_eq!(breaks(), [5, 10, 20, 40, 60, 60]);
    tokio::time::advance(99 * SECOND).await;
    outage(1).await;
    assert_eq!(breaks(), [60], "closed for too short a while");
    tokio::time::advance(100 * SECOND).await;
    outage(2).await;
    assert_eq!(breaks(), [5, 10]);
}

/// Closed does not mean from nothing to everything within a moment.
#[tokio::test(start_paused = true)]
async fn b10_traffic_ramps_up_after_recovery() {
    let ramping = || CircuitBreaker::builder("db").open_for(SECOND).half_open(HalfOpen::probes(1));
    let breaker = ramping().ramp(Ramp::new(0.1, 10 * SECOND)).consecutive_failures(50).build().unwrap();
    let second = async || {
        let mut admitted = 0;
        for _ in 0..1_000 {
            if let Ok(permit) = breaker.admit() {
                permit.settle(Outcome::Success);
                admitted += 1;
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        admitted
    };
    (0..50).for_each(|_| drop(breaker.admit().map(|permit| permit.settle(Outcome::Failure))));
    tokio::time::advance(SECOND).await;
    report(&breaker, Outcome::Success);
    let mut seconds = Vec::new();
    for _ in 0..12 {
        seconds.push(second().await);
    }
    assert!(seconds.is_sorted(), "{seconds:?}");
    // Second n offers 1,000 calls, of which the ramp's share at its middle is let in.
    for (n, admitted) in (0..10).zip(&seconds) {
        let share: i32 = 145 + 90 * n;
        assert!((share - admitted).abs() <= 5, "{admitted} in second {n}: {seconds:?}");
    }
    assert_eq!(seconds[10..], [1_000, 1_000]);

    // A dependency that falls over again while it warms up opens the circuit again.
    let breaker = ramping().ramp(Ramp::new(0.1, 10 * SECOND)).build().unwrap();
    (0..20).for_each(|_| report(&breaker, Outcome::Failure));
    tokio::time::advance(SECOND).await;
    report(&breaker, Outcome::Success);
    tokio::time::advance(3 * SECOND).await;
    let mut admitted = 0;
    while breaker.state() == CircuitState::Closed && admitted < 100 {
        if let Ok(permit) = breaker.admit() {
            permit.settle(Outcome::Failure);
            admitted += 1;
        }
    }
    assert_eq!((breaker.state(), admitted), (CircuitState::Open, 20));
}

/// What somebody sets by hand sticks, whatever time and results do.
#[tokio::test(start_paused = true)]
async fn b11_manual_control_sticks() {
    let (observer, seen) = watch();
    let breaker = breaker().observer(observer).build().unwrap();
    let handle = breaker.clone();

    let before = [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Abandoned]
        .map(|outcome| (breaker.admit().unwrap(), outcome));
    handle.force_open();
    for (permit, outcome) in before {
        permit.settle(outcome);
    }
    for _ in 0..10 {
        tokio::time::advance(5 * SECOND).await;
        assert_eq!(breaker.admit().unwrap_err().until, None, "nobody knows when");
    }
    handle.reset();
    assert!(lets_in(&breaker), "the next call sees it");
    assert_eq!(kinds(&seen), ["opened", "closed"]);

    handle.force_closed();
    (0..100).for_each(|_| report(&breaker, Outcome::Failure));
    assert_eq!((breaker.snapshot().failures, breaker.snapshot().consecutive_failures), (100, 100));
    handle.reset();
    assert_eq!(breaker.snapshot().failures, 0);
    assert_eq!(kinds(&seen), Vec::<&str>::new());

    handle.observe_only();
    for _ in 0..3 {
        report(&breaker, Outcome::Failure);
        assert!(lets_in(&breaker));
        tokio::time::advance(5 * SECOND).await;
    }
    assert_eq!(kinds(&seen), ["would open", "would open", "would open"]);

    handle.disable();
    (0..100).for_each(|_| report(&breaker, Outcome::Failure));
    assert_eq!(breaker.snapshot().control, Control::Disabled);
    handle.reset();
    assert_eq!((breaker.snapshot().failures, breaker.state()), (0, CircuitState::Closed));
}

/// A full bulkhead does not open the breaker, and the order is there to be read.
#[tokio::test(start_paused = true)]
async fn b12_rejections_are_not_failures() {
    let recovery: Recovery<&str> = Recovery::builder("payments")
        .classifier(Transient)
        .circuit_breaker(breaker())
        .bulkhead(Bulkhead::builder(1))
        .build()
        .unwrap();
    let calls = (0..100).map(|_| {
        execute_with_recovery(&recovery, async |_| {
            tokio::time::sleep(SECOND).await;
            Ok(())
        })
    });
    let results = join_all(calls).await;
    let full = results.iter().filter(|result| {
        result.as_ref().is_err_and(|error| matches!(error.reason(), Reason::BulkheadFull(_)))
    });
    assert_eq!(full.count(), 99);
    let snapshot = recovery.circuit_breaker().unwrap().snapshot();
    assert_eq!((snapshot.state, snapshot.failures, snapshot.calls), (CircuitState::Closed, 0, 1));
    let shown = recovery.to_string();
    let at = |name: &str| shown.find(name).unwrap_or_else(|| panic!("{name} in {shown}"));
    assert!(at("retry") < at("circuit_breaker") && at("circuit_breaker") < at("bulkhead"), "{shown}");
}

/// A call whose circuit is open ends at once, or waits as long as the circuit says; it never spins.
#[tokio::test(start_paused = true)]
async fn b12_open_circuit_is_not_retried_in_a_hot_loop() {
    for waits in [false, true] {
        let calls = AtomicU32::new(0);
        let policy = RetryPolicy::builder();
        let policy = if waits { policy.wait_for_open_circuit() } else { policy };
        let recovery: Recovery<&str> = Recovery::builder("payments")
            .classifier(Transient)
            .retry(policy)
            .circuit_breaker(breaker())
            .build()
            .unwrap();
        report(recovery.circuit_breaker().unwrap(), Outcome::Failure);
        let start = now();
        let result = execute_with_recovery(&recovery, async |_| {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok::<_, &str>(())
        })
        .await;
        if waits {
            result.unwrap();
            assert_eq!((calls.into_inner(), start.elapsed()), (1, 5 * SECOND));
        } else {
            let error = result.unwrap_err();
            assert!(matches!(error.reason(), Reason::CircuitOpen(_)));
            assert_eq!(error.retry_in(), Some(5 * SECOND));
            assert_eq!((calls.into_inner(), start.elapsed()), (0, Duration::ZERO));
        }
    }
}

/// A rejection says who and until when. What it costs is counted in `tests/breaker_memory.rs`.
#[tokio::test(start_paused = true)]
async fn b13_rejection_says_who_and_until_when() {
    let breaker = breaker().half_open(HalfOpen::probes(1).lease(3 * SECOND)).build().unwrap();
    report(&breaker, Outcome::Failure);
    for gone in 0..5_000 {
        let open = breaker.admit().unwrap_err();
        assert_eq!(&*open.breaker, "db");
        assert_eq!(open.retry_in(), Some(Duration::from_millis(5_000 - gone)));
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    // While a probe is under way: soon, as far as that can be guessed, and never later than its lease ends.
    let _probe = breaker.admit().unwrap();
    tokio::time::advance(SECOND).await;
    assert_eq!(breaker.admit().unwrap_err().retry_in(), Some(SECOND), "it may take as long again");
    tokio::time::advance(SECOND).await;
    assert_eq!(breaker.admit().unwrap_err().retry_in(), Some(SECOND), "but its lease ends then");
}

/// Keys that strangers choose fill a table of bounded size, and none that matters is forgotten.
#[tokio::test(start_paused = true)]
async fn b14_breakers_by_key_take_bounded_memory() {
    const CAPACITY: usize = 1_000;
    let hosts = CircuitBreakers::new(CAPACITY, |key: &u32| {
        CircuitBreaker::builder(key.to_string()).consecutive_failures(1)
    })
    .unwrap();
    let open_for = |keys: std::ops::Range<u32>| keys.map(|key| hosts.get(&key)).collect::<Vec<_>>();
    for breaker in open_for(0..30) {
        report(&breaker, Outcome::Failure);
    }
    for key in 30..300_000 {
        report(&hosts.get(&key), Outcome::Success);
        assert!(hosts.len() <= CAPACITY);
    }
    assert_eq!((hosts.len(), hosts.overflowed()), (CAPACITY, 0));
    for breaker in open_for(0..30) {
        assert_eq!(breaker.state(), CircuitState::Open, "{}", breaker.name());
    }
    // One that is idle goes, one with a failure in its window stays.
    let failing = CircuitBreakers::new(2, |_: &u32| CircuitBreaker::builder("host")).unwrap();
    report(&failing.get(&1), Outcome::Failure);
    report(&failing.get(&2), Outcome::Success);
    failing.get(&3);
    assert_eq!((failing.get(&1).snapshot().failures, failing.overflowed()), (1, 0));
}

/// Whatever a breaker knows or somebody does with it: it is not forgotten while that would make a difference.
#[tokio::test(start_paused = true)]
async fn b14_breaker_that_is_not_as_new_is_not_forgotten() {
    let made_different: [fn(&CircuitBreaker) -> Option<CircuitBreaker>; 5] = [
        |held| Some(held.clone()),
        |failed| {
            report(failed, Outcome::Failure);
            None
        },
        |abandoned| {
            drop(abandoned.admit().unwrap());
            None
        },
        |forced_open| {
            forced_open.force_open();
            None
        },
        |disabled| {
            disabled.disable();
            None
        },
    ];
    for (nth, make_different) in made_different.into_iter().enumerate() {
        let hosts = CircuitBreakers::new(1, |key: &u32| CircuitBreaker::builder(key.to_string())).unwrap();
        assert!(hosts.is_empty());
        let _held = make_different(&hosts.get(&1));
        hosts.get(&2);
        assert_eq!((hosts.len(), hosts.is_empty(), hosts.overflowed()), (1, false, 1), "way {nth}");
        assert_eq!(&**hosts.all()[0].name(), "1", "way {nth}");
    }
}

/// Rules that are the same are kept once; a key with its own keeps them, whoever was asked for before it.
#[tokio::test(start_paused = true)]
async fn b14_each_key_has_the_rules_it_was_given() {
    let hosts = CircuitBreakers::new(10, |&most: &u32| breaker().consecutive_failures(most)).unwrap();
    for most in [1, 3, 2] {
        let host = hosts.get(&most);
        for failed in 0..most {
            assert!(lets_in(&host), "after {failed} of {most} failures");
            report(&host, Outcome::Failure);
        }
        assert!(!lets_in(&host), "after {most} failures");
    }
}

/// At a table full of open circuits, a new key's calls are let through by a breaker nobody remembers.
#[tokio::test(start_paused = true)]
async fn b14_full_table_lets_new_keys_through() {
    let hosts = CircuitBreakers::new(100, |_: &u32| breaker()).unwrap();
    (0..100).for_each(|key| report(&hosts.get(&key), Outcome::Failure));
    for key in 100..1_000 {
        assert!(lets_in(&hosts.get(&key)));
    }
    assert_eq!((hosts.len(), hosts.overflowed()), (100, 900));
    assert!((0..100).all(|key| !lets_in(&hosts.get(&key))));
}

/// When every replica looks bad, sending to them beats sending nowhere.
#[tokio::test(start_paused = true)]
async fn b15_not_all_of_a_group_open() {
    let (observer, seen) = watch();
    let group = BreakerGroup::new(0.67).unwrap();
    let members: Vec<_> =
        (0..3).map(|_| breaker().group(&group).observer(Arc::clone(&observer)).build().unwrap()).collect();
    for member in &members {
        report(member, Outcome::Failure);
    }
    let states: Vec<_> = members.iter().map(CircuitBreaker::state).collect();
    assert_eq!(states, [CircuitState::Open, CircuitState::Open, CircuitState::Closed]);
    let last = seen.try_iter().last();
    assert_eq!(last, Some(Seen::HeldClosed(Trip::ConsecutiveFailures { failures: 1 })));
    assert!(lets_in(&members[2]));

    let alone = BreakerGroup::new(0.99).unwrap();
    let member = breaker().group(&alone).build().unwrap();
    (0..100).for_each(|_| report(&member, Outcome::Failure));
    assert_eq!((member.state(), alone.open()), (CircuitState::Closed, 0));
}
