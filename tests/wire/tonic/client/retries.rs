//! Which failures are made again, when, and how often.

use recoup::tonic::{ServiceConfig, Throttling, recovery_error};
use recoup::{CannotRepeat, Reason};
use tokio::time::Instant;

use super::super::echo::{Reply, message};
use super::*;

#[tokio::test(start_paused = true)]
async fn h5_status_in_the_head_is_retried_and_each_retry_says_how_many_were_before_it() {
    let echo = Echo::new([Reply::fail(Code::Unavailable), Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let layer = layer().method(UNARY, retried(|retry| retry));
    let answer = client(&served, &layer).unary(message("a")).await.unwrap();
    assert_eq!(answer.into_inner().text, "a");
    assert_eq!(previous(&echo), ["", "1", "2"]);
    assert!(echo.seen().iter().all(|seen| seen.messages == ["a"]));
}

#[tokio::test(start_paused = true)]
async fn h2_method_that_nobody_called_idempotent_is_called_once() {
    let echo = Echo::new([Reply::fail(Code::Unavailable), Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let layer = layer().idempotent(BOTH);
    let status = client(&served, &layer).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "scripted Unavailable"));
    let known = recovery_error(&status).unwrap();
    assert_eq!(known.reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent));
    assert_eq!((known.attempts(), echo.seen().len()), (1, 1));

    let layer = layer.idempotent(UNARY);
    assert!(client(&served, &layer).unary(message("b")).await.is_ok());
    assert_eq!(echo.seen().len(), 3, "declared, it is made again");
}

#[tokio::test(start_paused = true)]
async fn h5_codes_are_those_of_the_methods_policy_and_no_others() {
    let unavailable_aborted = retried(|retry| retry.codes([Code::Unavailable, Code::Aborted]));
    let internal = retried(|retry| retry.codes([Code::Internal, Code::DataLoss]));
    let layer = layer().method(UNARY, unavailable_aborted).method(CLIENT_STREAM, internal);
    for (code, unary, stream) in [
        (Code::Unavailable, 2, 1),
        (Code::Aborted, 2, 1),
        (Code::Internal, 1, 2),
        (Code::DataLoss, 1, 2),
        (Code::NotFound, 1, 1),
    ] {
        let echo = Echo::new([Reply::fail(code)]);
        let served = echo.serve().await;
        let _ = client(&served, &layer).unary(message("a")).await;
        assert_eq!(echo.seen().len(), unary, "unary, {code:?}");

        let echo = Echo::new([Reply::fail(code)]);
        let served = echo.serve().await;
        let _ = client(&served, &layer).client_stream(tokio_stream::iter([message("a")])).await;
        assert_eq!(echo.seen().len(), stream, "stream, {code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn h5_pushback_of_250_is_250_ms_and_the_backoff_begins_anew() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).pushback("250")]);
    let served = echo.serve().await;
    let layer = layer().method(UNARY, retried(|retry| retry));
    let begun = Instant::now();
    client(&served, &layer).unary(message("a")).await.unwrap();
    assert_eq!(begun.elapsed(), 250 * MS);

    // The next wait is at most the first one's longest, and not the second's.
    let (first, third) = (Reply::fail(Code::Unavailable), Reply::fail(Code::Unavailable));
    let echo = Echo::new([first, Reply::fail(Code::Unavailable).pushback("0"), third]);
    let served = echo.serve().await;
    let grows =
        retried(|retry| retry.initial_backoff(MS).max_backoff(3_600_000 * MS).multiplier(3_600_000.0));
    let begun = Instant::now();
    client(&served, &super::layer().method(UNARY, grows)).unary(message("a")).await.unwrap();
    assert!(begun.elapsed() <= 2 * MS + 2 * MS, "{:?}", begun.elapsed()); // a timer counts whole milliseconds
    assert_eq!(echo.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn h5_pushback_that_is_negative_or_malformed_ends_the_call() {
    for said in ["-1", "soon", "1.5", "99999999999"] {
        let echo = Echo::new([Reply::fail(Code::Unavailable).pushback(said)]);
        let served = echo.serve().await;
        let layer = layer().method(UNARY, retried(|retry| retry));
        let status = client(&served, &layer).unary(message("a")).await.unwrap_err();
        assert_eq!((status.code(), echo.seen().len()), (Code::Unavailable, 1), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn pushback_does_not_make_a_code_retryable_that_is_not_listed() {
    let echo = Echo::new([Reply::fail(Code::ResourceExhausted).pushback("10")]);
    let served = echo.serve().await;
    let layer = layer().method(UNARY, retried(|retry| retry)).idempotent(CLIENT_STREAM);
    let status = client(&served, &layer).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::ResourceExhausted, 1));

    let echo = Echo::new([Reply::fail(Code::ResourceExhausted).pushback("10")]);
    let served = echo.serve().await;
    let all = client(&served, &layer).client_stream(tokio_stream::iter([message("a")])).await;
    assert!(all.is_ok(), "without a list the server is obeyed");
}

#[tokio::test(start_paused = true)]
async fn h5_retries_end_when_half_of_the_tokens_are_gone_and_come_back_with_success() {
    let failures = (0..9).map(|_| Reply::fail(Code::Unavailable));
    let echo = Echo::new(failures);
    let served = echo.serve().await;
    let throttling = Throttling::new(6.0, 1.0).unwrap();
    let layer = layer().otherwise(retried(|retry| retry.max_attempts(9))).throttling(throttling);
    let mut client = client(&served, &layer);
    let status = client.unary(message("a")).await.unwrap_err();
    assert_eq!(recovery_error(&status).unwrap().reason(), &Reason::BudgetExhausted);
    assert_eq!(echo.seen().len(), 3, "after the third failure half of six are left");
    // All methods, and all services of the layer, count together.
    let all = client.clone().client_stream(tokio_stream::iter([message("b")])).await;
    assert_eq!((codes(all.err()), echo.seen().len()), (vec![Code::Unavailable], 4));
    let other = super::client(&served, &layer).unary(message("c")).await;
    assert_eq!((codes(other.err()), echo.seen().len()), (vec![Code::Unavailable], 5));
    for _ in 0..4 {
        assert!(client.unary(message("d")).await.is_err());
    }
    assert_eq!(echo.seen().len(), 9, "of six tokens none is left");
    for _ in 0..4 {
        client.unary(message("e")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn h5_pushback_not_to_come_again_costs_a_token_whatever_the_code() {
    let told = |code| Reply::fail(code).pushback("-1");
    let echo = Echo::new([told(Code::Aborted), told(Code::NotFound), Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let policy = retried(|retry| retry.codes([Code::Unavailable, Code::Aborted]));
    let layer = layer().method(UNARY, policy).throttling(Throttling::new(4.0, 0.1).unwrap());
    let mut client = client(&served, &layer);
    for code in [Code::Aborted, Code::NotFound] {
        assert_eq!(client.unary(message("a")).await.unwrap_err().code(), code);
    }
    let status = client.unary(message("b")).await.unwrap_err();
    assert_eq!(recovery_error(&status).unwrap().reason(), &Reason::BudgetExhausted);
    assert_eq!(echo.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn h5_failure_after_the_head_costs_a_token() {
    let late = || Reply::fail(Code::Unavailable).after(0);
    let echo = Echo::new([late(), late(), late(), Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let layer = layer().method(UNARY, retried(|retry| retry)).throttling(Throttling::new(4.0, 0.1).unwrap());
    let mut client = client(&served, &layer);
    for _ in 0..3 {
        let mut answers = client.server_stream(message("a")).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
    }
    let status = client.unary(message("b")).await.unwrap_err();
    assert_eq!(recovery_error(&status).unwrap().reason(), &Reason::BudgetExhausted);
    assert_eq!(echo.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_those_of_the_policy_and_the_last_status_is_given_back_whole() {
    let fails = |n: u8| Reply::fail(Code::Unavailable).with("x-nth", &n.to_string());
    let echo = Echo::new([fails(1), fails(2), fails(3), fails(4)]);
    let served = echo.serve().await;
    let layer = layer().method(UNARY, retried(|retry| retry.max_attempts(3)));
    let status = client(&served, &layer).unary(message("a")).await.unwrap_err();
    assert_eq!(status.metadata().get("x-nth").unwrap(), "3");
    let known = recovery_error(&status).unwrap();
    assert_eq!((known.reason(), known.attempts()), (&Reason::AttemptsExhausted, 3));
    assert_eq!(known.inner().unwrap().message(), status.message());
}

#[tokio::test(start_paused = true)]
async fn f4_call_may_want_fewer_attempts_and_may_not_want_to_be_repeated() {
    let echo = Echo::new([Reply::fail(Code::Unavailable), Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let layer = layer().method(UNARY, retried(|retry| retry));
    let mut request = tonic::Request::new(message("a"));
    request.extensions_mut().insert(recoup::http::CallOptions::new().no_retry());
    let status = client(&served, &layer).unary(request).await.unwrap_err();
    assert_eq!(recovery_error(&status).unwrap().attempts(), 1);
    let mut request = tonic::Request::new(message("a"));
    request.extensions_mut().insert(recoup::http::CallOptions::new().idempotent(false));
    let status = client(&served, &layer).unary(request).await.unwrap_err();
    let never = Reason::CannotRepeat(CannotRepeat::NotIdempotent);
    assert_eq!(recovery_error(&status).unwrap().reason(), &never);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_child_of_the_callers_trace() {
    let echo = Echo::new([Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let mut request = tonic::Request::new(message("a"));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", trace.parse().unwrap());
    client(&served, &layer().idempotent(UNARY)).unary(request).await.unwrap();
    let seen: Vec<String> = echo.seen().iter().map(|seen| seen.header("traceparent").to_owned()).collect();
    assert!(seen.iter().all(|trace| trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-")), "{seen:?}");
    assert!(seen[0] != seen[1] && seen.iter().all(|seen| seen != trace), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn h5_policies_of_a_service_config_hold_for_methods_that_have_none_of_their_own() {
    let config: ServiceConfig = r#"{
        "methodConfig": [{
            "name": [{ "service": "echo.v1.Echo" }],
            "retryPolicy": {
                "maxAttempts": 3, "initialBackoff": "0.01s", "maxBackoff": "1s", "backoffMultiplier": 2,
                "retryableStatusCodes": ["ABORTED"]
            }
        }],
        "retryThrottling": { "maxTokens": 4, "tokenRatio": 0.5 }
    }"#
    .parse()
    .unwrap();
    let echo = Echo::new((0..4).map(|_| Reply::fail(Code::Aborted)));
    let served = echo.serve().await;
    let layer = layer().method(CLIENT_STREAM, MethodPolicy::new()).service_config(&config);
    let all = client(&served, &layer).client_stream(tokio_stream::iter([message("a")])).await;
    assert_eq!((codes(all.err()), echo.seen().len()), (vec![Code::Aborted], 1), "it has its own");
    let status = client(&served, &layer).unary(message("b")).await.unwrap_err();
    // The first call's failure was none of those that count.
    assert_eq!(recovery_error(&status).unwrap().reason(), &Reason::BudgetExhausted);
    assert_eq!(echo.seen().len(), 3, "of four tokens two are left");
}

#[tokio::test(start_paused = true)]
async fn layer_around_a_layer_does_not_multiply_attempts() {
    let echo = Echo::new((0..9).map(|_| Reply::fail(Code::Unavailable)));
    let served = echo.serve().await;
    let layer = layer().idempotent(UNARY);
    let twice = layer.layer(layer.layer(served.channel()));
    let status = EchoClient::new(twice).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::Unavailable, 3));
    assert_eq!(recovery_error(&status).unwrap().reason(), &Reason::NestedRetry);
}
