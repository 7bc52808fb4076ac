//! Calls that never came to anybody, and those of which nobody knows.

use std::net::SocketAddr;

use recoup::tonic::recovery_error;
use recoup::{CannotRepeat, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Endpoint, Server};

use super::super::echo::message;
use super::*;
use crate::scripted::{Answer, Scripted};

fn to(server: &Scripted, layer: &GrpcLayer) -> Client {
    EchoClient::new(layer.layer(Endpoint::from_shared(server.url("")).unwrap().connect_lazy()))
}

/// An empty message, in good order.
fn good() -> Answer {
    Answer::status(200).header("content-type", "application/grpc").header("grpc-status", 0)
}

fn sent(server: &Scripted) -> Vec<String> {
    server.received().iter().map(|seen| seen.header("grpc-previous-rpc-attempts").to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn h5_stream_that_was_refused_is_sent_again_at_once_and_counts_as_no_attempt() {
    let server = Scripted::http2([Answer::Refuse, good()]).await;
    let breaker = breaker();
    let layer = GrpcLayer::new(built(|builder| builder.circuit_breaker(breaker.clone())));
    let begun = tokio::time::Instant::now();
    // The answer holds no message, which only the generated client minds.
    let status = to(&server, &layer).unary(message("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
    assert!(recovery_error(&status).is_none(), "the call itself was answered");
    assert_eq!((sent(&server), begun.elapsed()), (vec![String::new(); 2], Duration::ZERO));
    assert_eq!(breaker.snapshot().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn h5_who_is_refused_again_is_retried_as_after_any_failure() {
    let server = Scripted::http2([Answer::Refuse, Answer::Refuse, Answer::Refuse, Answer::Refuse]).await;
    let status = to(&server, &layer()).unary(message("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let known = recovery_error(&status).unwrap();
    assert_eq!((known.attempts(), known.reason()), (3, &Reason::AttemptsExhausted));
    assert_eq!(sent(&server), ["", "", "1", "2"], "once for nothing, though nobody called it idempotent");
}

#[tokio::test(start_paused = true)]
async fn h6_connection_that_goes_away_before_it_answers_is_unavailable() {
    for answer in [Answer::Close, Answer::Reset] {
        let server = Scripted::http2([answer.clone(), good()]).await;
        let status = to(&server, &layer()).unary(message("a")).await.unwrap_err();
        let code = if matches!(answer, Answer::Close) { Code::Unavailable } else { Code::Internal };
        assert_eq!(status.code(), code, "{answer:?}: {status:?}");
        let known = recovery_error(&status).unwrap();
        assert_eq!(known.reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent), "{answer:?}");
        assert_eq!(server.received().len(), 1, "{answer:?}");

        let server = Scripted::http2([answer.clone(), good()]).await;
        let _ = to(&server, &layer().idempotent(UNARY)).unary(message("a")).await;
        assert_eq!(server.received().len(), 2, "{answer:?}: declared, it is made again");
    }
}

#[tokio::test(start_paused = true)]
async fn h2_connection_refused_is_retried_whatever_the_method() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let status = EchoClient::new(layer().layer(channel)).unary(message("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let known = recovery_error(&status).unwrap();
    assert_eq!((known.attempts(), known.reason()), (3, &Reason::AttemptsExhausted));
    assert!(known.classification().unwrap().is_unprocessed());
}

#[tokio::test(start_paused = true)]
async fn wait_for_ready_waits_for_a_connection_and_counts_no_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let layer = layer().method(UNARY, MethodPolicy::new().wait_for_ready(true));
    let mut client = EchoClient::new(layer.layer(channel));
    let call = tokio::spawn(async move { client.unary(message("a")).await });
    // Far more than the three attempts of the policy would have taken.
    tokio::time::sleep(600_000 * MS).await;
    assert!(!call.is_finished());
    let echo = Echo::new([]);
    let service = echo.service();
    let incoming = tonic::transport::server::TcpIncoming::bind(address).unwrap();
    let server = tonic::transport::Server::builder().add_service(service);
    let serving = tokio::spawn(server.serve_with_incoming(incoming));
    assert_eq!(call.await.unwrap().unwrap().into_inner().text, "a");
    assert_eq!(previous(&echo), [""]);
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_wait_for_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let shutdown = recoup::Shutdown::new();
    let layer = GrpcLayer::new(built(|builder| builder.shutdown(&shutdown)));
    let layer = layer.otherwise(MethodPolicy::new().wait_for_ready(true));
    let mut client = EchoClient::new(layer.layer(channel));
    let call = tokio::spawn(async move { client.unary(message("a")).await });
    tokio::time::sleep(10_000 * MS).await;
    shutdown.trigger();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "what it waited for");
    assert_eq!(recovery_error(&status).unwrap().reason(), &Reason::ShutDown);
}

/// When a server of hand-written frames goes away.
#[derive(Clone, Copy, Debug)]
enum Goes {
    /// As soon as there is a connection.
    AtOnce,
    /// When it has got the head of a request, which it leaves out.
    OnRequest,
    /// When it has got the head of a request, of which it has this to say, and closes the connection without an
    /// answer: the last stream that it may have looked at, and what is wrong.
    Having { last: u32, wrong: u8 },
}

/// A server that goes away from the first connections, and echoes over those after them.
async fn going_away(first: Vec<Goes>, echo: &Echo) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = echo.service();
    tokio::spawn(async move {
        for goes in first {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(go_away(stream, goes));
        }
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
    });
    address
}

async fn go_away(mut stream: TcpStream, goes: Goes) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const ACKNOWLEDGED: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
    // The last stream that it looks at is 0, and nothing is wrong.
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    stream.write_all(&[SETTINGS, ACKNOWLEDGED].concat()).await.unwrap();
    if !matches!(goes, Goes::AtOnce) {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == 1 {
                break;
            }
        }
    }
    if let Goes::Having { last, wrong } = goes {
        let said = [&GOAWAY[..9], &last.to_be_bytes(), &[0, 0, 0, wrong]].concat();
        stream.write_all(&said).await.unwrap();
        stream.shutdown().await.unwrap();
        return;
    }
    stream.write_all(&GOAWAY).await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await; // until the client closes
}

#[tokio::test(start_paused = true)]
async fn h5_stream_that_a_goaway_leaves_out_is_sent_again_at_once_over_a_new_connection() {
    for goes in [Goes::OnRequest, Goes::AtOnce] {
        let echo = Echo::new([]);
        let address = going_away(vec![goes], &echo).await;
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        let begun = tokio::time::Instant::now();
        let answer = EchoClient::new(layer().layer(channel)).unary(message("a")).await;
        assert_eq!(answer.unwrap().into_inner().text, "a", "{goes:?}");
        assert_eq!((previous(&echo), begun.elapsed()), (vec![String::new()], Duration::ZERO), "{goes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn h6_server_that_always_goes_away_is_unavailable_after_few_tries() {
    for goes in [Goes::OnRequest, Goes::AtOnce] {
        let echo = Echo::new([]);
        let address = going_away(vec![goes; 100], &echo).await;
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        let status = EchoClient::new(layer().layer(channel)).unary(message("a")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{goes:?}: {status}");
        let known = recovery_error(&status).unwrap();
        assert_eq!((known.attempts(), known.reason()), (3, &Reason::AttemptsExhausted), "{goes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn h2_server_that_goes_away_having_looked_at_the_call_is_not_sent_it_again() {
    for last in [1, 0x7fff_ffff] {
        for wrong in [0, 2, 11] {
            let (goes, echo) = (Goes::Having { last, wrong }, Echo::new([]));
            let address = going_away(vec![goes], &echo).await;
            let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
            let status = EchoClient::new(layer().layer(channel)).unary(message("a")).await.unwrap_err();
            let known = recovery_error(&status).unwrap();
            assert!(!known.classification().unwrap().is_unprocessed(), "{goes:?}: {status:?}");
            assert_eq!((known.attempts(), echo.seen().len()), (1, 0), "{goes:?}: {status:?}");
        }
    }
}
