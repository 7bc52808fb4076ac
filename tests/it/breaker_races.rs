//! Threads against each other: the fast path and the lock agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use recoup::{CircuitBreaker, CircuitState, HalfOpen, Outcome, Permit, Trip, Window};
use tokio::sync::Semaphore;

use crate::breaker_watch::{Seen, lets_in, report, watch};

/// A success between two failures was forgotten when it came while the second one was being counted: the
/// run then went on as if it had not been, and the circuit opened too early.
#[test]
fn success_that_races_with_a_failure_still_breaks_the_run() {
    const ROUNDS: usize = 50_000;
    let breaker = CircuitBreaker::builder("race").no_failure_rate().consecutive_failures(u32::MAX);
    let breaker = breaker.build().unwrap();
    let meeting = Meeting::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                let permit = breaker.admit().unwrap();
                meeting.wait(4 * round + 2);
                permit.settle(Outcome::Success);
                meeting.wait(4 * round + 4);
            }
        });
        let mut worst = 0;
        for round in 0..ROUNDS {
            report(&breaker, Outcome::Success);
            report(&breaker, Outcome::Failure);
            let permit = breaker.admit().unwrap();
            meeting.wait(4 * round + 2);
            permit.settle(Outcome::Failure);
            meeting.wait(4 * round + 4);
            worst = worst.max(breaker.snapshot().consecutive_failures);
        }
        // Whichever came first: one failure since the success, or none.
        assert!(worst <= 1, "{worst} in a row");
    });
}

/// Where two threads meet, spinning, so that they leave as close together as can be.
#[derive(Default)]
struct Meeting(AtomicUsize);

impl Meeting {
    /// Comes, and goes on when `arrivals` have been counted.
    fn wait(&self, arrivals: usize) {
        self.0.fetch_add(1, Ordering::AcqRel);
        let mut looks = 0_u32;
        while self.0.load(Ordering::Acquire) < arrivals {
            looks += 1;
            if looks.is_multiple_of(1_000) {
                std::thread::yield_now();
            }
        }
    }
}

/// The shortest open time: over at once on a clock that runs.
const NANOSECOND: Duration = Duration::from_nanos(1);

/// A thousand failures at once open the circuit once, and are told once; so do the failures of a thousand probes.
#[test]
fn thousand_failures_at_once_are_one_opening() {
    for round in 0..100 {
        let (observer, seen) = watch();
        let breaker = CircuitBreaker::builder("db")
            .window(Window::last_calls(1_000))
            .failure_rate(0.5)
            .minimum_calls(100 + round)
            .half_open(HalfOpen::probes(1_000))
            .open_for(NANOSECOND)
            .no_ramp()
            .observer(observer)
            .build()
            .unwrap();
        let mut told = Vec::new();
        for _ in 0..2 {
            fail_at_once((0..1_000).map(|_| breaker.admit().unwrap()).collect());
            told.extend(seen.try_iter());
        }
        // The events of different threads may overtake each other; the generation puts them in order.
        told.sort_by_key(Seen::generation);
        let first = Trip::FailureRate { rate: 1.0, calls: (100 + round).into() };
        let second = Trip::Probes { failures: 1, successes: 0 };
        let open_for = NANOSECOND;
        assert_eq!(
            told,
            [
                Seen::Opened { trip: first, open_for, generation: 1 },
                Seen::HalfOpened(2),
                Seen::Opened { trip: second, open_for, generation: 3 },
            ]
        );
    }
}

/// A thousand tasks on four threads ask together when the open time is over: as many probe as were asked for, and
/// the others are turned away, two hundred times in a row.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousand_tasks_at_the_end_of_the_open_time_are_exactly_so_many_probes() {
    const TASKS: usize = 1_000;
    for round in 0..200 {
        let probes = 1 + round % 7;
        let breaker = CircuitBreaker::builder("db")
            .consecutive_failures(1)
            .half_open(HalfOpen::probes(probes))
            .open_for(NANOSECOND)
            .no_ramp()
            .build()
            .unwrap();
        breaker.admit().unwrap().settle(Outcome::Failure);
        let (start, answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let asked = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (breaker, start) = (breaker.clone(), Arc::clone(&start));
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                tokio::spawn(async move {
                    start.acquire().await.unwrap().forget();
                    let probe = breaker.call(|| async {
                        asked.fetch_add(1, Ordering::SeqCst);
                        answer.acquire().await.unwrap().forget();
                        Ok::<_, ()>(())
                    });
                    let passed = probe.await.is_ok();
                    asked.fetch_add(usize::from(!passed), Ordering::SeqCst);
                    passed
                })
            })
            .collect();
        start.add_permits(TASKS);
        while asked.load(Ordering::SeqCst) < TASKS {
            tokio::task::yield_now().await;
        }
        answer.add_permits(TASKS);
        let mut passed = 0;
        for task in tasks {
            passed += u32::from(task.await.unwrap());
        }
        assert_eq!(passed, probes, "round {round}");
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}

