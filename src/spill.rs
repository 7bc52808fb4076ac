//! Letters that go to the local queue while the remote one is away, and are forwarded later.

mod forward;
mod queue;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;

pub use self::forward::Forwarded;
use crate::backoff::{Backoff, Jitter};
use crate::circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder, HalfOpen};
use crate::classification::Outcome;
use crate::dead_letter::{DeadLetter, DeadLetterQueue, PushError, PushErrorKind, Receipt};
use crate::random::Dice;
use crate::setting::{Check, SettingError};
use crate::time;
use crate::timer::Timer;

/// A remote queue, and a local one for when it is away: the outage that fills a queue of dead letters often
/// takes the server of that queue with it. Clones share both.
///
/// **Pushing** asks the remote queue first, for a [short time](SpillQueueBuilder::time_limit). A letter that it does
/// not take in time goes to the local queue; only one that is too large for the remote queue is handed back at once. After a
/// few failures in a row the remote queue is not asked for a while: a [circuit breaker](SpillQueueBuilder::circuit_breaker)
/// of its own sees to that. The [receipt](Receipt) says whether a letter was `spilled`; its number is then one of
/// the local queue.
///
/// **Everything else** is asked of the remote queue alone: what lies in the local one is on its way, and is
/// seen there once it has arrived. The [local queue](Self::local) can be looked at directly. It belongs to the `SpillQueue`: nobody
/// else should push to it or lease from it.
///
/// **Forwarding** is what somebody awaits: [`forwarding`](Self::forwarding) beside the rest of the program, or
/// [`forward`](Self::forward) now and then. A letter is leased locally, pushed to the remote queue, and
/// delivered locally, in this order. So a crash in between forwards it twice, with the same idempotency key
/// and the same [`origin`](DeadLetter::origin): a remote queue that knows origins keeps one. A remote queue that takes a
/// letter and answers too late also holds it twice in the end, under the same idempotency key if it has one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, MemoryQueue, SpillQueue};
///
/// # let full = MemoryQueue::builder().capacity(1).build()?;
/// # full.push(DeadLetter::new("other")).await?;
/// # let (away, local) = (full, MemoryQueue::default());
/// let letters = SpillQueue::builder(away.clone(), local).build()?;
/// let receipt = letters.push(DeadLetter::new("charge")).await?;
/// assert!(receipt.spilled);
///
/// # away.discard(&recoup::LetterFilter::new(), &recoup::ByHand::default()).await?;
/// // The remote queue is back.
/// assert_eq!(letters.forward(100).await.delivered, 1);
/// assert_eq!(letters.stats().await?.ready, 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SpillQueue {
    shared: Arc<Shared>,
}

struct Shared {
    remote: Arc<dyn DeadLetterQueue>,
    local: Arc<dyn DeadLetterQueue>,
    time_limit: Duration,
    breaker: CircuitBreaker,
    backoff: Backoff,
    look_every: Duration,
    local_number: u128,
    dice: Dice,
}

impl SpillQueue {
    /// Begins with the defaults: letters go to `remote`, or else to `local`.
    pub fn builder(
        remote: impl DeadLetterQueue + 'static,
        local: impl DeadLetterQueue + 'static,
    ) -> SpillQueueBuilder {
        let breaker = CircuitBreaker::builder("spill")
            .no_failure_rate()
            .consecutive_failures(3)
            .half_open(HalfOpen::probes(1))
            .no_ramp();
        SpillQueueBuilder {
            remote: Arc::new(remote),
            local: Arc::new(local),
            time_limit: Duration::from_secs(1),
            breaker,
            backoff: Backoff::exponential(Duration::from_secs(1))
                .max_delay(Duration::from_secs(60))
                .jitter(Jitter::Equal),
            look_every: Duration::from_secs(5),
            local_number: None,
        }
    }

    /// Where letters wait that the remote queue did not take.
    #[must_use]
    pub fn local(&self) -> &dyn DeadLetterQueue {
        &*self.shared.local
    }

    /// The remote queue.
    #[must_use]
    pub fn remote(&self) -> &dyn DeadLetterQueue {
        &*self.shared.remote
    }

    /// What keeps a remote queue from being asked that does not answer.
    #[must_use]
    pub fn circuit_breaker(&self) -> &CircuitBreaker {
        &self.shared.breaker
    }

