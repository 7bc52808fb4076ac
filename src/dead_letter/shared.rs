//! A queue that several hold is a queue.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::dead_letter::by_hand::{Act, ByHand};
use crate::dead_letter::error::{PushError, QueueError, SettleError};
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::groups::LetterGroup;
use crate::dead_letter::lease::{LeaseToken, Leased, Receipt};
use crate::dead_letter::letter::{DeadLetter, LetterId};
use crate::dead_letter::queue::{DeadLetterQueue, Survives};
use crate::dead_letter::runs::RunBook;
use crate::dead_letter::settlement::{Settled, Settlement};
use crate::dead_letter::stats::QueueStats;

impl<Q: DeadLetterQueue + ?Sized> DeadLetterQueue for Arc<Q> {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        (**self).push(letter)
    }

    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        (**self).peek(filter, limit)
    }

    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>> {
        (**self).lease(filter, limit, time)
    }

    fn settle(
        &self,
        token: LeaseToken,
        settlement: Settlement,
    ) -> BoxFuture<'_, Result<Settled, SettleError>> {
        (**self).settle(token, settlement)
    }

    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        (**self).quarantine(filter, by)
    }

    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        (**self).reinstate(filter, by)
    }

    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        (**self).discard(filter, by)
    }

    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        (**self).replace(old, letter, by)
    }

    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        (**self).acts(limit)
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        (**self).stats()
    }

    fn identity(&self) -> Option<u128> {
        (**self).identity()
    }

    fn restore<'a>(
        &'a self,
        letters: Vec<DeadLetter>,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Vec<Result<Option<Receipt>, PushError>>> {
        (**self).restore(letters, by)
    }

    fn survives(&self) -> Survives {
        (**self).survives()
    }

    fn push_all(&self, letters: Vec<DeadLetter>) -> BoxFuture<'_, Vec<Result<Receipt, PushError>>> {
        (**self).push_all(letters)
    }

    fn settle_all(
        &self,
        settlements: Vec<(LeaseToken, Settlement)>,
    ) -> BoxFuture<'_, Vec<Result<Settled, SettleError>>> {
        (**self).settle_all(settlements)
    }

    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, QueueError>> {
        (**self).groups(filter, limit)
    }

    fn runs(&self) -> Option<&dyn RunBook> {
        (**self).runs()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        (**self).close()
    }
}
