//! Over the services that tower itself brings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ::tower::balance::p2c::Balance;
use ::tower::discover::ServiceList;
use ::tower::limit::ConcurrencyLimitLayer;
use ::tower::load::Constant;
use ::tower::load_shed::error::Overloaded;
use ::tower::timeout::error::Elapsed;
use ::tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use futures::future::join_all;
use recoup::tower::RecoveryLayer;
use recoup::{Category, Reason, Recovery};

use super::probe::{Busy, Does, MS, Probe, patient};

/// For services whose error is a box.
fn boxed() -> Recovery<BoxError> {
    patient()
        .classifier(|error: &BoxError| {
            if error.is::<Elapsed>() {
                Some(Category::Timeout)
            } else if error.is::<Overloaded>() {
                Some(Category::RateLimited)
            } else {
                error.is::<Busy>().then_some(Category::ServiceUnavailable)
            }
        })
        .build()
        .unwrap()
}

/// Sixteen calls at once, through clones, of which eight have to be repeated.
async fn sixteen<S>(service: S, probe: &Probe)
where
    S: Service<u32, Response = u32> + Clone,
    S::Error: std::fmt::Debug,
{
    let calls = (0..16).map(|n| service.clone().oneshot(n));
    let answers = tokio::time::timeout(10_000 * MS, join_all(calls)).await.expect("nothing hangs");
    for answer in answers {
        assert_eq!(answer.unwrap(), 7);
    }
    assert_eq!(probe.calls(), 16 + 8);
}

/// Where one call is made after the other, eight of sixteen fail once: whoever fails waits behind the others.
fn eight_failures() -> Probe {
    Probe::new(vec![Does::Fail; 8])
}

#[tokio::test(start_paused = true)]
async fn s1_concurrency_limit_is_called_by_who_has_its_place() {
    let probe = eight_failures();
    let layers = ServiceBuilder::new().layer(RecoveryLayer::new(patient().build().unwrap()));
    sixteen(layers.concurrency_limit(1).service(probe.clone()), &probe).await;
}

#[tokio::test(start_paused = true)]
async fn s1_buffer_is_called_by_who_has_its_place() {
    let probe = eight_failures();
    let layers = ServiceBuilder::new().layer(RecoveryLayer::new(boxed())).buffer(1).concurrency_limit(1);
    sixteen(layers.service(probe.clone()), &probe).await;
}

#[tokio::test(start_paused = true)]
async fn s1_rate_limit_behind_a_buffer_holds_for_retries_too() {
    let probe = eight_failures();
    let layers = ServiceBuilder::new().layer(RecoveryLayer::new(boxed())).buffer(1);
    let begun = tokio::time::Instant::now();
    sixteen(layers.rate_limit(2, 100 * MS).service(probe.clone()), &probe).await;
    assert!(begun.elapsed() >= 1_100 * MS, "24 calls at 2 in 100 ms: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn s1_balance_behind_a_buffer_uses_every_service() {
    // Whichever it goes to, no call meets more than two failures.
    let script = || [Does::Fail, Does::Answer(7)].repeat(4);
    let (one, other) = (Probe::new(script()), Probe::new(script()));
    let services = [one.clone(), other.clone()].map(|probe| Constant::new(probe, 1_u32));
    let balance = Balance::<_, u32>::new(ServiceList::new::<u32>(services));
    let service = ServiceBuilder::new().layer(RecoveryLayer::new(boxed())).buffer(4).service(balance);
    for answer in join_all((0..16).map(|n| service.clone().oneshot(n))).await {
        assert_eq!(answer.unwrap(), 7);
    }
    assert!(one.calls() > 0 && other.calls() > 0);
    assert!(one.calls() + other.calls() >= 16 + 4);
}

#[tokio::test(start_paused = true)]
async fn s1_load_shed_sheds_and_what_it_shed_is_tried_again() {
    // One at a time: of two that come at once, one is shed, waits, and finds the place free.
    let probe = Probe::quick([]);
    let layers = ServiceBuilder::new().layer(RecoveryLayer::new(boxed())).load_shed().concurrency_limit(1);
    let service = layers.service(probe.clone());
    let (one, other) = tokio::join!(service.clone().oneshot(1), service.oneshot(2));
    assert_eq!((one.unwrap(), other.unwrap()), (7, 7));
    assert_eq!(probe.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn s1_timeout_ends_an_attempt_and_the_next_one_is_made() {
    let probe = Probe::new([Does::Hang, Does::Hang]);
    let layers = ServiceBuilder::new().layer(RecoveryLayer::new(boxed())).timeout(100 * MS);
    assert_eq!(layers.service(probe.clone()).oneshot(1).await.unwrap(), 7);
    assert_eq!(probe.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn s1_buffer_whose_worker_has_gone_is_an_error_and_no_hang() {
    let (buffer, worker) = ::tower::buffer::Buffer::pair(Probe::new([]), 1);
    drop(worker);
    let error = ServiceBuilder::new().layer(RecoveryLayer::new(boxed())).service(buffer).oneshot(1).await;
    let error = error.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
}

#[tokio::test(start_paused = true)]
async fn errors_in_boxes_go_through_stacks_on_both_sides() {
    let service = ServiceBuilder::new()
        .buffer(8)
        .timeout(10_000 * MS)
        .layer(RecoveryLayer::new(boxed()).boxed())
        .buffer(8)
        .timeout(100 * MS)
        .service(service_fn(|_: u32| async { Err::<u32, _>(Busy) }));
    let error = service.oneshot(1).await.unwrap_err();
    let chain: Vec<String> =
        std::iter::successors(Some(&*error as &dyn std::error::Error), |error| error.source())
            .map(ToString::to_string)
            .collect();
    assert_eq!(chain, ["`probe` gave up after 3 attempts: no attempt is left", "busy"]);
}

#[tokio::test(start_paused = true)]
async fn limit_inside_is_never_exceeded_by_retries() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counts, highest) = (Arc::clone(&now), Arc::clone(&most));
    let asked = Arc::new(AtomicUsize::new(0));
    let service = service_fn(move |_: u32| {
        let (now, most) = (Arc::clone(&counts), Arc::clone(&highest));
        let fails = asked.fetch_add(1, SeqCst).is_multiple_of(3);
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::time::sleep(5 * MS).await;
            now.fetch_sub(1, SeqCst);
            if fails { Err(Busy) } else { Ok(1) }
        }
    });
    let service = ServiceBuilder::new()
        .layer(RecoveryLayer::new(patient().build().unwrap()))
        .layer(ConcurrencyLimitLayer::new(2))
        .service(service);
    let answers = join_all((0..50).map(|n| service.clone().oneshot(n))).await;
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() > 40);
    assert_eq!((most.load(SeqCst), now.load(SeqCst)), (2, 0));
}
