//! What stays the same over the attempts of one request, and what each call may want.

use std::num::NonZeroU32;
use std::time::Duration;

use http::Method;
use http_body_util::{BodyExt, Empty, StreamBody};

use super::*;
use crate::backoff::Jitter;
use crate::classification::Category;
use crate::error::{Reason, RecoveryError};
use crate::priority::Priority;
use crate::recovery::{Recovery, execute_with_recovery};
use crate::retry::{RetryPolicy, Throttle};
use crate::time;

const MS: Duration = Duration::from_millis(1);
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

type Streamed =
    StreamBody<futures::stream::Iter<std::vec::IntoIter<Result<http_body::Frame<Bytes>, BoxError>>>>;
type BoxError = Box<dyn Error + Send + Sync>;

fn post() -> http::request::Builder {
    Request::post("http://user:secret@bank:81/charge/7?card=4111")
}

fn outgoing(request: http::request::Builder, settings: &Requests) -> Outgoing<Full<Bytes>> {
    Outgoing::new(request.body(Full::from("7 EUR")).unwrap(), settings)
}

fn streamed(chunks: &[&'static str], settings: &Requests) -> Outgoing<Streamed> {
    let frames: Vec<_> =
        chunks.iter().map(|text| Ok(http_body::Frame::data(Bytes::from_static(text.as_bytes())))).collect();
    Outgoing::new(
        Request::put("http://store/7").body(StreamBody::new(futures::stream::iter(frames))).unwrap(),
        settings,
    )
}

fn lost() -> Classification {
    Category::Network.into()
}

fn numbered(number: u32) -> Attempt {
    Attempt::new(number, None)
}

fn key<B: Body>(outgoing: &Outgoing<B>, attempt: u32) -> Option<String> {
    let request = outgoing.request(numbered(attempt));
    request.headers().get(IDEMPOTENCY_KEY).map(|key| key.to_str().unwrap().to_owned())
}

fn recovery(attempts: u32) -> Recovery<&'static str> {
    let policy = RetryPolicy::fixed(10 * MS)
        .jitter(Jitter::None)
        .max_attempts(attempts)
        .throttle(Throttle::single_client());
    Recovery::builder("bank").retry(policy).build().unwrap()
}

/// Makes the call, of which every attempt is lost; gives back what was sent.
async fn lose(
    outgoing: &Outgoing<Full<Bytes>>,
    recovery: &Recovery<&'static str>,
) -> (Vec<Request<ReplayBody<Full<Bytes>>>>, RecoveryError<&'static str>) {
    let (context, sent) = (outgoing.context(), Lock::new(Vec::new()));
    let error = execute_with_recovery(recovery.with_context(&context), |attempt| {
        sent.lock().push(outgoing.request(attempt));
        async { Err::<(), _>("lost") }
    })
    .repeat_if(|failed| outgoing.may_repeat(failed))
    .await
    .unwrap_err();
    let sent = std::mem::take(&mut *sent.lock());
    (sent, error)
}

