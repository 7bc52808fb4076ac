//! What a breaker allocates, counted. A binary of its own, because the counting allocator is the whole
//! program's; it counts by thread, so the tests do not see each other.

use std::time::Duration;

use allocation_counter::measure;
use recoup::{CircuitBreaker, CircuitBreakers, HalfOpen, Outcome, Window};

fn report(breaker: &CircuitBreaker, outcome: Outcome) {
    breaker.admit().expect("the circuit lets it in").settle(outcome);
}

/// Every trip and every dropped call leaked memory elsewhere.
#[test]
fn c1_million_trips_and_drops_leave_nothing_behind() {
    let breaker = CircuitBreaker::builder("flat")
        .consecutive_failures(1)
        .open_for(Duration::from_nanos(1))
        .half_open(HalfOpen::probes(1))
        .no_ramp()
        .build()
        .unwrap();
    let round = || {
        report(&breaker, Outcome::Failure); // opens
        drop(breaker.admit().unwrap()); // a probe that is given up
        report(&breaker, Outcome::Success); // closes
        drop(breaker.admit().unwrap()); // a call that is given up
    };
    round();
    let info = measure(|| (0..1_000_000).for_each(|_| round()));
    assert_eq!((info.count_current, info.bytes_current), (0, 0));
    assert!(info.bytes_max < 1_024, "{info:?}");
}

/// A rejection is cheap however many there are.
#[test]
fn b13_million_rejections_allocate_nothing() {
    const HOUR: Duration = Duration::from_secs(3600); // however long this takes
    let breaker = CircuitBreaker::builder("shut").consecutive_failures(1).open_for(HOUR).build().unwrap();
    let forced = CircuitBreaker::builder("forced").build().unwrap();
    forced.force_open();
    report(&breaker, Outcome::Failure);
    let info = measure(|| {
        for _ in 0..500_000 {
            assert!(breaker.admit().is_err());
            assert!(forced.admit().is_err());
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

/// A window of time does not keep its calls, so there is nothing to go through that grows with them: it takes
/// the same memory, which is that of ten slices, for a hundred calls and for a million.
#[test]
fn t7_window_of_time_keeps_no_call() {
    let window = Window::last(Duration::from_secs(3600));
    let breaker = CircuitBreaker::builder("long").window(window).build().unwrap();
    report(&breaker, Outcome::Failure); // the first call has the slices made
    let info = measure(|| {
        for number in 1..1_000_000 {
            let outcome = if number % 3 == 0 { Outcome::Failure } else { Outcome::Success };
            report(&breaker, outcome);
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
    assert_eq!(breaker.snapshot().calls, 1_000_000);
}

/// A window of calls keeps the numbers of its failures and of nothing else.
#[test]
fn t7_window_of_calls_keeps_its_failures_only() {
    let window = Window::last_calls(1_000);
    let breaker = CircuitBreaker::builder("wide").window(window).build().unwrap();
    let successes = measure(|| (0..1_000_000).for_each(|_| report(&breaker, Outcome::Success)));
    assert_eq!(successes.count_total, 0);
    let mixed = measure(|| {
        for number in 0..1_000_000 {
            report(&breaker, if number % 3 == 0 { Outcome::Failure } else { Outcome::Success });
        }
    });
    assert!(mixed.bytes_max <= 1_000 * 8 * 2, "{mixed:?}");
}

/// A breaker elsewhere kept a record of every call for as long as it lived.
#[test]
fn u2_million_calls_through_a_closed_circuit_take_no_memory() {
    let breaker = CircuitBreaker::builder("calls").build().unwrap();
    let call = || {
        let future = std::pin::pin!(breaker.call(|| std::future::ready(Ok::<_, ()>(()))));
        let waker = std::task::Waker::noop();
        assert!(future.poll(&mut std::task::Context::from_waker(waker)).is_ready());
    };
    let info = measure(|| (0..1_000_000).for_each(|_| call()));
    assert_eq!(info.count_total, 0, "{info:?}");
}

/// A program may have a breaker for each host or tenant of a million, and most of them idle. What does not differ
/// between the breakers of one builder is shared, and what a circuit needs only once calls fail is not there yet.
#[test]
fn idle_breaker_takes_no_more_than_128_bytes() {
    const BREAKERS: u16 = 1_000;
    let run = CircuitBreaker::builder("run").no_failure_rate().consecutive_failures(5);
    let calls = CircuitBreaker::builder("calls").window(Window::last_calls(100));
    let time = CircuitBreaker::builder("time").window(Window::last(Duration::from_secs(10)));
    for builder in [run, calls, time] {
        let mut idle = Vec::with_capacity(BREAKERS.into());
        let made = measure(|| idle.extend((0..BREAKERS).map(|_| builder.clone().build().unwrap())));
        let each =
            made.bytes_current / i64::from(BREAKERS) + i64::try_from(size_of::<CircuitBreaker>()).unwrap();
        assert!(each <= 128, "{each} bytes for {builder:?}");
        // Nor does looking at it make anything.
        let looked = measure(|| assert!(idle.iter().all(|breaker| breaker.snapshot().calls == 0)));
        assert_eq!(looked.bytes_current, 0, "{builder:?}");
    }
}

/// The breakers of a table have builders of their own, and the same settings all the same.
#[test]
fn breakers_of_a_table_share_their_settings() {
    const BREAKERS: u32 = 1_000;
    let name: std::sync::Arc<str> = "host".into();
    let hosts = CircuitBreakers::new(BREAKERS as usize, move |_: &u32| {
        CircuitBreaker::builder(std::sync::Arc::clone(&name)).failure_rate(0.3)
    });
    let hosts = hosts.unwrap();
    let made = measure(|| (0..BREAKERS).for_each(|host| drop(hosts.get(&host))));
    let each = made.bytes_current / i64::from(BREAKERS);
    assert!(each <= 192, "{each} bytes with its place in the table");
}
