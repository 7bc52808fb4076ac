//! recoup, by its own doors.

use std::time::Duration;

use recoup::{
    Bulkhead, CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, RetryPolicy, execute_with_recovery,
    retry,
};

use crate::case::{Op, What, Window};
use crate::door::{Door, Idle, idle, leak};
use crate::operation::{FINE, Failed, Hangs, Operation, Ready, Yields};
use crate::peers::{ATTEMPT_TIMEOUT, SLOTS, healthy};

pub(super) fn door(what: What) -> Option<Door> {
    Some(match what {
        What::Retry => retried(),
        What::Breaker(window) => closed(window),
        What::Rejection => open(),
        What::Pipeline(Op::Ready) => pipeline::<Ready>(),
        What::Pipeline(Op::Yields) => pipeline::<Yields>(),
        What::Pipeline(Op::Hangs) => pipeline::<Hangs>(),
    })
}

/// A shared policy with its budget, and a classifier.
fn retried() -> Door {
    let policy = leak(RetryPolicy::default());
    Door::shared(move || retry(|| Ready::new(FINE)).policy(policy).when(|error: &Failed| error.0 != 7))
}

fn builder(window: Window) -> CircuitBreakerBuilder {
    let builder = CircuitBreaker::builder("measured");
    match window {
        Window::Run => builder.no_failure_rate().consecutive_failures(5),
        Window::Calls(calls) => builder.window(recoup::Window::last_calls(calls)),
        Window::TenSeconds => builder.window(recoup::Window::last(Duration::from_secs(10))),
    }
}

fn closed(window: Window) -> Door {
    let breaker = leak(builder(window).build().expect("a breaker"));
    healthy(window, |fine| {
        let outcome = if fine { Outcome::Success } else { Outcome::Failure };
        breaker.admit().expect("closed").settle(outcome);
    });
    Door::shared(move || breaker.call(|| Ready::new(FINE)))
}

fn open() -> Door {
    let breaker = CircuitBreaker::builder("measured").consecutive_failures(1).open_for(Duration::MAX);
    let breaker = leak(breaker.build().expect("a breaker"));
    breaker.admit().expect("closed").settle(Outcome::Failure);
    assert!(breaker.admit().is_err(), "the circuit is open");
    Door::shared(move || breaker.call(|| Ready::new(FINE)))
}

fn pipeline<O: Operation>() -> Door {
    let recovery = Recovery::<Failed>::builder("measured")
        .retry(RetryPolicy::default())
        .circuit_breaker(CircuitBreaker::builder("measured"))
        .bulkhead(Bulkhead::builder(SLOTS))
        .attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let recovery = leak(recovery.expect("a recovery"));
    Door::shared(move || execute_with_recovery(recovery, |_| O::new(FINE)))
}

pub(super) fn idle_breaker(window: Window) -> Option<Idle> {
    // The name is shared, as in a program that makes breakers for the keys of one dependency.
    let builder = builder(window);
    idle(move || builder.clone().build().expect("a breaker"))
}
