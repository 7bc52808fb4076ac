//! Answers that no server of gRPC gives.

use recoup::tonic::recovery_error;
use tonic::transport::Endpoint;

use super::super::echo::message;
use super::*;
use crate::scripted::{Answer, Scripted};

fn to(server: &Scripted, layer: &GrpcLayer) -> Client {
    EchoClient::new(layer.layer(Endpoint::from_shared(server.url("")).unwrap().connect_lazy()))
}

fn grpc(status: u16) -> Answer {
    Answer::status(200).header("content-type", "application/grpc").header("grpc-status", status)
}

#[tokio::test(start_paused = true)]
async fn proxy_that_answers_503_is_unavailable_and_retried() {
    let html = Answer::status(503).header("content-type", "text/html").body("<h1>starting</h1>");
    let server = Scripted::http2([html.clone(), html.clone(), html]).await;
    let status = to(&server, &layer().idempotent(UNARY)).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), server.received().len()), (Code::Unavailable, 3), "{status}");
}

#[tokio::test(start_paused = true)]
async fn details_that_are_no_base64_are_left_out_and_never_a_panic() {
    let server = Scripted::http2([grpc(13).header("grpc-status-details-bin", "!!")]).await;
    let status = to(&server, &layer()).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), status.details()), (Code::Internal, &[][..]));
}

#[tokio::test(start_paused = true)]
async fn garbage_for_a_status_or_for_a_body_is_an_error_of_a_known_kind() {
    let nonsense = grpc(0).header("grpc-status", "nonsense");
    let garbage =
        Answer::status(200).header("content-type", "application/grpc").body("not a message of gRPC");
    let empty = Answer::status(200).header("content-type", "application/grpc");
    let server = Scripted::http2([nonsense, garbage, empty]).await;
    let mut client = to(&server, &layer().idempotent(UNARY));
    for _ in 0..3 {
        let status = client.unary(message("a")).await.unwrap_err();
        assert!([Code::Unknown, Code::Internal].contains(&status.code()), "{status}");
    }
    assert_eq!(server.received().len(), 3, "none is made again");
}

#[tokio::test(start_paused = true)]
async fn codes_beyond_the_seventeen_are_unknown() {
    let server = Scripted::http2([grpc(99)]).await;
    let status = to(&server, &layer().idempotent(UNARY)).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), recovery_error(&status).unwrap().attempts()), (Code::Unknown, 1));
}
