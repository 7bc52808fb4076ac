//! Requests that wait to be let in, and instances that were made ready before.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use http::Request;
use recoup::axum::{ErrorLayer, ProtectLayer, ProtectLayerBuilder};
use recoup::{Bulkhead, CircuitBreaker, Instant, RateLimiter};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{ask, get};

const SECOND: Duration = Duration::from_secs(1);

/// A route of which somebody waits a second for the answer.
fn a_second(builder: ProtectLayerBuilder) -> Router {
    let layer = builder.deadline(|_| Some(Instant::now() + SECOND)).build().unwrap();
    Router::new().route("/", on_get(async || "served")).layer(layer)
}

#[tokio::test(start_paused = true)]
async fn request_whose_deadline_passes_while_it_waits_leaves_the_queue_then() {
    let breaker = CircuitBreaker::builder("b").consecutive_failures(1).build().unwrap();
    let bulkhead = Bulkhead::builder(1).queue(8).build().unwrap();
    let _slot = bulkhead.try_acquire().unwrap();
    let limiter = RateLimiter::builder(1, 60 * SECOND).burst(1).max_wait(600 * SECOND).build().unwrap();
    limiter.try_acquire().unwrap();
    let in_its_queue = ProtectLayer::builder().circuit_breaker(breaker.clone()).bulkhead(bulkhead.clone());
    let for_its_turn = ProtectLayer::builder().circuit_breaker(breaker.clone()).rate_limit(limiter.clone());
    for app in [a_second(in_its_queue), a_second(for_its_turn)] {
        let begun = tokio::time::Instant::now();
        let answer =
            tokio::time::timeout(10 * SECOND, ask(&app, get("/"))).await.expect("nobody waits any more");
        assert_eq!((answer.status.as_u16(), &answer.json()["reason"]), (504, &"deadline".into()));
        assert_eq!(begun.elapsed(), SECOND);
    }
    assert_eq!((bulkhead.queued(), limiter.snapshot().waiting, breaker.snapshot().calls), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn request_that_comes_after_its_deadline_uses_up_no_rate() {
    let limiter = RateLimiter::builder(1, 60 * SECOND).burst(1).build().unwrap();
    let layer = ProtectLayer::builder().rate_limit(limiter.clone()).deadline(|_| Some(Instant::now()));
    let app = Router::new().route("/", on_get(async || "served")).layer(layer.build().unwrap());
    assert_eq!(ask(&app, get("/")).await.status, 504);
    assert!(limiter.try_acquire().is_ok(), "what nobody waits for takes nobody's turn");
}

#[tokio::test(start_paused = true)]
async fn instance_that_was_made_ready_before_is_the_one_that_is_called() {
    let one_at_once = || {
        let ok = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>("ok".into_response()) });
        ConcurrencyLimit::new(ok, 1)
    };
    let own = "its only place is its own";
    let mut ready = one_at_once();
    ready.ready().await.unwrap();
    let mut service = ErrorLayer::new().layer(ready);
    for _ in 0..2 {
        let answer = tokio::time::timeout(SECOND, service.call(get("/"))).await.expect(own);
        assert_eq!(answer.unwrap().status(), 200);
    }
    let mut ready = one_at_once();
    ready.ready().await.unwrap();
    let mut service = ProtectLayer::builder().build().unwrap().layer(ready);
    for _ in 0..2 {
        let answer = tokio::time::timeout(SECOND, service.call(get("/"))).await.expect(own);
        assert_eq!(answer.unwrap().status(), 200);
    }
}
