//! A queue that does not see what nobody may keep.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::dead_letter::by_hand::{Act, ByHand};
use crate::dead_letter::error::{PushError, QueueError, SettleError};
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::groups::LetterGroup;
use crate::dead_letter::letter::{DeadLetter, LetterId};
use crate::dead_letter::queue::{DeadLetterQueue, LeaseToken, Leased, Receipt, Survives};
use crate::dead_letter::runs::RunBook;
use crate::dead_letter::settlement::{Failed, Settled, Settlement};
use crate::dead_letter::stats::QueueStats;

/// Takes out of letters what may not be stored. A closure over the letter is one.
///
/// Errors quote what they were given, so look at their texts as well as at payload and headers:
/// [`rewrite_texts`](DeadLetter::rewrite_texts) goes over all of them.
///
/// ```
/// use recoup::{DeadLetter, ErrorChain, Redactor};
///
/// let cards = |letter: &mut DeadLetter| {
///     letter.headers.remove("authorization");
///     letter.rewrite_texts(|text| text.replace("4711", "[card]"));
/// };
/// let mut letter = DeadLetter::new("charge").error(ErrorChain::from_display(&"card 4711 refused"));
/// cards.letter(&mut letter);
/// assert_eq!(letter.error.to_string(), "card [card] refused");
/// ```
pub trait Redactor: Send + Sync {
    /// Takes it out of a letter that is about to be stored.
    fn letter(&self, letter: &mut DeadLetter);

    /// Takes it out of what is about to be written down of a failed redrive. Default: as
    /// [`letter`](Self::letter) does, shown a letter that has this failure and nothing else: no name, no payload,
    /// no headers.
    fn failed(&self, failed: &mut Failed) {
        let mut letter = DeadLetter::new(String::new()).attempts(std::mem::take(&mut failed.attempts));
        let reason = letter.reason;
        letter.error = failed.error.clone().unwrap_or_default();
        letter.reason = failed.reason.unwrap_or(reason);
        (letter.category, letter.status) = (failed.category, failed.status);
        self.letter(&mut letter);
        failed.attempts = letter.attempts;
        failed.error = failed.error.as_ref().map(|_| letter.error);
        failed.reason = failed.reason.map(|_| letter.reason);
        (failed.category, failed.status) = (letter.category, letter.status);
    }
}

impl<F: Fn(&mut DeadLetter) + Send + Sync> Redactor for F {
    fn letter(&self, letter: &mut DeadLetter) {
        self(letter);
    }
}

/// A queue behind a [`Redactor`]: whatever is stored has passed it, before the queue inside sees any of it
/// (D16).
///
/// That goes for letters pushed, put in place of others and brought from archives, and for what is written down
/// of redrives that failed. A letter that is refused comes back as it was given, unredacted. What is done by hand
/// is written down as it is said: who did it and why, and the filter, so filter by nothing that is secret.
///
/// A letter that lost its payload or half of it cannot be redriven well: take out what must not be kept, or
/// keep the letters in a queue that encrypts.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, Redacted};
///
/// let queue = Redacted::new(MemoryQueue::default(), |letter: &mut DeadLetter| {
///     letter.headers.remove("authorization");
/// });
/// queue.push(DeadLetter::new("charge").header("authorization", "Bearer 4711")).await?;
/// assert!(queue.peek(&LetterFilter::new(), 1).await?[0].headers.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Redacted<Q, R> {
    queue: Q,
    redactor: R,
}

impl<Q, R> Redacted<Q, R> {
    /// Whatever goes into `queue` passes `redactor` before.
    #[must_use]
    pub const fn new(queue: Q, redactor: R) -> Self {
        Self { queue, redactor }
    }

    /// The queue inside. What is pushed to it directly is not redacted.
    pub const fn get_ref(&self) -> &Q {
        &self.queue
    }
}

impl<Q: fmt::Debug, R> fmt::Debug for Redacted<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redacted").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl<Q, R: Redactor> Redacted<Q, R> {
    /// The letter as the queue may see it.
    fn seen(&self, letter: &DeadLetter) -> DeadLetter {
        let mut letter = letter.clone();
        self.redactor.letter(&mut letter);
        letter
    }

    fn all_seen(&self, letters: &[DeadLetter]) -> Vec<DeadLetter> {
        letters.iter().map(|letter| self.seen(letter)).collect()
    }

    fn said(&self, mut settlement: Settlement) -> Settlement {
        if let Settlement::Release { failed: Some(failed), .. } = &mut settlement {
            self.redactor.failed(failed);
        }
        settlement
    }
}

/// A refusal hands back what was given, not what was shown.
fn answered<T>(answer: Result<T, PushError>, given: DeadLetter) -> Result<T, PushError> {
    answer.map_err(|error| PushError::new(given, error.kind))
}

fn all_answered<T>(answers: Vec<Result<T, PushError>>, given: Vec<DeadLetter>) -> Vec<Result<T, PushError>> {
    answers.into_iter().zip(given).map(|(answer, given)| answered(answer, given)).collect()
}

impl<Q: DeadLetterQueue, R: Redactor> DeadLetterQueue for Redacted<Q, R> {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        Box::pin(async move { answered(self.queue.push(self.seen(&letter)).await, letter) })
    }

    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        self.queue.peek(filter, limit)
    }

    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>> {
        self.queue.lease(filter, limit, time)
    }

    fn settle(
        &self,
        token: LeaseToken,
        settlement: Settlement,
    ) -> BoxFuture<'_, Result<Settled, SettleError>> {
        Box::pin(async move { self.queue.settle(token, self.said(settlement)).await })
    }

    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.queue.quarantine(filter, by)
    }

    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.queue.reinstate(filter, by)
    }

    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.queue.discard(filter, by)
    }

    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        Box::pin(async move { answered(self.queue.replace(old, self.seen(&letter), by).await, letter) })
    }

    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        self.queue.acts(limit)
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        self.queue.stats()
    }

    fn identity(&self) -> Option<u128> {
        self.queue.identity()
    }

    fn restore<'a>(
        &'a self,
        letters: Vec<DeadLetter>,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Vec<Result<Option<Receipt>, PushError>>> {
        Box::pin(async move {
            let answers = self.queue.restore(self.all_seen(&letters), by).await;
            all_answered(answers, letters)
        })
    }

    fn survives(&self) -> Survives {
        self.queue.survives()
    }

    fn push_all(&self, letters: Vec<DeadLetter>) -> BoxFuture<'_, Vec<Result<Receipt, PushError>>> {
        Box::pin(async move {
            let answers = self.queue.push_all(self.all_seen(&letters)).await;
            all_answered(answers, letters)
        })
    }

    fn settle_all(
        &self,
        settlements: Vec<(LeaseToken, Settlement)>,
    ) -> BoxFuture<'_, Vec<Result<Settled, SettleError>>> {
        Box::pin(async move {
            let said = settlements.into_iter().map(|(token, settlement)| (token, self.said(settlement)));
            self.queue.settle_all(said.collect()).await
        })
    }

    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, QueueError>> {
        self.queue.groups(filter, limit)
    }

    fn runs(&self) -> Option<&dyn RunBook> {
        self.queue.runs()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        self.queue.close()
    }
}

#[cfg(test)]
mod tests;
