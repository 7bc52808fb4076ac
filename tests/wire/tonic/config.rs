//! What a service config says, as a server sees it.

use std::num::NonZeroU32;

use recoup::tonic::{GrpcErrors, GrpcLayer, RecoveryChannel, ServiceConfig};
use recoup::{Recovery, RetryPolicy, Throttle};
use tonic::Code;
use tonic::transport::Channel;
use tower::Layer;

use super::echo::{Echo, EchoClient, Reply, Served, message};

/// A client under nothing but the config.
fn client(served: &Served, config: &str) -> EchoClient<RecoveryChannel<Channel>> {
    let config: ServiceConfig = config.parse().unwrap();
    let retry = RetryPolicy::builder().throttle(Throttle::single_client());
    let recovery = Recovery::builder("echo").classifier(GrpcErrors).retry(retry).build().unwrap();
    EchoClient::new(GrpcLayer::new(recovery).service_config(&config).layer(served.channel()))
}

/// A method config for that name which retries `ABORTED`.
fn retries(name: &str, attempts: u32) -> String {
    format!(
        r#"{{ "name": [{name}], "retryPolicy": {{ "maxAttempts": {attempts}, "initialBackoff": "0.01s",
            "maxBackoff": "0.1s", "backoffMultiplier": 2, "retryableStatusCodes": ["aborted"] }} }}"#
    )
}

#[tokio::test(start_paused = true)]
async fn retry_policy_is_that_of_the_method_or_else_of_the_service() {
    let fails = (0..16).map(|_| Reply::fail(Code::Aborted));
    let echo = Echo::new(fails);
    let served = echo.serve().await;
    let of_method = retries(r#"{ "service": "echo.v1.Echo", "method": "Unary" }"#, 2);
    let of_service = retries(r#"{ "service": "echo.v1.Echo" }"#, 9);
    let config = format!(r#"{{ "methodConfig": [{of_service}, {of_method}] }}"#);
    let mut client = client(&served, &config);

    assert_eq!(client.unary(message("a")).await.unwrap_err().code(), Code::Aborted);
    let previous = |echo: &Echo| -> Vec<String> {
        echo.seen().iter().map(|seen| seen.header("grpc-previous-rpc-attempts").to_owned()).collect()
    };
    assert_eq!(previous(&echo), ["", "1"]);
    assert_eq!(client.server_stream(message("b")).await.unwrap_err().code(), Code::Aborted);
    assert_eq!(previous(&echo)[2..], ["", "1", "2", "3", "4"], "nine attempts are taken as five");
}

#[tokio::test(start_paused = true)]
async fn code_that_the_policy_does_not_name_is_not_retried() {
    let echo = Echo::new([Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let mut client = client(&served, &format!(r#"{{ "methodConfig": [{}] }}"#, retries("{}", 4)));
    assert_eq!(client.unary(message("a")).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(echo.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn throttling_ends_retries_when_half_of_the_tokens_are_gone() {
    let echo = Echo::new((0..16).map(|_| Reply::fail(Code::Aborted)));
    let served = echo.serve().await;
    let config = format!(
        r#"{{ "methodConfig": [{}], "retryThrottling": {{ "maxTokens": 4, "tokenRatio": 0.5 }} }}"#,
        retries("{}", 5)
    );
    let mut client = client(&served, &config);
    // 4 tokens: 3 after the first failure, which is more than half; 2 after the second, which is not.
    assert_eq!(client.unary(message("a")).await.unwrap_err().code(), Code::Aborted);
    assert_eq!(echo.seen().len(), 2);
    assert_eq!(client.unary(message("b")).await.unwrap_err().code(), Code::Aborted);
    assert_eq!(echo.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn hedging_policy_without_a_delay_sends_all_attempts_at_once() {
    let echo = Echo::new((0..2).map(|_| Reply::echo().stall()));
    let served = echo.serve().await;
    let config = r#"{ "methodConfig": [{ "name": [{}], "hedgingPolicy": { "maxAttempts": 3 } }] }"#;
    let answer = client(&served, config).unary(message("a")).await.unwrap();
    assert_eq!((answer.into_inner().text.as_str(), echo.seen().len()), ("a", 3));
}

// On the real clock: a limit in time over a socket.
#[tokio::test]
async fn timeout_of_a_method_is_told_to_the_server_and_holds() {
    let echo = Echo::new([Reply::echo().stall()]);
    let served = echo.serve().await;
    let config = r#"{ "methodConfig": [{ "name": [{}], "timeout": "0.05s" }] }"#;
    let late = client(&served, config).unary(message("a")).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let told = echo.seen()[0].header("grpc-timeout").to_owned();
    let (digits, _unit) = told.split_at(told.len() - 1);
    assert!(digits.parse::<NonZeroU32>().is_ok(), "{told}");
}
