//! What a call costs when all is well, beside the bare operation, what a window costs when it is full, and what
//! two threads cost each other.
//!
//! ```text
//! cargo bench
//! ```
//!
//! Read the lines of a group against each other, not against another day's: machines differ and are noisy.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use recoup::{
    Bulkhead, CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, RetryPolicy, Window,
    execute_with_recovery, retry,
};

/// An operation that is ready at its first poll, and that the compiler cannot look through.
#[inline(never)]
#[expect(clippy::unused_async, reason = "an operation is a future, even one that is ready at once")]
async fn operation(number: u64) -> Result<u64, u64> {
    if black_box(number) == u64::MAX { Err(number) } else { Ok(number) }
}

/// An operation that is pending once.
async fn operation_that_yields(number: u64) -> Result<u64, u64> {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    operation(number).await
}

/// Polls until ready, without a runtime: what is measured here never has to wait.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Everything at once: retry with its budget, breaker, bulkhead and a limit for each attempt.
fn whole() -> Recovery<u64> {
    let recovery = Recovery::builder("whole")
        .circuit_breaker(CircuitBreaker::builder("calls"))
        .bulkhead(Bulkhead::builder(8))
        .attempt_timeout(Duration::from_secs(1));
    recovery.build().expect("a recovery")
}

fn call_that_succeeds_at_once(c: &mut Criterion) {
    let policy = RetryPolicy::default();
    let breaker = CircuitBreaker::builder("calls").build().expect("defaults");
    let bulkhead = Bulkhead::builder(8).build().expect("eight slots");
    let plain = Recovery::<u64>::builder("plain").build().expect("defaults");
    let whole = whole();

    let mut group = c.benchmark_group("success");
    group.bench_function("bare", |b| b.iter(|| run(operation(black_box(1)))));
    group.bench_function("retry", |b| {
        b.iter(|| run(retry(|| operation(black_box(1))).policy(&policy).when(|error| *error == 1)));
    });
    group.bench_function("breaker", |b| b.iter(|| run(breaker.call(|| operation(black_box(1))))));
    group.bench_function("bulkhead", |b| b.iter(|| run(bulkhead.call(|| operation(black_box(1))))));
    group.bench_function("recovery, retry only", |b| {
        b.iter(|| run(execute_with_recovery(&plain, |_| operation(black_box(1)))));
    });
    group.bench_function("recovery, retry + breaker + bulkhead + timeout", |b| {
        b.iter(|| run(execute_with_recovery(&whole, |_| operation(black_box(1)))));
    });
    group.finish();
}

/// Whatever a breaker counts, a call that goes well costs about the same.
fn breaker_that_is_closed(c: &mut Criterion) {
    let mut group = c.benchmark_group("closed");
    group.bench_function("bare", |b| b.iter(|| run(operation(black_box(1)))));
    for (kind, builder) in ways_to_count() {
        let breaker = builder.build().expect("a breaker");
        group.bench_function(kind, |b| b.iter(|| run(breaker.call(|| operation(black_box(1))))));
    }
    group.finish();
}

fn ways_to_count() -> [(&'static str, CircuitBreakerBuilder); 4] {
    let builder = || CircuitBreaker::builder("calls");
    [
        ("run of failures", builder().no_failure_rate().consecutive_failures(5)),
        ("last 100 calls", builder().window(Window::last_calls(100))),
        ("last 1,000,000 calls", builder().window(Window::last_calls(1_000_000))),
        ("last 10 s", builder().window(Window::last(Duration::from_secs(10)))),
    ]
}

fn breaker_that_rejects(c: &mut Criterion) {
    let breaker = CircuitBreaker::builder("open").consecutive_failures(1).open_for(Duration::MAX);
    let breaker = breaker.build().expect("a breaker");
    breaker.admit().expect("closed").settle(Outcome::Failure);
    let mut group = c.benchmark_group("rejection");
    group.bench_function("bare", |b| b.iter(|| run(operation(black_box(1)))));
    group.bench_function("admit", |b| b.iter(|| black_box(breaker.admit()).is_err()));
    group.bench_function("call", |b| b.iter(|| run(breaker.call(|| operation(black_box(1))))));
    group.finish();
}

/// A call that has to wait has its limit watched, which takes a timer.
fn call_that_yields_once(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    let whole = whole();
    let mut group = c.benchmark_group("yield");
    group.bench_function("bare", |b| b.iter(|| run(operation_that_yields(black_box(1)))));
    group.bench_function("recovery, retry + breaker + bulkhead + timeout", |b| {
        b.iter(|| run(execute_with_recovery(&whole, |_| operation_that_yields(black_box(1)))));
    });
    group.finish();
}

/// Each thread makes all the calls, so two take as long as one if they do not hinder each other.
fn one_policy_and_two_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("threads");
    on_threads(&mut group, "bare", || run(operation(black_box(1))));
    for (kind, builder) in ways_to_count() {
        let breaker = builder.build().expect("a breaker");
        on_threads(&mut group, kind, || run(breaker.call(|| operation(black_box(1)))));
    }
    let whole = whole();
    on_threads(&mut group, "recovery, retry + breaker + bulkhead + timeout", || {
        run(execute_with_recovery(&whole, |_| operation(black_box(1))))
    });
    group.finish();
}

#[expect(clippy::disallowed_methods, reason = "what takes time has to read a clock")]
fn on_threads<T>(group: &mut BenchmarkGroup<'_, WallTime>, kind: &str, call: impl Fn() -> T + Sync) {
    for threads in [1_u32, 2] {
        group.bench_function(BenchmarkId::new(kind, threads), |b| {
            b.iter_custom(|calls| {
                let start = Instant::now();
                thread::scope(|scope| {
                    (0..threads)
                        .for_each(|_| drop(scope.spawn(|| (0..calls).for_each(|_| drop(black_box(call()))))));
                });
                start.elapsed()
            });
        });
    }
}

/// The cost of one more call must not depend on how many the window holds.
fn window_that_is_full(c: &mut Criterion) {
    let mut group = c.benchmark_group("window");
    for held in [100_u32, 1_000_000] {
        for (kind, window) in
            [("calls", Window::last_calls(held)), ("time", Window::last(Duration::from_secs(3600)))]
        {
            let breaker = CircuitBreaker::builder(kind).window(window).build().expect("a breaker");
            let call = |outcome| breaker.admit().expect("closed").settle(outcome);
            // One call in four fails, so that the circuit stays closed and the window has something to hold.
            (0..held).for_each(|n| call(if n % 4 == 3 { Outcome::Failure } else { Outcome::Success }));
            group.bench_function(BenchmarkId::new(format!("{kind}, success"), held), |b| {
                b.iter(|| call(black_box(Outcome::Success)));
            });
            let mut number = 0_u32;
            group.bench_function(BenchmarkId::new(format!("{kind}, one in four fails"), held), |b| {
                b.iter(|| {
                    number = number.wrapping_add(1);
                    call(black_box(if number % 4 == 3 { Outcome::Failure } else { Outcome::Success }));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(
    benches,
    call_that_succeeds_at_once,
    breaker_that_is_closed,
    breaker_that_rejects,
    call_that_yields_once,
    one_policy_and_two_threads,
    window_that_is_full
);
criterion_main!(benches);
