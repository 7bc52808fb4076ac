//! The layer that protects a server, around a real one: what comes over the wire, and what is held meanwhile.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prost::Message as _;
use recoup::tonic::{
    GrpcErrors, GrpcLayer, MethodPolicy, ProtectLayer, ProtectLayerBuilder, Pushback, Retry, pushback,
};
use recoup::{
    Bulkhead, ConcurrencyLimit, LoadShedder, Priority, RateLimiter, Recovery, RetryPolicy, Throttle, Work,
};
use tokio_stream::StreamExt;
use tonic::metadata::MetadataValue;
use tonic::transport::Server;
use tonic::{Code, Request as Call, Status};
use tower::Layer;

use super::echo::{Echo, EchoClient, Reply, Served, headers, message};

const MS: Duration = Duration::from_millis(1);

/// The echo server behind a layer.
async fn protected(echo: &Echo, builder: ProtectLayerBuilder) -> Served {
    let (layer, service) = (builder.build().unwrap(), echo.service());
    Served::start(|incoming| {
        Server::builder().layer(layer).add_service(service).serve_with_incoming(incoming)
    })
    .await
}

fn told(status: &Status) -> Option<Pushback> {
    pushback(&headers(status))
}

/// Waits until it is so; the test hangs if it never is.
async fn until(so: impl Fn() -> bool) {
    while !so() {
        tokio::time::sleep(MS).await;
    }
}

/// A unary call as it goes over the wire, without a client of tonic that has a clock of its own. What came back
/// in the head, and how many bytes and trailers after it.
async fn raw(served: &Served, timeout: &str) -> (HeaderMap, usize, bool) {
    let mut builder = Client::builder(TokioExecutor::new());
    let client = builder.http2_only(true).timer(TokioTimer::new()).build_http();
    let sent = message("raw").encode_to_vec();
    let mut framed = vec![0, 0, 0, 0, u8::try_from(sent.len()).unwrap()];
    framed.extend(sent);
    let request = Request::post(format!("http://{}/echo.v1.Echo/Unary", served.address))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(Full::new(Bytes::from(framed)))
        .unwrap();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let rest = body.collect().await.unwrap();
    let trailers = rest.trailers().is_some();
    (head.headers, rest.to_bytes().len(), trailers)
}

