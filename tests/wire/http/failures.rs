//! Each failure is told by what it is, as the table in the docs has it.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use recoup::http::{HttpErrors, Outgoing, Requests};
use recoup::{Advice, Classification, ErrorClassifier, Health};

use super::{client, failure, raw};
use crate::scripted::{Answer, Scripted};

const BRIEF: Duration = Duration::from_millis(50);

/// What the table says in this row, and what the classifier does.
#[track_caller]
fn is(row: &str, error: &(dyn std::error::Error + 'static)) {
    let table = include_str!("../../../src/adapters/http/errors.rs");
    let cells = table
        .lines()
        .filter_map(|line| line.strip_prefix("/// | "))
        .map(|line| line.trim_end_matches('|').split('|').map(str::trim).collect::<Vec<_>>())
        .find(|cells| cells[0] == row)
        .unwrap_or_else(|| panic!("no row `{row}`"));
    let answer: Classification = HttpErrors::new().classify(error);
    let said = [
        row,
        &answer.category().name().replace('_', " "),
        if answer.advice() == Advice::Stop { "no" } else { "yes" },
        match answer.health() {
            Health::Failure => "failure",
            Health::Success => "success",
            Health::Ignored => "nowhere",
        },
        if answer.is_unprocessed() { "yes" } else { "" },
    ];
    let chain: Vec<_> = std::iter::successors(Some(error), |&link| link.source())
        .map(|link| format!("{link} / {link:?}"))
        .collect();
    assert_eq!(said.as_slice(), cells, "{chain:#?}");
}

fn url(address: std::net::SocketAddr) -> String {
    format!("http://{address}/")
}

#[tokio::test(start_paused = true)]
async fn h6_nobody_listens() {
    for http2 in [false, true] {
        let error = failure(http2, &url(raw::nobody().await)).await;
        is("connection refused, host unreachable", &error);
        let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
        assert!(HttpErrors::new().classify(&boxed).is_unprocessed());
    }
}

#[tokio::test(start_paused = true)]
async fn h6_name_does_not_resolve() {
    let error = failure(false, "http://nobody.invalid/").await;
    is("the name does not resolve", &error);
}

#[tokio::test]
async fn h6_no_connection_in_time() {
    // Of a queue that is full Linux takes nobody more, and does not say so.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = tokio::time::timeout(BRIEF, tokio::net::TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(BRIEF));
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let error = client.get(url(address).parse().unwrap()).await.map(|_| ()).unwrap_err();
    is("no connection in time", &error);
}

#[tokio::test(start_paused = true)]
async fn h6_tls_that_cannot_be_agreed_on() {
    // As a connector of rustls says it.
    let connector = |text: &'static str| {
        tower::service_fn(move |_: http::Uri| {
            std::future::ready(Err::<TokioIo<tokio::net::TcpStream>, _>(Error::new(
                ErrorKind::InvalidData,
                text,
            )))
        })
    };
    for (row, text) in [
        ("the certificate is not accepted", "invalid peer certificate: UnknownIssuer"),
        ("TLS cannot be agreed on", "received fatal alert: ProtocolVersion"),
    ] {
        let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector(text));
        let error = client.get("http://bank/".parse().unwrap()).await.map(|_| ()).unwrap_err();
        is(row, &error);
    }
}

#[tokio::test(start_paused = true)]
async fn h6_connection_is_reset() {
    let server = Scripted::http1([Answer::Reset]).await;
    is("reset, or closed before the answer or in its head", &failure(false, &server.url("/")).await);
    let server = Scripted::http2([Answer::Reset]).await;
    is("another `RST_STREAM`", &failure(true, &server.url("/")).await);
}

#[tokio::test(start_paused = true)]
async fn h6_closed_before_the_answer() {
    let server = Scripted::http1([Answer::Close]).await;
    is("reset, or closed before the answer or in its head", &failure(false, &server.url("/")).await);
    let server = Scripted::http2([Answer::Close]).await;
    is("reset, or closed before the answer or in its head", &failure(true, &server.url("/")).await);
}

#[tokio::test(start_paused = true)]
async fn h6_closed_in_the_head() {
    let server = Scripted::http1([Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())]).await;
    is("reset, or closed before the answer or in its head", &failure(false, &server.url("/")).await);
}

#[tokio::test(start_paused = true)]
async fn h6_garbage() {
    let server = Scripted::http1([Answer::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())]).await;
    is("garbage instead of HTTP", &failure(false, &server.url("/")).await);
    let other_protocol = raw::says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    is("garbage instead of HTTP", &failure(true, &url(other_protocol)).await);
    let no_status = raw::http2(raw::frame(1, 1, b"\x00\x01x\x01y")).await;
    is("garbage instead of HTTP", &failure(true, &url(no_status)).await);
}

