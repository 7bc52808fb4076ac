//! The promises of [`DeadLetterQueue`], by their numbers, kept by the memory queue.

#[cfg(test)]
mod beside;

use std::time::{Duration, SystemTime};

use futures::FutureExt as _;

use super::*;
use crate::classification::Category;
use crate::dead_letter::chain::ErrorChain;
use crate::dead_letter::history::AttemptRecord;
use crate::dead_letter::letter::LetterState;
use crate::dead_letter::payload::Payload;
use crate::dead_letter::queue::MAX_UNSETTLED;
use crate::dead_letter::reason::DeadReason;
use crate::dead_letter::settlement::Failed;

pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A little less than `time`.
pub(super) fn just_before(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(1))
}

pub(super) fn all() -> LetterFilter {
    LetterFilter::new().any_state()
}

pub(super) fn one(id: LetterId) -> LetterFilter {
    all().id(id)
}

pub(super) fn by() -> ByHand {
    ByHand::of("ana")
}

pub(super) fn full_letter() -> DeadLetter {
    DeadLetter::new("charge")
        .tenant("acme")
        .traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .destination("payments")
        .payload(Payload::bytes([0, 255, 7]))
        .reason(DeadReason::Exhausted)
        .error(ErrorChain::from_display(&"no answer"))
        .category(Category::Timeout)
        .status(504)
        .attempt(failure(1))
        .correlation_id("trace-1")
        .idempotency_key("order-7")
        .header("tenant", "acme")
        .died_at(SystemTime::UNIX_EPOCH)
}

pub(super) fn failure(number: u32) -> AttemptRecord {
    AttemptRecord::new(number, SystemTime::UNIX_EPOCH, format!("failure {number}"))
}

pub(super) async fn push(queue: &MemoryQueue) -> LetterId {
    queue.push(full_letter()).await.unwrap().id
}

pub(super) async fn lease_all(queue: &MemoryQueue) -> Vec<Leased> {
    queue.lease(&LetterFilter::new(), usize::MAX, LEASE).await.unwrap()
}

pub(super) async fn lease_one(queue: &MemoryQueue) -> Leased {
    let mut leased = lease_all(queue).await;
    assert_eq!(leased.len(), 1);
    leased.remove(0)
}

pub(super) async fn only(queue: &MemoryQueue) -> DeadLetter {
    let mut letters = queue.peek(&all(), usize::MAX).await.unwrap();
    assert_eq!(letters.len(), 1);
    letters.remove(0)
}

pub(super) async fn stats(queue: &MemoryQueue) -> QueueStats {
    let stats = queue.stats().await.unwrap();
    let gone = stats.delivered + stats.evicted + stats.expired + stats.discarded;
    assert_eq!(stats.pushed, stats.held() + gone, "D15: {stats:?}");
    let letters = queue.peek(&all(), usize::MAX).await.unwrap();
    assert_eq!(stats.held(), wide(letters.len()));
    assert_eq!(stats.bytes, letters.iter().map(DeadLetter::size).sum::<u64>());
    assert_eq!(stats.oldest, letters.iter().map(|letter| letter.died_at).min());
    stats
}

#[tokio::test(start_paused = true)]
async fn d1_stored_letter_is_held_for_every_clone() {
    let queue = MemoryQueue::default();
    let clone = queue.clone();
    let id = push(&queue).await;
    drop(queue);
    tokio::time::advance(1000 * HOUR).await;
    assert_eq!(only(&clone).await.id, id);
}

#[tokio::test(start_paused = true)]
async fn d2_letter_comes_out_as_it_went_in_and_counts_start_anew() {
    let queue = MemoryQueue::default();
    let mut pushed = full_letter();
    pushed.id = LetterId::new(99);
    pushed.state = LetterState::Quarantined;
    (pushed.deliveries, pushed.redrives, pushed.unsettled) = (7, 8, 9);
    let id = queue.push(pushed).await.unwrap().id;

    let mut expected = full_letter();
    expected.id = id;
    assert_eq!(only(&queue).await, expected);
    expected.deliveries = 1;
    expected.state = LetterState::Leased;
    assert_eq!(lease_one(&queue).await.letter, expected);
}

