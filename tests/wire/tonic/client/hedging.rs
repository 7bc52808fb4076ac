//! Calls that are made again beside themselves. On the paused clock a delay passes as soon as everybody waits.

use recoup::RetryBudget;
use recoup::tonic::{Hedging, HedgingBuilder, Throttling};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::super::echo::{Reply, message};
use super::*;

fn hedged(change: impl FnOnce(HedgingBuilder) -> HedgingBuilder) -> MethodPolicy {
    let builder = Hedging::builder().max_attempts(3).delay(50 * MS);
    MethodPolicy::new().hedge(change(builder).build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn h5_slow_call_is_made_again_beside_itself_and_the_first_answer_wins() {
    let echo = Echo::new([Reply::echo().held(), Reply::echo().held()]);
    let served = echo.serve().await;
    let layer = layer().method(UNARY, hedged(|hedging| hedging));
    let begun = Instant::now();
    let answer = client(&served, &layer).unary(message("a")).await.unwrap();
    assert_eq!((answer.into_inner().text, begun.elapsed()), ("a".to_owned(), 100 * MS));
    assert_eq!(previous(&echo), ["", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn h5_no_more_hedges_are_made_than_the_policy_says() {
    let echo = Echo::new([Reply::echo().held(), Reply::echo().held(), Reply::echo().held()]);
    let served = echo.serve().await;
    let mut client = client(&served, &layer().method(UNARY, hedged(|hedging| hedging)));
    let call = tokio::spawn(async move { client.unary(message("a")).await });
    echo.reached(3).await;
    tokio::time::sleep(1_000 * MS).await;
    assert_eq!(echo.seen().len(), 3);
    echo.let_go(1);
    assert_eq!(call.await.unwrap().unwrap().into_inner().text, "a");
}

#[tokio::test(start_paused = true)]
async fn h5_failure_that_is_not_fatal_is_followed_at_once() {
    let echo = Echo::new([Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let policy = hedged(|hedging| hedging.non_fatal_codes([Code::Unavailable]).delay(3_600_000 * MS));
    let mut client = client(&served, &layer().method(UNARY, policy));
    // While the first attempt is under way the clock jumps on to whatever is due next: nothing may be but that.
    client.unary(message("a")).await.unwrap();
    assert_eq!(previous(&echo), ["", "1"]);
}

#[tokio::test(start_paused = true)]
async fn h5_fatal_failure_ends_all_of_them() {
    let echo = Echo::new([Reply::echo().held(), Reply::fail(Code::Internal)]);
    let served = echo.serve().await;
    let policy = hedged(|hedging| hedging.non_fatal_codes([Code::Unavailable]));
    let status = client(&served, &layer().method(UNARY, policy)).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::Internal, 2));
}

#[tokio::test(start_paused = true)]
async fn h5_when_all_fail_the_last_failure_is_the_calls() {
    let fails = |n: u8| Reply::fail(Code::Unavailable).with("x-nth", &n.to_string());
    let echo = Echo::new([fails(1), fails(2), fails(3)]);
    let served = echo.serve().await;
    let policy = hedged(|hedging| hedging.non_fatal_codes([Code::Unavailable]));
    let status = client(&served, &layer().method(UNARY, policy)).unary(message("a")).await.unwrap_err();
    assert_eq!((status.metadata().get("x-nth").unwrap().to_str().unwrap(), echo.seen().len()), ("3", 3));
}

#[tokio::test(start_paused = true)]
async fn h5_pushback_puts_the_next_hedge_off_or_ends_them() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).pushback("400")]);
    let served = echo.serve().await;
    let policy = hedged(|hedging| hedging.non_fatal_codes([Code::Unavailable]).delay(3_600_000 * MS));
    let layer = layer().method(UNARY, policy);
    let begun = Instant::now();
    client(&served, &layer).unary(message("a")).await.unwrap();
    assert_eq!((begun.elapsed(), echo.seen().len()), (400 * MS, 2));

    let echo = Echo::new([Reply::fail(Code::Unavailable).pushback("-1")]);
    let served = echo.serve().await;
    let status = client(&served, &layer).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::Unavailable, 1));
}

#[tokio::test(start_paused = true)]
async fn h5_hedges_and_retries_share_the_tokens() {
    let echo = Echo::new((0..9).map(|_| Reply::fail(Code::Unavailable)));
    let served = echo.serve().await;
    let policy = hedged(|hedging| hedging.non_fatal_codes([Code::Unavailable]).max_attempts(9));
    let layer = layer().method(UNARY, policy).method(CLIENT_STREAM, retried(|retry| retry));
    let layer = layer.throttling(Throttling::new(6.0, 1.0).unwrap());
    let status = client(&served, &layer).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::Unavailable, 3), "three failures of six tokens");
    let all = client(&served, &layer).client_stream(tokio_stream::iter([message("b")])).await;
    assert_eq!((codes(all.err()), echo.seen().len()), (vec![Code::Unavailable], 4));
}