#[tokio::test(start_paused = true)]
async fn h3_one_key_per_call_the_same_on_every_attempt() {
    let settings = Requests::new().add_keys();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let outgoing = outgoing(post(), &settings);
        let (sent, error) = lose(&outgoing, &recovery(3)).await;
        assert_eq!((sent.len(), error.reason()), (3, &Reason::AttemptsExhausted));
        let mut keys: Vec<_> = sent.iter().map(|sent| sent.headers()[IDEMPOTENCY_KEY].clone()).collect();
        keys.dedup();
        assert_eq!(keys.len(), 1);
        assert_eq!(outgoing.context().idempotency_key(), keys[0].to_str().unwrap());
        assert_eq!(keys[0].len(), 32);
        seen.extend(keys);
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn h3_key_that_the_caller_brings_wins() {
    let settings = Requests::new().add_keys();
    let own = outgoing(post().header("idempotency-key", "order-7"), &settings);
    assert_eq!(key(&own, 2).as_deref(), Some("order-7"));
    assert_eq!(own.context().idempotency_key(), "order-7");

    let options = CallOptions::new().idempotency_key(HeaderValue::from_static("letter-7"));
    let redriven = outgoing(post().extension(options.clone()), &Requests::new());
    assert_eq!(key(&redriven, 1).as_deref(), Some("letter-7"), "though none are added");
    assert!(redriven.is_idempotent());
    let both = outgoing(post().header("idempotency-key", "order-7").extension(options), &settings);
    assert_eq!(key(&both, 1).as_deref(), Some("order-7"));

    let mut adopted = outgoing(post(), &settings);
    let call = adopted.adopt(CallContext::new("charge").with_idempotency_key("context-7"));
    assert_eq!(key(&adopted, 1).as_deref(), Some("context-7"));
    assert_eq!(call.idempotency_key(), "context-7");

    let mut own = outgoing(post().header("idempotency-key", "order-7"), &settings);
    let call = own.adopt(CallContext::new("charge").with_idempotency_key("context-7"));
    assert_eq!((key(&own, 1).as_deref(), call.idempotency_key()), (Some("order-7"), "order-7"));

    let mut kept = outgoing(post(), &settings);
    let _ = kept.adopt(CallContext::new("charge").with_idempotency_key("no\nheader"));
    assert_eq!(key(&kept, 1).unwrap().len(), 32, "what is no value of a header is not sent");
}

#[test]
fn keys_are_added_where_they_are_needed_and_wanted() {
    assert_eq!(key(&outgoing(post(), &Requests::new()), 1), None);
    let settings = Requests::new().add_keys();
    assert_eq!(key(&outgoing(Request::put("/7"), &settings), 1), None);
    assert!(key(&outgoing(Request::patch("/7"), &settings), 1).is_some());
    let empty = outgoing(post().header("idempotency-key", ""), &settings);
    assert_eq!(key(&empty, 1).unwrap().len(), 32, "an empty key is none");
}

#[tokio::test(start_paused = true)]
async fn h2_only_what_is_idempotent_is_sent_again_after_a_loss() {
    let calls = async |request: http::request::Builder| {
        let (sent, error) = lose(&outgoing(request, &Requests::new()), &recovery(3)).await;
        (sent.len(), error.reason().clone())
    };
    let not = Reason::CannotRepeat(CannotRepeat::NotIdempotent);
    assert_eq!(calls(post()).await, (1, not.clone()));
    assert_eq!(calls(Request::patch("/7")).await, (1, not.clone()));
    assert_eq!(calls(post().header("idempotency-key", "7")).await, (3, Reason::AttemptsExhausted));
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE] {
        assert_eq!(calls(Request::builder().method(method)).await, (3, Reason::AttemptsExhausted));
    }
    let says = |yes| CallOptions::new().idempotent(yes);
    assert_eq!(calls(post().extension(says(true))).await, (3, Reason::AttemptsExhausted));
    assert_eq!(calls(Request::get("/").extension(says(false))).await, (1, not));
}

