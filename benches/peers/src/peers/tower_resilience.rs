//! tower-resilience: a suite of layers for tower.

use std::time::Duration;

use tower::{Layer, Service, service_fn};
use tower_resilience::bulkhead::BulkheadLayer;
use tower_resilience::circuitbreaker::{CircuitBreakerConfigBuilder, CircuitBreakerLayer, SlidingWindowType};
use tower_resilience::retry::{RetryBudgetBuilder, RetryLayer};
use tower_resilience::timelimiter::TimeLimiterLayer;

use crate::case::{Op, What, Window};
use crate::door::{Door, Idle, idle, leak};
use crate::operation::{FAILS, FINE, Hangs, Operation, Ready, Yields, now};
use crate::peers::tower::of;
use crate::peers::{ATTEMPT_TIMEOUT, SLOTS, healthy};

pub(super) fn door(what: What) -> Option<Door> {
    Some(match what {
        What::Retry => of(leak(retry().layer(service_fn(Ready::new)))),
        What::Breaker(Window::TenSeconds) => time(),
        What::Breaker(window) => closed(window),
        What::Rejection => open(),
        What::Pipeline(Op::Ready) => pipeline::<Ready>(),
        What::Pipeline(Op::Yields) => pipeline::<Yields>(),
        What::Pipeline(Op::Hangs) => pipeline::<Hangs>(),
    })
}

fn retry<E: 'static>() -> RetryLayer<u64, u64, E> {
    RetryLayer::builder()
        .max_attempts(3)
        .exponential_backoff(Duration::from_millis(100))
        .retry_on(|_| true)
        .budget(RetryBudgetBuilder::new().token_bucket().build().expect("a budget"))
        .build()
}

fn layer(window: Window) -> CircuitBreakerLayer {
    let builder = CircuitBreakerLayer::builder().failure_rate_threshold(0.5).minimum_number_of_calls(20);
    let hour = Duration::from_secs(3600);
    let builder: CircuitBreakerConfigBuilder = match window {
        Window::Run => builder.consecutive_failures(5),
        Window::Calls(calls) => {
            builder.sliding_window_size(usize::try_from(calls).expect("a number of calls"))
        }
        Window::TenSeconds => builder
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(Duration::from_secs(10)),
    };
    builder.wait_duration_in_open(hour).build().expect("a breaker")
}

/// Its count of the last n calls does not slide, so what it holds makes no difference.
fn closed(window: Window) -> Door {
    let door = of(leak(layer(window).layer(service_fn(Ready::new))));
    if matches!(window, Window::Calls(_)) { door.note("does not slide") } else { door }
}

/// Keeps each call and goes through all of them at each call: measured from 1,000 calls on, and for few.
fn time() -> Door {
    let layer = leak(layer(Window::TenSeconds));
    Door::each(move || {
        let mut service = layer.layer(service_fn(Ready::new));
        healthy(Window::TenSeconds, |fine| {
            drop(now(service.call(if fine { FINE } else { FAILS })));
        });
        move || service.call(FINE)
    })
    .at_most(200)
    .note("with 1,000 calls in it")
}

fn open() -> Door {
    let builder = CircuitBreakerLayer::builder().wait_duration_in_open(Duration::from_secs(3600));
    let (layer, handle) = builder.build_with_handle().expect("a breaker");
    now(handle.force_open());
    of(leak(layer.layer(service_fn(Ready::new))))
}

fn pipeline<O: Operation>() -> Door {
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(SLOTS).reject_when_full();
    let limit = TimeLimiterLayer::builder().timeout_duration(ATTEMPT_TIMEOUT).cancel_running_future(true);
    let inner = bulkhead.build().expect("a bulkhead").layer(limit.build().layer(service_fn(O::new)));
    of(leak(retry().layer(layer(Window::Calls(100)).layer(inner))))
}

pub(super) fn idle_breaker(window: Window) -> Option<Idle> {
    // One layer for all of them, so that they share its settings.
    let layer = layer(window);
    idle(move || layer.layer(service_fn(Ready::new)))
}
