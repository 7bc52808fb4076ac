//! Whole calls over sockets: what the server sees of them, and what the caller gets.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;
use recoup::http::{HttpErrors, Outgoing, Peeked, Requests, Responses};
use recoup::{
    CannotRepeat, Category, Reason, Recovery, RecoveryError, RetryPolicy, Throttle, execute_with_recovery,
};

use super::client;
use crate::scripted::{Answer, Scripted};

const MS: Duration = Duration::from_millis(1);

fn recovery() -> Recovery<Error> {
    Recovery::builder("wire").classifier(HttpErrors::new()).retry(policy()).build().unwrap()
}

fn policy() -> recoup::RetryPolicyBuilder {
    RetryPolicy::fixed(10 * MS).max_attempts(3).throttle(Throttle::single_client())
}

type Sent = Result<Response<Peeked<Incoming>>, RecoveryError<Error>>;

async fn send<B>(http2: bool, recovery: &Recovery<Error>, request: Request<B>, requests: &Requests) -> Sent
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (client, responses) = (client(http2), Responses::new());
    let outgoing = Outgoing::new(request, requests);
    let context = outgoing.context();
    execute_with_recovery(recovery.with_context(&context), |attempt| {
        let sending = client.request(outgoing.request(attempt));
        async { Ok(requests.receive(sending.await?, &responses).await) }
    })
    .judge(|response| Requests::judge(response, &responses))
    .repeat_if(|failed| outgoing.may_repeat(failed))
    .await
}

async fn send_plainly(http2: bool, request: http::request::Builder) -> Sent {
    send(http2, &recovery(), request.body(Full::from("7 EUR")).unwrap(), &Requests::new()).await
}

/// A body in chunks whose length nobody knows.
fn stream(chunks: usize, size: usize) -> impl Body<Data = Bytes, Error = Infallible> + Send + 'static {
    let chunk = move |n: usize| Ok(Frame::data(Bytes::from(vec![u8::try_from(n % 251).unwrap(); size])));
    StreamBody::new(futures::stream::iter((0..chunks).map(chunk)))
}

fn plain(chunks: usize, size: usize) -> Vec<u8> {
    (0..chunks).flat_map(|n| vec![u8::try_from(n % 251).unwrap(); size]).collect()
}

#[tokio::test(start_paused = true)]
async fn h1_streamed_body_is_sent_again_whole() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503), Answer::status(500)]).await;
        let request = Request::put(server.url("/7")).body(stream(64, 1000)).unwrap();
        let response = send(http2, &recovery(), request, &Requests::new()).await.unwrap();
        assert_eq!(response.status(), 200);
        let received = server.received();
        assert_eq!(received.len(), 3);
        for received in received {
            assert_eq!(received.body, plain(64, 1000));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h1_body_of_bytes_has_its_length_on_every_attempt() {
    let server = Scripted::http1([Answer::status(503)]).await;
    send_plainly(false, Request::put(server.url("/7"))).await.unwrap();
    for received in server.received() {
        assert_eq!((received.header("content-length"), &received.body[..]), ("5", &b"7 EUR"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn h1_body_over_the_cap_is_sent_once_and_its_answer_is_handed_back() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503).body("busy")]).await;
        let request = Request::put(server.url("/7")).body(stream(65, 1024)).unwrap();
        let response = send(http2, &recovery(), request, &Requests::new()).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "busy");
        let received = server.received();
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].body, plain(65, 1024));
    }
}

#[tokio::test(start_paused = true)]
async fn h1_body_over_the_cap_ends_with_the_errors_own_reason() {
    let server = Scripted::http1([Answer::Reset]).await;
    let request = Request::put(server.url("/7")).body(stream(65, 1024)).unwrap();
    let error = send(false, &recovery(), request, &Requests::new()).await.unwrap_err();
    assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotReplayable));
    assert_eq!(error.classification().unwrap().category(), Category::Network);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn h2_post_is_sent_again_only_if_it_was_surely_not_processed() {
    let calls = async |http2: bool, answer: Answer, request: http::request::Builder| {
        let server = Scripted::start(http2, [answer]).await;
        let request = request.uri(server.url("/charge"));
        let sent = send_plainly(http2, request).await;
        (server.received().len(), sent.map(|response| response.status().as_u16()).ok())
    };
    assert_eq!(calls(false, Answer::Close, Request::post("/")).await, (1, None));
    assert_eq!(calls(false, Answer::status(503), Request::post("/")).await, (1, Some(503)));
    assert_eq!(calls(true, Answer::Reset, Request::post("/")).await, (1, None));
    assert_eq!(calls(true, Answer::Refuse, Request::post("/")).await, (2, Some(200)));
    assert_eq!(calls(false, Answer::status(425), Request::post("/")).await, (2, Some(200)));
    assert_eq!(calls(false, Answer::Close, Request::get("/")).await, (2, Some(200)));
    let keyed = Request::post("/").header("idempotency-key", "order-7");
    assert_eq!(calls(false, Answer::Close, keyed).await, (2, Some(200)));
}

