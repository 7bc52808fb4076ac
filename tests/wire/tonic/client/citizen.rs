//! The layer as a citizen of tower: readiness, clones, and what comes back when a call is dropped.

use std::collections::VecDeque;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use recoup::tonic::{Hedging, recovery_error};
use recoup::{Bulkhead, CircuitBreaker, Outcome, Reason, Window};
use tonic::body::Body;
use tonic::service::interceptor::InterceptedService;
use tower::limit::ConcurrencyLimit;
use tower::{Service, ServiceExt};

use super::super::echo::{Reply, message};
use super::*;

type Ends = Result<Response<Body>, Status>;

/// Minds how it is used: a clone is not ready, and to call what is not ready is a mistake. Gives these answers in
/// turn, and then a good one.
#[derive(Debug)]
struct Strict {
    ready: bool,
    answers: Arc<Mutex<VecDeque<Ends>>>,
    /// Fails when it is asked whether it is ready, so often.
    unready: Arc<Mutex<u32>>,
}

impl Strict {
    fn new(answers: impl IntoIterator<Item = Ends>, unready: u32) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { ready: false, answers, unready: Arc::new(Mutex::new(unready)) }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, answers: Arc::clone(&self.answers), unready: Arc::clone(&self.unready) }
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Ready<Ends>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let mut unready = self.unready.lock().unwrap();
        if *unready > 0 {
            *unready -= 1;
            return Poll::Ready(Err(Status::internal("closed")));
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Ready<Ends> {
        assert!(std::mem::take(&mut self.ready), "called unready");
        ready(self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Ok(Response::new(Body::empty()))))
    }
}

fn request() -> Request<Body> {
    Request::post(format!("http://echo{UNARY}")).body(Body::empty()).unwrap()
}

fn away() -> Ends {
    Err(Status::unavailable("away"))
}

