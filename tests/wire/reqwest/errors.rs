//! What each error of reqwest is: the table of `ReqwestErrors`, row by row, over sockets.

use std::sync::Arc;
use std::time::Duration;

use recoup::reqwest::ReqwestErrors;
use recoup::{Advice, Category, Classification, ErrorClassifier};
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::{Client, Error, Response};

use super::{client, dead_address};
use crate::http::raw;
use crate::scripted::{Answer, Scripted};

/// Category, whether it is retried, and whether surely nothing was done.
type Row = (Category, bool, bool);

fn row(error: &Error) -> Row {
    let told: Classification = ReqwestErrors.classify(error);
    (told.category(), told.advice() != Advice::Stop, told.is_unprocessed())
}

async fn get(http2: bool, answer: Answer) -> Result<Response, Error> {
    let server = Scripted::start(http2, [answer]).await;
    client(http2).get(server.url("/")).send().await
}

#[tokio::test(start_paused = true)]
async fn h6_each_row_of_the_table_holds() {
    let malformed: Row = (Category::ExternalService, false, false);
    let lost: Row = (Category::Network, true, false);

    let error = client(false).get("no address").build().unwrap_err();
    assert_eq!(row(&error), (Category::Validation, false, false));

    for http2 in [false, true] {
        let error = client(http2).get(format!("http://{}/", dead_address())).send().await.unwrap_err();
        assert_eq!(row(&error), (Category::Network, true, true), "nobody listens: {error:?}");

        let error = get(http2, Answer::Reset).await.unwrap_err();
        assert_eq!(row(&error), lost, "reset: {error:?}");

        let error = get(http2, Answer::status(404)).await.unwrap().error_for_status().unwrap_err();
        assert_eq!(row(&error), (Category::NotFound, false, false));
        let error = get(http2, Answer::status(503)).await.unwrap().error_for_status().unwrap_err();
        assert_eq!(row(&error), (Category::ServiceUnavailable, true, false));
        assert_eq!(ReqwestErrors.classify(&error).status_code(), Some(503));

        let error = get(http2, Answer::status(200).body("{")).await.unwrap().json::<u8>().await.unwrap_err();
        assert_eq!(row(&error), malformed, "no JSON: {error:?}");
    }

    let error = get(false, Answer::Close).await.unwrap_err();
    assert_eq!(row(&error), lost, "closed: {error:?}");
    let error = get(false, Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())).await.unwrap_err();
    assert_eq!(row(&error), lost, "closed within the head: {error:?}");
    let error = get(false, Answer::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())).await.unwrap_err();
    assert_eq!(row(&error), malformed, "no HTTP: {error:?}");
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    let error = get(false, Answer::Raw(half)).await.unwrap().bytes().await.unwrap_err();
    assert_eq!(row(&error), lost, "the body broke off: {error:?}");

    let error = get(true, Answer::Refuse).await.unwrap_err();
    assert_eq!(row(&error), (Category::ServiceUnavailable, true, true), "refused: {error:?}");

    let server = Scripted::http1(vec![Answer::status(302).header("location", "/"); 20]).await;
    let error = client(false).get(server.url("/")).send().await.unwrap_err();
    assert_eq!(row(&error), malformed, "in a loop: {error:?}");
}

#[tokio::test(start_paused = true)]
async fn h6_goodbye_is_a_promise_only_to_a_stream_that_it_leaves_out() {
    for code in [0, 2] {
        let address = raw::http2(raw::go_away(0, code)).await;
        let error = client(true).post(format!("http://{address}/")).body("7 EUR").send().await.unwrap_err();
        assert_eq!(row(&error), (Category::Network, true, true), "{error:?}");
    }
    let error = get(true, Answer::Close).await.unwrap_err();
    let (category, retried, unprocessed) = row(&error);
    assert!(category == Category::Network && retried && !unprocessed, "{error:?}");
}

/// Finds no host, or looks for ever.
struct Names {
    found: bool,
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        if self.found {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(Err("no such host".into())))
    }
}

fn resolved_by(names: Names) -> reqwest::ClientBuilder {
    Client::builder().retry(reqwest::retry::never()).dns_resolver(Arc::new(names))
}

#[tokio::test(start_paused = true)]
async fn h6_name_that_is_not_found_is_tried_again_and_nothing_was_done() {
    let client = resolved_by(Names { found: false }).build().unwrap();
    let error = client.get("http://nowhere.example/").send().await.unwrap_err();
    assert!(error.is_dns());
    assert_eq!(row(&error), (Category::Network, true, true));
}

#[tokio::test]
async fn h6_timeouts_before_and_after_the_connection_differ_in_what_was_done() {
    let brief = Duration::from_millis(50);
    let client = resolved_by(Names { found: true }).connect_timeout(brief).build().unwrap();
    let error = client.get("http://nowhere.example/").send().await.unwrap_err();
    assert!(error.is_connect() && error.is_timeout());
    assert_eq!(row(&error), (Category::Timeout, true, true));

    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::Stall]).await;
        let error = super::client(http2).get(server.url("/")).timeout(brief).send().await.unwrap_err();
        assert_eq!(row(&error), (Category::Timeout, true, false));
    }
    let slow = Client::builder().retry(reqwest::retry::never()).read_timeout(brief).build().unwrap();
    let server = Scripted::http1([Answer::Stall]).await;
    let error = slow.get(server.url("/")).send().await.unwrap_err();
    assert_eq!(row(&error), (Category::Timeout, true, false));
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    let server = Scripted::http1([Answer::Begin(head)]).await;
    let error = slow.get(server.url("/")).send().await.unwrap().bytes().await.unwrap_err();
    assert_eq!(row(&error), (Category::Timeout, true, false), "the body stalls: {error:?}");
}
