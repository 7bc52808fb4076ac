//! What one call wants for itself, and what has limits in time. On the real clock, and asserting nothing about it.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use recoup::http::CallOptions;
use recoup::tower::RecoveryLayer;
use recoup::{Bulkhead, DeadLetterQueue, LetterFilter, MemoryQueue, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{get, layer, patient, read, send};
use crate::scripted::{Answer, Scripted};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(3_600);

/// A request that wants this for itself.
fn wants(url: String, options: CallOptions) -> Request<Full<bytes::Bytes>> {
    Request::get(url).extension(options).body(Full::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn f4_call_that_wants_no_retry_gets_none() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, vec![Answer::status(503); 4]).await;
        let request = wants(server.url("/a"), CallOptions::new().no_retry());
        assert_eq!(read(send(http2, &layer(), request).await).await.0, 503);
        assert_eq!(server.received().len(), 1);
        // Without it nothing has changed.
        assert_eq!(read(send(http2, &layer(), get(server.url("/a"))).await).await.0, 503);
        assert_eq!(server.received().len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn f4_call_cannot_have_more_attempts_than_its_recovery_allows() {
    let server = Scripted::http1(vec![Answer::status(503); 9]).await;
    let options = CallOptions::new().max_attempts(9.try_into().unwrap());
    assert_eq!(read(send(false, &layer(), wants(server.url("/a"), options)).await).await.0, 503);
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn f4_limits_of_a_call_are_shorter_than_its_recoverys_and_never_longer() {
    for http2 in [false, true] {
        let slow = || patient().attempt_timeout(LONG).deadline(LONG).build().unwrap();
        let quick = || patient().attempt_timeout(SHORT).build().unwrap();
        let deadline = Instant::now() + SHORT;
        let cases = [
            (slow(), CallOptions::new().deadline(deadline), Reason::DeadlineExceeded),
            (slow(), CallOptions::new().timeout(SHORT), Reason::DeadlineExceeded),
            (slow(), CallOptions::new().attempt_timeout(SHORT).no_retry(), Reason::AttemptsExhausted),
            (quick(), CallOptions::new().attempt_timeout(LONG), Reason::AttemptsExhausted),
            (patient().build().unwrap(), CallOptions::new().timeout(SHORT), Reason::DeadlineExceeded),
            (
                patient().build().unwrap(),
                CallOptions::new().attempt_timeout(SHORT).no_retry(),
                Reason::AttemptsExhausted,
            ),
        ];
        for (recovery, options, reason) in cases {
            let server = Scripted::start(http2, vec![Answer::Stall; 3]).await;
            let request = wants(server.url("/a"), options);
            let error = send(http2, &RecoveryLayer::http(recovery), request).await.unwrap_err();
            assert_eq!(error.reason(), &reason);
            assert!(error.is_timeout());
        }
    }
}

#[tokio::test]
async fn error_whose_body_stalls_is_cut_short_by_the_attempts_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let stalls = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _request = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
            open.push(stream);
        }
    });
    let recovery = patient().attempt_timeout(SHORT).build().unwrap();
    let error = send(false, &RecoveryLayer::http(recovery), get(url)).await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
    assert!(error.is_timeout());
    stalls.abort();
}

#[tokio::test]
async fn h4_limits_of_a_call_do_not_cut_a_body_that_is_being_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
    let answers = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _request = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
        waits.await.unwrap();
        stream.write_all(b"half").await.unwrap();
    });
    let limit = 10 * SHORT;
    let recovery = patient().attempt_timeout(limit).deadline(limit).build().unwrap();
    let answered = send(false, &RecoveryLayer::http(recovery), get(url)).await;
    tokio::time::sleep(limit + SHORT).await;
    go_on.send(()).unwrap();
    assert_eq!(read(answered).await, (200, "halfhalf".into()));
    answers.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn call_that_is_dropped_while_the_server_stalls_gives_its_slot_back() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::Stall]).await;
        let recovery = patient().bulkhead(Bulkhead::builder(1)).build().unwrap();
        let bulkhead = recovery.bulkhead().unwrap().clone();
        let layer = RecoveryLayer::http(recovery);
        let stalls = tokio::spawn({
            let (layer, request) = (layer.clone(), get(server.url("/a")));
            async move { send(http2, &layer, request).await.map(drop) }
        });
        while server.received().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(bulkhead.in_use(), 1);
        stalls.abort();
        assert!(stalls.await.unwrap_err().is_cancelled());
        assert_eq!(bulkhead.in_use(), 0);
        assert_eq!(read(send(http2, &layer, get(server.url("/b"))).await).await.0, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn letter_of_a_call_tells_what_it_was() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let letters = MemoryQueue::default();
    let recovery = patient().dead_letters(letters.clone()).build().unwrap();
    let request = Request::post(format!("http://{address}/charge?card=secret"))
        .header("idempotency-key", "order-7")
        .body(Full::from("7 EUR"))
        .unwrap();
    let error = send(false, &RecoveryLayer::http(recovery), request).await.unwrap_err();
    let letter = &letters.peek(&LetterFilter::new(), 1).await.unwrap()[0];
    assert_eq!(Some(letter.id), error.dead_letter());
    assert_eq!(letter.operation, "POST /charge");
    assert_eq!(letter.destination, Some(address.to_string()));
    assert_eq!(letter.idempotency_key.as_deref(), Some("order-7"));
}
