//! Responses that are failures, and what becomes of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use recoup::http::{CallOptions, Responses};
use recoup::reqwest::Recover;
use recoup::{CallContext, CircuitBreaker, DelaySource, Event, Observer, Reason};

use super::{builder, client, recovery};
use crate::scripted::{Answer, Scripted};

#[tokio::test(start_paused = true)]
async fn service_that_is_busy_twice_is_asked_three_times() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503), Answer::status(500)]).await;
        let response = client(http2).get(server.url("/users/7")).recover(recovery()).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &*response.text().await.unwrap()), (200, "ok"));
        assert_eq!(server.received().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn r7_last_response_is_given_back_untouched() {
    for http2 in [false, true] {
        let busy = || Answer::status(503).header("x-why", "full").body("come back later");
        let server = Scripted::start(http2, [busy(), busy(), busy()]).await;
        let response =
            client(http2).get(server.url("/users?page=2")).recover(recovery()).send().await.unwrap();
        assert_eq!(server.received().len(), 3);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["x-why"], "full");
        assert_eq!(response.url().as_str(), server.url("/users?page=2"));
        assert_eq!(response.remote_addr(), Some(server.address));
        assert_eq!(response.version() == reqwest::Version::HTTP_2, http2);
        // Over HTTP/2 this server does not tell it.
        assert_eq!(response.content_length(), (!http2).then_some(15));
        assert_eq!(response.text().await.unwrap(), "come back later");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_our_own_affair_are_given_back_at_once() {
    for status in [400, 401, 403, 404, 409, 422, 501, 505] {
        let server = Scripted::http1([Answer::status(status).body("no")]).await;
        let response = client(false).get(server.url("/")).recover(recovery()).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.text().await.unwrap(), "no");
        assert_eq!(server.received().len(), 1, "{status}");
    }
}

/// Who chose the waits.
#[derive(Clone, Default)]
struct Waits(Arc<Mutex<Vec<(Duration, DelaySource)>>>);

impl Observer for Waits {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::RetryScheduled { delay, source, .. } = event {
            self.0.lock().unwrap().push((*delay, *source));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r1_next_attempt_is_not_before_retry_after() {
    for http2 in [false, true] {
        let busy = Answer::status(429).header("retry-after", "2");
        let server = Scripted::start(http2, [busy]).await;
        let waits = Waits::default();
        let recovery = builder().observer(Arc::new(waits.clone())).build().unwrap();
        let response = client(http2).get(server.url("/")).recover(&recovery).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let received = server.received();
        let waited = received[1].at - received[0].at;
        assert!(waited >= Duration::from_secs(2), "by the paused clock: {waited:?}");
        let waits = waits.0.lock().unwrap();
        assert_eq!(waits.len(), 1);
        assert!(waits[0].0 >= Duration::from_secs(2) && waits[0].1 == DelaySource::Server, "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r1_wait_that_is_too_long_gives_the_response_back() {
    let server =
        Scripted::http1([Answer::status(503).header("retry-after", "86400").body("maintenance")]).await;
    let response = client(false).get(server.url("/")).recover(recovery()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &*response.text().await.unwrap()), (503, "maintenance"));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn spend_limit_is_not_asked_again_and_its_body_is_there_to_read() {
    let body = r#"{"error":{"details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(429).body(body)]).await;
        let call = client(http2).get(server.url("/")).recover(recovery());
        let response = call.responses(Responses::new().anthropic()).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &*response.text().await.unwrap()), (429, body));
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn breaker_learns_from_responses_and_asks_nobody_when_it_is_open() {
    let breaker = || CircuitBreaker::builder("wire").consecutive_failures(3);
    let server = Scripted::http1(vec![Answer::status(404); 6]).await;
    let recovery = builder().circuit_breaker(breaker()).build().unwrap();
    for _ in 0..6 {
        client(false).get(server.url("/")).recover(&recovery).send().await.unwrap();
    }
    let server = Scripted::http1(vec![Answer::status(503); 6]).await;
    let recovery = builder().circuit_breaker(breaker()).build().unwrap();
    let client = client(false);
    assert_eq!(client.get(server.url("/")).recover(&recovery).send().await.unwrap().status(), 503);
    let error = client.get(server.url("/")).recover(&recovery).send().await.unwrap_err();
    assert!(matches!(error.reason(), Reason::CircuitOpen(_)), "{error}");
    assert_eq!(server.received().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn h4_failed_response_is_read_to_its_end_and_its_connection_used_again() {
    for http2 in [false, true] {
        let busy = Answer::status(503).body(vec![b'x'; 1024]);
        let server = Scripted::start(http2, [busy.clone(), busy]).await;
        let client = client(http2);
        assert_eq!(client.get(server.url("/")).recover(recovery()).send().await.unwrap().status(), 200);
        assert_eq!((server.received().len(), server.connections()), (3, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn f4_options_in_the_extensions_of_a_request_bend_this_call() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let request =
        http::Request::get(server.url("/")).extension(CallOptions::new().no_retry()).body("").unwrap();
    let request = reqwest::Request::try_from(request).unwrap();
    let builder = reqwest::RequestBuilder::from_parts(client(false), request);
    let response = builder.recover(recovery()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), server.received().len()), (503, 1));
}

#[tokio::test(start_paused = true)]
async fn f4_options_of_a_call_come_to_those_of_its_context() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let call = CallContext::new("look up").with_idempotency_key("order-7");
    let (recovery, client) = (recovery(), client(false));
    let sent = client.post(server.url("/")).recover(recovery.with_context(&call));
    let sent = sent.requests(recoup::http::Requests::new().add_keys()).options(CallOptions::new().no_retry());
    assert_eq!(sent.send().await.unwrap().status(), 503);
    assert_eq!(server.received().len(), 1);
    assert_eq!(server.received()[0].header("idempotency-key"), "order-7");
}

#[tokio::test(start_paused = true)]
async fn shard_has_a_circuit_of_its_own() {
    let breaker = CircuitBreaker::builder("wire").consecutive_failures(1);
    let recovery = builder().circuit_breaker(breaker).build().unwrap();
    let (dead, well) = (recovery.shard("dead"), recovery.shard("well"));
    let server = Scripted::http1([Answer::status(503)]).await;
    let client = client(false);
    let first = client.get(server.url("/")).recover(&recovery).shard(&dead).send().await;
    assert!(first.is_err() || first.unwrap().status() == 503);
    let again = client.get(server.url("/")).recover(&recovery).shard(&dead).send().await;
    assert!(matches!(again.unwrap_err().reason(), Reason::CircuitOpen(_)));
    let other = client.get(server.url("/")).recover(recovery.on(&well)).send().await;
    assert_eq!(other.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn o1_each_attempt_is_a_child_of_its_own_in_the_same_trace() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503), Answer::status(503)]).await;
        let client = client(http2);
        let sent = client.get(server.url("/")).header("traceparent", trace).recover(recovery()).send();
        assert_eq!(sent.await.unwrap().status(), 200);
        let received = server.received();
        let traces: Vec<&str> = received.iter().map(|request| request.header("traceparent")).collect();
        assert!(
            traces.iter().all(|trace| trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-")),
            "{traces:?}"
        );
        assert!(traces[0] != traces[1] && traces[1] != traces[2] && traces[0] != traces[2], "{traces:?}");
        assert!(!traces.contains(&trace));
    }
}

#[tokio::test(start_paused = true)]
async fn call_can_be_spawned_while_it_borrows_nothing_that_dies() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let server = Scripted::http1([Answer::status(503)]).await;
    let (client, recovery, url) = (client(false), builder().build().unwrap(), server.url("/"));
    let task =
        tokio::spawn(
            async move { is_send(client.get(url).recover(&recovery).send()).await.unwrap().status() },
        );
    assert_eq!(task.await.unwrap(), 200);
}
