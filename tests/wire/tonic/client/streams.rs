//! Streams of the three kinds: what is sent again, and what is committed.

use recoup::tonic::recovery_error;
use recoup::{CannotRepeat, Reason};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::super::echo::{Message, Reply, message};
use super::*;

fn texts(texts: &[&str]) -> impl tokio_stream::Stream<Item = Message> + Send + 'static {
    tokio_stream::iter(texts.iter().map(|text| message(*text)).collect::<Vec<_>>())
}

#[tokio::test(start_paused = true)]
async fn h5_client_stream_is_sent_again_from_its_begin() {
    let echo = Echo::new([Reply::fail(Code::Unavailable), Reply::fail(Code::Unavailable).reads(1)]);
    let served = echo.serve().await;
    let layer = layer().idempotent(CLIENT_STREAM);
    let all = client(&served, &layer).client_stream(texts(&["a", "b", "c"])).await.unwrap();
    assert_eq!(all.into_inner().text, "a+b+c");
    assert_eq!(previous(&echo), ["", "1", "2"]);
    assert_eq!(echo.seen()[0].messages, ["a", "b", "c"]);
    assert_eq!(echo.seen()[1].messages, ["a"], "it failed before it had read them all");
}

#[tokio::test(start_paused = true)]
async fn h5_stream_of_which_only_some_was_sent_goes_on_in_the_next_attempt() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).reads(1)]);
    let served = echo.serve().await;
    let (sender, receiver) = mpsc::channel(1);
    let mut client = client(&served, &layer().idempotent(BOTH));
    let talking = tokio::spawn(async move {
        let mut answers = client.both(ReceiverStream::new(receiver)).await?.into_inner();
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await? {
            all.push(answer.text);
        }
        Ok::<_, Status>(all)
    });
    sender.send(message("a")).await.unwrap();
    echo.reached(2).await; // the first attempt has failed, and the second is under way
    sender.send(message("b")).await.unwrap();
    drop(sender);
    assert_eq!(talking.await.unwrap().unwrap(), ["a", "b"]);
    assert_eq!(echo.seen()[1].messages, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn h5_server_stream_that_fails_before_its_head_is_retried() {
    let echo = Echo::new([Reply::fail(Code::Unavailable)]);
    let served = echo.serve().await;
    let layer = layer().idempotent(SERVER_STREAM);
    let mut answers = client(&served, &layer).server_stream(message("a")).await.unwrap().into_inner();
    for nth in 0..3 {
        assert_eq!(answers.message().await.unwrap().unwrap().text, format!("a {nth}"));
    }
    assert!(answers.message().await.unwrap().is_none());
    assert_eq!(echo.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn h5_server_stream_that_has_yielded_is_not_retried() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).after(1)]);
    let served = echo.serve().await;
    let layer = layer().idempotent(SERVER_STREAM);
    let mut answers = client(&served, &layer).server_stream(message("a")).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "a 0");
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(echo.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn h5_status_in_trailers_after_the_head_is_classified_and_not_retried() {
    let echo = Echo::new([Reply::fail(Code::Unavailable).after(0), Reply::fail(Code::NotFound).after(0)]);
    let served = echo.serve().await;
    let breaker = breaker();
    let layer = GrpcLayer::new(built(|builder| builder.circuit_breaker(breaker.clone())));
    let layer = layer.idempotent(SERVER_STREAM);
    let mut client = client(&served, &layer);
    let mut answers = client.server_stream(message("a")).await.unwrap().into_inner();
    assert_eq!(breaker.snapshot().failures, 0, "its head was good");
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!((breaker.snapshot().failures, echo.seen().len()), (1, 1));
    let mut answers = client.server_stream(message("a")).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::NotFound);
    assert_eq!(breaker.snapshot().failures, 1, "no fault of the server");
}

#[tokio::test(start_paused = true)]
async fn h5_call_that_sends_more_than_is_kept_is_committed() {
    let big = "x".repeat(600);
    for (cap, calls) in [(2 * 600 + 200, 2), (2 * 600, 1)] {
        let echo = Echo::new([Reply::fail(Code::Unavailable)]);
        let served = echo.serve().await;
        let layer = layer().idempotent(CLIENT_STREAM).body_cap(cap);
        let sent = client(&served, &layer).client_stream(texts(&[&big, &big])).await;
        assert_eq!(echo.seen().len(), calls, "a cap of {cap}");
        assert!(echo.seen().iter().all(|seen| seen.messages == [&*big, &*big]), "whole, and never empty");
        if calls == 1 {
            let status = sent.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "the server's own word");
            let known = recovery_error(&status).unwrap();
            assert_eq!(known.reason(), &Reason::CannotRepeat(CannotRepeat::NotReplayable));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h5_call_of_both_directions_talks_to_and_fro() {
    let echo = Echo::new([]);
    let served = echo.serve().await;
    let (sender, receiver) = mpsc::channel(1);
    sender.send(message("0")).await.unwrap();
    let mut client = client(&served, &layer().idempotent(BOTH));
    let mut answers = client.both(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    for nth in 0..20 {
        assert_eq!(answers.message().await.unwrap().unwrap().text, nth.to_string());
        sender.send(message((nth + 1).to_string())).await.unwrap();
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap().unwrap().text, "20");
    assert!(answers.message().await.unwrap().is_none());
}
