//! What a call ends with that one of our own policies refused.

use recoup::tonic::recovery_error;
use recoup::{Bulkhead, CircuitBreaker, RateLimiter, Reason, Window};

use super::super::echo::{Reply, message};
use super::*;

#[tokio::test(start_paused = true)]
async fn open_circuit_is_unavailable_and_nothing_is_sent() {
    let echo = Echo::new([Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let breaker =
        CircuitBreaker::builder("echo").window(Window::last_calls(1)).minimum_calls(1).build().unwrap();
    let layer = GrpcLayer::new(built(|builder| builder.circuit_breaker(breaker)));
    let mut client = client(&served, &layer);
    client.unary(message("a")).await.unwrap_err();
    let status = client.unary(message("b")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::Unavailable, 1));
    assert!(matches!(recovery_error(&status).unwrap().reason(), Reason::CircuitOpen(_)));
    assert!(status.message().contains("circuit"), "{}", status.message());
}

#[tokio::test(start_paused = true)]
async fn empty_rate_limiter_is_resource_exhausted_and_full_bulkhead_unavailable() {
    let echo = Echo::new([Reply::echo().held()]);
    let served = echo.serve().await;
    let limiter = RateLimiter::builder(1, 3_600_000 * MS).build().unwrap();
    let layer = GrpcLayer::new(built(|builder| builder.rate_limit(limiter).bulkhead(Bulkhead::builder(1))));
    let mut held = client(&served, &layer);
    let held = tokio::spawn(async move { held.unary(message("a")).await });
    echo.reached(1).await;
    let status = client(&served, &layer).unary(message("b")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(matches!(recovery_error(&status).unwrap().reason(), Reason::RateLimited(_)));
    echo.let_go(1);
    held.await.unwrap().unwrap();

    let echo = Echo::new([Reply::echo().held()]);
    let served = echo.serve().await;
    let layer = GrpcLayer::new(built(|builder| builder.bulkhead(Bulkhead::builder(1))));
    let mut held = client(&served, &layer);
    let held = tokio::spawn(async move { held.unary(message("a")).await });
    echo.reached(1).await;
    let status = client(&served, &layer).unary(message("b")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::Unavailable, 1));
    assert!(matches!(recovery_error(&status).unwrap().reason(), Reason::BulkheadFull(_)));
    echo.let_go(1);
    held.await.unwrap().unwrap();
    client(&served, &layer).unary(message("c")).await.expect("the slot is back");
}

#[tokio::test(start_paused = true)]
async fn h5_call_that_its_caller_cancels_is_neutral_and_gives_back_what_it_held() {
    let echo = Echo::new([Reply::echo().held(), Reply::fail(Code::Cancelled)]);
    let served = echo.serve().await;
    let breaker = breaker();
    let recovery = built(|builder| builder.circuit_breaker(breaker.clone()).bulkhead(Bulkhead::builder(1)));
    let mut client = client(&served, &GrpcLayer::new(recovery.clone()).idempotent(UNARY));
    {
        let call = client.unary(message("a"));
        tokio::select! { answer = call => panic!("{answer:?}"), () = echo.reached(1) => {} }
    }
    assert_eq!(recovery.bulkhead().unwrap().in_use(), 0);
    assert_eq!(breaker.snapshot().failures, 0);
    let status = client.unary(message("b")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::Cancelled, 2), "nor is it made again");
    assert_eq!(breaker.snapshot().failures, 0);
}
