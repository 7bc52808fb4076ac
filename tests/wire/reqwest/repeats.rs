//! What may be sent twice, and what a dropped call leaves behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use recoup::http::{CallOptions, Requests};
use recoup::reqwest::Recover;
use recoup::{Bulkhead, CannotRepeat, Reason};

use super::{builder, client, dead_address, recovery};
use crate::scripted::{Answer, Scripted};

const NOT_TWICE: Reason = Reason::CannotRepeat(CannotRepeat::NotIdempotent);

#[tokio::test(start_paused = true)]
async fn h2_post_that_was_answered_with_an_error_is_sent_once() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503).body("busy")]).await;
        let sent = client(http2).post(server.url("/charge")).body("7 EUR").recover(recovery()).send();
        let response = sent.await.unwrap();
        assert_eq!((response.status().as_u16(), &*response.text().await.unwrap()), (503, "busy"));
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn h2_post_whose_answer_was_lost_is_sent_once() {
    for (http2, lost) in [(false, Answer::Reset), (false, Answer::Close), (true, Answer::Reset)] {
        let server = Scripted::start(http2, [lost]).await;
        let sent = client(http2).post(server.url("/charge")).body("7 EUR").recover(recovery()).send();
        let error = sent.await.unwrap_err();
        assert_eq!((error.reason(), error.attempts()), (&NOT_TWICE, 1), "{error:?}");
        assert!(error.into_inner().unwrap().is_request());
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn h2_post_that_nobody_took_is_tried_again() {
    for http2 in [false, true] {
        let url = format!("http://{}/charge", dead_address());
        let error = client(http2).post(&url).body("7 EUR").recover(recovery()).send().await.unwrap_err();
        assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3), "{error:?}");
        assert!(error.into_inner().unwrap().is_connect());
    }
}

#[tokio::test(start_paused = true)]
async fn h2_post_whose_stream_was_refused_is_sent_again() {
    let server = Scripted::http2([Answer::Refuse, Answer::Refuse]).await;
    let response =
        client(true).post(server.url("/charge")).body("7 EUR").recover(recovery()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let bodies: Vec<_> = server.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, ["7 EUR"; 3]);
}

#[tokio::test]
async fn h2_post_that_took_too_long_is_sent_once_and_a_get_again() {
    for http2 in [false, true] {
        let short = builder().attempt_timeout(Duration::from_millis(50)).build().unwrap();
        let server = Scripted::start(http2, [Answer::Stall]).await;
        let error = client(http2).post(server.url("/")).recover(&short).send().await.unwrap_err();
        assert!(error.is_timeout());
        assert_eq!((error.reason(), error.attempts()), (&NOT_TWICE, 1));

        let server = Scripted::http1([Answer::Stall]).await;
        assert_eq!(client(false).get(server.url("/")).recover(&short).send().await.unwrap().status(), 200);
        assert_eq!(server.received().len(), 2);
    }
}

#[tokio::test]
async fn limit_of_reqwest_itself_is_one_of_each_attempt() {
    let server = Scripted::http1([Answer::Stall, Answer::Stall]).await;
    let sent =
        client(false).get(server.url("/")).timeout(Duration::from_millis(50)).recover(recovery()).send();
    assert_eq!(sent.await.unwrap().status(), 200);
    assert_eq!(server.received().len(), 3);

    let server = Scripted::http1([Answer::Stall]).await;
    let sent =
        client(false).post(server.url("/")).timeout(Duration::from_millis(50)).recover(recovery()).send();
    let error = sent.await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&NOT_TWICE, 1));
    assert!(error.inner().unwrap().is_timeout());
}