#[tokio::test(start_paused = true)]
async fn d4_ids_grow_and_are_never_used_again() {
    let queue = MemoryQueue::builder().capacity(2).when_full(WhenFull::DropOldest).build().unwrap();
    let mut last = LetterId::UNASSIGNED;
    for round in 0..20 {
        let id = push(&queue).await;
        assert!(id > last);
        last = id;
        if round % 3 == 0 {
            queue.discard(&all(), &by()).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d5_at_most_one_live_lease() {
    let queue = MemoryQueue::default();
    push(&queue).await;
    let first = lease_one(&queue).await;
    assert!(lease_all(&queue).await.is_empty());
    assert!(queue.lease(&all(), 9, LEASE).await.unwrap().is_empty());
    tokio::time::advance(just_before(LEASE)).await;
    assert!(lease_all(&queue).await.is_empty(), "the lease still lives");
    tokio::time::advance(Duration::from_millis(1)).await;
    let second = lease_one(&queue).await;
    assert!(second.token.fence() > first.token.fence());
}

#[tokio::test(start_paused = true)]
async fn d6_token_of_an_old_lease_changes_nothing() {
    let queue = MemoryQueue::default();
    push(&queue).await;
    let old = lease_one(&queue).await.token;
    tokio::time::advance(LEASE).await;
    let settlements = || {
        let redriven = Settlement::redrive_failed(failure(2));
        [
            Settlement::Delivered,
            Settlement::Quarantine,
            Settlement::untouched(),
            redriven,
            Settlement::Extend(HOUR),
        ]
    };
    for leased_again in [false, true] {
        if leased_again {
            lease_one(&queue).await;
        }
        let before = only(&queue).await;
        for settlement in settlements() {
            assert_eq!(queue.settle(old, settlement).await, Err(SettleError::Fenced));
        }
        assert_eq!(only(&queue).await, before);
    }
}

#[tokio::test(start_paused = true)]
async fn d6_settled_lease_cannot_be_settled_again() {
    let queue = MemoryQueue::default();
    push(&queue).await;
    let token = lease_one(&queue).await.token;
    queue.settle(token, Settlement::redrive_failed(failure(2))).await.unwrap();
    let again = queue.settle(token, Settlement::redrive_failed(failure(2))).await;
    assert_eq!(again, Err(SettleError::Fenced));
    assert_eq!(only(&queue).await.redrives, 1);
}

#[tokio::test(start_paused = true)]
async fn d7_lease_runs_out_with_its_delivery_counted() {
    let queue = MemoryQueue::default();
    push(&queue).await;
    assert_eq!(lease_one(&queue).await.letter.deliveries, 1);
    assert_eq!(only(&queue).await.deliveries, 1, "counted before anything else happened");
    tokio::time::advance(LEASE).await;
    assert_eq!(only(&queue).await.state, LetterState::Ready);
    assert_eq!(lease_one(&queue).await.letter.deliveries, 2);
}

#[tokio::test(start_paused = true)]
async fn d7_extended_lease_lasts_from_the_extension_on() {
    let queue = MemoryQueue::default();
    push(&queue).await;
    let token = lease_one(&queue).await.token;
    tokio::time::advance(LEASE / 2).await;
    assert_eq!(queue.settle(token, Settlement::Extend(LEASE)).await, Ok(Settled::Extended));
    assert_eq!(queue.settle(token, Settlement::Extend(Duration::ZERO)).await, Err(SettleError::ZeroLease));
    tokio::time::advance(just_before(LEASE)).await;
    assert!(lease_all(&queue).await.is_empty());
    assert_eq!(queue.settle(token, Settlement::Delivered).await, Ok(Settled::Removed));
}

#[tokio::test(start_paused = true)]
async fn lease_of_no_time_is_refused_and_the_longest_is_not() {
    let queue = MemoryQueue::default();
    push(&queue).await;
    let none = queue.lease(&LetterFilter::new(), 1, Duration::ZERO).await;
    assert_eq!(none, Err(QueueError::ZeroLease));
    assert_eq!(only(&queue).await.deliveries, 0);
    assert_eq!(queue.lease(&LetterFilter::new(), 1, Duration::MAX).await.unwrap().len(), 1);
    tokio::time::advance(1000 * HOUR).await;
    assert!(lease_all(&queue).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn d8_delivered_letter_is_never_seen_again() {
    let queue = MemoryQueue::default();
    push(&queue).await;
    let token = lease_one(&queue).await.token;
    assert_eq!(queue.settle(token, Settlement::Delivered).await, Ok(Settled::Removed));
    tokio::time::advance(HOUR).await;
    assert!(queue.peek(&all(), 9).await.unwrap().is_empty());
    assert!(lease_all(&queue).await.is_empty());
    assert_eq!(queue.settle(token, Settlement::Delivered).await, Err(SettleError::Gone));
    assert_eq!(stats(&queue).await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn d9_every_delivery_carries_the_same_key() {
    let queue = MemoryQueue::default();
    push(&queue).await;
    for _ in 0..2 {
        let leased = lease_one(&queue).await;
        assert_eq!(leased.letter.idempotency_key.as_deref(), Some("order-7"));
        queue.settle(leased.token, Settlement::redrive_failed(failure(1))).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn d10_letter_redriven_too_often_is_quarantined_until_reinstated() {
    let queue = MemoryQueue::builder().quarantine_after(2).build().unwrap();
    let id = push(&queue).await;
    for (settlement, settled) in [
        (Settlement::redrive_failed(failure(1)), Settled::Released),
        (Settlement::untouched(), Settled::Released),
        (Settlement::redrive_failed(failure(1)), Settled::Quarantined),
    ] {
        let token = lease_one(&queue).await.token;
        assert_eq!(queue.settle(token, settlement).await, Ok(settled));
    }
    assert_eq!(only(&queue).await.redrives, 2);
    assert!(lease_all(&queue).await.is_empty());
    assert!(queue.peek(&LetterFilter::new(), 9).await.unwrap().is_empty());

    assert_eq!(queue.reinstate(&one(id), &by()).await, Ok(1));
    assert_eq!(queue.reinstate(&one(id), &by()).await, Ok(0));
    assert_eq!(queue.reinstate(&one(LetterId::new(77)), &by()).await, Ok(0));
    let leased = lease_one(&queue).await;
    assert_eq!((leased.letter.redrives, leased.letter.deliveries), (0, 4));
    let again = queue.settle(leased.token, Settlement::redrive_failed(failure(1))).await;
    assert_eq!(again, Ok(Settled::Released), "reinstating gives a fresh allowance");
}

#[tokio::test(start_paused = true)]
async fn d10_letter_that_never_gets_settled_is_quarantined() {
    let queue = MemoryQueue::default();
    push(&queue).await;
    for crash in 1..=MAX_UNSETTLED {
        assert_eq!(lease_one(&queue).await.letter.deliveries, crash);
        tokio::time::advance(LEASE).await;
    }
    let letter = only(&queue).await;
    assert_eq!(
        (letter.state, letter.unsettled, letter.redrives),
        (LetterState::Quarantined, MAX_UNSETTLED, 0)
    );
    assert!(lease_all(&queue).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn d10_quarantined_letter_leased_on_request_is_quarantined_again() {
    let queue = MemoryQueue::default();
    let id = push(&queue).await;
    let token = lease_one(&queue).await.token;
    assert_eq!(queue.settle(token, Settlement::Quarantine).await, Ok(Settled::Quarantined));

    let quarantined = LetterFilter::new().state(LetterState::Quarantined);
    let token = queue.lease(&quarantined, 1, LEASE).await.unwrap()[0].token;
    assert_eq!(queue.reinstate(&one(id), &by()).await, Ok(0), "somebody works on it");
    assert_eq!(queue.settle(token, Settlement::untouched()).await, Ok(Settled::Quarantined));
    queue.lease(&quarantined, 1, LEASE).await.unwrap();
    tokio::time::advance(LEASE).await;
    assert_eq!(only(&queue).await.state, LetterState::Quarantined);
    let token = queue.lease(&quarantined, 1, LEASE).await.unwrap()[0].token;
    assert_eq!(queue.settle(token, Settlement::Delivered).await, Ok(Settled::Removed));
}

#[tokio::test(start_paused = true)]
async fn d18_dropped_futures_leave_everything_true() {
    let queue = MemoryQueue::default();
    drop(queue.push(full_letter()));
    assert_eq!(stats(&queue).await.pushed, 0, "never polled, never stored");
    push(&queue).await;
    drop(queue.lease(&LetterFilter::new(), 1, LEASE));
    assert_eq!(only(&queue).await.deliveries, 0);
    let _lost = queue.lease(&LetterFilter::new(), 1, LEASE).now_or_never();
    assert_eq!(stats(&queue).await.leased, 1);
    tokio::time::advance(LEASE).await;
    let token = lease_one(&queue).await.token;
    drop(queue.settle(token, Settlement::Delivered));
    assert_eq!(queue.settle(token, Settlement::Delivered).await, Ok(Settled::Removed));
    stats(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn d19_failing_redrive_updates_its_letter_and_makes_no_other() {
    let queue = MemoryQueue::default();
    let id = push(&queue).await;
    for redrive in 1..=3 {
        let token = lease_one(&queue).await.token;
        let failed =
            Failed::from(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, format!("redrive {redrive}")))
                .error(ErrorChain::from_display(&"still down"));
        queue.settle(token, Settlement::redrive_failed(failed)).await.unwrap();
    }
    let letter = only(&queue).await;
    let messages: Vec<_> = letter.attempts.records().iter().map(|record| record.message.as_str()).collect();
    assert_eq!(messages, ["failure 1", "redrive 1", "redrive 2", "redrive 3"]);
    assert_eq!((letter.id, letter.redrives, letter.state), (id, 3, LetterState::Quarantined));
    assert_eq!(letter.error.to_string(), "still down");
    assert_eq!(stats(&queue).await.pushed, 1);
}
