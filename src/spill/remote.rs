//! A remote queue for tests, that comes and goes.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::*;
use crate::dead_letter::{
    Act, ByHand, LeaseToken, Leased, LetterFilter, LetterId, MemoryQueue, QueueError, QueueStats,
    SettleError, Settled, Settlement, Survives,
};
use crate::sync::Lock;

/// What the remote queue does with a push.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mood {
    Up,
    Down,
    Hangs,
    /// Stores, and answers too late.
    Late,
    Full,
    TooLarge,
}

/// A remote queue that keeps one letter of each key.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) stored: MemoryQueue,
    pub(super) mood: Arc<Lock<Mood>>,
    pub(super) asked: Arc<Lock<u32>>,
    pub(super) survives: Survives,
}

impl Remote {
    pub(super) fn new(mood: Mood) -> Self {
        Self {
            stored: MemoryQueue::default(),
            mood: Arc::new(Lock::new(mood)),
            asked: Arc::default(),
            survives: Survives::PowerLoss,
        }
    }

    pub(super) fn is(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    pub(super) fn asked(&self) -> u32 {
        *self.asked.lock()
    }

    pub(super) async fn keys(&self) -> Vec<String> {
        let held = self.stored.peek(&LetterFilter::new(), usize::MAX).await.unwrap();
        held.into_iter().filter_map(|letter| letter.idempotency_key).collect()
    }
}

impl DeadLetterQueue for Remote {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        *self.asked.lock() += 1;
        let mood = *self.mood.lock();
        async move {
            let refuse = |letter, kind| Err(PushError::new(letter, kind));
            match mood {
                Mood::Down => return refuse(letter, PushErrorKind::Storage("connection refused".to_owned())),
                Mood::Full => return refuse(letter, PushErrorKind::Full),
                Mood::TooLarge => return refuse(letter, PushErrorKind::TooLarge),
                Mood::Hangs => std::future::pending().await,
                Mood::Up | Mood::Late => {}
            }
            let key = letter.idempotency_key.clone().unwrap_or_default();
            let same = LetterFilter::new().any_state().idempotency_key(key);
            tokio::task::yield_now().await;
            let receipt = match self.stored.peek(&same, 1).await.unwrap().pop() {
                Some(known) => Receipt::new(known.id),
                None => self.stored.push(letter).await?,
            };
            tokio::task::yield_now().await;
            if mood == Mood::Late {
                std::future::pending::<()>().await;
            }
            Ok(receipt)
        }
        .boxed()
    }
    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        self.stored.peek(filter, limit)
    }
    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>> {
        self.stored.lease(filter, limit, time)
    }
    fn settle(&self, token: LeaseToken, how: Settlement) -> BoxFuture<'_, Result<Settled, SettleError>> {
        self.stored.settle(token, how)
    }
    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.stored.quarantine(filter, by)
    }
    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.stored.reinstate(filter, by)
    }
    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.stored.discard(filter, by)
    }
    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        self.stored.replace(old, letter, by)
    }
    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        self.stored.acts(limit)
    }
    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        self.stored.stats()
    }
    fn survives(&self) -> Survives {
        self.survives
    }
}
