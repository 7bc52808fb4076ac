//! Bodies that are sent, and bodies that come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use recoup::http::Requests;
use recoup::reqwest::Recover;
use recoup::{CannotRepeat, Reason};
use reqwest::Body;

use super::{builder, client, recovery};
use crate::scripted::{Answer, Scripted};

/// A body of several pieces of which reqwest knows neither the bytes nor the length.
fn streamed(pieces: usize, of: usize) -> (Body, Vec<u8>) {
    let pieces: Vec<Bytes> = (0..pieces).map(|n| Bytes::from(vec![b"abcd"[n % 4]; of])).collect();
    let whole = pieces.concat();
    (Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>))), whole)
}

#[tokio::test(start_paused = true)]
async fn h1_streamed_body_whose_first_attempt_succeeds_is_sent_as_it_is() {
    for (http2, cap) in [(false, 0), (false, 1 << 20), (true, 0), (true, 1 << 20)] {
        let server = Scripted::start(http2, []).await;
        let (body, whole) = streamed(4, 1000);
        let sent = client(http2).put(server.url("/file")).body(body).recover(recovery());
        let response = sent.requests(Requests::new().body_cap(cap)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(server.received()[0].body, whole);
    }
}

#[tokio::test(start_paused = true)]
async fn h1_body_within_the_cap_is_the_same_on_every_attempt() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::Reset, Answer::status(503)]).await;
        let (body, whole) = streamed(64, 1024);
        let sent =
            client(http2).put(server.url("/file")).header("x-part", "7").body(body).recover(recovery());
        let response = sent.requests(Requests::new().body_cap(1 << 20)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let received = server.received();
        assert_eq!(received.len(), 3);
        for request in received {
            assert_eq!((request.body.len(), request.header("x-part")), (whole.len(), "7"));
            assert_eq!(request.body, whole);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h1_body_over_the_cap_is_sent_once_and_the_failure_is_the_servers() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503).body("busy")]).await;
        let (body, whole) = streamed(64, 1024);
        let sent = client(http2).put(server.url("/file")).body(body).recover(recovery());
        let response = sent.requests(Requests::new().body_cap(1000)).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &*response.text().await.unwrap()), (503, "busy"));
        assert_eq!(server.received().len(), 1);
        assert_eq!(server.received()[0].body, whole);

        let server = Scripted::start(http2, [Answer::Reset]).await;
        let sent = client(http2).put(server.url("/file")).body(streamed(64, 1024).0).recover(recovery());
        let error = sent.requests(Requests::new().body_cap(1000)).send().await.unwrap_err();
        assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotReplayable));
        assert_eq!((error.attempts(), server.received().len()), (1, 1));
        assert!(error.into_inner().unwrap().is_request(), "the error is reqwest's own");
    }
}

#[tokio::test(start_paused = true)]
async fn h1_form_of_several_parts_is_sent_again() {
    let form = || {
        let part = reqwest::multipart::Part::stream(streamed(4, 1000).0).file_name("7.txt");
        reqwest::multipart::Form::new().text("kind", "scan").part("file", part)
    };
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503)]).await;
        let response = client(http2).put(server.url("/")).multipart(form()).recover(recovery()).send().await;
        assert_eq!(response.unwrap().status(), 200);
        let received = server.received();
        assert_eq!(received.len(), 2);
        assert!(received[0].body.len() > 4000 && received[0].body == received[1].body);
        let kind = received[1].header("content-type");
        assert!(kind.starts_with("multipart/form-data") && kind == received[0].header("content-type"));
    }
}

#[tokio::test(start_paused = true)]
async fn h1_bytes_of_any_length_are_shared_and_have_their_length() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503)]).await;
        let whole = vec![b'x'; 200_000];
        let response =
            client(http2).put(server.url("/")).body(whole.clone()).recover(recovery()).send().await;
        assert_eq!(response.unwrap().status(), 200);
        for request in server.received() {
            assert_eq!((request.header("content-length"), request.body.len()), ("200000", whole.len()));
        }
        assert_eq!(server.received().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn h1_stream_whose_length_is_known_keeps_it_on_every_attempt() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let sent = client(false).put(server.url("/")).body(Body::wrap("7 EUR".to_owned())).recover(recovery());
    assert_eq!(sent.send().await.unwrap().status(), 200);
    let received = server.received();
    let lengths: Vec<&str> = received.iter().map(|request| request.header("content-length")).collect();
    assert_eq!(lengths, ["5", "5"]);
}