#[test]
fn h2_what_was_surely_not_processed_is_sent_again() {
    let outgoing = outgoing(post(), &Requests::new());
    assert_eq!(outgoing.may_repeat(&lost()), Err(CannotRepeat::NotIdempotent));
    assert_eq!(outgoing.may_repeat(&lost().unprocessed()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn f4_options_of_a_call_shorten_and_never_lengthen() {
    let attempts = async |options: CallOptions, policy: u32| {
        let outgoing = outgoing(Request::get("/").extension(options), &Requests::new());
        lose(&outgoing, &recovery(policy)).await.1.attempts()
    };
    let most = |attempts| CallOptions::new().max_attempts(NonZeroU32::new(attempts).unwrap());
    assert_eq!(attempts(CallOptions::new(), 3).await, 3);
    assert_eq!(attempts(CallOptions::new().no_retry(), 3).await, 1);
    assert_eq!(attempts(most(2), 3).await, 2);
    assert_eq!(attempts(most(9), 3).await, 3);
    assert_eq!(attempts(CallOptions::new().timeout(15 * MS), 9).await, 2, "the second wait would not fit");
    assert_eq!(attempts(CallOptions::new().timeout(Duration::MAX), 3).await, 3);
    assert_eq!(
        attempts(CallOptions::new().deadline(time::now() + 5 * MS).timeout(Duration::MAX), 3).await,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn f4_attempts_end_at_the_limit_of_the_call() {
    let options = CallOptions::new().attempt_timeout(200 * MS);
    let outgoing = outgoing(Request::get("/").extension(options), &Requests::new());
    let (context, began) = (outgoing.context(), time::now());
    let recovery = recovery(1);
    let error = execute_with_recovery(recovery.with_context(&context), |_| async {
        std::future::pending::<()>().await;
        Err::<(), _>("never")
    });
    assert!(error.await.unwrap_err().is_timeout());
    assert_eq!(time::now() - began, 200 * MS);
}

#[test]
fn context_of_another_is_shortened_by_the_options() {
    let options = CallOptions::new()
        .max_attempts(NonZeroU32::new(5).unwrap())
        .attempt_timeout(9 * MS)
        .priority(Priority::High)
        .correlation_id("c");
    let mut outgoing = outgoing(post().extension(options), &Requests::new());
    let call = CallContext::new("charge").max_attempts(NonZeroU32::new(2).unwrap()).attempt_timeout(90 * MS);
    let call = outgoing.adopt(call);
    assert_eq!((call.most_attempts(), call.shortest_attempt()), (Some(2), Some(9 * MS)));
    assert_eq!((call.priority(), call.info("x").correlation_id), (Priority::High, Some("c")));
}

#[test]
fn context_names_the_call_without_what_may_be_secret() {
    let context = outgoing(post(), &Requests::new()).context();
    let info = context.info("x");
    assert_eq!((info.operation, info.destination), (Some("POST /charge/7"), Some("bank:81")));
    let relative = outgoing(Request::get("/a?b").header("host", "store"), &Requests::new()).context();
    assert_eq!(relative.info("x").operation, Some("GET /a"));
    assert_eq!(relative.info("x").destination, Some("store"));
    let named =
        outgoing(post().extension(CallOptions::new().operation("charge")), &Requests::new()).context();
    assert_eq!(named.info("x").operation, Some("charge"));
    let debug = format!("{:?}", outgoing(post(), &Requests::new()));
    assert!(!debug.contains("secret") && !debug.contains("4111"), "{debug}");
}

#[test]
fn o1_every_attempt_is_another_child_of_the_same_trace() {
    let parent: TraceParent = TRACE.parse().unwrap();
    let traced = outgoing(post().header("traceparent", TRACE).header("tracestate", "a=1"), &Requests::new());
    let mut parents = vec![parent.parent_id()];
    for number in 1..=3 {
        let request = traced.request(numbered(number));
        let values: Vec<_> = request.headers().get_all("traceparent").iter().collect();
        assert_eq!((values.len(), &request.headers()["tracestate"]), (1, &HeaderValue::from_static("a=1")));
        let child: TraceParent = values[0].to_str().unwrap().parse().unwrap();
        assert_eq!((child.trace_id(), child.is_sampled()), (parent.trace_id(), true));
        assert!(!parents.contains(&child.parent_id()));
        parents.push(child.parent_id());
    }
    assert_eq!(traced.context().trace(), Some(TRACE));
}

#[test]
fn o1_trace_of_the_context_is_passed_on_and_that_of_the_request_wins() {
    let trace_sent = |outgoing: &Outgoing<Full<Bytes>>| {
        let request = outgoing.request(numbered(1));
        request.headers().get("traceparent").map(|value| value.to_str().unwrap()[3..35].to_owned())
    };
    let of_context = TRACE.replace("0af7", "ffff");
    let mut plain = outgoing(post(), &Requests::new());
    assert_eq!(trace_sent(&plain), None, "none is made up");
    let _ = plain.adopt(CallContext::new("x").traceparent(of_context.as_str()));
    assert_eq!(trace_sent(&plain).as_deref(), Some(&of_context[3..35]));
    let mut own = outgoing(post().header("traceparent", TRACE), &Requests::new());
    let call = own.adopt(CallContext::new("x").traceparent(of_context));
    assert_eq!((trace_sent(&own).as_deref(), call.trace()), (Some(&TRACE[3..35]), Some(TRACE)));
    let mut garbage = outgoing(post(), &Requests::new());
    let _ = garbage.adopt(CallContext::new("x").traceparent("garbage\n"));
    assert_eq!(trace_sent(&garbage), None);
}

#[test]
fn malformed_traceparent_is_left_as_it_is() {
    let odd = outgoing(post().header("traceparent", "odd"), &Requests::new());
    assert_eq!(odd.request(numbered(1)).headers()["traceparent"], "odd");
    let two = post().header("traceparent", TRACE).header("traceparent", TRACE);
    let two = outgoing(two, &Requests::new()).request(numbered(1));
    assert_eq!(two.headers().get_all("traceparent").iter().filter(|&value| value == TRACE).count(), 2);
}

#[tokio::test]
async fn h1_head_and_body_are_the_same_on_every_attempt() {
    #[derive(Clone, Debug, PartialEq)]
    struct Extra(u8);
    let request = post().version(http::Version::HTTP_2).header("x", "1").header("x", "2").extension(Extra(7));
    let outgoing = outgoing(request, &Requests::new().body_cap(0));
    for number in 1..=3 {
        let (head, body) = outgoing.request(numbered(number)).into_parts();
        assert_eq!((head.method.as_str(), head.version), ("POST", http::Version::HTTP_2));
        assert_eq!(head.uri.path_and_query().unwrap(), "/charge/7?card=4111");
        assert_eq!(head.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(head.extensions.get(), Some(&Extra(7)));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "7 EUR", "bytes need no cap");
    }
}

#[tokio::test]
async fn h1_streamed_body_is_sent_again_up_to_the_cap_and_once_beyond() {
    let fits = streamed(&["one ", "two"], &Requests::new().body_cap(7));
    for number in 1..=3 {
        let body = fits.request(numbered(number)).into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "one two");
        assert_eq!(fits.may_repeat(&lost()), Ok(()));
    }
    let too_long = streamed(&["one ", "two"], &Requests::new().body_cap(6));
    let body = too_long.request(numbered(1)).into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "one two", "never an error of ours");
    assert_eq!(too_long.may_repeat(&lost()), Err(CannotRepeat::NotReplayable));
    assert_eq!(too_long.could_repeat(&lost().unprocessed()), Err(CannotRepeat::NotReplayable));
}

#[tokio::test]
async fn stream_of_the_caller_that_fails_is_not_sent_again() {
    let frames = vec![Err::<http_body::Frame<Bytes>, BoxError>("disk is gone".into())];
    let request = Request::put("/").body(StreamBody::new(futures::stream::iter(frames))).unwrap();
    let outgoing = Outgoing::new(request, &Requests::new());
    assert!(!outgoing.body_failed());
    assert!(outgoing.request(numbered(1)).into_body().collect().await.is_err());
    assert!(outgoing.body_failed());
    assert_eq!(outgoing.may_repeat(&lost()), Err(CannotRepeat::NotReplayable));
}

#[test]
fn bodies_that_are_empty_or_bytes_are_shared() {
    let whole = |outgoing: &Outgoing<Full<Bytes>>| matches!(outgoing.body, Kind::Whole(_));
    assert!(whole(&outgoing(post(), &Requests::new())));
    assert!(whole(&Outgoing::new(Request::new(Full::default()), &Requests::new())));
    assert!(whole(&Outgoing::from_bytes(Request::new(Bytes::from_static(b"x")), &Requests::new())));
    let empty = Outgoing::new(Request::new(Empty::<Bytes>::new()), &Requests::new());
    assert!(matches!(&empty.body, Kind::Whole(bytes) if bytes.is_empty()));
    assert!(empty.request(numbered(1)).body().is_end_stream());
}

#[tokio::test]
async fn what_is_still_being_sent_goes_on_when_the_call_is_over() {
    let outgoing = streamed(&["one ", "two"], &Requests::new().body_cap(4));
    let body = outgoing.request(numbered(1)).into_body();
    assert_eq!(outgoing.may_repeat(&lost()), Ok(()));
    drop(outgoing); // the policy said no
    assert_eq!(body.collect().await.unwrap().to_bytes(), "one two");
}

#[tokio::test]
async fn h1_body_that_can_be_made_anew_is_sent_again_however_long_it_is() {
    let made = Arc::new(Lock::new(0));
    let count = Arc::clone(&made);
    let file = move || {
        *count.lock() += 1;
        let frames = (0..3).map(|_| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(vec![7; 100_000]))));
        StreamBody::new(futures::stream::iter(frames))
    };
    let outgoing = Outgoing::from_fn(Request::put("/").body(()).unwrap(), file, &Requests::new());
    for number in 1..=3 {
        let body = outgoing.request(numbered(number)).into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 300_000);
        assert_eq!(outgoing.may_repeat(&lost()), Ok(()));
    }
    let raced = [outgoing.request(numbered(4)), outgoing.request(numbered(4).hedged(1))];
    for request in raced {
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes().len(), 300_000);
    }
    assert_eq!(*made.lock(), 5);
}