#[tokio::test(start_paused = true)]
async fn c4_each_attempt_asks_the_very_instance_that_it_calls() {
    let inner = Strict::new([away(), away()], 0);
    assert!(layer().idempotent(UNARY).layer(inner).oneshot(request()).await.is_ok());
    let inner = Strict::new([away(), away()], 0);
    let hedging = Hedging::builder().max_attempts(3).non_fatal_codes([Code::Unavailable]).build().unwrap();
    let layer = layer().method(UNARY, MethodPolicy::new().hedge(hedging));
    assert!(layer.layer(inner).oneshot(request()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn c4_instance_that_was_made_ready_is_the_one_that_is_used() {
    let mut limited = ConcurrencyLimit::new(Strict::new([away(), away()], 0), 1);
    limited.ready().await.unwrap(); // holds the one permit there is
    let answer = layer().idempotent(UNARY).layer(limited).oneshot(request());
    tokio::time::timeout(60_000 * MS, answer).await.expect("it does not wait for itself").unwrap();
}

#[tokio::test(start_paused = true)]
async fn c4_open_circuit_is_asked_before_the_channel_is() {
    let breaker =
        CircuitBreaker::builder("echo").window(Window::last_calls(1)).minimum_calls(1).build().unwrap();
    breaker.admit().unwrap().settle(Outcome::Failure);
    let full = ConcurrencyLimit::new(Strict::new([], 0), 0);
    let layer = GrpcLayer::new(built(|builder| builder.circuit_breaker(breaker)));
    let status = layer.layer(full).oneshot(request()).await.unwrap_err();
    assert!(matches!(recovery_error(&status).unwrap().reason(), Reason::CircuitOpen(_)));
}

#[tokio::test(start_paused = true)]
async fn c4_call_that_is_dropped_while_the_channel_is_not_ready_holds_nothing_any_more() {
    let mut limited = ConcurrencyLimit::new(Strict::new([], 0), 1);
    let holder = limited.clone();
    limited.ready().await.unwrap();
    let service = layer().layer(holder);
    {
        let mut waiting = pin!(service.clone().oneshot(request()));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(limited);
    service.oneshot(request()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn channel_that_fails_before_it_takes_the_request_is_asked_again_whatever_the_method() {
    let inner = Strict::new([], 2);
    assert!(layer().layer(inner).oneshot(request()).await.is_ok());
    let status = layer().layer(Strict::new([], 9)).oneshot(request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(recovery_error(&status).unwrap().attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn call_that_is_dropped_after_any_poll_gives_back_what_it_held() {
    let slow = tower::service_fn(|request: Request<Body>| async move {
        tokio::task::yield_now().await;
        tokio::time::sleep(20 * MS).await;
        match request.headers().get("grpc-previous-rpc-attempts").map(http::HeaderValue::as_bytes) {
            Some(b"3") => Ok(Response::new(Body::empty())),
            _ => Err(Status::unavailable("away")),
        }
    });
    let hedging = Hedging::builder().max_attempts(4).delay(5 * MS).non_fatal_codes([Code::Unavailable]);
    let quick = retried(|retry| retry.initial_backoff(5 * MS).max_backoff(20 * MS));
    let policies = [quick, MethodPolicy::new().hedge(hedging.build().unwrap())];
    for policy in policies {
        let recovery = built(|builder| builder.bulkhead(Bulkhead::builder(2)).deadline(3_600_000 * MS));
        let service = GrpcLayer::new(recovery.clone()).otherwise(policy).layer(slow);
        let mut ended = 0;
        for polls in 0..60 {
            {
                let mut call = pin!(service.clone().oneshot(request()));
                for _ in 0..polls {
                    if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                        ended += 1;
                        break;
                    }
                    tokio::time::advance(7 * MS).await;
                }
            }
            assert_eq!(recovery.bulkhead().unwrap().in_use(), 0, "dropped after {polls} polls");
        }
        assert!(ended > 0 && ended < 60, "{ended}");
        service.oneshot(request()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn interceptors_stand_outside_and_inside_of_the_layer() {
    let echo = Echo::new([Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let layer = layer().idempotent(UNARY);
    let count = Arc::new(Mutex::new([0, 0]));
    let counting = |nth: usize| {
        let count = Arc::clone(&count);
        move |request: tonic::Request<()>| {
            count.lock().unwrap()[nth] += 1;
            Ok(request)
        }
    };
    let inside = InterceptedService::new(served.channel(), counting(1));
    let mut client = EchoClient::with_interceptor(layer.layer(inside), counting(0));
    client.unary(message("a")).await.unwrap();
    assert_eq!(*count.lock().unwrap(), [1, 2], "once for the call, and once for each attempt");

    let refuses = |_: tonic::Request<()>| Err(Status::unauthenticated("no token"));
    let inside = InterceptedService::new(served.channel(), refuses);
    let status = EchoClient::new(layer.layer(inside)).unary(message("b")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "no token"));
    assert_eq!(recovery_error(&status).unwrap().attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn o1_each_attempt_and_each_hedge_has_a_span_of_its_own() {
    let spans = Arc::new(Mutex::new(Vec::new()));
    // While there is but one subscriber, a span that another thread meets first is asked of that thread's alone, and
    // then it is off for all of them.
    let _second = tracing::Dispatch::new(Spans(Arc::default()));
    let _guard = tracing::subscriber::set_default(Spans(Arc::clone(&spans)));
    let inner = Strict::new([away(), away()], 0);
    layer().idempotent(UNARY).layer(inner).oneshot(request()).await.unwrap();
    assert_eq!(*spans.lock().unwrap(), ["recoup.attempt"; 3]);
    spans.lock().unwrap().clear();
    let inner = Strict::new([away()], 0);
    let hedging = Hedging::builder().non_fatal_codes([Code::Unavailable]).build().unwrap();
    let layer = layer().method(UNARY, MethodPolicy::new().hedge(hedging));
    layer.layer(inner).oneshot(request()).await.unwrap();
    assert_eq!(*spans.lock().unwrap(), ["recoup.attempt"; 2]);
}

/// Writes down the names of the spans that begin.
struct Spans(Arc<Mutex<Vec<&'static str>>>);

impl tracing::Subscriber for Spans {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "recoup"
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut names = self.0.lock().unwrap();
        names.push(span.metadata().name());
        tracing::span::Id::from_u64(names.len() as u64)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn name_and_password_in_an_address_are_told_to_nobody() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observer = move |event: &recoup::Event<'_>| {
        if let recoup::Event::CallSucceeded { call, .. } = event {
            log.lock().unwrap().push(call.destination.map(str::to_owned));
        }
    };
    let layer = GrpcLayer::new(built(|builder| builder.observer(Arc::new(observer))));
    let address = format!("http://user:secret@echo:81{UNARY}");
    let request = Request::post(address).body(Body::empty()).unwrap();
    layer.layer(Strict::new([], 0)).oneshot(request).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [Some("echo:81".to_owned())]);
}
