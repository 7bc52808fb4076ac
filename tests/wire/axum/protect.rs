//! A route or a router that takes no more than it can do.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use recoup::axum::{ErrorLayer, ProtectLayer, ProtectLayerBuilder, Rejection};
use recoup::{
    Bulkhead, Category, CircuitBreaker, CircuitState, ConcurrencyLimit, Instant, LoadShedder, Outcome,
    Priority, RateLimiter,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tower::{Layer, Service, ServiceExt};

use super::{Answered, ask, client, get, serve};

/// How many handlers are at work, and the most that ever were.
#[derive(Clone)]
struct Work {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    may_end: Arc<Semaphore>,
}

impl Work {
    fn new() -> Self {
        Self { now: Arc::default(), most: Arc::default(), may_end: Arc::new(Semaphore::new(0)) }
    }

    /// Ends when the test says so; counted until it is dropped.
    async fn one(self) -> &'static str {
        struct AtWork(Arc<AtomicUsize>);
        impl Drop for AtWork {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        let _at_work = AtWork(Arc::clone(&self.now));
        self.most.fetch_max(now, Ordering::SeqCst);
        self.may_end.acquire().await.unwrap().forget();
        "done"
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

fn bulkhead(slots: usize) -> Bulkhead {
    Bulkhead::builder(slots).name("route").build().unwrap()
}

fn built(builder: ProtectLayerBuilder) -> ProtectLayer {
    builder.build().unwrap()
}

/// Until it holds; the test's own runtime gives up on it if it never does.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// 16 requests at once, over sockets: the statuses of those that were answered while the others were at work, and of
/// all.
async fn sixteen(app: Router, work: &Work, http2: bool, answered_at_once: usize) -> Vec<StatusCode> {
    let address = serve(app).await;
    let client = client(http2);
    let (sender, mut answers) = mpsc::unbounded_channel();
    for _ in 0..16 {
        let (client, sender) = (client.clone(), sender.clone());
        tokio::spawn(async move {
            let answer = client.get(format!("http://{address}/")).send().await.unwrap();
            if answer.status() == 503 {
                assert_eq!(answer.headers()["retry-after"], "1");
            }
            sender.send(answer.status()).unwrap();
        });
    }
    let mut statuses = Vec::new();
    while statuses.len() < answered_at_once {
        statuses.push(answers.recv().await.unwrap());
    }
    until(|| work.now.load(Ordering::SeqCst) == 16 - answered_at_once).await;
    work.may_end.add_permits(16);
    while statuses.len() < 16 {
        statuses.push(answers.recv().await.unwrap());
    }
    statuses.sort();
    statuses
}

fn two_of_sixteen() -> Vec<StatusCode> {
    let mut expected = vec![StatusCode::OK; 2];
    expected.extend([StatusCode::SERVICE_UNAVAILABLE; 14]);
    expected
}

#[tokio::test]
async fn cap_of_two_on_a_route_lets_two_of_sixteen_requests_in() {
    for http2 in [false, true] {
        let (work, in_route) = (Work::new(), Work::new());
        let handler = {
            let work = work.clone();
            move || work.clone().one()
        };
        let layer = built(ProtectLayer::builder().bulkhead(bulkhead(2)));
        let app = Router::new().route("/", on_get(handler).layer(layer));
        assert_eq!(sixteen(app, &work, http2, 14).await, two_of_sixteen());
        assert_eq!((work.most(), in_route.most()), (2, 0));
    }
}

#[tokio::test]
async fn cap_of_two_on_a_router_lets_two_of_sixteen_requests_in() {
    for http2 in [false, true] {
        let work = Work::new();
        let handler = {
            let work = work.clone();
            move || work.clone().one()
        };
        let layer = built(ProtectLayer::builder().bulkhead(bulkhead(2)));
        let app = Router::new().route("/", on_get(handler)).layer(layer).layer(ErrorLayer::new());
        assert_eq!(sixteen(app, &work, http2, 14).await, two_of_sixteen());
        assert_eq!(work.most(), 2);
    }
}

/// Why the layer is there at all. If this fails, axum or tower has learned it, and the docs are to be changed.
#[tokio::test]
async fn towers_own_limit_of_two_on_a_route_lets_all_sixteen_in() {
    let work = Work::new();
    let handler = {
        let work = work.clone();
        move || work.clone().one()
    };
    let app = Router::new().route("/", on_get(handler).layer(tower::limit::ConcurrencyLimitLayer::new(2)));
    assert_eq!(sixteen(app, &work, false, 0).await, vec![StatusCode::OK; 16]);
    assert_eq!(work.most(), 16);
}

#[tokio::test]
async fn one_layer_on_two_routes_has_one_cap() {
    let work = Work::new();
    let handler = {
        let work = work.clone();
        move || work.clone().one()
    };
    let bulkhead = bulkhead(1);
    let layer = built(ProtectLayer::builder().bulkhead(bulkhead.clone()));
    let app = Router::new()
        .route("/a", on_get(handler.clone()).layer(layer.clone()))
        .route("/b", on_get(handler).layer(layer));
    let first = tokio::spawn(app.clone().oneshot(get("/a")));
    until(|| bulkhead.in_use() == 1).await;
    assert_eq!(ask(&app, get("/b")).await.status, 503);
    work.may_end.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn dropped_connection_gives_its_slots_back() {
    let work = Work::new();
    let handler = {
        let work = work.clone();
        move || work.clone().one()
    };
    let bulkhead = bulkhead(1);
    let shedder = LoadShedder::builder(1).build().unwrap();
    let limit = ConcurrencyLimit::aimd().build().unwrap();
    let breaker = CircuitBreaker::builder("route").build().unwrap();
    let layer = ProtectLayer::builder()
        .bulkhead(bulkhead.clone())
        .load_shedder(shedder.clone())
        .concurrency_limit(limit.clone())
        .circuit_breaker(breaker.clone())
        .timeout(Duration::from_secs(600));
    let address = serve(Router::new().route("/", on_get(handler).layer(built(layer)))).await;
    for _ in 0..3 {
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut connection, request).await.unwrap();
        until(|| work.now.load(Ordering::SeqCst) == 1).await;
        assert_eq!((bulkhead.in_use(), shedder.snapshot().in_service, limit.in_flight()), (1, 1, 1));
        drop(connection);
        until(|| work.now.load(Ordering::SeqCst) == 0).await;
        until(|| bulkhead.in_use() == 0).await;
        assert_eq!((shedder.snapshot().in_service, limit.in_flight()), (0, 0));
    }
    work.may_end.add_permits(1);
    let answer = client(false).get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(limit.snapshot().samples, 1, "of those who went away it has learned nothing");
}

/// A body that ends, or goes on, when the test says so.
fn streamed() -> (mpsc::Sender<Result<Bytes, std::io::Error>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Body::from_stream(ReceiverStream::new(receiver)))
}

fn once(body: Body) -> axum::routing::MethodRouter {
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    on_get(move || async move { body.lock().unwrap().take().unwrap_or_default() })
}

#[tokio::test]
async fn slots_are_held_until_the_last_byte_of_the_body_if_asked_for() {
    for http2 in [false, true] {
        let (sender, body) = streamed();
        let bulkhead = bulkhead(1);
        let shedder = LoadShedder::builder(2).build().unwrap();
        let limit = ConcurrencyLimit::aimd().build().unwrap();
        let layer = ProtectLayer::builder()
            .bulkhead(bulkhead.clone())
            .load_shedder(shedder.clone())
            .concurrency_limit(limit.clone())
            .until_body_ends();
        let address = serve(Router::new().route("/", once(body).layer(built(layer)))).await;
        let url = format!("http://{address}/");
        let first = client(http2).get(&url).send().await.unwrap();
        assert_eq!(first.status(), 200, "the head does not wait");
        assert_eq!((bulkhead.in_use(), shedder.snapshot().in_service, limit.in_flight()), (1, 1, 1));
        assert_eq!(client(http2).get(&url).send().await.unwrap().status(), 503);
        sender.send(Ok("one".into())).await.unwrap();
        sender.send(Ok(" two".into())).await.unwrap();
        drop(sender);
        assert_eq!(first.text().await.unwrap(), "one two");
        until(|| bulkhead.in_use() == 0).await;
        assert_eq!((shedder.snapshot().in_service, limit.in_flight()), (0, 0));
        assert_eq!(limit.snapshot().samples, 1, "it has learned how long it was held");
        assert_eq!(client(http2).get(&url).send().await.unwrap().status(), 200);
        until(|| bulkhead.in_use() == 0).await; // of a body that was empty from the start
    }
}

#[tokio::test]
async fn slots_come_back_when_a_body_is_dropped_or_breaks_off() {
    for breaks_off in [false, true] {
        let (sender, body) = streamed();
        let bulkhead = bulkhead(1);
        let limit = ConcurrencyLimit::aimd().build().unwrap();
        let layer = ProtectLayer::builder()
            .bulkhead(bulkhead.clone())
            .concurrency_limit(limit.clone())
            .until_body_ends();
        let address = serve(Router::new().route("/", once(body).layer(built(layer)))).await;
        let answer = client(false).get(format!("http://{address}/")).send().await.unwrap();
        assert_eq!(bulkhead.in_use(), 1);
        if breaks_off {
            sender.send(Err(std::io::Error::other("disk"))).await.unwrap();
            assert!(answer.bytes().await.is_err());
        } else {
            drop(answer);
        }
        until(|| bulkhead.in_use() == 0).await;
        assert_eq!((limit.in_flight(), limit.snapshot().samples), (0, 0));
        drop(sender);
    }
}

#[tokio::test]
async fn without_asking_slots_come_back_with_the_head() {
    let (sender, body) = streamed();
    let bulkhead = bulkhead(1);
    let app =
        Router::new().route("/", once(body).layer(built(ProtectLayer::builder().bulkhead(bulkhead.clone()))));
    let answer = app.oneshot(get("/")).await.unwrap();
    assert_eq!(bulkhead.in_use(), 0);
    sender.send(Ok("whole".into())).await.unwrap();
    drop(sender);
    assert_eq!(Answered::of(answer).await.text, "whole");
}

#[tokio::test]
async fn handler_that_stalls_is_dropped_and_answered_504() {
    let work = Work::new();
    let handler = {
        let work = work.clone();
        move || work.clone().one()
    };
    let bulkhead = bulkhead(1);
    let layer = ProtectLayer::builder().bulkhead(bulkhead.clone()).timeout(Duration::from_millis(50));
    let app = Router::new().route("/", on_get(handler)).layer(built(layer)).layer(ErrorLayer::new());
    let address = serve(app).await;
    let answer = client(false).get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(answer.status(), 504);
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((&body["reason"], &body["detail"]), (&"timed_out".into(), &"no answer within 50ms".into()));
    assert_eq!((work.now.load(Ordering::SeqCst), bulkhead.in_use()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_policy_refuses_with_its_status_and_when_to_come_back() {
    let ok = || on_get(async || "ok");
    let second = Duration::from_secs(1);

    let limiter = RateLimiter::builder(1, 10 * second).burst(1).name("per-route").build().unwrap();
    let app =
        Router::new().route("/", ok().layer(built(ProtectLayer::builder().rate_limit(limiter.clone()))));
    assert_eq!(ask(&app, get("/")).await.status, 200);
    tokio::time::advance(Duration::from_millis(2500)).await;
    let refused = ask(&app, get("/")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "8"), "7.5 s, rounded up");
    let body = refused.json();
    assert_eq!((&body["policy"], &body["retry_after_ms"]), (&"per-route".into(), &7500.into()));

    let shedder = LoadShedder::builder(1).name("server").build().unwrap();
    let app =
        Router::new().route("/", ok().layer(built(ProtectLayer::builder().load_shedder(shedder.clone()))));
    assert_eq!(ask(&app, get("/")).await.status, 200);
    let serving = shedder.try_admit(recoup::Work::new()).unwrap();
    let refused = tokio::spawn({
        let app = app.clone();
        async move { ask(&app, get("/")).await }
    });
    tokio::time::sleep(Duration::from_secs(3600)).await; // longer than anybody waits for an answer
    let refused = refused.await.unwrap();
    assert_eq!((refused.status.as_u16(), &refused.json()["reason"]), (503, &"shed".into()));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    drop(serving);

    let limit = ConcurrencyLimit::aimd().initial(1).min(1).name("db").build().unwrap();
    let app =
        Router::new().route("/", ok().layer(built(ProtectLayer::builder().concurrency_limit(limit.clone()))));
    assert_eq!(ask(&app, get("/")).await.status, 200);
    let taken: Vec<_> = std::iter::from_fn(|| limit.try_enter(Priority::Critical).ok()).collect();
    let refused = ask(&app, get("/")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.json()["reason"], "saturated");
    drop(taken);
}

#[tokio::test(start_paused = true)]
async fn circuit_opens_by_what_is_answered_and_says_when_to_come_back() {
    let status = Arc::new(std::sync::atomic::AtomicU16::new(200));
    let of_handler = Arc::clone(&status);
    let handler = move || async move { StatusCode::from_u16(of_handler.load(Ordering::SeqCst)).unwrap() };
    let breaker = CircuitBreaker::builder("search")
        .consecutive_failures(3)
        .open_for(Duration::from_millis(12_300))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/", on_get(handler))
        .layer(built(ProtectLayer::builder().circuit_breaker(breaker.clone())));
    for harmless in [404, 400, 429, 501, 505] {
        status.store(harmless, Ordering::SeqCst);
        for _ in 0..3 {
            ask(&app, get("/")).await;
        }
        assert_eq!(breaker.state(), CircuitState::Closed, "{harmless}");
    }
    status.store(500, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(ask(&app, get("/")).await.status, 500);
    }
    status.store(200, Ordering::SeqCst);
    let refused = ask(&app, get("/")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "13"));
    let body = refused.json();
    assert_eq!((&body["reason"], &body["policy"]), (&"circuit_open".into(), &"search".into()));
    tokio::time::advance(Duration::from_secs(13)).await;
    assert_eq!(ask(&app, get("/")).await.status, 200, "it probes");
}

#[tokio::test(start_paused = true)]
async fn refusals_of_policies_behind_the_circuit_do_not_open_it() {
    let breaker = CircuitBreaker::builder("outer").consecutive_failures(2).build().unwrap();
    let (inner, own) = (bulkhead(1), bulkhead(1));
    let app = Router::new()
        .route("/", on_get(async || "ok").layer(built(ProtectLayer::builder().bulkhead(inner.clone()))))
        .layer(ErrorLayer::new())
        .layer(built(ProtectLayer::builder().circuit_breaker(breaker.clone()).bulkhead(own.clone())));
    for full in [&inner, &own] {
        let slot = full.try_acquire().unwrap();
        for _ in 0..5 {
            assert_eq!(ask(&app, get("/")).await.status, 503);
        }
        drop(slot);
        assert_eq!(breaker.state(), CircuitState::Closed);
        assert_eq!(ask(&app, get("/")).await.status, 200);
    }
    assert_eq!(breaker.snapshot().calls, 2, "only what was served counts");
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_means_can_be_said_otherwise() {
    let breaker = CircuitBreaker::builder("strict").consecutive_failures(2).build().unwrap();
    let strict = |parts: &http::response::Parts| {
        if parts.status == 404 { Outcome::Failure } else { Outcome::Success }
    };
    let layer = ProtectLayer::builder().circuit_breaker(breaker.clone()).judge(strict);
    let app = Router::new().route("/", on_get(async || StatusCode::NOT_FOUND)).layer(built(layer));
    for _ in 0..2 {
        assert_eq!(ask(&app, get("/")).await.status, 404);
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn panic_counts_as_failure_and_gives_everything_back() {
    let breaker = CircuitBreaker::builder("p").consecutive_failures(1).build().unwrap();
    let bulkhead = bulkhead(1);
    let layer = ProtectLayer::builder().circuit_breaker(breaker.clone()).bulkhead(bulkhead.clone());
    let app = Router::new().route("/", on_get(|| async { panic!("{}", "oh") as () })).layer(built(layer));
    assert!(tokio::spawn(app.oneshot(get("/"))).await.unwrap_err().is_panic());
    assert_eq!((breaker.state(), bulkhead.in_use()), (CircuitState::Open, 0));
}

#[tokio::test(start_paused = true)]
async fn request_that_goes_away_while_it_waits_leaves_the_queue_and_says_nothing() {
    let breaker = CircuitBreaker::builder("b").consecutive_failures(1).build().unwrap();
    let bulkhead = Bulkhead::builder(1).queue(1).build().unwrap();
    let layer = ProtectLayer::builder().circuit_breaker(breaker.clone()).bulkhead(bulkhead.clone());
    let app = Router::new().route("/", on_get(async || "ok")).layer(built(layer));
    let slot = bulkhead.try_acquire().unwrap();
    let waits = tokio::spawn(app.clone().oneshot(get("/")));
    until(|| bulkhead.queued() == 1).await;
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    assert_eq!((bulkhead.queued(), breaker.snapshot().calls), (0, 0));
    let waits = tokio::spawn(app.oneshot(get("/")));
    until(|| bulkhead.queued() == 1).await;
    drop(slot);
    assert_eq!(waits.await.unwrap().unwrap().status(), 200);
    assert_eq!(bulkhead.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn circuit_that_opened_while_the_request_waited_is_asked_again() {
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    let bulkhead = Bulkhead::builder(1).queue(1).build().unwrap();
    let layer = ProtectLayer::builder().circuit_breaker(breaker.clone()).bulkhead(bulkhead.clone());
    let app = Router::new().route("/", on_get(async || "ok")).layer(built(layer));
    let slot = bulkhead.try_acquire().unwrap();
    let waits = tokio::spawn(app.oneshot(get("/")));
    until(|| bulkhead.queued() == 1).await;
    breaker.force_open();
    drop(slot);
    assert_eq!(waits.await.unwrap().unwrap().status(), 503);
    assert_eq!(bulkhead.in_use(), 0);
}

/// A service that panics if it is called before it said that it is ready, as tower's own limits do.
#[derive(Debug)]
struct Strict {
    is_ready: bool,
    ever: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { is_ready: false, ever: self.ever }
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = self.ever;
        if self.ever { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called unready");
        std::future::ready(Ok("ok".into_response()))
    }
}

#[tokio::test(start_paused = true)]
async fn c4_readied_instance_takes_the_request_and_open_circuit_refuses_before_readiness() {
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    let layer = ProtectLayer::builder().circuit_breaker(breaker.clone()).timeout(Duration::from_secs(1));
    let layer = built(layer);
    for ever in [true, false] {
        let mut service = ErrorLayer::new().layer(layer.layer(Strict { is_ready: false, ever }));
        let answer = service.ready().await.unwrap().call(get("/")).await.unwrap();
        assert_eq!(answer.status(), if ever { 200 } else { 504 }, "who is never ready is late");
    }
    breaker.force_open();
    let mut never = layer.layer(Strict { is_ready: false, ever: false });
    let answer = never.ready().await.unwrap().call(get("/")).await.unwrap();
    assert_eq!(answer.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn c4_over_towers_own_limit_and_buffer_nothing_panics_or_hangs() {
    let limited = tower::ServiceBuilder::new()
        .layer(built(ProtectLayer::builder().bulkhead(bulkhead(8))))
        .concurrency_limit(1)
        .service_fn(|_: Request<Body>| async {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>("ok".into_response())
        });
    let app = Router::new().route_service("/", limited);
    let all: Vec<_> = (0..8).map(|_| tokio::spawn(app.clone().oneshot(get("/")))).collect();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap().status(), 200);
    }
    // A buffer's error is a box: the outer layer makes an answer of it.
    let buffered = tower::ServiceBuilder::new()
        .layer(ErrorLayer::new())
        .layer(built(ProtectLayer::builder().bulkhead(bulkhead(8))))
        .buffer(1)
        .service_fn(|_: Request<Body>| async { Ok::<_, Infallible>("ok".into_response()) });
    let app = Router::new().route_service("/", buffered);
    for _ in 0..3 {
        assert_eq!(ask(&app, get("/")).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn priority_and_deadline_of_a_request_are_heard() {
    let bulkhead = Bulkhead::builder(2).reserve(Priority::High, 0.5).build().unwrap();
    let layer = ProtectLayer::builder()
        .bulkhead(bulkhead.clone())
        .priority(|parts| if parts.headers.contains_key("vip") { Priority::High } else { Priority::Normal })
        .deadline(|parts| {
            let wait = parts.headers.get("wait-ms")?.to_str().ok()?.parse().ok()?;
            Some(Instant::now() + Duration::from_millis(wait))
        });
    let handler = async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        "late"
    };
    let app = Router::new().route("/", on_get(handler)).layer(built(layer));
    let with = |name, value| Request::get("/").header(name, value).body(Body::empty()).unwrap();
    let slot = bulkhead.try_acquire().unwrap();
    assert_eq!(ask(&app, get("/")).await.status, 503, "the other slot is kept");
    assert_eq!(ask(&app, with("vip", "1")).await.status, 200);
    drop(slot);
    assert_eq!(ask(&app, with("wait-ms", "2000")).await.status, 200);
    let shedder = LoadShedder::builder(1).build().unwrap();
    let busy = Router::new().route("/", on_get(async || "ok"));
    let layer = ProtectLayer::builder()
        .load_shedder(shedder.clone())
        .deadline(|_| Some(Instant::now() + Duration::from_millis(10)));
    let busy = busy.layer(built(layer));
    let serving = shedder.try_admit(recoup::Work::new()).unwrap();
    assert_eq!(ask(&busy, get("/")).await.status, 504, "the caller has gone");
    drop(serving);
    for late in ["0", "300"] {
        let answer = ask(&app, with("wait-ms", late)).await;
        assert_eq!(answer.status, 504, "{late}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_in_a_hurry_do_not_open_the_circuit_for_all() {
    let breaker = CircuitBreaker::builder("b").consecutive_failures(1).build().unwrap();
    let limit = ConcurrencyLimit::aimd().build().unwrap();
    let layer = |hurry: bool| {
        let hurry = Duration::from_millis(if hurry { 1 } else { 100_000 });
        let builder =
            ProtectLayer::builder().circuit_breaker(breaker.clone()).concurrency_limit(limit.clone());
        built(builder.timeout(Duration::from_secs(1)).deadline(move |_| Some(Instant::now() + hurry)))
    };
    let stalls = |hurry| Router::new().route("/", on_get(std::future::pending::<()>)).layer(layer(hurry));
    for _ in 0..5 {
        let answer = ask(&stalls(true), get("/")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["reason"]), (504, &"deadline".into()));
    }
    assert_eq!((breaker.state(), limit.snapshot().samples), (CircuitState::Closed, 0));
    let answer = ask(&stalls(false), get("/")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["reason"]), (504, &"timed_out".into()));
    assert_eq!(breaker.state(), CircuitState::Open, "our own limit is another matter");
}

/// What a body that has ended tells is told even when its task has used its turn up.
#[tokio::test]
async fn concurrency_limit_learns_of_a_body_that_ends_in_a_task_without_budget() {
    let limit = ConcurrencyLimit::aimd().build().unwrap();
    let layer = built(ProtectLayer::builder().concurrency_limit(limit.clone()).until_body_ends());
    let app = Router::new().route("/", on_get(async || "some words")).layer(layer);
    let answer = app.oneshot(get("/")).await.unwrap();
    assert_eq!(limit.in_flight(), 1);
    let mut body = answer.into_body();
    std::future::poll_fn(|cx| {
        // Each of these takes of the turn, until it is used up.
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..200).map(|_| tokio::sync::oneshot::channel()).unzip();
        for sender in senders {
            tokio::sync::oneshot::Sender::send(sender, ()).unwrap();
        }
        let pending = receivers
            .into_iter()
            .filter_map(|mut receiver| std::pin::Pin::new(&mut receiver).poll(cx).is_pending().then_some(()));
        assert!(pending.count() > 0, "the turn is used up");
        std::pin::Pin::new(&mut body).poll_frame(cx).map(drop)
    })
    .await;
    assert_eq!((limit.in_flight(), limit.snapshot().samples), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn error_of_an_inner_service_passes_and_counts_as_failure() {
    let breaker = CircuitBreaker::builder("b").consecutive_failures(1).build().unwrap();
    let layer = built(ProtectLayer::builder().circuit_breaker(breaker.clone()));
    let failing = layer.layer(tower::service_fn(|_: Request<Body>| async {
        Err::<Response<Body>, _>(Rejection::new(Category::Database))
    }));
    let error = failing.oneshot(get("/")).await.unwrap_err();
    assert_eq!((error.status().as_u16(), breaker.state()), (503, CircuitState::Open));
}

#[test]
fn limit_of_no_time_is_refused_by_name() {
    let error = ProtectLayer::builder().timeout(Duration::ZERO).build().unwrap_err();
    assert_eq!((error.policy, error.setting), ("protect layer", "timeout"));
    assert!(ProtectLayer::builder().timeout(Duration::MAX).build().is_ok());
    let error = ProtectLayer::builder().bulkhead(Bulkhead::builder(0)).build().unwrap_err();
    assert_eq!(error.policy, "bulkhead");
}
