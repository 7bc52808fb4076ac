//! What the layer promises, over services that are made up.

#[cfg(test)]
mod around;

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, Stream};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, StreamBody};
use tokio_test::{assert_pending, assert_ready, task};
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::{ServiceExt, service_fn};
use tower_service::Service;

use super::*;
use crate::adapters::tonic::pushback::{Pushback, pushback};
use crate::bulkhead::FullReason;
use crate::load_shedder::Work;
use crate::sync::Lock;
use crate::time;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn request(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

fn code(response: &Response<impl Body>) -> Code {
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

/// A service that answers at once, and how often it was reached.
#[derive(Clone, Default)]
struct Prompt {
    reached: Arc<AtomicUsize>,
}

impl Prompt {
    fn reached(&self) -> usize {
        self.reached.load(Ordering::Relaxed)
    }
}

impl Service<Request<()>> for Prompt {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        self.reached.fetch_add(1, Ordering::Relaxed);
        ready(Ok(Response::new(Empty::new())))
    }
}

impl NamedService for Prompt {
    const NAME: &'static str = "echo.v1.Echo";
}

async fn call(
    layer: &ProtectLayer,
    service: &Prompt,
    headers: &[(&'static str, &str)],
) -> Response<ProtectBody<Empty<Bytes>>> {
    layer.layer(service.clone()).oneshot(request(headers)).await.unwrap()
}

fn bulkhead(slots: usize, queue: usize) -> Bulkhead {
    Bulkhead::builder(slots).queue(queue).build().unwrap()
}

fn around(bulkhead: &Bulkhead) -> ProtectLayerBuilder {
    ProtectLayer::builder().bulkhead(bulkhead)
}

#[tokio::test(start_paused = true)]
async fn each_refusal_has_the_status_and_the_time_to_come_back_of_the_table() {
    let service = Prompt::default();
    let refused = async |builder: ProtectLayerBuilder, headers: &[(&'static str, &str)]| {
        let response = call(&builder.build().unwrap(), &service, headers).await;
        assert!(response.body().is_end_stream(), "trailers only");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert!(response.extensions().get::<Refusal>().is_some());
        (code(&response), pushback(response.headers()))
    };

    let limiter = RateLimiter::builder(1, SECOND).burst(2).reserve(Priority::High, 0.5).build().unwrap();
    let rate = ProtectLayer::builder().rate_limiter(&limiter);
    limiter.with_priority(Priority::High).try_acquire_many(2).unwrap();
    let (status, told) = refused(rate, &[]).await;
    assert_eq!(status, Code::ResourceExhausted);
    let Some(Pushback::After(wait)) = told else { panic!("{told:?}") };
    assert!((2 * SECOND..=2 * SECOND + 200 * MS).contains(&wait), "{wait:?}");

    let shedder = LoadShedder::builder(1).queue(0).build().unwrap();
    let serving = shedder.try_admit(Work::new()).unwrap();
    let (status, told) = refused(ProtectLayer::builder().load_shedder(&shedder), &[]).await;
    assert_eq!(status, Code::Unavailable);
    let Some(Pushback::After(wait)) = told else { panic!("{told:?}") };
    assert!(wait >= 100 * MS, "a tenth of the usual deadline, which is the shedder's target: {wait:?}");
    drop(serving);

    let full = bulkhead(1, 0);
    let slot = full.try_acquire().unwrap();
    let (status, told) = refused(around(&full).come_back(SECOND), &[]).await;
    assert_eq!(status, Code::Unavailable);
    let Some(Pushback::After(wait)) = told else { panic!("{told:?}") };
    assert!((SECOND..=3 * SECOND + MS).contains(&wait), "{wait:?}");
    drop(slot);
    full.close();
    assert_eq!(refused(around(&full), &[]).await, (Code::Unavailable, None));

    let limit = ConcurrencyLimit::aimd().initial(1).build().unwrap();
    let in_flight = limit.try_enter(Priority::Normal).unwrap();
    let (status, told) = refused(ProtectLayer::builder().concurrency_limit(&limit), &[]).await;
    assert_eq!(status, Code::Unavailable);
    assert!(matches!(told, Some(Pushback::After(wait)) if wait >= 100 * MS), "{told:?}");
    drop(in_flight);

    let late = refused(ProtectLayer::builder(), &[("grpc-timeout", "0n")]).await;
    assert_eq!(late, (Code::DeadlineExceeded, None));
    assert_eq!(service.reached(), 0);
}

#[test]
fn who_never_gets_through_is_told_not_to_come_back() {
    let limiter = RateLimiter::builder(1, SECOND).burst(1).build().unwrap();
    let never = limiter.try_acquire_many(2).unwrap_err();
    let refusal = Refusal::RateLimited(never);
    assert_eq!(refusal.pushback(SECOND, &Dice::Fresh), Some(Pushback::Stop));
}

#[test]
fn a_crowd_is_told_different_times_and_none_below_the_least() {
    let full = Refusal::Full(bulkhead_is_full());
    let dice = Dice::seeded(1);
    let mut waits: Vec<_> = (0..100)
        .map(|_| match full.pushback(SECOND, &dice) {
            Some(Pushback::After(wait)) => wait,
            told => panic!("{told:?}"),
        })
        .collect();
    waits.sort_unstable();
    assert!(waits[0] >= SECOND && waits[99] <= 3 * SECOND, "{waits:?}");
    assert!(waits[99] > waits[0] + SECOND, "spread over the whole span: {waits:?}");
    assert!(matches!(full.pushback(Duration::MAX, &dice), Some(Pushback::After(Duration::MAX))));
}

fn bulkhead_is_full() -> crate::bulkhead::Full {
    let bulkhead = bulkhead(1, 0);
    let _slot = bulkhead.try_acquire().unwrap();
    bulkhead.try_acquire().unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn limit_is_one_for_all_services_of_the_layer_and_its_clones() {
    let bulkhead = bulkhead(2, 0);
    let layer = around(&bulkhead).build().unwrap();
    let stuck = service_fn(|_: Request<()>| pending::<Result<Response<Empty<Bytes>>, Infallible>>());
    let calls = || (0..8).map(|_| task::spawn(layer.clone().layer(stuck).oneshot(request(&[]))));
    let mut under_way: Vec<_> = calls().collect();
    let refused = under_way.iter_mut().filter_map(|call| match call.poll() {
        Poll::Ready(answer) => Some(code(&answer.unwrap())),
        Poll::Pending => None,
    });
    assert_eq!(refused.collect::<Vec<_>>(), [Code::Unavailable; 6]);
    assert_eq!(bulkhead.in_use(), 2);
    drop(under_way);
    assert_eq!(bulkhead.in_use(), 0, "a call that is dropped gives its slot back");
}

#[tokio::test(start_paused = true)]
async fn call_whose_time_passes_while_it_waits_is_refused_then_and_never_begun() {
    let service = Prompt::default();
    let until = |start: time::Instant| time::now() - start;

    let bulkhead = bulkhead(1, 8);
    let slot = bulkhead.try_acquire().unwrap();
    let start = time::now();
    let layer = around(&bulkhead).build().unwrap();
    let late = call(&layer, &service, &[("grpc-timeout", "300m")]).await;
    assert_eq!((code(&late), until(start), bulkhead.queued()), (Code::DeadlineExceeded, 300 * MS, 0));
    drop(slot);

    let limiter = RateLimiter::builder(1, SECOND).burst(1).max_wait(9 * SECOND).build().unwrap();
    limiter.try_acquire().unwrap();
    let layer = ProtectLayer::builder().rate_limiter(&limiter).build().unwrap();
    let start = time::now();
    let late = call(&layer, &service, &[("grpc-timeout", "300m")]).await;
    assert_eq!(
        (code(&late), until(start), limiter.snapshot().waiting),
        (Code::DeadlineExceeded, 300 * MS, 0)
    );

    let shedder = LoadShedder::builder(1).deadline(9 * SECOND).build().unwrap();
    let serving = shedder.try_admit(Work::new()).unwrap();
    let layer = ProtectLayer::builder().load_shedder(&shedder).build().unwrap();
    let start = time::now();
    let late = call(&layer, &service, &[("grpc-timeout", "300m")]).await;
    assert_eq!((code(&late), until(start)), (Code::DeadlineExceeded, 300 * MS));
    assert_eq!(pushback(late.headers()), None);
    drop(serving);

    assert_eq!(service.reached(), 0);
    assert_eq!((bulkhead.in_use(), shedder.snapshot().in_service), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn slot_that_is_taken_after_the_deadline_is_given_back_and_the_call_not_begun() {
    let bulkhead = bulkhead(1, 8);
    let slot = bulkhead.try_acquire().unwrap();
    let service = Prompt::default();
    let layer = around(&bulkhead).build().unwrap();
    let mut waits = task::spawn(layer.layer(service.clone()).oneshot(request(&[("grpc-timeout", "300m")])));
    assert_pending!(waits.poll());
    drop(slot); // it is granted in time, but its task has no turn
    tokio::time::advance(SECOND).await;
    let late = assert_ready!(waits.poll()).unwrap();
    assert_eq!((code(&late), service.reached(), bulkhead.in_use()), (Code::DeadlineExceeded, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn time_that_cannot_be_read_or_counted_is_no_limit() {
    let service = Prompt::default();
    let layer = ProtectLayer::builder().build().unwrap();
    for said in ["", "soon", "-1S", "99999999999S", "99999999H"] {
        assert_eq!(code(&call(&layer, &service, &[("grpc-timeout", said)]).await), Code::Ok, "{said}");
    }
    assert_eq!(service.reached(), 5);
}

#[tokio::test(start_paused = true)]
async fn priority_is_that_of_the_metadata_or_what_the_function_says() {
    let bulkhead = Bulkhead::builder(2).reserve(Priority::High, 0.5).build().unwrap();
    let _slot = bulkhead.try_acquire().unwrap();
    let service = Prompt::default();
    let of_key = around(&bulkhead).priority_from("x-priority").build().unwrap();
    for (said, expected) in [
        ("high", Code::Ok),
        ("CRITICAL", Code::Ok),
        ("normal", Code::Unavailable),
        ("highest", Code::Unavailable),
        ("", Code::Unavailable),
    ] {
        assert_eq!(code(&call(&of_key, &service, &[("x-priority", said)]).await), expected, "{said}");
    }
    assert_eq!(code(&call(&of_key, &service, &[]).await), Code::Unavailable);
    let of_path = around(&bulkhead).priority_from("x").priority(|parts| match parts.uri.path() {
        "/" => Priority::High,
        _ => Priority::Low,
    });
    assert_eq!(code(&call(&of_path.build().unwrap(), &service, &[]).await), Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn slot_comes_back_with_the_head_unless_the_body_is_to_hold_it() {
    let bulkhead = bulkhead(1, 0);
    let limit = ConcurrencyLimit::aimd().initial(8).build().unwrap();
    let policies = around(&bulkhead).concurrency_limit(&limit);
    let head_only = policies.build().unwrap();
    let (_sender, frames) = mpsc::unbounded();
    let answered = stream(&head_only, frames).await;
    assert_eq!((bulkhead.in_use(), limit.snapshot().samples), (0, 1));
    drop(answered);

    let to_the_end = around(&bulkhead).concurrency_limit(&limit).until_body_ends().build().unwrap();
    let (sender, frames) = mpsc::unbounded();
    let mut body = stream(&to_the_end, frames).await.into_body();
    sender.unbounded_send(Ok(Frame::data(Bytes::from_static(b"1")))).unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert_eq!((bulkhead.in_use(), limit.in_flight()), (1, 1), "the stream goes on");
    sender.unbounded_send(Ok(Frame::trailers(trailers(Code::Ok)))).unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    assert_eq!((bulkhead.in_use(), limit.in_flight(), limit.snapshot().samples), (0, 0, 2));

    let (_sender, frames) = mpsc::unbounded();
    let body = stream(&to_the_end, frames).await;
    assert_eq!(bulkhead.in_use(), 1);
    drop(body);
    assert_eq!(
        (bulkhead.in_use(), limit.snapshot().samples),
        (0, 2),
        "the client has gone, which tells nothing"
    );

    let (sender, frames) = mpsc::unbounded();
    let mut body = stream(&to_the_end, frames).await.into_body();
    sender.unbounded_send(Err("broken")).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "broken");
    assert_eq!((bulkhead.in_use(), limit.snapshot().samples), (0, 2));

    let (sender, frames) = mpsc::unbounded();
    let mut body = stream(&to_the_end, frames).await.into_body();
    drop(sender);
    assert!(body.frame().await.is_none());
    assert_eq!((bulkhead.in_use(), limit.snapshot().samples), (0, 2), "no status, no answer");
}

fn trailers(code: Code) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), (code as i32).into())])
}

/// An answer whose body is this stream.
async fn stream<S>(layer: &ProtectLayer, frames: S) -> Response<ProtectBody<StreamBody<S>>>
where
    S: Stream<Item = Result<Frame<Bytes>, &'static str>> + Send + 'static,
{
    let service = Once(Arc::new(Lock::new(Some(Response::new(StreamBody::new(frames))))));
    layer.layer(service).oneshot(request(&[])).await.unwrap()
}

/// A service that has one answer.
struct Once<B>(Arc<Lock<Option<Response<B>>>>);

impl<B> Clone for Once<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> Service<Request<()>> for Once<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(self.0.lock().take().unwrap()))
    }
}
