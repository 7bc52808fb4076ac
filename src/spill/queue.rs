//! Two queues as one: what is pushed may spill, and everything else is the remote queue's.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::SpillQueue;
use crate::dead_letter::{
    Act, ByHand, DeadLetter, DeadLetterQueue, LeaseToken, Leased, LetterFilter, LetterGroup, LetterId,
    PushError, PushErrorKind, QueueError, QueueStats, Receipt, RunBook, SettleError, Settled, Settlement,
    Survives,
};

impl SpillQueue {
    /// Stores a letter locally that the remote queue did not take.
    async fn spill(&self, refused: PushError) -> Result<Receipt, PushError> {
        if refused.kind == PushErrorKind::TooLarge {
            return Err(refused); // it could never be forwarded
        }
        match self.shared.local.push(*refused.letter).await {
            Ok(mut receipt) => {
                receipt.spilled = true;
                Ok(receipt)
            }
            Err(error) => {
                let (remote, local) = (Box::new(refused.kind), Box::new(error.kind));
                Err(PushError::new(*error.letter, PushErrorKind::Nowhere { remote, local }))
            }
        }
    }
}

impl DeadLetterQueue for SpillQueue {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        async move {
            match self.push_remote(letter).await {
                Ok(receipt) => Ok(receipt),
                Err(refused) => self.spill(refused).await,
            }
        }
        .boxed()
    }

    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        self.shared.remote.peek(filter, limit)
    }

    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>> {
        self.shared.remote.lease(filter, limit, time)
    }

    fn settle(
        &self,
        token: LeaseToken,
        settlement: Settlement,
    ) -> BoxFuture<'_, Result<Settled, SettleError>> {
        self.shared.remote.settle(token, settlement)
    }

    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.shared.remote.quarantine(filter, by)
    }

    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.shared.remote.reinstate(filter, by)
    }

    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.shared.remote.discard(filter, by)
    }

    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        self.shared.remote.replace(old, letter, by)
    }

    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        self.shared.remote.acts(limit)
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        self.shared.remote.stats()
    }

    /// What both survive: a letter may be in either.
    fn survives(&self) -> Survives {
        self.shared.remote.survives().min(self.shared.local.survives())
    }

    fn settle_all(
        &self,
        settlements: Vec<(LeaseToken, Settlement)>,
    ) -> BoxFuture<'_, Vec<Result<Settled, SettleError>>> {
        self.shared.remote.settle_all(settlements)
    }

    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, QueueError>> {
        self.shared.remote.groups(filter, limit)
    }

    fn identity(&self) -> Option<u128> {
        self.shared.remote.identity()
    }

    fn restore<'a>(
        &'a self,
        letters: Vec<DeadLetter>,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Vec<Result<Option<Receipt>, PushError>>> {
        self.shared.remote.restore(letters, by)
    }

    fn runs(&self) -> Option<&dyn RunBook> {
        self.shared.remote.runs()
    }

    /// Closes both, also if one of them fails.
    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        async move {
            let remote = self.shared.remote.close().await;
            self.shared.local.close().await.and(remote)
        }
        .boxed()
    }
}