#[tokio::test(start_paused = true)]
async fn h5_hedges_of_a_stream_send_all_of_it() {
    let echo = Echo::new([Reply::echo().held()]);
    let served = echo.serve().await;
    let layer = layer().method(CLIENT_STREAM, hedged(|hedging| hedging));
    let messages = tokio_stream::iter(["a", "b"].map(message));
    let all = client(&served, &layer).client_stream(messages).await.unwrap();
    assert_eq!(all.into_inner().text, "a+b");
    assert_eq!(echo.seen()[1].messages, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn h5_stream_of_the_winner_goes_on_when_the_losers_are_dropped() {
    let echo = Echo::new([Reply::echo().after(1).stall().held(), Reply::echo()]);
    let served = echo.serve().await;
    let layer = layer().method(SERVER_STREAM, hedged(|hedging| hedging.max_attempts(2)));
    let mut answers = client(&served, &layer).server_stream(message("a")).await.unwrap().into_inner();
    let mut count = 0;
    while answers.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!((count, echo.seen().len()), (3, 2), "the winner's stream goes on");
}

#[tokio::test(start_paused = true)]
async fn h2_call_that_must_not_be_made_twice_is_not_hedged() {
    use recoup::http::CallOptions;
    for options in [CallOptions::new().idempotent(false), CallOptions::new().no_retry()] {
        let echo = Echo::new([Reply::echo().held()]);
        let served = echo.serve().await;
        let mut request = tonic::Request::new(message("a"));
        request.extensions_mut().insert(options);
        let mut client = client(&served, &layer().method(UNARY, hedged(|hedging| hedging)));
        let call = tokio::spawn(async move { client.unary(request).await });
        echo.reached(1).await;
        tokio::time::sleep(1_000 * MS).await;
        assert_eq!(echo.seen().len(), 1);
        echo.let_go(1);
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn h5_hedged_call_that_was_refused_is_sent_again_though_others_are_under_way() {
    let server = crate::scripted::Scripted::http2([crate::scripted::Answer::Refuse; 1]).await;
    let channel = tonic::transport::Endpoint::from_shared(server.url("")).unwrap().connect_lazy();
    let layer = layer().method(CLIENT_STREAM, hedged(|hedging| hedging.delay(3_600_000 * MS)));
    let messages = tokio_stream::iter(["a", "b"].map(message));
    // It answers `200 ok`, which is no answer of gRPC.
    let status = EchoClient::new(layer.layer(channel)).client_stream(messages).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
    let received = server.received();
    assert_eq!((received.len(), &received[0].body), (2, &received[1].body));
    assert_eq!(received[1].body.len(), 2 * (5 + 3), "two messages of one letter");
}

#[tokio::test(start_paused = true)]
async fn h5_hedge_that_sends_more_than_is_kept_goes_on_alone() {
    let echo = Echo::new([]);
    let served = echo.serve().await;
    let layer = layer().method(CLIENT_STREAM, hedged(|hedging| hedging.max_attempts(2))).body_cap(1_000);
    let (sender, receiver) = mpsc::channel(1);
    let mut client = client(&served, &layer);
    let call = tokio::spawn(async move { client.client_stream(ReceiverStream::new(receiver)).await });
    sender.send(message("a")).await.unwrap();
    echo.reached(2).await;
    for _ in 0..3 {
        sender.send(message("x".repeat(600))).await.unwrap();
    }
    drop(sender);
    let all = call.await.unwrap().unwrap();
    assert_eq!(
        all.into_inner().text.len(),
        1 + 3 * (1 + 600),
        "all of it, and the other one's end is no failure"
    );
}

#[tokio::test(start_paused = true)]
async fn h5_pushback_beyond_five_minutes_ends_a_race_as_it_ends_retries() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).pushback("2000000000")]);
    let served = echo.serve().await;
    let policy = hedged(|hedging| hedging.non_fatal_codes([Code::Unavailable]).delay(3_600_000 * MS));
    let begun = Instant::now();
    let status = client(&served, &layer().method(UNARY, policy)).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::Unavailable, 1));
    assert!(begun.elapsed() < 300_000 * MS, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn h5_pushback_beyond_the_deadline_ends_a_race_at_once() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).pushback("60000")]);
    let served = echo.serve().await;
    let policy = hedged(|hedging| hedging.non_fatal_codes([Code::Unavailable]).delay(3_600_000 * MS));
    let policy = policy.timeout(30_000 * MS).unwrap();
    let mut client = client(&served, &layer().method(UNARY, policy));
    let ended = tokio::time::timeout(10_000 * MS, client.unary(message("a"))).await;
    let status = ended.expect("it does not wait for what will not be made").unwrap_err();
    assert_eq!((status.code(), echo.seen().len()), (Code::Unavailable, 1));
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_wait_of_a_race_for_its_next_attempt() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).pushback("200000")]);
    let served = echo.serve().await;
    let shutdown = recoup::Shutdown::new();
    let policy = hedged(|hedging| hedging.non_fatal_codes([Code::Unavailable]));
    let layer = GrpcLayer::new(built(|builder| builder.shutdown(&shutdown))).method(UNARY, policy);
    let mut client = client(&served, &layer);
    let call = tokio::spawn(async move { client.unary(message("a")).await });
    echo.reached(1).await;
    tokio::time::sleep(100_000 * MS).await;
    shutdown.trigger();
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(echo.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn h5_hedges_pay_into_the_recoverys_budget_too() {
    let budget = RetryBudget::grpc_with(6.0, 1.0).unwrap();
    let echo = Echo::new((0..9).map(|_| Reply::fail(Code::Unavailable)));
    let served = echo.serve().await;
    let recovery = built(|builder| builder.retry(RetryPolicy::builder().budget(budget.clone())));
    let policy = hedged(|hedging| hedging.non_fatal_codes([Code::Unavailable]).max_attempts(9));
    let layer = GrpcLayer::new(recovery).method(UNARY, policy);
    let status = client(&served, &layer).unary(message("a")).await.unwrap_err();
    assert_eq!((status.code(), echo.seen().len(), budget.tokens()), (Code::Unavailable, 3, 3));
}