#[tokio::test(start_paused = true)]
async fn bulkhead_limits_over_all_connections_and_refuses_with_a_time_to_come_back() {
    let echo = Echo::new((0..2).map(|_| Reply::echo().held()));
    let bulkhead = Bulkhead::builder(2).build().unwrap();
    let served = protected(&echo, ProtectLayer::builder().bulkhead(&bulkhead)).await;
    let call = || {
        let mut client = served.client(); // a connection of its own
        tokio::spawn(async move { client.unary(message("a")).await })
    };
    let admitted = [call(), call()];
    echo.reached(2).await;
    let mut times = Vec::new();
    for _ in 0..6 {
        let refused = call().await.unwrap().unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "the server has too much to do"));
        let Some(Pushback::After(wait)) = told(&refused) else { panic!("{refused:?}") };
        assert!((100 * MS..=301 * MS).contains(&wait), "{wait:?}");
        times.push(wait);
    }
    times.dedup();
    assert!(times.len() > 1, "not all at the same time: {times:?}");
    echo.let_go(2);
    for call in admitted {
        assert_eq!(call.await.unwrap().unwrap().into_inner().text, "a");
    }
    let seen = echo.seen();
    assert_eq!(seen.len(), 2, "who is refused is not seen by the service");
    assert_ne!(seen[0].peer, seen[1].peer);
    until(|| bulkhead.in_use() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn rate_limiter_refuses_with_resource_exhausted_from_when_it_is_worth_coming_back() {
    let echo = Echo::new([]);
    let limiter = RateLimiter::builder(1, Duration::from_secs(3600)).burst(2).build().unwrap();
    let served = protected(&echo, ProtectLayer::builder().rate_limiter(&limiter)).await;
    for _ in 0..2 {
        served.client().unary(message("a")).await.unwrap();
    }
    let refused = served.client().unary(message("a")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "too many calls"));
    let Some(Pushback::After(wait)) = told(&refused) else { panic!("{refused:?}") };
    // An hour, less what has passed, and what chance adds.
    assert!((3_540_000 * MS..=3_600_201 * MS).contains(&wait), "{wait:?}");
    assert_eq!(echo.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn load_shedder_refuses_with_the_time_that_it_says() {
    let echo = Echo::new([]);
    let shedder = LoadShedder::builder(1).queue(0).target(Duration::from_secs(7)).build().unwrap();
    let served = protected(&echo, ProtectLayer::builder().load_shedder(&shedder)).await;
    let serving = shedder.try_admit(Work::new()).unwrap();
    let refused = served.client().unary(message("a")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(
        matches!(told(&refused), Some(Pushback::After(wait)) if wait >= Duration::from_secs(7)),
        "{refused:?}"
    );
    drop(serving);
    served.client().unary(message("a")).await.unwrap();
    assert_eq!((echo.seen().len(), shedder.snapshot().in_service), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn concurrency_limit_refuses_and_learns_of_answers_only() {
    let echo = Echo::new([Reply::echo().held(), Reply::fail(Code::NotFound), Reply::fail(Code::Unavailable)]);
    let limit = ConcurrencyLimit::aimd().initial(1).build().unwrap();
    let served = protected(&echo, ProtectLayer::builder().concurrency_limit(&limit)).await;
    let mut client = served.client();
    let held = tokio::spawn(async move { client.unary(message("a")).await });
    echo.reached(1).await;
    let refused = served.client().unary(message("b")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!((limit.snapshot().samples, limit.snapshot().dropped), (0, 0));
    echo.let_go(1);
    held.await.unwrap().unwrap();
    for expected in [Code::NotFound, Code::Unavailable] {
        assert_eq!(served.client().unary(message("c")).await.unwrap_err().code(), expected);
    }
    assert_eq!((limit.snapshot().samples, limit.snapshot().dropped, limit.in_flight()), (1, 1, 0));
}

// On the real clock, for tonic's own server has a timer for an hour.
#[tokio::test]
async fn refusal_is_trailers_only_and_work_whose_time_has_passed_is_not_begun() {
    let echo = Echo::new([]);
    let served = protected(&echo, ProtectLayer::builder()).await;
    let (head, bytes, trailers) = raw(&served, "0n").await;
    assert_eq!(
        (&head["grpc-status"], &head["content-type"]),
        (&"4".parse().unwrap(), &"application/grpc".parse().unwrap())
    );
    assert!(!head.contains_key("grpc-retry-pushback-ms"));
    assert_eq!((bytes, trailers), (0, false), "the head is all of it");
    assert_eq!(echo.seen().len(), 0);
    for readable_or_not in ["1H", "soon", "-1S", "999999999S"] {
        let (head, bytes, trailers) = raw(&served, readable_or_not).await;
        assert!(!head.contains_key("grpc-status") && bytes > 0 && trailers, "{readable_or_not}: {head:?}");
    }
    assert_eq!(echo.seen().len(), 4);
}

// On the real clock: a limit in time over a socket.
#[tokio::test]
async fn call_whose_time_passes_in_the_queue_never_reaches_the_service() {
    let echo = Echo::new([]);
    let bulkhead = Bulkhead::builder(1).queue(8).build().unwrap();
    let served = protected(&echo, ProtectLayer::builder().bulkhead(&bulkhead)).await;
    let slot = bulkhead.try_acquire().unwrap();
    let (head, _, _) = raw(&served, "50m").await;
    assert_eq!(head["grpc-status"], "4");
    assert_eq!(bulkhead.queued(), 0, "it has left the queue");
    drop(slot);
    served.client().unary(message("a")).await.unwrap();
    assert_eq!(echo.seen().iter().map(|seen| seen.messages.join("")).collect::<String>(), "a");
}

#[tokio::test(start_paused = true)]
async fn priority_comes_from_the_metadata() {
    let echo = Echo::new([]);
    let bulkhead = Bulkhead::builder(2).reserve(Priority::High, 0.5).build().unwrap();
    let builder = ProtectLayer::builder().bulkhead(&bulkhead).priority_from("x-priority");
    let served = protected(&echo, builder).await;
    let _slot = bulkhead.try_acquire().unwrap();
    let call = async |priority: Option<&'static str>| {
        let mut call = Call::new(message("a"));
        if let Some(priority) = priority {
            call.metadata_mut().insert("x-priority", MetadataValue::from_static(priority));
        }
        served.client().unary(call).await.map_or_else(|status| status.code(), |_| Code::Ok)
    };
    assert_eq!(call(None).await, Code::Unavailable);
    assert_eq!(call(Some("low")).await, Code::Unavailable);
    assert_eq!(call(Some("high")).await, Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn client_that_goes_away_gives_its_place_back() {
    let echo = Echo::new([Reply::echo().held()]);
    let bulkhead = Bulkhead::builder(1).queue(1).build().unwrap();
    let served = protected(&echo, ProtectLayer::builder().bulkhead(&bulkhead)).await;
    let call = || {
        let mut client = served.client();
        tokio::spawn(async move { client.unary(message("a")).await })
    };
    let running = call();
    echo.reached(1).await;
    let waiting = call();
    until(|| bulkhead.queued() == 1).await;
    waiting.abort();
    until(|| bulkhead.queued() == 0).await;
    running.abort();
    until(|| bulkhead.in_use() == 0).await;
    assert_eq!(echo.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn h4_slot_is_held_until_the_stream_ends_if_that_is_asked_for_and_else_until_it_begins() {
    let echo = Echo::new([Reply::echo(), Reply::echo().after(1).stall(), Reply::echo().after(1).stall()]);
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let builder = || ProtectLayer::builder().bulkhead(&bulkhead);

    let served = protected(&echo, builder().until_body_ends()).await;
    let mut whole = served.client().server_stream(message("a")).await.unwrap().into_inner();
    while whole.message().await.unwrap().is_some() {}
    until(|| bulkhead.in_use() == 0).await;
    drop(whole); // it was kept so far, and nothing has come back by its drop

    let mut endless = served.client().server_stream(message("b")).await.unwrap().into_inner();
    assert_eq!(endless.message().await.unwrap().unwrap().text, "b 0");
    assert_eq!(bulkhead.in_use(), 1, "it goes on");
    let refused = served.client().unary(message("c")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    drop(endless);
    until(|| bulkhead.in_use() == 0).await;

    let served = protected(&echo, builder()).await;
    let mut begun = served.client().server_stream(message("d")).await.unwrap().into_inner();
    assert_eq!(begun.message().await.unwrap().unwrap().text, "d 0");
    assert_eq!(bulkhead.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn layer_around_one_service_leaves_the_others_alone() {
    let (guarded, free) = (Echo::new([]), Echo::new([]));
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let layer = ProtectLayer::builder().bulkhead(&bulkhead).build().unwrap();
    let one = layer.layer(guarded.service());
    let first =
        Served::start(|incoming| Server::builder().add_service(one).serve_with_incoming(incoming)).await;
    let second = free.serve().await;
    let _slot = bulkhead.try_acquire().unwrap();
    assert_eq!(first.client().unary(message("a")).await.unwrap_err().code(), Code::Unavailable);
    second.client().unary(message("a")).await.unwrap();
    assert_eq!((guarded.seen().len(), free.seen().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn streams_of_all_kinds_pass_as_they_are() {
    let echo = Echo::new([Reply::echo(), Reply::echo(), Reply::fail(Code::Aborted).after(1)]);
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let served = protected(&echo, ProtectLayer::builder().bulkhead(&bulkhead).until_body_ends()).await;
    let mut client = served.client();
    let sent = || tokio_stream::iter(["a", "b"].map(message));
    assert_eq!(client.client_stream(sent()).await.unwrap().into_inner().text, "a+b");
    until(|| bulkhead.in_use() == 0).await;
    let both = client.both(sent()).await.unwrap().into_inner();
    let texts: Vec<_> = both.map(|read| read.unwrap().text).collect().await;
    assert_eq!(texts, ["a", "b"]);
    until(|| bulkhead.in_use() == 0).await;
    let mut broken = client.server_stream(message("c")).await.unwrap().into_inner();
    assert_eq!(broken.message().await.unwrap().unwrap().text, "c 0");
    assert_eq!(broken.message().await.unwrap_err().code(), Code::Aborted);
    until(|| bulkhead.in_use() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn r1_client_that_was_refused_comes_back_when_it_was_told_and_is_served() {
    let echo = Echo::new([]);
    let limiter = RateLimiter::builder(1, Duration::from_secs(60)).build().unwrap();
    let served = protected(&echo, ProtectLayer::builder().rate_limiter(&limiter)).await;
    let retry = Retry::builder().codes([Code::ResourceExhausted]).max_backoff(MS).build().unwrap();
    let policy = RetryPolicy::builder().throttle(Throttle::single_client());
    let recovery = Recovery::builder("echo").classifier(GrpcErrors).retry(policy).build().unwrap();
    let layer = GrpcLayer::new(recovery).otherwise(MethodPolicy::new().retry(retry));
    let mut client = EchoClient::new(layer.layer(served.channel()));
    for _ in 0..3 {
        client.unary(message("a")).await.unwrap();
    }
    let seen = echo.seen();
    let before: Vec<_> = seen.iter().map(|seen| seen.header("grpc-previous-rpc-attempts")).collect();
    assert_eq!(before, ["", "1", "1"], "each was refused once, and then in time");
}
