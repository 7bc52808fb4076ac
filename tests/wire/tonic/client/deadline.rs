//! One deadline over all attempts, and what the server is told of it. On the real clock: a paused one jumps over
//! any limit while a socket is waited for.

use std::time::Duration;

use recoup::Reason;
use recoup::tonic::recovery_error;

use super::super::echo::{Reply, message};
use super::*;

fn told(seen: &Seen) -> Duration {
    let text = seen.header("grpc-timeout");
    let (digits, unit) = text.split_at(text.len() - 1);
    let count: u32 = digits.parse().unwrap();
    match unit {
        "n" => Duration::from_nanos(count.into()),
        "u" => Duration::from_micros(count.into()),
        "m" => MS * count,
        other => panic!("{other} of {text}"),
    }
}

fn in_time<T>(message: T, limit: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(limit);
    request
}

#[tokio::test]
async fn h5_each_attempt_tells_the_server_what_is_left() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).pushback("40")]);
    let served = echo.serve().await;
    let layer = layer().idempotent(UNARY);
    client(&served, &layer).unary(in_time(message("a"), 30_000 * MS)).await.unwrap();
    let (first, second) = (told(&echo.seen()[0]), told(&echo.seen()[1]));
    assert!(first <= 30_000 * MS && second + 40 * MS <= first, "{first:?}, {second:?}");
}

#[tokio::test]
async fn h5_shortest_of_the_requests_the_policys_and_the_recoverys_limit_counts() {
    let (request, policy, recovery) = (10_000 * MS, 20_000 * MS, 30_000 * MS);
    for (request, policy, recovery, shortest) in [
        (Some(request), Some(policy), Some(recovery), request),
        (Some(recovery), Some(policy), Some(request), request),
        (Some(policy), Some(request), None, request),
        (None, Some(request), Some(policy), request),
        (None, None, Some(recovery), recovery),
    ] {
        let echo = Echo::new([]);
        let served = echo.serve().await;
        let recovery = built(|builder| match recovery {
            Some(limit) => builder.deadline(limit),
            None => builder,
        });
        let mut layer = GrpcLayer::new(recovery);
        if let Some(limit) = policy {
            layer = layer.method(UNARY, MethodPolicy::new().timeout(limit).unwrap());
        }
        let call = match request {
            Some(limit) => in_time(message("a"), limit),
            None => tonic::Request::new(message("a")),
        };
        client(&served, &layer).unary(call).await.unwrap();
        let told = told(&echo.seen()[0]);
        assert!(told <= shortest && told + 9_000 * MS > shortest, "{told:?} of {shortest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn request_without_a_limit_says_none_and_a_malformed_one_is_ignored() {
    let echo = Echo::new([]);
    let served = echo.serve().await;
    let mut client = client(&served, &layer());
    client.unary(message("a")).await.unwrap();
    assert!(!echo.seen()[0].metadata.contains_key("grpc-timeout"));
    for said in ["soon", "5x", "123456789S"] {
        let mut request = tonic::Request::new(message("a"));
        request.metadata_mut().insert("grpc-timeout", said.parse().unwrap());
        client.unary(request).await.unwrap();
    }
}

#[tokio::test]
async fn h5_call_that_is_not_answered_in_time_ends_as_the_deadline_says() {
    let echo = Echo::new([Reply::fail(Code::Unavailable), Reply::echo().stall()]);
    let served = echo.serve().await;
    let layer = layer().method(UNARY, retried(|retry| retry.initial_backoff(MS)));
    let call = in_time(message("a"), 800 * MS);
    let status = client(&served, &layer).unary(call).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "and not that of the attempt before");
    assert_eq!((recovery_error(&status).unwrap().attempts(), echo.seen().len()), (2, 2));
}

#[tokio::test]
async fn wait_that_does_not_fit_is_not_begun() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).pushback("60000")]);
    let served = echo.serve().await;
    let call = in_time(message("a"), 30_000 * MS);
    let status = client(&served, &layer().idempotent(UNARY)).unary(call).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(recovery_error(&status).unwrap().reason(), &Reason::DeadlineExceeded);
}

#[tokio::test]
async fn h5_deadline_of_the_call_holds_to_the_end_of_its_stream() {
    let echo = Echo::new([Reply::echo().after(1).stall()]);
    let served = echo.serve().await;
    let call = in_time(message("a"), 500 * MS);
    let mut answers = client(&served, &layer()).server_stream(call).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    assert_eq!(answers.message().await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn h4_limits_of_the_recovery_end_with_the_head() {
    let echo = Echo::new([Reply::echo().after(1).stall()]);
    let served = echo.serve().await;
    let recovery = built(|builder| builder.deadline(100 * MS).attempt_timeout(100 * MS));
    let layer = GrpcLayer::new(recovery);
    let mut answers = client(&served, &layer).server_stream(message("a")).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    let more = tokio::time::timeout(300 * MS, answers.message()).await;
    assert!(more.is_err(), "nobody cuts it short: {more:?}");
}

#[tokio::test]
async fn attempt_that_takes_too_long_is_made_again() {
    let echo = Echo::new([Reply::echo().stall()]);
    let served = echo.serve().await;
    let layer = GrpcLayer::new(built(|builder| builder.attempt_timeout(200 * MS)));
    let status = client(&served, &layer).unary(message("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "nobody knows what it has done");
    assert_eq!(echo.seen().len(), 1);

    let echo = Echo::new([Reply::echo().stall()]);
    let served = echo.serve().await;
    let layer = layer.idempotent(UNARY);
    client(&served, &layer).unary(message("a")).await.unwrap();
    assert!(previous(&echo).starts_with(&[String::new(), "1".to_owned()]));
}

#[tokio::test]
async fn h5_impatient_caller_does_not_count_against_the_server() {
    let echo = Echo::new([Reply::echo(), Reply::echo().stall()]);
    let served = echo.serve().await;
    let breaker = breaker();
    let layer = GrpcLayer::new(built(|builder| builder.circuit_breaker(breaker.clone())));
    let mut client = client(&served, &layer.idempotent(UNARY));
    client.unary(message("a")).await.unwrap();
    let status = client.unary(in_time(message("b"), 50 * MS)).await.unwrap_err();
    assert_eq!((status.code(), breaker.snapshot().failures), (Code::DeadlineExceeded, 0));
    assert_eq!(recovery_error(&status).unwrap().reason(), &Reason::DeadlineExceeded);
}

#[tokio::test]
async fn h5_stream_for_which_its_caller_has_no_more_time_does_not_count_against_the_server() {
    let echo = Echo::new([Reply::echo().after(1).stall()]);
    let served = echo.serve().await;
    let breaker = breaker();
    let layer = GrpcLayer::new(built(|builder| builder.circuit_breaker(breaker.clone())));
    let call = in_time(message("a"), 300 * MS);
    let mut answers = client(&served, &layer).server_stream(call).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    assert_eq!(answers.message().await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(breaker.snapshot().failures, 0);
}
