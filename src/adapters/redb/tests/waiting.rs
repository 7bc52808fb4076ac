//! A full queue whose callers wait. On the clock of the machine: a paused one would run ahead while the writer works.

use super::*;
use crate::dead_letter::{ByHand, PushErrorKind, WhenFull};

async fn full(wait: Duration) -> RedbQueue {
    let builder = RedbQueue::builder().capacity(1).when_full(WhenFull::Wait(wait));
    let queue = builder.in_backend(InMemoryBackend::new()).await.unwrap();
    push(&queue, 1).await;
    queue
}

async fn make_room(queue: &RedbQueue) {
    assert_eq!(queue.discard(&all(), &ByHand::default()).await, Ok(1));
}

#[tokio::test]
async fn d12_those_who_wait_are_served_in_their_order() {
    let queue = full(HOUR).await;
    let mut waiting = Vec::new();
    for nth in 2..=4 {
        let queue = queue.clone();
        waiting.push(tokio::spawn(async move { queue.push(letter(nth)).await }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for nth in 1..=3 {
        assert_eq!(stats(&queue).await.pushed, nth);
        make_room(&queue).await;
        let served = waiting.remove(0).await.unwrap().unwrap();
        assert_eq!(served.id.get(), nth + 1);
        assert_eq!(
            queue.peek(&all(), 9).await.unwrap()[0].payload,
            letter(served.id.get().try_into().unwrap()).payload
        );
    }
}

#[tokio::test]
async fn d12_waiting_is_bounded_and_hands_the_letter_back() {
    let queue = full(Duration::from_millis(30)).await;
    let (one, other) = tokio::join!(queue.push(letter(1)), queue.push_all(vec![letter(2), letter(3)]));
    let error = one.unwrap_err();
    assert_eq!((*error.letter, error.kind), (letter(1), PushErrorKind::Full));
    let handed_back: Vec<_> = other.into_iter().map(|answer| *answer.unwrap_err().letter).collect();
    assert_eq!(handed_back, [letter(2), letter(3)]);
    assert_eq!(stats(&queue).await.pushed, 1);
    make_room(&queue).await;
    push(&queue, 4).await;
}

#[tokio::test]
async fn replacing_does_not_wait_for_room() {
    let other = DeadLetter::new("tiny");
    let max_bytes = letter(1).size() + other.size();
    let builder = RedbQueue::builder().max_bytes(max_bytes).when_full(WhenFull::Wait(HOUR));
    let queue = builder.in_backend(InMemoryBackend::new()).await.unwrap();
    let old = push(&queue, 1).await;
    queue.push(other).await.unwrap();
    let larger = letter(1).header("a", "b");
    assert!(larger.size() <= max_bytes, "it would fit alone");
    let error = queue.replace(old, larger.clone(), &ByHand::default()).await.unwrap_err();
    assert_eq!((*error.letter, error.kind), (larger, PushErrorKind::Full));
}

#[tokio::test]
async fn waiting_for_no_time_is_refused() {
    let builder = RedbQueue::builder().when_full(WhenFull::Wait(Duration::ZERO));
    let error = builder.in_backend(InMemoryBackend::new()).await.unwrap_err();
    assert_eq!(error.kind.to_string(), "redb queue: `when_full` is 0ns, but must be longer than zero");
}

#[tokio::test]
async fn d18_who_waits_and_goes_holds_up_nobody() {
    let queue = full(HOUR).await;
    for _ in 0..2 {
        let waits = tokio::time::timeout(Duration::from_millis(20), queue.push(letter(1)));
        assert!(waits.await.is_err());
    }
    make_room(&queue).await;
    push(&queue, 2).await;
}

#[tokio::test]
async fn d12_letter_that_expires_makes_room() {
    let builder = RedbQueue::builder().capacity(1).when_full(WhenFull::Wait(HOUR));
    let builder = builder.time_to_live(Duration::from_millis(50));
    let queue = builder.in_backend(InMemoryBackend::new()).await.unwrap();
    push(&queue, 1).await;
    push(&queue, 2).await;
    assert_eq!(queue.stats().await.unwrap().pushed, 2);
}

#[tokio::test]
async fn closing_ends_the_waiting() {
    let queue = full(HOUR).await;
    let waits = {
        let queue = queue.clone();
        tokio::spawn(async move { queue.push(letter(1)).await })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    queue.close().await.unwrap();
    assert_eq!(waits.await.unwrap().unwrap_err().kind, PushErrorKind::Closed);
}
