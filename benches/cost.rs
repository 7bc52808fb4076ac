//! What a call costs when all is well, beside the bare operation, and what a window costs when it is full.
//!
//! ```text
//! cargo bench
//! ```
//!
//! Read the lines of a group against each other, not against another day's: machines differ and are noisy.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use recoup::{
    Bulkhead, CircuitBreaker, Outcome, Recovery, RetryPolicy, Window, execute_with_recovery, retry,
};

/// An operation that is ready at its first poll, and that the compiler cannot look through.
#[inline(never)]
#[expect(clippy::unused_async, reason = "an operation is a future, even one that is ready at once")]
async fn operation(number: u64) -> Result<u64, u64> {
    if black_box(number) == u64::MAX { Err(number) } else { Ok(number) }
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

fn call_that_succeeds_at_once(c: &mut Criterion) {
    let policy = RetryPolicy::default();
    let breaker = CircuitBreaker::builder("calls").build().expect("defaults");
    let bulkhead = Bulkhead::builder(8).build().expect("eight slots");
    let plain = Recovery::<u64>::builder("plain").build().expect("defaults");
    let whole = Recovery::<u64>::builder("whole")
        .circuit_breaker(breaker.clone())
        .bulkhead(bulkhead.clone())
        .attempt_timeout(Duration::from_secs(1))
        .build()
        .expect("a recovery");

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

fn breaker_that_rejects(c: &mut Criterion) {
    let breaker = CircuitBreaker::builder("open").consecutive_failures(1).open_for(Duration::MAX);
    let breaker = breaker.build().expect("a breaker");
    breaker.admit().expect("closed").settle(Outcome::Failure);
    c.bench_function("rejection", |b| b.iter(|| black_box(breaker.admit()).is_err()));
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

criterion_group!(benches, call_that_succeeds_at_once, breaker_that_rejects, window_that_is_full);
criterion_main!(benches);
