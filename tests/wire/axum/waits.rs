//! Requests that wait to be let in, and instances that were made ready before.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use futures::StreamExt;
use http::Request;
use recoup::axum::{ErrorLayer, ProtectLayer, ProtectLayerBuilder};
use recoup::{Bulkhead, CircuitBreaker, CircuitState, Instant, LoadShedder, RateLimiter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{ask, client, get, serve};

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

/// Answers one byte after the other, each when somebody reads.
fn slowly() -> Body {
    let bytes = (0..8).map(|_| Ok::<_, Infallible>("."));
    Body::from_stream(futures::stream::iter(bytes).then(async |byte| {
        tokio::task::yield_now().await;
        byte
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let bulkhead = Bulkhead::builder(2).queue(4).build().unwrap();
    let shedder = LoadShedder::builder(4).queue(4).build().unwrap();
    let limit = recoup::ConcurrencyLimit::aimd().build().unwrap();
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    let layer = ProtectLayer::builder()
        .circuit_breaker(breaker.clone())
        .load_shedder(shedder.clone())
        .bulkhead(bulkhead.clone())
        .concurrency_limit(limit.clone())
        .deadline(|_| Some(Instant::now() + SECOND))
        .until_body_ends();
    let app = Router::new().route("/", on_get(async || slowly())).layer(layer.build().unwrap());
    let address = serve(app.layer(ErrorLayer::new())).await;
    let visits = (0..400_u32).map(|n| {
        tokio::spawn(async move {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
            // Some go at once, some after the head, some in the middle of the body.
            for _ in 0..n % 4 {
                let _some = connection.read(&mut [0; 64]).await.unwrap();
            }
        })
    });
    futures::future::join_all(visits).await.into_iter().for_each(Result::unwrap);
    let held = || (bulkhead.in_use(), bulkhead.queued(), shedder.snapshot().in_service, limit.in_flight());
    while held() != (0, 0, 0, 0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let learned = limit.snapshot().samples;
    let answer = client(false).get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap().len()),
        (200, 8),
        "there is room again"
    );
    while held() != (0, 0, 0, 0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((limit.snapshot().samples, breaker.state()), (learned + 1, CircuitState::Closed));
}
