//! The limits of the memory queue, and that its numbers add up over everything that it lets go of.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;

use super::promises::{
    HOUR, LEASE, all, by, full_letter, just_before, lease_all, lease_one, one, only, push, stats,
};
use super::*;
use crate::classification::Category;
use crate::dead_letter::chain::ErrorChain;
use crate::dead_letter::error::PushErrorKind;
use crate::dead_letter::history::AttemptRecord;
use crate::dead_letter::payload::Payload;

fn of_size(bytes: usize) -> DeadLetter {
    DeadLetter::new("").payload(Payload::new("", vec![b'x'; bytes]))
}

#[tokio::test(start_paused = true)]
async fn d11_letter_expires_at_its_time_and_is_counted() {
    let queue = MemoryQueue::builder().time_to_live(HOUR).build().unwrap();
    // Long dead by the wall clock, which decides nothing.
    let id = push(&queue).await;
    tokio::time::advance(just_before(HOUR)).await;
    assert_eq!(only(&queue).await.id, id);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(queue.peek(&all(), 9).await.unwrap().is_empty());
    assert_eq!(stats(&queue).await.expired, 1);
}

#[tokio::test(start_paused = true)]
async fn d11_expired_letter_is_not_leased_and_makes_room() {
    let queue = MemoryQueue::builder().time_to_live(HOUR).capacity(1).build().unwrap();
    push(&queue).await;
    tokio::time::advance(HOUR).await;
    assert!(lease_all(&queue).await.is_empty());
    push(&queue).await;
    assert_eq!(stats(&queue).await.expired, 1);
}

#[tokio::test(start_paused = true)]
async fn d11_live_lease_defers_expiry() {
    let queue = MemoryQueue::builder().time_to_live(HOUR).build().unwrap();
    push(&queue).await;
    push(&queue).await;
    let leased = queue.lease(&LetterFilter::new(), 2, 2 * HOUR).await.unwrap();
    tokio::time::advance(just_before(2 * HOUR)).await;
    assert_eq!(stats(&queue).await.leased, 2);
    assert_eq!(queue.settle(leased[0].token, Settlement::Delivered).await, Ok(Settled::Removed));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(stats(&queue).await.expired, 1);
    assert_eq!(queue.settle(leased[1].token, Settlement::Delivered).await, Err(SettleError::Gone));
}