/// Failures, successes, drops, probes and control by hand from four threads: whatever the order, an opening has
/// an end, no state is entered twice in a row, and none is skipped.
#[test]
fn only_legal_sequences_are_told_under_contention() {
    let (observer, seen) = watch();
    let breaker = CircuitBreaker::builder("db")
        .window(Window::last_calls(20))
        .minimum_calls(5)
        .half_open(HalfOpen::probes(3).successes(2))
        .open_for(NANOSECOND)
        .no_ramp()
        .observer(observer)
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let breaker = &breaker;
            scope.spawn(move || {
                for number in 0..20_000_u32 {
                    let dice = (number * 31 + thread * 17) ^ (number >> 3);
                    if let Ok(permit) = breaker.admit() {
                        match dice % 7 {
                            0 | 1 => permit.settle(Outcome::Success),
                            2 => drop(permit),
                            3 => permit.settle(Outcome::Ignored),
                            _ => permit.settle(Outcome::Failure),
                        }
                    }
                    match dice % 1_009 {
                        0 => breaker.force_open(),
                        1..10 => breaker.reset(),
                        10 => drop(breaker.isolate()),
                        11..20 => breaker.automatic(),
                        _ => {}
                    }
                }
            });
        }
    });
    let mut told: Vec<Seen> = seen.try_iter().collect();
    told.sort_by_key(Seen::generation);
    assert!(told.len() > 1_000, "{} changes", told.len());
    let mut state = CircuitState::Closed;
    let mut last = 0;
    for seen in told {
        assert!(seen.generation() > last, "{seen:?} shares its generation");
        last = seen.generation();
        let legal = match (state, &seen) {
            (CircuitState::Closed | CircuitState::HalfOpen, Seen::Opened { .. }) => CircuitState::Open,
            (CircuitState::Open, Seen::HalfOpened(_)) => CircuitState::HalfOpen,
            (CircuitState::Open | CircuitState::HalfOpen, Seen::Closed(_)) => CircuitState::Closed,
            (state, seen) => panic!("{seen:?} while {state:?}"),
        };
        state = legal;
    }
    breaker.reset();
    assert!(lets_in(&breaker), "and it works on");
}

/// Every permit fails, on four threads that begin together.
fn fail_at_once(permits: Vec<Permit<'_>>) {
    let start = std::sync::Barrier::new(4);
    let mut permits = permits.into_iter();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (start, mine): (_, Vec<_>) = (&start, permits.by_ref().take(250).collect());
            scope.spawn(move || {
                start.wait();
                for permit in mine {
                    permit.settle(Outcome::Failure);
                }
            });
        }
    });
}

/// 29 of 100 is a share of 0.29, but in floating point a hundred times 0.29 is less than 29.
#[tokio::test(start_paused = true)]
async fn share_of_failed_probes_is_not_rounded_down() {
    for probes in 1..=200_u32 {
        for allowed in 0..probes {
            let share = f64::from(allowed) / f64::from(probes);
            let half_open = HalfOpen::probes(probes).failure_rate(share);
            let breaker = CircuitBreaker::builder("probes")
                .consecutive_failures(1)
                .open_for(NANOSECOND)
                .half_open(half_open)
                .build()
                .unwrap();
            report(&breaker, Outcome::Failure);
            tokio::time::advance(NANOSECOND).await;
            (0..allowed).for_each(|_| report(&breaker, Outcome::Failure));
            assert_eq!(breaker.snapshot().openings, 1, "{allowed} of {probes} may fail");
            report(&breaker, Outcome::Failure);
            assert_eq!(breaker.snapshot().openings, 2, "one more than {allowed} of {probes} may not");
        }
    }
}
