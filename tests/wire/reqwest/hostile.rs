//! Servers that do not play by the rules.

use std::time::Duration;

use recoup::http::Requests;
use recoup::reqwest::Recover;
use recoup::{Category, Reason};

use super::{builder, client, recovery};
use crate::scripted::{Answer, Scripted};

/// What may lie in the buffers of two sockets and of the client, without anybody having asked for it.
const BUFFERS: u64 = 64 * 1024 * 1024;

#[tokio::test(start_paused = true)]
async fn failed_answer_of_10_gb_is_not_read_beyond_the_peek() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, vec![Answer::Flood(503); 3]).await;
        let sent = client(http2).get(server.url("/")).recover(recovery());
        let mut response = sent.requests(Requests::new().peek(1000)).send().await.unwrap();
        assert_eq!((response.status().as_u16(), server.received().len()), (503, 3));
        assert!(server.flooded() < 3 * BUFFERS, "{}", server.flooded());
        assert_eq!(response.content_length(), Some(10 * 1024 * 1024 * 1024));
        assert!(!response.chunk().await.unwrap().unwrap().is_empty(), "the rest is there for who wants it");
    }
}

#[tokio::test(start_paused = true)]
async fn good_answer_of_10_gb_is_handed_over_unread() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::Flood(200)]).await;
        let mut response = client(http2).get(server.url("/")).recover(recovery()).send().await.unwrap();
        assert!(server.flooded() < BUFFERS);
        assert!(!response.chunk().await.unwrap().unwrap().is_empty());
    }
}

#[tokio::test]
async fn failed_answer_that_stalls_ends_with_the_limit_of_its_attempt() {
    let head = b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nhalf of it".to_vec();
    let server = Scripted::http1([Answer::Begin(head)]).await;
    let short = builder().attempt_timeout(Duration::from_millis(50)).build().unwrap();
    let response = client(false).get(server.url("/")).recover(&short).send().await.unwrap();
    assert_eq!((response.status().as_u16(), server.received().len()), (200, 2));
}

#[tokio::test]
async fn server_that_stalls_within_its_head_is_a_timeout() {
    let server = Scripted::http1(vec![Answer::Begin(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()); 3]).await;
    let short = builder().attempt_timeout(Duration::from_millis(50)).build().unwrap();
    let error = client(false).get(server.url("/")).recover(&short).send().await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
}

#[tokio::test(start_paused = true)]
async fn head_without_an_end_is_an_error_and_no_memory() {
    let endless = [b"HTTP/1.1 200 OK\r\nx-long: ".to_vec(), vec![b'x'; 4 << 20]].concat();
    let server = Scripted::http1([Answer::Raw(endless)]).await;
    let error = client(false).get(server.url("/")).recover(recovery()).send().await.unwrap_err();
    assert_eq!(error.reason(), &Reason::Permanent);
    assert_eq!(error.classification().unwrap().category(), Category::ExternalService);
}