#[tokio::test(start_paused = true)]
async fn d11_quarantined_letter_does_not_expire_and_lives_anew_once_reinstated() {
    let queue = MemoryQueue::builder().time_to_live(HOUR).build().unwrap();
    let id = push(&queue).await;
    let token = lease_one(&queue).await.token;
    queue.settle(token, Settlement::Quarantine).await.unwrap();
    tokio::time::advance(5 * HOUR).await;
    assert_eq!(queue.reinstate(&one(id), &by()).await, Ok(1));
    tokio::time::advance(just_before(HOUR)).await;
    assert_eq!(stats(&queue).await.ready, 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(stats(&queue).await.expired, 1);
}

#[tokio::test(start_paused = true)]
async fn d12_full_queue_hands_the_letter_back_and_changes_nothing() {
    let queue = MemoryQueue::builder().capacity(1000).build().unwrap();
    let mut handed_back = 0;
    for nth in 0..1500 {
        let letter = of_size(nth);
        if let Err(error) = queue.push(letter.clone()).await {
            assert_eq!((*error.letter, error.kind), (letter, PushErrorKind::Full));
            handed_back += 1;
        }
    }
    assert_eq!(handed_back, 500);
    let stats = stats(&queue).await;
    assert_eq!((stats.pushed, stats.ready, stats.evicted), (1000, 1000, 0));
}

#[tokio::test(start_paused = true)]
async fn d12_bytes_are_capped_too() {
    let queue = MemoryQueue::builder().max_bytes(100).build().unwrap();
    queue.push(of_size(60)).await.unwrap();
    assert_eq!(queue.push(of_size(41)).await.unwrap_err().kind, PushErrorKind::Full);
    queue.push(of_size(40)).await.unwrap();
    assert_eq!(stats(&queue).await.bytes, 100);
    assert_eq!(queue.discard(&LetterFilter::new().id(LetterId::new(1)), &by()).await, Ok(1));
    assert_eq!(stats(&queue).await.bytes, 40);
    queue.push(of_size(60)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn d12_oldest_ready_letters_are_dropped_and_named() {
    let queue = MemoryQueue::builder().max_bytes(100).when_full(WhenFull::DropOldest).build().unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(queue.push(of_size(25)).await.unwrap().id);
    }
    queue.lease(&LetterFilter::new().id(ids[0]), 1, LEASE).await.unwrap();
    let receipt = queue.push(of_size(30)).await.unwrap();
    assert_eq!(receipt.evicted, [ids[1], ids[2]], "the leased one stays");
    assert_eq!(stats(&queue).await.evicted, 2);

    let before = queue.peek(&all(), 9).await.unwrap();
    let error = queue.push(of_size(76)).await.unwrap_err();
    assert_eq!(error.kind, PushErrorKind::Full, "dropping every ready one would not be enough");
    assert_eq!(queue.peek(&all(), 9).await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn d12_letter_too_large_for_ever_is_told_apart() {
    let queue = MemoryQueue::builder().max_payload(10).max_bytes(50).build().unwrap();
    let letter = of_size(11);
    let error = queue.push(letter.clone()).await.unwrap_err();
    assert_eq!((*error.letter, error.kind), (letter, PushErrorKind::TooLarge));
    let headers = of_size(10).header("name", "x".repeat(40));
    assert_eq!(queue.push(headers).await.unwrap_err().kind, PushErrorKind::TooLarge);
    let just_fits = of_size(10).header("name", "x".repeat(36));
    assert_eq!(just_fits.size(), 50);
    queue.push(just_fits).await.unwrap();
    let default = MemoryQueue::default();
    default.push(of_size(1 << 20)).await.unwrap();
    assert_eq!(default.push(of_size((1 << 20) + 1)).await.unwrap_err().kind, PushErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn d12_failure_is_written_down_without_texts_that_do_not_fit() {
    let queue = MemoryQueue::builder().max_bytes(100).quarantine_after(99).build().unwrap();
    queue.push(of_size(60).error(ErrorChain::from_display(&"known"))).await.unwrap();
    for (text, total) in [("x".repeat(35), 1), ("y".to_owned(), 2)] {
        let token = lease_one(&queue).await.token;
        let record = AttemptRecord::new(1, SystemTime::UNIX_EPOCH, text).category(Category::Network);
        queue.settle(token, Settlement::redrive_failed(record)).await.unwrap();
        let letter = only(&queue).await;
        assert_eq!((letter.attempts_total(), letter.category), (total, Some(Category::Network)));
        assert!(stats(&queue).await.bytes <= 100);
    }
    let letter = only(&queue).await;
    let messages: Vec<usize> = letter.attempts.records().iter().map(|record| record.message.len()).collect();
    assert_eq!((messages, letter.error.to_string().as_str()), (vec![35, 0], "known"), "the first just fits");
}

#[tokio::test(start_paused = true)]
async fn d15_counters_add_up_over_every_way_out() {
    let queue = MemoryQueue::builder()
        .capacity(5)
        .when_full(WhenFull::DropOldest)
        .time_to_live(HOUR)
        .build()
        .unwrap();
    for nth in 0..7 {
        let destination = if nth % 2 == 0 { "even" } else { "odd" };
        queue.push(DeadLetter::new("op").destination(destination)).await.unwrap();
    }
    let leased = queue.lease(&LetterFilter::new(), 3, LEASE).await.unwrap();
    queue.settle(leased[0].token, Settlement::Delivered).await.unwrap();
    queue.settle(leased[1].token, Settlement::Quarantine).await.unwrap();
    let now = stats(&queue).await;
    assert_eq!((now.ready, now.leased, now.quarantined, now.delivered, now.evicted), (2, 1, 1, 1, 2));
    let by_destination: Vec<_> = now.by_destination.into_iter().collect();
    assert_eq!(by_destination, [("even".to_string(), 2), ("odd".to_string(), 2)]);
    assert_eq!(
        queue.discard(&LetterFilter::new().destination("odd"), &by()).await,
        Ok(1),
        "the quarantined one stays"
    );
    tokio::time::advance(HOUR).await;
    let now = stats(&queue).await;
    assert_eq!((now.pushed, now.expired, now.discarded, now.held()), (7, 2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn losses_are_told_outside_the_lock_and_a_panic_there_breaks_nothing() {
    let told = Arc::new(Lock::new(Vec::new()));
    let (book, own) = (Arc::clone(&told), Arc::new(Lock::new(None::<MemoryQueue>)));
    let inside = Arc::clone(&own);
    let queue = MemoryQueue::builder()
        .capacity(1)
        .when_full(WhenFull::DropOldest)
        .time_to_live(HOUR)
        .on_loss(move |letter, loss| {
            // Using the queue in here would hang if its lock were held.
            let queue = inside.lock().clone().unwrap();
            assert!(queue.stats().now_or_never().is_some());
            book.lock().push((letter.id.get(), loss));
            assert_ne!(loss, Loss::Expired, "told");
        })
        .build()
        .unwrap();
    *own.lock() = Some(queue.clone());
    push(&queue).await;
    push(&queue).await;
    tokio::time::advance(HOUR).await;
    assert!(AssertUnwindSafe(queue.stats()).catch_unwind().await.is_err());
    assert_eq!(*told.lock(), [(1, Loss::Evicted), (2, Loss::Expired)]);
    assert_eq!(stats(&queue).await.expired, 1);
    push(&queue).await;
    *own.lock() = None;
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let builder = MemoryQueue::builder;
    for (builder, setting) in [
        (builder().capacity(0), "capacity"),
        (builder().max_bytes(0), "max_bytes"),
        (builder().quarantine_after(0), "quarantine_after"),
        (builder().time_to_live(Duration::ZERO), "time_to_live"),
    ] {
        assert_eq!(builder.build().unwrap_err().setting, setting);
    }
    let longest = builder().time_to_live(Duration::MAX).build().unwrap();
    assert!(longest.push(full_letter()).now_or_never().unwrap().is_ok());
}
