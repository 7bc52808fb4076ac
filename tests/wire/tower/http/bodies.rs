//! What becomes of bodies, of requests and of responses.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ::tower::{Layer, ServiceExt};
use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{self, BoxStream, StreamExt};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use recoup::RetryPolicy;
use recoup::http::{FreshBody, Requests};
use recoup::tower::RecoveryLayer;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::probe::MS;
use super::{client, get, layer, patient, post, read, send};
use crate::scripted::{Answer, Scripted};

/// A body that comes in pieces of 1,000 bytes, of which nobody knows how many there will be. It can be sent to
/// another thread and not shared with one.
type Upload = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

fn upload(url: String, pieces: usize) -> Request<Upload> {
    let piece = |n: usize| Bytes::from(vec![u8::try_from(n % 251).unwrap(); 1_000]);
    let pieces = stream::iter(0..pieces).then(move |n| async move {
        tokio::task::yield_now().await;
        Ok(Frame::data(piece(n)))
    });
    Request::put(url).body(StreamBody::new(pieces.boxed())).unwrap()
}

fn uploaded(pieces: usize) -> Vec<u8> {
    (0..pieces).flat_map(|n| vec![u8::try_from(n % 251).unwrap(); 1_000]).collect()
}

#[tokio::test(start_paused = true)]
async fn h1_streamed_body_under_the_cap_is_sent_again_byte_for_byte() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503), Answer::Reset]).await;
        let answered = send(http2, &layer(), upload(server.url("/a"), 60)).await;
        assert_eq!(read(answered).await, (200, "ok".into()));
        let received = server.received();
        assert_eq!(received.len(), 3);
        for request in received {
            assert_eq!(request.body, uploaded(60));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h1_streamed_body_over_the_cap_is_sent_once_and_whole() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503).body("busy")]).await;
        let answered = send(http2, &layer(), upload(server.url("/a"), 100)).await;
        assert_eq!(read(answered).await, (503, "busy".into()), "not an error of ours");
        let received = server.received();
        assert_eq!(received.len(), 1);
        assert!(received[0].body == uploaded(100));
        // And a greater cap lets the same body be sent again.
        let server = Scripted::start(http2, [Answer::status(503)]).await;
        let layer = layer().requests(Requests::new().body_cap(1 << 20));
        assert_eq!(read(send(http2, &layer, upload(server.url("/a"), 100)).await).await.0, 200);
        assert!(server.received()[1].body == uploaded(100));
    }
}

#[tokio::test(start_paused = true)]
async fn h1_body_that_is_there_keeps_its_length() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let mut request = post(server.url("/a"));
    *request.method_mut() = http::Method::PUT;
    assert_eq!(read(send(false, &layer(), request).await).await.0, 200);
    for request in server.received() {
        assert_eq!((request.header("content-length"), request.header("transfer-encoding")), ("8", ""));
    }
}

#[tokio::test(start_paused = true)]
async fn h4_body_of_a_response_that_failed_is_drained_and_its_connection_used_again() {
    for http2 in [false, true] {
        let busy = Answer::status(503).body(vec![b'.'; 1024]);
        let server = Scripted::start(http2, [busy.clone(), busy]).await;
        assert_eq!(read(send(http2, &layer(), get(server.url("/a"))).await).await.0, 200);
        assert_eq!((server.received().len(), server.connections()), (3, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn h4_body_of_a_response_that_failed_is_waited_for_if_it_comes_late() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    // Twice an error whose body comes after its head. One connection after the other.
    let server = tokio::spawn(async move {
        let mut requests = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, SeqCst);
            while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                requests += 1;
                if requests > 2 {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    continue;
                }
                stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 1024\r\n\r\n").await.unwrap();
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                let _ = stream.write_all(&[b'.'; 1024]).await;
            }
        }
    });
    assert_eq!(read(send(false, &layer(), get(url)).await).await, (200, "ok".into()));
    assert_eq!(connections.load(SeqCst), 1);
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn h4_of_a_long_body_no_more_than_the_peek_is_kept() {
    for http2 in [false, true] {
        let long = Answer::status(503).body(vec![b'.'; 1 << 20]);
        let server = Scripted::start(http2, vec![long; 3]).await;
        let layer = layer().requests(Requests::new().peek(1000));
        let response = send(http2, &layer, get(server.url("/a"))).await.unwrap();
        assert_eq!(response.body().seen().len(), 1000);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 1 << 20);
        assert_eq!(server.received().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn response_that_breaks_off_midway_is_the_callers_to_see() {
    let broken = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    let server = Scripted::http1([Answer::Raw(broken)]).await;
    let response = send(false, &layer(), get(server.url("/a"))).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(server.received().len(), 1);

    // Of a response that failed, too, if it is the last one.
    let broken = b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    let server = Scripted::http1(vec![Answer::Raw(broken); 3]).await;
    let response = send(false, &layer(), get(server.url("/a"))).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().seen()), (503, &b"half"[..]));
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(server.received().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_over_one_client_get_their_own_answers() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, vec![Answer::status(503).body("busy"); 20]).await;
        let retry = RetryPolicy::fixed(MS).max_attempts(30).no_budget();
        let layer = RecoveryLayer::http(patient().retry(retry).build().unwrap());
        let service = layer.layer(client(http2));
        let calls = (0..16).map(|n| service.clone().oneshot(get(server.url(&format!("/{n}")))));
        for answered in join_all(calls).await {
            assert_eq!(read(answered).await, (200, "ok".into()));
        }
        assert_eq!(server.received().len(), 36);
    }
}

#[tokio::test(start_paused = true)]
async fn h1_body_made_anew_is_sent_again_however_long_it_is() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503), Answer::Reset]).await;
        let file = || upload("/".to_owned(), 100).into_body();
        let request = Request::put(server.url("/a")).body(FreshBody::new(file)).unwrap();
        let answered = layer().layer(client::<Upload>(http2)).oneshot(request).await;
        assert_eq!(read(answered).await, (200, "ok".into()));
        let received = server.received();
        assert_eq!(received.len(), 3);
        assert!(received.iter().all(|request| request.body == uploaded(100)));
    }
}