#[tokio::test]
async fn body_made_anew_that_fails_is_the_callers_own_affair() {
    let broken = || {
        let frames = vec![Err::<http_body::Frame<Bytes>, BoxError>("disk is gone".into())];
        StreamBody::new(futures::stream::iter(frames))
    };
    let outgoing = Outgoing::from_fn(Request::put("/").body(()).unwrap(), broken, &Requests::new());
    assert!(!outgoing.body_failed());
    assert!(outgoing.request(numbered(1)).into_body().collect().await.is_err());
    assert!(outgoing.body_failed());
    assert_eq!(outgoing.may_repeat(&lost()), Err(CannotRepeat::NotReplayable));
}

#[tokio::test]
async fn body_made_for_an_older_attempt_gets_no_more() {
    let file = || {
        StreamBody::new(futures::stream::repeat_with(|| {
            Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(b"more")))
        }))
    };
    let outgoing = Outgoing::from_fn(Request::put("/").body(()).unwrap(), file, &Requests::new());
    let mut first = outgoing.request(numbered(1)).into_body();
    let mut hedge = outgoing.request(numbered(1).hedged(1)).into_body();
    for body in [&mut first, &mut hedge] {
        assert!(body.frame().await.unwrap().is_ok());
    }
    let mut second = outgoing.request(numbered(2)).into_body();
    for body in [&mut first, &mut hedge] {
        assert!(body.frame().await.unwrap().unwrap_err().is_gone(), "still sent behind the call's back");
    }
    assert!(second.frame().await.unwrap().is_ok());
    assert!(!outgoing.body_failed());
}
