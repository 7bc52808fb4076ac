//! What is sent again, when, and what is not.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use ::tower::{Layer, Service, ServiceExt};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use recoup::http::{Requests, Responses};
use recoup::tower::RecoveryLayer;
use recoup::{CannotRepeat, Category, CircuitBreaker, IoErrors, Reason, Recovery, RetryPolicy};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::super::probe::MS;
use super::{client, get, layer, patient, post, read, send};
use crate::scripted::{Answer, Scripted};

#[tokio::test(start_paused = true)]
async fn r1_retry_after_in_seconds_is_waited_out_exactly() {
    for http2 in [false, true] {
        let busy = Answer::status(503).header("retry-after", 5);
        let server = Scripted::start(http2, [busy]).await;
        let begun = Instant::now();
        assert_eq!(read(send(http2, &layer(), get(server.url("/a"))).await).await, (200, "ok".into()));
        let waited = begun.elapsed();
        assert!((5_000..5_100).contains(&waited.as_millis()), "{waited:?}");
        assert_eq!(server.received().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn r1_retry_after_as_a_date_is_never_early() {
    let paused = Instant::now();
    for http2 in [false, true] {
        // The wall clock of whoever waits follows the paused one.
        let at = SystemTime::now() + paused.elapsed() + Duration::from_secs(10);
        let busy = Answer::status(503).header("retry-after", httpdate::fmt_http_date(at));
        let server = Scripted::start(http2, [busy]).await;
        let begun = Instant::now();
        assert_eq!(read(send(http2, &layer(), get(server.url("/a"))).await).await.0, 200);
        // A date has whole seconds, so up to one of the ten is lost; and a machine that is busy may lose some more
        // before the date is read.
        let waited = begun.elapsed();
        assert!((5_000..=10_100).contains(&waited.as_millis()), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r1_wait_beyond_its_cap_ends_the_call_with_the_response() {
    for http2 in [false, true] {
        let away = Answer::status(503).header("retry-after", u64::MAX).body("away");
        let server = Scripted::start(http2, [away]).await;
        let begun = Instant::now();
        assert_eq!(read(send(http2, &layer(), get(server.url("/a"))).await).await, (503, "away".into()));
        assert_eq!((server.received().len(), begun.elapsed().as_secs()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn r7_last_response_comes_back_as_it_is_and_counts_as_a_failure() {
    for http2 in [false, true] {
        let busy = |n| Answer::status(503).header("x-number", n).body(format!("busy {n}"));
        let server = Scripted::start(http2, (1..=3).map(busy)).await;
        let breaker = CircuitBreaker::builder("server").build().unwrap();
        let layer = RecoveryLayer::http(patient().circuit_breaker(breaker.clone()).build().unwrap());
        let response = send(http2, &layer, get(server.url("/a"))).await;
        assert_eq!(response.as_ref().unwrap().headers()["x-number"], "3");
        assert_eq!(read(response).await, (503, "busy 3".into()));
        assert_eq!(server.received().len(), 3);
        assert_eq!(breaker.snapshot().failures, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn h2_post_that_was_answered_is_not_sent_again() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503).body("busy")]).await;
        let answered = send(http2, &layer(), post(server.url("/a"))).await;
        assert_eq!(read(answered).await, (503, "busy".into()));
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn h2_post_whose_answer_was_lost_is_not_sent_again() {
    for (http2, lost) in [(false, Answer::Reset), (false, Answer::Close), (true, Answer::Reset)] {
        let server = Scripted::start(http2, [lost]).await;
        let error = send(http2, &layer(), post(server.url("/a"))).await.unwrap_err();
        assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent), "{error}");
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn h2_post_that_timed_out_is_not_sent_again() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::Stall]).await;
        let recovery = patient().attempt_timeout(Duration::from_millis(50)).build().unwrap();
        let error = send(http2, &RecoveryLayer::http(recovery), post(server.url("/a"))).await.unwrap_err();
        assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent), "{error}");
        assert!(error.is_timeout());
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn h2_post_whose_connection_was_refused_is_sent_again() {
    for http2 in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap());
        drop(listener);
        let error = send(http2, &layer(), post(url)).await.unwrap_err();
        assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
        assert!(error.classification().unwrap().is_unprocessed());
    }
}

#[tokio::test(start_paused = true)]
async fn h2_post_that_was_never_handed_over_is_made_again() {
    /// Ready for nothing, or not even that.
    #[derive(Clone)]
    struct Never(Poll<Result<(), Error>>);

    impl<Req> Service<Req> for Never {
        type Response = http::Response<Full<Bytes>>;
        type Error = Error;
        type Future = std::future::Pending<Result<Self::Response, Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            self.0
        }

        fn call(&mut self, _: Req) -> Self::Future {
            panic!("called unready")
        }
    }

    for ready in [Poll::Pending, Poll::Ready(Err(Error))] {
        let retry = RetryPolicy::fixed(10 * MS).max_attempts(3).no_budget();
        let recovery = Recovery::builder("never").retry(retry).attempt_timeout(100 * MS).build().unwrap();
        let request = post("http://nowhere/a".to_owned());
        let error = RecoveryLayer::http(recovery).layer(Never(ready)).oneshot(request).await.unwrap_err();
        assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn h2_what_an_earlier_attempt_handed_over_does_not_count_against_a_later_one() {
    /// Refuses what it is given first, and is never ready again.
    #[derive(Clone, Default)]
    struct Refuses(Arc<AtomicBool>);

    impl<Req> Service<Req> for Refuses {
        type Response = http::Response<Full<Bytes>>;
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            if self.0.load(SeqCst) { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn call(&mut self, _: Req) -> Self::Future {
            self.0.store(true, SeqCst);
            std::future::ready(Err(std::io::ErrorKind::ConnectionRefused.into()))
        }
    }

    let retry = RetryPolicy::fixed(10 * MS).max_attempts(3).no_budget();
    let recovery = Recovery::builder("refuses").classifier(IoErrors).retry(retry).attempt_timeout(100 * MS);
    let service = RecoveryLayer::http(recovery.build().unwrap()).layer(Refuses::default());
    let error = service.oneshot(post("http://nowhere/a".to_owned())).await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
}

#[tokio::test(start_paused = true)]
async fn h2_post_whose_stream_was_refused_is_sent_again() {
    let server = Scripted::http2([Answer::Refuse]).await;
    assert_eq!(read(send(true, &layer(), post(server.url("/a"))).await).await.0, 200);
    let received = server.received();
    assert_eq!((received.len(), &received[1].body[..]), (2, &b"an order"[..]));
}

#[tokio::test(start_paused = true)]
async fn h3_post_with_a_key_is_sent_again_under_that_key() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503), Answer::Reset]).await;
        let request = Request::post(server.url("/a")).header("idempotency-key", "order-7");
        let request = request.body(Full::from("an order")).unwrap();
        assert_eq!(read(send(http2, &layer(), request).await).await.0, 200);
        let received = server.received();
        assert_eq!(received.len(), 3);
        for request in received {
            assert_eq!((request.header("idempotency-key"), &request.body[..]), ("order-7", &b"an order"[..]));
            assert_eq!((request.method, &request.path[..]), (http::Method::POST, "/a"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h3_keys_that_are_added_are_one_for_each_call() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, vec![Answer::status(503); 2]).await;
        let service = layer().requests(Requests::new().add_keys()).layer(client(http2));
        for _ in 0..2 {
            assert_eq!(read(service.clone().oneshot(post(server.url("/a"))).await).await.0, 200);
        }
        assert_eq!(read(service.oneshot(get(server.url("/a"))).await).await.0, 200);
        let received = server.received();
        let keys: Vec<&str> = received.iter().map(|request| request.header("idempotency-key")).collect();
        assert_eq!(keys.len(), 5);
        assert!(keys[0].len() == 32 && keys[..3] == [keys[0]; 3], "{keys:?}");
        assert!(keys[3].len() == 32 && keys[3] != keys[0], "{keys:?}");
        assert_eq!(keys[4], "", "a request that is idempotent needs none");
    }
}

#[tokio::test(start_paused = true)]
async fn h6_broken_connection_is_replaced_by_a_fresh_one() {
    let lost = [(false, Answer::Reset), (false, Answer::Close), (true, Answer::Close)];
    for (http2, lost) in lost {
        let server = Scripted::start(http2, [Answer::status(200), lost]).await;
        let service = layer().layer(client(http2));
        assert_eq!(read(service.clone().oneshot(get(server.url("/a"))).await).await.0, 200);
        assert_eq!(read(service.oneshot(get(server.url("/b"))).await).await.0, 200);
        let connections: Vec<usize> = server.received().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 0, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn answer_that_is_garbage_is_a_classified_error_and_not_asked_for_again() {
    let server = Scripted::http1([Answer::Raw(b"what is this?\r\n\r\n".to_vec())]).await;
    let error = send(false, &layer(), get(server.url("/a"))).await.unwrap_err();
    assert_eq!(error.reason(), &Reason::Permanent);
    assert_eq!(error.classification().unwrap().category(), Category::ExternalService);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn spend_limit_is_told_by_the_body_and_not_asked_again() {
    for http2 in [false, true] {
        let spent = r#"{"type":"error","error":{"type":"rate_limit_error","message":"over",
            "details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        let server = Scripted::start(http2, [Answer::status(429).body(spent)]).await;
        let layer = layer().responses(Responses::new().anthropic());
        assert_eq!(read(send(http2, &layer, get(server.url("/a"))).await).await, (429, spent.into()));
        assert_eq!(server.received().len(), 1);
        // Another 429 is: it only asks too often.
        let server = Scripted::start(http2, [Answer::status(429).body("{}")]).await;
        assert_eq!(read(send(http2, &layer, get(server.url("/a"))).await).await.0, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_our_own_affair_are_given_back_at_once() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(404).body("no such thing")]).await;
        let answered = send(http2, &layer(), get(server.url("/a"))).await;
        assert_eq!(read(answered).await, (404, "no such thing".into()));
        assert_eq!(server.received().len(), 1);
    }
}
