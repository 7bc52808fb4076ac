//! Who is asked when.

use std::sync::{Arc, Mutex};

use ::tower::util::BoxCloneSyncService;
use ::tower::{Layer, Service, ServiceBuilder, ServiceExt};
use recoup::tower::{RecoveryLayer, RecoveryService};
use recoup::{Bulkhead, CannotRepeat, CircuitBreaker, CircuitState, Reason, Recovery};

use super::probe::{Busy, Does, MS, Probe, Seen, patient};

#[tokio::test(start_paused = true)]
async fn c4_readiness_is_asked_again_before_every_attempt() {
    let probe = Probe::new([Does::Fail, Does::Fail]);
    let service = RecoveryLayer::new(patient().build().unwrap()).layer(probe.clone());
    assert_eq!(service.oneshot(1).await.unwrap(), 7);
    let attempt = [Seen::Ready, Seen::Called(1)];
    assert_eq!(probe.seen(), [attempt, attempt, attempt].concat());
}

#[tokio::test(start_paused = true)]
async fn c4_service_is_never_called_unready_whoever_else_calls_it() {
    let probe = Probe::new(vec![Does::Fail; 20]);
    let service = RecoveryLayer::new(patient().build().unwrap()).layer(probe.clone());
    let calls = (0..16).map(|n| {
        // Of one service and of its clones, called twice in a row after one question.
        let mut service = service.clone();
        async move {
            service.ready().await.unwrap();
            let (one, other) = (service.call(n), service.call(n));
            tokio::join!(one, other)
        }
    });
    for (one, other) in futures::future::join_all(calls).await {
        assert!(one.is_ok() || one.unwrap_err().into_inner() == Some(Busy));
        assert!(other.is_ok() || other.unwrap_err().into_inner() == Some(Busy));
    }
    assert_eq!(probe.calls(), 32 + 20, "every failure was repeated, but for those of calls that had no more");
}

#[tokio::test(start_paused = true)]
async fn c4_open_circuit_rejects_although_the_inner_service_is_never_ready() {
    let breaker = CircuitBreaker::builder("probe").build().unwrap();
    breaker.force_open();
    let recovery = patient::<Busy>().circuit_breaker(breaker).build().unwrap();
    let service = RecoveryService::new(Probe::never_ready(), recovery);
    let error = service.oneshot(1).await.unwrap_err();
    assert!(matches!(error.reason(), Reason::CircuitOpen(_)), "{error}");
    assert_eq!(error.attempts(), 0);
}

#[test]
fn c4_outer_service_is_always_ready_and_wakes_nobody() {
    let recovery = patient::<Busy>().bulkhead(Bulkhead::builder(1)).build().unwrap();
    let taken = recovery.bulkhead().unwrap().clone();
    let _slot = taken.try_acquire().unwrap();
    let mut service = RecoveryService::new(Probe::never_ready(), recovery);
    let mut task = tokio_test::task::spawn(());
    for _ in 0..3 {
        task.enter(|cx, _| assert!(service.poll_ready(cx).is_ready()));
    }
    assert!(!task.is_woken());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_is_part_of_the_attempt_and_of_the_deadline() {
    let recovery = patient::<Busy>().attempt_timeout(100 * MS).deadline(150 * MS).build().unwrap();
    let service = RecoveryService::new(Probe::never_ready(), recovery);
    let error = service.oneshot(1).await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::DeadlineExceeded, 2));
}

#[tokio::test(start_paused = true)]
async fn request_that_was_never_handed_over_is_no_reason_not_to_repeat() {
    let recovery = patient::<Busy>().attempt_timeout(100 * MS).build().unwrap();
    let service = RecoveryLayer::once(recovery).layer(Probe::never_ready());
    let error = service.oneshot(1).await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
}

#[tokio::test(start_paused = true)]
async fn h2_request_that_must_be_sent_once_is_sent_once() {
    let probe = Probe::new([Does::Fail]);
    let layer = RecoveryLayer::once(patient().build().unwrap());
    let error = layer.layer(probe.clone()).oneshot(1).await.unwrap_err();
    assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotReplayable));
    assert_eq!((error.into_inner(), probe.calls()), (Some(Busy), 1));

    let probe = Probe::new([Does::Hang]);
    let recovery = patient::<Busy>().attempt_timeout(100 * MS).build().unwrap();
    let error = RecoveryLayer::once(recovery).layer(probe.clone()).oneshot(1).await.unwrap_err();
    assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotReplayable));
    assert!(error.is_timeout());
    assert_eq!(probe.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn instance_that_was_made_ready_before_is_the_one_that_is_called() {
    let mut limited = ::tower::limit::ConcurrencyLimit::new(Probe::new([Does::Fail]), 1);
    limited.ready().await.unwrap();
    let mut service = RecoveryService::new(limited, patient().build().unwrap());
    let answer = tokio::time::timeout(1_000 * MS, service.call(1)).await.expect("its only place is its own");
    assert_eq!(answer.unwrap(), 7);
    assert_eq!(service.call(2).await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn layers_on_both_sides_compose() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        move |request: u32| {
            order.lock().unwrap().push(name);
            request
        }
    };
    let service = ServiceBuilder::new()
        .concurrency_limit(4)
        .map_request(note("outside"))
        .layer(RecoveryLayer::new(patient().build().unwrap()))
        .map_request(note("inside"))
        .concurrency_limit(1)
        .service(Probe::new([Does::Fail]));
    assert_eq!(service.oneshot(1).await.unwrap(), 7);
    assert_eq!(*order.lock().unwrap(), ["outside", "inside", "inside"]);
}

#[tokio::test(start_paused = true)]
async fn services_are_clone_send_and_sync_and_can_be_erased() {
    let recovery: Recovery<Busy> = patient().build().unwrap();
    let erased = BoxCloneSyncService::new(RecoveryService::new(Probe::new([Does::Fail]), recovery.clone()));
    assert_eq!(erased.clone().oneshot(1).await.unwrap(), 7);
    // And under a recovery over what was erased, in a task of its own.
    let outer = RecoveryLayer::once(patient().build().unwrap()).layer(erased);
    assert_eq!(tokio::spawn(outer.oneshot(1)).await.unwrap().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn every_service_of_a_layer_shares_its_recovery() {
    let recovery = patient::<Busy>().bulkhead(Bulkhead::builder(2)).build().unwrap();
    let layer = RecoveryLayer::new(recovery);
    let hangs = || layer.clone().layer(Probe::new([Does::Hang]));
    let (mut one, mut other) =
        (tokio_test::task::spawn(hangs().oneshot(1)), tokio_test::task::spawn(hangs().oneshot(1)));
    assert!(one.poll().is_pending() && other.poll().is_pending());
    let error = hangs().oneshot(1).await.unwrap_err();
    assert!(matches!(error.reason(), Reason::BulkheadFull(_)), "{error}");
    assert_eq!(layer.recovery().circuit_breaker().map(CircuitBreaker::state), None::<CircuitState>);
}
