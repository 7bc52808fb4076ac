//! A full memory queue: who waits, who is told, who is dropped.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use tokio_test::{assert_pending, assert_ready, task};

use super::promises::{HOUR, all, by, full_letter, just_before, lease_one, one, push, stats};
use super::*;
use crate::dead_letter::error::PushErrorKind;
use crate::dead_letter::payload::Payload;

const WAIT: Duration = Duration::from_secs(5);
const MS: Duration = Duration::from_millis(1);

fn waiting() -> MemoryQueueBuilder {
    MemoryQueue::builder().when_full(WhenFull::Wait(WAIT))
}

fn of_size(bytes: usize) -> DeadLetter {
    DeadLetter::new("").payload(Payload::new("", vec![b'x'; bytes]))
}

async fn free(queue: &MemoryQueue, id: LetterId) {
    assert_eq!(queue.discard(&one(id), &by()).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn d2_cap_of_a_thousand_with_1500_pushed_loses_nothing_in_silence() {
    let levels = Arc::new(Lock::new(Vec::new()));
    for rule in [WhenFull::Refuse, WhenFull::DropOldest] {
        let (told, lost) = (Arc::clone(&levels), Arc::new(Lock::new(Vec::new())));
        let book = Arc::clone(&lost);
        let queue = MemoryQueue::builder()
            .capacity(1000)
            .when_full(rule)
            .on_filling(move |now| told.lock().push((now.held(), now.pushed)))
            .on_loss(move |letter, loss| book.lock().push((letter.id.get(), loss)))
            .build()
            .unwrap();
        let (mut handed_back, mut named) = (0, Vec::new());
        for _ in 0..1500 {
            match queue.push(full_letter()).await {
                Ok(receipt) => named.extend(receipt.evicted.iter().map(|id| id.get())),
                Err(error) => {
                    assert_eq!((*error.letter, error.kind), (full_letter(), PushErrorKind::Full));
                    handed_back += 1;
                }
            }
        }
        let (evicted, oldest): (u64, Vec<u64>) = match rule {
            WhenFull::DropOldest => (500, (1..=500).collect()),
            _ => (0, Vec::new()),
        };
        assert_eq!((handed_back, stats(&queue).await.evicted), (500 - evicted, evicted));
        assert_eq!(named, oldest);
        let lost = std::mem::take(&mut *lost.lock());
        assert_eq!(lost, oldest.into_iter().map(|id| (id, Loss::Evicted)).collect::<Vec<_>>());
        assert_eq!(std::mem::take(&mut *levels.lock()), [(800, 800)], "told once, at 80 %");
    }
}

#[tokio::test(start_paused = true)]
async fn filling_is_told_again_only_after_it_was_under_70_percent_of_both_limits() {
    let told = Arc::new(Lock::new(Vec::new()));
    let book = Arc::clone(&told);
    let queue = MemoryQueue::builder()
        .max_bytes(100)
        .on_filling(move |now| book.lock().push(now.bytes))
        .build()
        .unwrap();
    let mut ids = Vec::new();
    for _ in 0..9 {
        ids.push(queue.push(of_size(10)).await.unwrap().id);
    }
    for id in [ids[0], ids[1]] {
        free(&queue, id).await;
    }
    queue.push(of_size(10)).await.unwrap();
    assert_eq!(*told.lock(), [80], "from 70 back to 80 is no news");
    for id in [ids[2], ids[3]] {
        free(&queue, id).await;
    }
    queue.push(of_size(20)).await.unwrap();
    assert_eq!(*told.lock(), [80, 80]);
}

#[tokio::test(start_paused = true)]
async fn filling_is_told_outside_the_lock_and_a_panic_there_keeps_the_letter() {
    let own = Arc::new(Lock::new(None::<MemoryQueue>));
    let inside = Arc::clone(&own);
    let queue = MemoryQueue::builder()
        .capacity(1)
        .on_filling(move |now| {
            let queue = inside.lock().clone().unwrap();
            // Using the queue in here would hang if its lock were held.
            assert_eq!(queue.stats().now_or_never().unwrap().unwrap(), *now);
            panic!("told");
        })
        .build()
        .unwrap();
    *own.lock() = Some(queue.clone());
    assert!(std::panic::AssertUnwindSafe(queue.push(full_letter())).catch_unwind().await.is_err());
    assert_eq!(stats(&queue).await.ready, 1);
    *own.lock() = None;
}

#[tokio::test(start_paused = true)]
async fn d12_push_waits_for_room_and_takes_it_at_once() {
    let queue = waiting().capacity(1).build().unwrap();
    let first = push(&queue).await;
    let mut second = task::spawn(queue.push(full_letter()));
    assert_pending!(second.poll());
    tokio::time::advance(just_before(WAIT)).await;
    assert_pending!(second.poll());
    free(&queue, first).await;
    assert!(second.is_woken());
    assert_eq!(assert_ready!(second.poll()).unwrap().id, LetterId::new(2));
    assert_eq!(stats(&queue).await.ready, 1);
}

#[tokio::test(start_paused = true)]
async fn d12_wait_is_bounded_and_hands_the_letter_back() {
    let queue = waiting().capacity(1).build().unwrap();
    push(&queue).await;
    let begun = time::now();
    let letter = of_size(3);
    let error = queue.push(letter.clone()).await.unwrap_err();
    assert_eq!((time::now() - begun, *error.letter, error.kind), (WAIT, letter, PushErrorKind::Full));
    assert!(queue.shared.ledger.lock().line.is_empty(), "it left the line");
    assert_eq!(stats(&queue).await.pushed, 1);
    let for_ever =
        MemoryQueue::builder().capacity(1).when_full(WhenFull::Wait(Duration::MAX)).build().unwrap();
    push(&for_ever).await;
    assert!(for_ever.push(full_letter()).now_or_never().is_none());
    let zero = MemoryQueue::builder().when_full(WhenFull::Wait(Duration::ZERO)).build();
    assert_eq!(zero.unwrap_err().setting, "when_full");
}

#[tokio::test(start_paused = true)]
async fn d12_those_who_wait_are_served_in_order_and_nobody_overtakes() {
    let queue = waiting().max_bytes(100).build().unwrap();
    let filler = queue.push(of_size(90)).await.unwrap().id;
    let mut large = task::spawn(queue.push(of_size(60)));
    assert_pending!(large.poll());
    let mut small = task::spawn(queue.push(of_size(5)));
    assert_pending!(small.poll(), "it would fit, but is not the first");
    free(&queue, filler).await;
    assert!(!small.is_woken());
    let newcomer = queue.push(of_size(1)).now_or_never();
    assert!(newcomer.is_none());
    assert_eq!(assert_ready!(large.poll()).unwrap().id.get(), 2);
    assert!(small.is_woken(), "the next is told once the first has gone");
    assert_eq!(assert_ready!(small.poll()).unwrap().id.get(), 3);
    let too_large = queue.push(of_size(101)).await.unwrap_err();
    assert_eq!(too_large.kind, PushErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn d18_dropped_waiter_leaves_nothing_and_lets_the_next_one_in() {
    let queue = waiting().max_bytes(100).build().unwrap();
    queue.push(of_size(90)).await.unwrap();
    let mut large = task::spawn(queue.push(of_size(60)));
    let mut small = task::spawn(queue.push(of_size(5)));
    assert_pending!(large.poll());
    assert_pending!(small.poll());
    drop(large);
    assert!(small.is_woken());
    assert_eq!(assert_ready!(small.poll()).unwrap().id.get(), 2);
    // Woken, but dropped before it was polled: its turn passes on.
    let mut third = task::spawn(queue.push(of_size(50)));
    let mut fourth = task::spawn(queue.push(of_size(50)));
    assert_pending!(third.poll());
    assert_pending!(fourth.poll());
    assert_eq!(queue.discard(&all(), &by()).await, Ok(2));
    assert!(third.is_woken() && !fourth.is_woken());
    drop(third);
    assert!(fourth.is_woken());
    assert_ready!(fourth.poll()).unwrap();
    assert_eq!(stats(&queue).await.pushed, 3);
    assert!(queue.shared.ledger.lock().line.is_empty());
}

#[tokio::test(start_paused = true)]
async fn letter_that_expires_lets_a_waiter_in_without_anybody_else() {
    let queue = waiting().capacity(1).time_to_live(2 * WAIT).build().unwrap();
    push(&queue).await;
    tokio::time::advance(WAIT + Duration::from_secs(2)).await;
    let begun = time::now();
    assert_eq!(queue.push(full_letter()).await.unwrap().id.get(), 2);
    assert_eq!(time::now() - begun, Duration::from_secs(3));
    // A leased one expires as its lease ends, which a holder may bring nearer.
    let queue = waiting().capacity(1).time_to_live(WAIT).build().unwrap();
    push(&queue).await;
    let leased = queue.lease(&all(), 1, HOUR).await.unwrap().remove(0);
    tokio::time::advance(WAIT).await;
    let mut second = pin!(queue.push(full_letter()));
    assert!(second.as_mut().now_or_never().is_none());
    queue.settle(leased.token, Settlement::Extend(MS)).await.unwrap();
    let begun = time::now();
    second.await.unwrap();
    assert_eq!(time::now() - begun, MS);
}

#[tokio::test(start_paused = true)]
async fn many_wait_and_each_is_stored_once() {
    let queue = waiting().capacity(3).build().unwrap();
    let pushers = join_all((0..50).map(|_| queue.push(full_letter())));
    let consumer = async {
        for _ in 0..50 {
            let token = queue.lease(&all(), 1, HOUR).await.unwrap()[0].token;
            queue.settle(token, Settlement::Delivered).await.unwrap();
            tokio::time::sleep(10 * MS).await;
        }
    };
    let (pushed, ()) = futures::future::join(pushers, consumer).await;
    let ids: Vec<u64> = pushed.into_iter().map(|receipt| receipt.unwrap().id.get()).collect();
    assert_eq!(ids, (1..=50).collect::<Vec<_>>(), "in the order in which they came");
    let now = stats(&queue).await;
    assert_eq!((now.delivered, now.held()), (50, 0));
}

#[tokio::test(start_paused = true)]
async fn replacing_does_not_wait_in_line() {
    let queue = waiting().capacity(1).build().unwrap();
    let first = push(&queue).await;
    let mut second = task::spawn(queue.push(full_letter()));
    assert_pending!(second.poll());
    assert!(queue.replace(first, full_letter(), &by()).now_or_never().unwrap().is_ok());
    assert_pending!(second.poll());
    let token = lease_one(&queue).await.token;
    queue.settle(token, Settlement::Delivered).await.unwrap();
    assert_ready!(second.poll()).unwrap();
}