#[tokio::test(start_paused = true)]
async fn h6_closed_in_the_body_is_the_callers_to_see() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    let server = Scripted::http1([Answer::Raw(half)]).await;
    let response = client::<Full<Bytes>>(false).get(server.url("/").parse().unwrap()).await.unwrap();
    let error = response.into_body().collect().await.map(|_| ()).unwrap_err();
    is("reset, or closed before the answer or in its head", &error);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn h6_streams_that_are_refused_or_left_out_were_not_processed() {
    let server = Scripted::http2([Answer::Refuse]).await;
    is("`REFUSED_STREAM`", &failure(true, &server.url("/")).await);
    let leaves = raw::http2(raw::go_away(0, 0)).await;
    is("`GOAWAY` in good order, of a stream it leaves out", &failure(true, &url(leaves)).await);
    let angry = raw::http2(raw::go_away(0, 11)).await;
    is("`GOAWAY` with an error, of a stream it leaves out", &failure(true, &url(angry)).await);
    let calm = raw::http2(raw::reset(11)).await;
    is("`ENHANCE_YOUR_CALM`", &failure(true, &url(calm)).await);
}

#[tokio::test(start_paused = true)]
async fn h6_request_that_never_left_was_not_processed() {
    let server = Scripted::http1([Answer::Close]).await;
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    drop(connection);
    let request = || http::Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    let error = sender.send_request(request()).await.map(|_| ()).unwrap_err();
    is("the request never left its queue", &error);
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn h6_no_answer_in_time() {
    let server = Scripted::http1([Answer::Stall]).await;
    let limited = reqwest::Client::builder().timeout(BRIEF).build().unwrap();
    is("no answer in time", &limited.get(server.url("/")).send().await.unwrap_err());

    let elapsed = tokio::time::timeout(BRIEF, std::future::pending::<()>()).await.unwrap_err();
    is("no answer in time", &elapsed);

    let server = Scripted::http2([Answer::Stall]).await;
    let endpoint = tonic::transport::Endpoint::from_shared(server.url("")).unwrap().timeout(BRIEF);
    let mut channel = endpoint.connect_lazy();
    let request = http::Request::get(server.url("/")).body(tonic::body::Body::empty()).unwrap();
    let error = tower::Service::call(tower::ServiceExt::ready(&mut channel).await.unwrap(), request).await;
    is("no answer in time", &error.map(|_| ()).unwrap_err());

    let silent = raw::http2(Vec::new()).await;
    let mut builder = Client::builder(TokioExecutor::new());
    builder.timer(TokioTimer::new()).http2_only(true);
    builder.http2_keep_alive_interval(BRIEF).http2_keep_alive_timeout(BRIEF);
    let client = builder.build_http::<Full<Bytes>>();
    is("no answer in time", &client.get(url(silent).parse().unwrap()).await.map(|_| ()).unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn stream_of_the_caller_that_fails_is_not_the_servers_fault() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(200)]).await;
        let broken =
            [Ok(http_body::Frame::data(Bytes::from_static(b"half"))), Err(Error::other("disk is gone"))];
        let body = StreamBody::new(futures::stream::iter(broken));
        let outgoing =
            Outgoing::new(http::Request::put(server.url("/")).body(body).unwrap(), &Requests::new());
        let client = client(http2);
        let error = recoup::retry_with(|attempt| client.request(outgoing.request(attempt)))
            .when(|_| false)
            .await
            .map(|_| ())
            .unwrap_err();
        is("the request's own body failed ([`BodyError`])", &error);
        assert!(outgoing.body_failed());
    }
}

#[tokio::test(start_paused = true)]
async fn client_that_is_used_wrongly_is_no_fault_of_the_server() {
    let client = client::<Full<Bytes>>(false);
    let relative = http::Request::get("/no/host").body(Full::default()).unwrap();
    is("the client was used wrongly", &client.request(relative).await.map(|_| ()).unwrap_err());
    let method = http::Request::connect("http://localhost/").body(Full::from("x")).unwrap();
    let _ = client.request(method).await;
}

#[tokio::test(start_paused = true)]
async fn h6_task_of_the_connection_is_gone() {
    let server = Scripted::http1([Answer::Stall]).await;
    let stream = TokioIo::new(tokio::net::TcpStream::connect(server.address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let sent = tokio::spawn(sender.send_request(http::Request::new(Empty::<Bytes>::new())));
    while server.received().is_empty() {
        tokio::task::yield_now().await;
    }
    driver.abort();
    let error = sent.await.unwrap().map(|_| ()).unwrap_err();
    is("the task of the connection is gone, as with its runtime", &error);
}
