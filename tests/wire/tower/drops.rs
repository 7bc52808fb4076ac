//! What a call that is dropped gives back.

use std::panic::AssertUnwindSafe;

use ::tower::limit::ConcurrencyLimit;
use ::tower::{Service, ServiceExt, service_fn};
use futures::FutureExt;
use recoup::tower::RecoveryService;
use recoup::{Bulkhead, CircuitBreaker, CircuitState, HalfOpen, Recovery, RetryBudget, RetryPolicy};

use super::probe::{Busy, Does, MS, Probe, patient};

/// Polls so often, and lets time pass where nobody else would wake the call. Whether it has ended.
async fn poll<F: Future>(call: &mut tokio_test::task::Spawn<F>, times: u32) -> bool {
    for _ in 0..times {
        if call.poll().is_ready() {
            return true;
        }
        if !call.is_woken() {
            tokio::time::advance(10 * MS).await;
        }
    }
    false
}

#[tokio::test(start_paused = true)]
async fn c4_call_that_is_dropped_at_any_await_gives_back_its_slot_its_token_and_its_place_in_the_service() {
    for polls in 0.. {
        let budget = RetryBudget::builder().reserve(1).capacity(1).build().unwrap();
        let recovery = Recovery::<Busy>::builder("probe")
            .retry(RetryPolicy::fixed(10 * MS).budget(budget.clone()))
            .bulkhead(Bulkhead::builder(1))
            .build()
            .unwrap();
        let probe = Probe::new([Does::Fail]);
        let mut limited = ConcurrencyLimit::new(probe.clone(), 1);
        let mut service = RecoveryService::new(limited.clone(), recovery.clone());
        let mut call = tokio_test::task::spawn(service.call(1));
        let ended = poll(&mut call, polls).await;
        let repeated = probe.calls() > 1;
        drop(call);

        assert_eq!(recovery.bulkhead().unwrap().in_use(), 0, "after {polls} polls");
        assert_eq!(probe.alive(), 3, "ours, the limit's and the service's, after {polls} polls");
        let place = tokio::time::timeout(MS, limited.ready()).await;
        assert!(place.is_ok(), "the service's only place is free after {polls} polls");
        if !repeated {
            assert_eq!(budget.tokens(), 1, "after {polls} polls");
        }
        if ended {
            assert!(repeated && polls > 5, "two attempts wait to be ready and for an answer: {polls}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c4_dropped_probe_of_a_circuit_gives_its_place_back() {
    for polls in 0.. {
        let breaker = CircuitBreaker::builder("probe").consecutive_failures(1).open_for(100 * MS);
        let breaker = breaker.half_open(HalfOpen::probes(1)).no_ramp().build().unwrap();
        let recovery = patient().circuit_breaker(breaker.clone()).build().unwrap();
        breaker.call(|| async { Err::<(), _>(Busy) }).await.unwrap_err();
        tokio::time::advance(100 * MS).await;
        let mut service = RecoveryService::new(Probe::new([]), recovery);
        let mut call = tokio_test::task::spawn(service.call(1));
        let ended = poll(&mut call, polls).await;
        if polls > 0 && !ended {
            assert!(breaker.admit().is_err(), "it is the only probe, after {polls} polls");
        }
        drop(call);
        assert!(breaker.admit().is_ok(), "after {polls} polls");
        if ended {
            assert!(polls > 2);
            assert_eq!(breaker.state(), CircuitState::Closed);
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c4_dropped_clone_that_waits_to_be_ready_frees_what_it_has_reserved() {
    // The limit gives its only place to whoever waits for what is inside of it.
    let limited = ConcurrencyLimit::new(Probe::never_ready(), 1);
    let mut service = RecoveryService::new(limited.clone(), patient().build().unwrap());
    let mut waits = tokio_test::task::spawn(service.call(1));
    assert!(waits.poll().is_pending());

    let places = ConcurrencyLimitPlaces(limited);
    assert!(!places.is_free(), "the waiting clone has it");
    drop(waits);
    assert!(places.is_free());
}

/// Looks whether a limit has a place, through a service that is never ready.
struct ConcurrencyLimitPlaces(ConcurrencyLimit<Probe>);

impl ConcurrencyLimitPlaces {
    /// Whoever gets the place is not woken by the limit, and whoever does not is once it is free.
    fn is_free(&self) -> bool {
        let mut asks = self.0.clone();
        let mut task = tokio_test::task::spawn(());
        task.enter(|cx, _| assert!(asks.poll_ready(cx).is_pending()));
        let mut behind = self.0.clone();
        let mut second = tokio_test::task::spawn(());
        second.enter(|cx, _| assert!(behind.poll_ready(cx).is_pending()));
        drop(asks);
        second.is_woken()
    }
}

#[tokio::test(start_paused = true)]
async fn service_that_panics_leaves_its_slot_free() {
    let recovery = patient::<Busy>().bulkhead(Bulkhead::builder(1)).build().unwrap();
    let panics = service_fn(|_: u32| async { if true { panic!("oh") } else { Ok::<u32, Busy>(1) } });
    let call = RecoveryService::new(panics, recovery.clone()).oneshot(1);
    assert!(AssertUnwindSafe(call).catch_unwind().await.is_err());
    assert_eq!(recovery.bulkhead().unwrap().in_use(), 0);

    let panics =
        service_fn(|_: u32| -> std::future::Ready<Result<u32, Busy>> { panic!("before its future") });
    let call = RecoveryService::new(panics, recovery.clone()).oneshot(1);
    assert!(AssertUnwindSafe(call).catch_unwind().await.is_err());
    assert_eq!(recovery.bulkhead().unwrap().in_use(), 0);
}