#[tokio::test(start_paused = true)]
async fn request_without_a_body_stays_one() {
    let server = Scripted::http1([Answer::status(503)]).await;
    client(false).get(server.url("/")).recover(recovery()).send().await.unwrap();
    for request in server.received() {
        assert!(request.body.is_empty());
        assert_eq!((request.header("content-length"), request.header("transfer-encoding")), ("", ""));
    }
}

#[tokio::test(start_paused = true)]
async fn stream_of_our_own_that_breaks_is_nobody_elses_fault() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, []).await;
        let broken = stream::iter([Ok(Bytes::from("begin")), Err(std::io::Error::other("disk is gone"))]);
        let sent = client(http2).put(server.url("/")).body(Body::wrap_stream(broken)).recover(recovery());
        let error = sent.send().await.unwrap_err();
        let told = error.classification().unwrap();
        assert_eq!(
            (error.reason(), told.category()),
            (&Reason::Permanent, recoup::Category::Internal),
            "{error:?}"
        );
        assert_eq!(told.health(), recoup::Health::Ignored);
        assert_eq!(server.received().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn answer_that_breaks_off_midway_is_its_readers_to_see() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it";
    let server = Scripted::http1([Answer::Raw(half.to_vec())]).await;
    let response = client(false).get(server.url("/")).recover(recovery()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.unwrap_err().is_decode());
    assert_eq!(server.received().len(), 1, "nothing was asked again behind the reader's back");
}

#[tokio::test(start_paused = true)]
async fn failed_answer_that_breaks_off_is_tried_again_and_its_error_kept() {
    let half = Answer::Raw(b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nhalf of it".to_vec());
    let server = Scripted::http1(vec![half; 3]).await;
    let mut response = client(false).get(server.url("/")).recover(recovery()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), server.received().len()), (503, 3));
    assert_eq!(response.content_length(), Some(100));
    assert_eq!(response.chunk().await.unwrap().unwrap(), "half of it");
    assert!(response.chunk().await.unwrap_err().is_decode());
}

#[tokio::test]
async fn h4_limit_of_an_attempt_does_not_cut_a_download() {
    // Its second half comes when the limit is long over.
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf ".to_vec();
    let server = Scripted::http1([Answer::Begin(head)]).await;
    let short = builder().attempt_timeout(Duration::from_millis(50)).build().unwrap();
    let mut response = client(false).get(server.url("/")).recover(&short).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "half ");
    let rest = tokio::time::timeout(Duration::from_millis(150), response.chunk()).await;
    assert!(rest.is_err(), "nobody but the reader ends the wait");
}

#[tokio::test(start_paused = true)]
async fn h1_body_made_anew_is_sent_on_every_attempt_however_long_it_is() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503), Answer::Reset]).await;
        let (made, whole) = (Arc::new(AtomicUsize::new(0)), streamed(200, 1024).1);
        let count = Arc::clone(&made);
        let file = move || {
            count.fetch_add(1, Ordering::Relaxed);
            streamed(200, 1024).0
        };
        let sent = client(http2).put(server.url("/file")).recover(recovery()).body_with(file);
        assert_eq!(sent.send().await.unwrap().status(), 200);
        let received = server.received();
        assert_eq!((received.len(), made.load(Ordering::Relaxed)), (3, 3));
        assert!(received.iter().all(|request| request.body == whole));
    }
}

#[tokio::test(start_paused = true)]
async fn body_made_anew_keeps_its_length_and_stands_for_the_requests_own() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let sent = client(false).put(server.url("/")).body("not this").recover(recovery()).body_with(|| "7 EUR");
    assert_eq!(sent.send().await.unwrap().status(), 200);
    for request in server.received() {
        assert_eq!((request.header("content-length"), &*request.body), ("5", &b"7 EUR"[..]));
    }
    assert_eq!(server.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn h2_body_made_anew_makes_no_post_repeatable() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let sent = client(false).post(server.url("/")).recover(recovery()).body_with(|| "7 EUR");
    assert_eq!(sent.send().await.unwrap().status(), 503);
    assert_eq!(server.received().len(), 1);
}