    /// Pushes to the remote queue, if the circuit lets it and for as long as it may take.
    async fn push_remote(&self, letter: DeadLetter) -> Result<Receipt, PushError> {
        let permit = match self.shared.breaker.admit() {
            Ok(permit) => permit,
            Err(open) => return Err(PushError::new(letter, PushErrorKind::Storage(open.to_string()))),
        };
        let kept = letter.clone(); // to be handed back by a queue that never answers
        let answer = self.in_time(self.shared.remote.push(letter)).await;
        let answer = answer.unwrap_or_else(|| Err(PushError::new(kept, PushErrorKind::TimedOut)));
        permit.settle(answer.as_ref().map_or_else(|error| outcome(&error.kind), |_| Outcome::Success));
        answer
    }

    /// The answer, unless it takes too long.
    async fn in_time<T>(&self, mut answer: BoxFuture<'_, T>) -> Option<T> {
        let until = time::later_or_far(time::now(), self.shared.time_limit);
        let mut timer = pin!(Timer::idle());
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => {
                ready!(timer.as_mut().poll_until(until, cx));
                Poll::Ready(None)
            }
        })
        .await
    }
}

/// What an answer says of the remote queue: one that is full, or that refuses a letter, is there.
fn outcome(kind: &PushErrorKind) -> Outcome {
    match kind {
        PushErrorKind::Full | PushErrorKind::TooLarge | PushErrorKind::NotAvailable(_) => Outcome::Success,
        _ => Outcome::Failure,
    }
}

impl fmt::Debug for SpillQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.breaker.state();
        f.debug_struct("SpillQueue").field("circuit", &state).finish_non_exhaustive()
    }
}

/// Builds a [`SpillQueue`].
///
/// ```
/// use std::time::Duration;
/// use recoup::{MemoryQueue, SpillQueue};
/// let (remote, local) = (MemoryQueue::default(), MemoryQueue::default());
/// let error = SpillQueue::builder(remote, local).time_limit(Duration::ZERO).build().unwrap_err();
/// assert_eq!(error.to_string(), "spill queue: `time_limit` is 0ns, but must be longer than zero");
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct SpillQueueBuilder {
    remote: Arc<dyn DeadLetterQueue>,
    local: Arc<dyn DeadLetterQueue>,
    time_limit: Duration,
    breaker: CircuitBreakerBuilder,
    backoff: Backoff,
    look_every: Duration,
    local_number: Option<u128>,
}

impl SpillQueueBuilder {
    /// How long the remote queue may take for a letter, longer than zero. Default: 1 s.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// When the remote queue is not asked for a while. Errors of its storage, answers that come too late and a queue that is
    /// closed count as failures; a full one does not. Default: after 3 failures in a row, for 1 s, doubling up to
    /// 30 s, until one letter was taken.
    pub fn circuit_breaker(mut self, breaker: CircuitBreakerBuilder) -> Self {
        self.breaker = breaker;
        self
    }

    /// How long [`forwarding`](SpillQueue::forwarding) waits after the remote queue did not take a letter.
    /// Default: 1 s, doubling up to 1 min, half of it by chance.
    pub fn backoff(mut self, backoff: impl Into<Backoff>) -> Self {
        self.backoff = backoff.into();
        self
    }

    /// How often [`forwarding`](SpillQueue::forwarding) looks for letters while there are none, longer than
    /// zero. Default: 5 s.
    pub const fn look_every(mut self, time: Duration) -> Self {
        self.look_every = time;
        self
    }

    /// The number by which the local queue is known in the [`origin`](DeadLetter::origin) of its letters. If it
    /// outlives its process it needs one that stays the same, and is no other queue's. Default: drawn by
    /// chance.
    pub const fn local_number(mut self, number: u128) -> Self {
        self.local_number = Some(number);
        self
    }

    /// Makes the queue.
    ///
    /// # Errors
    ///
    /// [`SettingError`] if a setting cannot work.
    pub fn build(self) -> Result<SpillQueue, SettingError> {
        let check = Check("spill queue");
        check.longer_than_zero("time_limit", self.time_limit)?;
        check.longer_than_zero("look_every", self.look_every)?;
        self.backoff.check(check)?;
        let dice = Dice::default();
        Ok(SpillQueue {
            shared: Arc::new(Shared {
                remote: self.remote,
                local: self.local,
                time_limit: self.time_limit,
                breaker: self.breaker.build()?,
                backoff: self.backoff,
                look_every: self.look_every,
                local_number: self.local_number.unwrap_or_else(|| dice.bits()),
                dice,
            }),
        })
    }
}

impl fmt::Debug for SpillQueueBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillQueueBuilder")
            .field("time_limit", &self.time_limit)
            .field("backoff", &self.backoff)
            .field("look_every", &self.look_every)
            .finish_non_exhaustive()
    }
}
