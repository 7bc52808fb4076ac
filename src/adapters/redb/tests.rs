//! The promises of a queue in a file, by their numbers.

mod like_memory;
mod promises;

use std::time::Duration;

use redb::backends::InMemoryBackend;

use super::RedbQueue;
use crate::dead_letter::{
    DeadLetter, DeadLetterQueue as _, Leased, LetterFilter, LetterId, Payload, QueueStats,
};

const LEASE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

fn all() -> LetterFilter {
    LetterFilter::new().any_state()
}

fn letter(nth: usize) -> DeadLetter {
    DeadLetter::new("charge")
        .destination(format!("payments-{}", nth % 3))
        .payload(Payload::text(format!("letter {nth}")))
}

async fn in_memory() -> RedbQueue {
    RedbQueue::builder().in_backend(InMemoryBackend::new()).await.unwrap()
}

async fn push(queue: &RedbQueue, nth: usize) -> LetterId {
    queue.push(letter(nth)).await.unwrap().id
}

async fn lease_one(queue: &RedbQueue) -> Leased {
    let mut leased = queue.lease(&LetterFilter::new(), 1, LEASE).await.unwrap();
    assert_eq!(leased.len(), 1);
    leased.remove(0)
}

/// The numbers, which must be those of a recount.
async fn stats(queue: &RedbQueue) -> QueueStats {
    let stats = queue.stats().await.unwrap();
    let gone = stats.delivered + stats.evicted + stats.expired + stats.discarded;
    assert_eq!(stats.pushed, stats.held() + gone, "D15: {stats:?}");
    let letters = queue.peek(&all(), usize::MAX).await.unwrap();
    assert_eq!(stats.held() - stats.damaged, letters.len() as u64);
    if stats.damaged == 0 {
        assert_eq!(stats.bytes, letters.iter().map(DeadLetter::size).sum::<u64>());
        assert_eq!(stats.oldest, letters.iter().map(|letter| letter.died_at).min());
    }
    stats
}