#[tokio::test(start_paused = true)]
async fn h2_post_to_a_closed_door_is_sent_again() {
    let url = format!("http://{}/charge", super::raw::nobody().await);
    let error = send_plainly(false, Request::post(url)).await.unwrap_err();
    assert_eq!((error.attempts(), error.reason()), (3, &Reason::AttemptsExhausted));
}

#[tokio::test]
async fn h2_post_that_stalls_is_made_once_and_get_again_on_a_new_connection() {
    let brief = Recovery::builder("wire")
        .classifier(HttpErrors::new())
        .retry(policy())
        .attempt_timeout(50 * MS)
        .build()
        .unwrap();
    let calls = async |request: http::request::Builder| {
        let server = Scripted::http1([Answer::Stall]).await;
        let request = request.uri(server.url("/")).body(Full::from("7 EUR")).unwrap();
        let sent = send(false, &brief, request, &Requests::new()).await;
        (server.received().len(), server.connections(), sent)
    };
    let (calls_of_post, _, sent) = calls(Request::post("/")).await;
    let error = sent.unwrap_err();
    assert_eq!((calls_of_post, error.is_timeout()), (1, true));
    assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent));
    let (calls_of_get, connections, sent) = calls(Request::get("/")).await;
    assert_eq!((calls_of_get, connections, sent.unwrap().status().as_u16()), (2, 2, 200));
}

#[tokio::test(start_paused = true)]
async fn h3_server_sees_one_key_on_all_attempts() {
    let server = Scripted::http1([Answer::status(503), Answer::Close]).await;
    for _ in 0..2 {
        let request = Request::post(server.url("/charge")).body(Full::from("7 EUR")).unwrap();
        let response = send(false, &recovery(), request, &Requests::new().add_keys()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let keys: Vec<_> = server.received().iter().map(|got| got.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 4);
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[2] != keys[3]);
}

#[tokio::test(start_paused = true)]
async fn h4_answer_that_is_not_taken_is_read_and_its_connection_used_again() {
    for http2 in [false, true] {
        let kilobyte = "x".repeat(1024);
        let busy = [Answer::status(503).body(kilobyte.clone()), Answer::status(503).body(kilobyte)];
        let server = Scripted::start(http2, busy).await;
        send_plainly(http2, Request::get(server.url("/"))).await.unwrap();
        let received = server.received();
        assert_eq!((received.len(), server.connections()), (3, 1));
        assert!(received.iter().all(|got| got.connection == 0 && got.method == "GET" && got.path == "/"));
    }
}

#[tokio::test(start_paused = true)]
async fn endless_answer_is_read_to_the_limit_and_no_further() {
    let mut endless = b"HTTP/1.1 503 Busy\r\ncontent-length: 10000000000\r\n\r\n".to_vec();
    endless.resize(200_000, b'x');
    let server = Scripted::http1(vec![Answer::Raw(endless); 3]).await;
    let response = send_plainly(false, Request::get(server.url("/"))).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().seen().len()), (503, 64 * 1024));
    assert_eq!(server.received().len(), 3);
    assert!(response.into_body().collect().await.is_err(), "that it breaks off is the caller's to see");
}

#[tokio::test(start_paused = true)]
async fn r1_server_says_when_to_come_back() {
    let date = |seconds: u32| format!("Thu, 01 Jan 1970 00:00:0{seconds} GMT");
    let dated = Answer::status(503).header("date", date(7)).header("retry-after", date(9));
    for answer in [Answer::status(503).header("retry-after", 2), dated] {
        let server = Scripted::http1([answer]).await;
        send_plainly(false, Request::get(server.url("/"))).await.unwrap();
        let [first, second] = &server.received()[..] else { panic!("two requests") };
        let waited = second.at - first.at;
        assert!(waited >= 2_000 * MS && waited < 3_000 * MS, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r7_last_answer_is_handed_back_untouched() {
    for http2 in [false, true] {
        let busy = (1..=3).map(|n| Answer::status(503).header("x-attempt", n).body(format!("busy {n}")));
        let server = Scripted::start(http2, busy).await;
        let response = send_plainly(http2, Request::get(server.url("/"))).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-attempt"]),
            (503, &"3".parse().unwrap())
        );
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "busy 3");
        assert_eq!(server.received().len(), 3);
    }
}