#[tokio::test(start_paused = true)]
async fn h2_post_with_a_key_is_sent_again_with_the_same_key() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::Reset, Answer::status(503)]).await;
        let client = client(http2);
        let sent = client.post(server.url("/charge")).header("idempotency-key", "order-7").body("7 EUR");
        assert_eq!(sent.recover(recovery()).send().await.unwrap().status(), 200);
        for request in server.received() {
            assert_eq!((request.header("idempotency-key"), &*request.body), ("order-7", &b"7 EUR"[..]));
        }
        assert_eq!(server.received().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn h3_each_logical_call_has_one_key_and_ones_own_key_wins() {
    let busy = || [Answer::status(503), Answer::status(503), Answer::status(200)];
    let server = Scripted::http1([busy(), busy(), busy()].concat()).await;
    let (client, keys) = (client(false), Requests::new().add_keys());
    for own in [None, None, Some("mine")] {
        let request = client.post(server.url("/charge")).body("7 EUR");
        let request = match own {
            Some(own) => request.header("idempotency-key", own),
            None => request,
        };
        let response = request.recover(recovery()).requests(keys.clone()).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let received = server.received();
    let keys: Vec<&str> = received.iter().map(|request| request.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 9);
    assert!(keys.chunks(3).all(|call| call.iter().all(|key| *key == call[0] && !key.is_empty())), "{keys:?}");
    assert!(keys[0] != keys[3] && keys[6] == "mine", "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn post_that_its_caller_calls_idempotent_is_sent_again() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let sent = client(false).post(server.url("/search")).recover(recovery());
    assert_eq!(sent.options(CallOptions::new().idempotent(true)).send().await.unwrap().status(), 200);
    assert_eq!(server.received().len(), 2);
    assert_eq!(server.received()[1].header("idempotency-key"), "");
}

#[tokio::test(start_paused = true)]
async fn retries_of_reqwest_itself_are_counted_by_nobody() {
    // As a client is by default: two refusals, and recoup has seen one attempt.
    let server = Scripted::http2([Answer::Refuse, Answer::Refuse]).await;
    let eager = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let once = CallOptions::new().no_retry();
    let sent = eager.get(server.url("/")).recover(recovery()).options(once.clone()).send();
    assert_eq!(sent.await.unwrap().status(), 200);
    assert_eq!(server.received().len(), 3, "three requests in one attempt");

    // And so three attempts are nine requests.
    let server = Scripted::http2(vec![Answer::Refuse; 9]).await;
    let error = eager.get(server.url("/")).recover(recovery()).send().await.unwrap_err();
    assert_eq!((error.attempts(), server.received().len()), (3, 9));

    // With them switched off, every request is an attempt.
    let server = Scripted::http2(vec![Answer::Refuse; 9]).await;
    let error = client(true).get(server.url("/")).recover(recovery()).send().await.unwrap_err();
    assert_eq!((error.attempts(), server.received().len()), (3, 3));
    let server = Scripted::http2([Answer::Refuse]).await;
    let error = client(true).get(server.url("/")).recover(recovery()).options(once).send().await.unwrap_err();
    assert_eq!((error.attempts(), server.received().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn h6_retry_does_not_go_into_the_connection_that_broke() {
    for broken in [Answer::Reset, Answer::Close] {
        let server = Scripted::http1([Answer::status(200), broken]).await;
        let client = client(false);
        for _ in 0..2 {
            assert_eq!(client.get(server.url("/")).recover(recovery()).send().await.unwrap().status(), 200);
        }
        let connections: Vec<usize> = server.received().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 0, 1]);
    }
}

#[tokio::test]
async fn h6_retry_after_a_connection_that_went_silent_opens_a_new_one() {
    let server = Scripted::http1([Answer::status(200), Answer::Stall]).await;
    let short = builder().attempt_timeout(Duration::from_millis(50)).build().unwrap();
    let client = client(false);
    for _ in 0..2 {
        assert_eq!(client.get(server.url("/")).recover(&short).send().await.unwrap().status(), 200);
    }
    let connections: Vec<usize> = server.received().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

/// Over HTTP/2 answers one request on its first connection, and never looks at that again; well on all others.
async fn goes_silent() -> (std::net::SocketAddr, Arc<AtomicU32>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let first = counts.fetch_add(1, Ordering::Relaxed) == 0;
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    respond.send_response(http::Response::new(()), true).unwrap();
                    if first {
                        // Until the answer is out.
                        let out = std::future::poll_fn(|cx| connection.poll_closed(cx));
                        let _ = tokio::time::timeout(Duration::from_millis(20), out).await;
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    });
    (address, accepted)
}

#[tokio::test]
async fn h6_keep_alive_of_http2_finds_the_dead_connection_that_a_retry_would_go_into() {
    let (address, accepted) = goes_silent().await;
    let client = reqwest::Client::builder().retry(reqwest::retry::never()).http2_prior_knowledge();
    let brief = Duration::from_millis(50);
    let client = client.http2_keep_alive_interval(brief).http2_keep_alive_timeout(brief).build().unwrap();
    let url = format!("http://{address}/");
    for _ in 0..2 {
        assert_eq!(client.get(&url).recover(recovery()).send().await.unwrap().status(), 200);
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn dropped_call_gives_its_slot_back_and_closes_its_connection() {
    let server = Scripted::http1([Answer::Stall]).await;
    let recovery = builder().bulkhead(Bulkhead::builder(1)).build().unwrap();
    let client = client(false);
    let mut call = Box::pin(client.get(server.url("/")).recover(&recovery).send());
    while server.received().is_empty() {
        let pause = tokio::time::sleep(Duration::from_millis(1));
        tokio::select! { _ = &mut call => unreachable!("it is never answered"), () = pause => {} }
    }
    assert_eq!(recovery.bulkhead().unwrap().snapshot().in_use, 1);
    drop(call);
    assert_eq!(recovery.bulkhead().unwrap().snapshot().in_use, 0);
    assert_eq!(client.get(server.url("/")).recover(&recovery).send().await.unwrap().status(), 200);
    assert_eq!(server.received()[1].connection, 1);
}

#[tokio::test(start_paused = true)]
async fn request_that_cannot_be_built_fails_as_reqwest_says() {
    for url in ["no address", "ftp://files.example/7", "http://{{host}}/"] {
        let error = client(false).get(url).recover(recovery()).send().await.unwrap_err();
        assert_eq!((error.reason(), error.attempts()), (&Reason::Permanent, 1), "{url}");
        assert!(error.into_inner().unwrap().is_builder(), "{url}");
    }
}
