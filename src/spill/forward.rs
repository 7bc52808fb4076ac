//! From the local queue to the remote one.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use super::SpillQueue;
use crate::call::CallContext;
use crate::dead_letter::{
    ByHand, DeadLetter, LetterFilter, LetterState, MAX_UNSETTLED, Origin, PushErrorKind, QueueError,
    SettleError, Settlement,
};
use crate::time;
use crate::timer::Timer;

/// What a lease lasts longer than the remote queue may take: time to tell the local one how it went.
const TO_SETTLE: Duration = Duration::from_secs(30);

/// How many letters are looked at together.
const PAGE: usize = 64;

/// What [`SpillQueue::forward`] did.
///
/// ```
/// use recoup::Forwarded;
/// assert_eq!(Forwarded::default().delivered, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarded {
    /// Letters that the remote queue has now and the local one has not.
    pub delivered: u64,
    /// Letters that are too large for the remote queue. They are quarantined in the local one.
    pub quarantined: u64,
    /// Why the remote queue did not take the letter after these.
    pub refused: Option<PushErrorKind>,
    /// Why the local queue could not go on.
    pub failed: Option<QueueError>,
}

impl Forwarded {
    const fn went_well(&self) -> bool {
        self.refused.is_none() && self.failed.is_none()
    }
}

impl SpillQueue {
    /// Moves up to `limit` letters from the local queue to the remote one, the oldest first. Stops at the first
    /// that the remote queue does not take, which stays where it is.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has moved some letters. The one under way comes back when its lease runs out, after the time
    /// limit and half a minute; if the remote queue has it already, it gets it a second time, with the same
    /// idempotency key and origin.
    pub async fn forward(&self, limit: usize) -> Forwarded {
        let mut done = Forwarded::default();
        if let Err(error) = self.recover().await {
            done.failed = Some(error);
        }
        for _ in 0..limit {
            if !done.went_well() || !self.forward_one(&mut done).await {
                break;
            }
        }
        done
    }

    /// Moves letters from the local queue to the remote one for as long as it is polled: it never ends. While
    /// there are none it looks [every few seconds](super::SpillQueueBuilder::look_every), and after a failure it
    /// waits, longer from one to the next.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// # use recoup::{DeadLetter, DeadLetterQueue, MemoryQueue, SpillQueue};
    /// # let (remote, local) = (MemoryQueue::default(), MemoryQueue::default());
    /// # local.push(DeadLetter::new("charge")).await?;
    /// let letters = SpillQueue::builder(remote, local).build()?;
    /// let task = tokio::spawn({
    ///     let letters = letters.clone();
    ///     async move { letters.forwarding().await }
    /// });
    /// // … the program runs …
    /// # tokio::time::sleep(Duration::from_secs(1)).await;
    /// task.abort();
    /// assert_eq!(letters.stats().await?.ready, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`forward`](Self::forward).
    pub async fn forwarding(&self) -> Infallible {
        let (mut failures, mut previous) = (0_u32, None);
        loop {
            let done = self.forward(PAGE).await;
            let moved = done.delivered + done.quarantined > 0;
            if moved {
                (failures, previous) = (0, None);
            }
            let wait = if done.went_well() {
                // A full page: there may be more. Zero lets others have their turn.
                if moved { Duration::ZERO } else { self.shared.look_every }
            } else {
                failures = failures.saturating_add(1);
                self.shared.backoff.delay(failures, previous, self.shared.dice.draw())
            };
            previous = Some(wait);
            sleep(wait).await;
        }
    }

    /// Makes letters ready whose forwarders were dropped too often: that says nothing of a letter, for nothing
    /// was done with it but to move it.
    async fn recover(&self) -> Result<(), QueueError> {
        let (local, by) = (&self.shared.local, ByHand::of("recoup").because("its forwarders were dropped"));
        let mut filter = LetterFilter::new().state(LetterState::Quarantined);
        loop {
            let page = local.peek(&filter, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            filter = filter.after(last.id);
            for letter in page.iter().filter(|letter| letter.unsettled >= MAX_UNSETTLED) {
                local.reinstate(&LetterFilter::new().any_state().id(letter.id), &by).await?;
            }
        }
    }

    /// Moves the oldest letter. `false` if there is none.
    async fn forward_one(&self, done: &mut Forwarded) -> bool {
        let (local, filter) = (&self.shared.local, LetterFilter::new());
        let leased = local.lease(&filter, 1, self.shared.time_limit.saturating_add(TO_SETTLE)).await;
        let leased = match leased.map(|leased| leased.into_iter().next()) {
            Ok(Some(leased)) => leased,
            Ok(None) => return false,
            Err(error) => {
                done.failed = Some(error);
                return false;
            }
        };
        let settlement = match self.push_remote(self.addressed(leased.letter)).await {
            Ok(_) => Settlement::Delivered,
            Err(error) if error.kind == PushErrorKind::TooLarge => Settlement::Quarantine,
            Err(error) => {
                done.refused = Some(error.kind);
                Settlement::untouched()
            }
        };
        let counted = match settlement {
            Settlement::Delivered => Some(&mut done.delivered),
            Settlement::Quarantine => Some(&mut done.quarantined),
            _ => None,
        };
        match local.settle(leased.token, settlement).await {
            Ok(_) => counted.into_iter().for_each(|count| *count += 1),
            // Somebody removed it meanwhile, or took it after a lease that ran out: it is theirs.
            Err(SettleError::Gone | SettleError::Fenced) => {}
            Err(SettleError::Closed) => done.failed = Some(QueueError::Closed),
            Err(error) => done.failed = Some(QueueError::Storage(error.to_string())),
        }
        true
    }

    /// The letter as it goes to the remote queue: the same each time.
    fn addressed(&self, mut letter: DeadLetter) -> DeadLetter {
        // The key that a redrive would give it.
        letter.idempotency_key = Some(CallContext::redrive(&letter).idempotency_key().to_owned());
        letter.origin = letter.origin.or(Some(Origin::new(self.shared.local_number, letter.id)));
        letter
    }
}

/// Waits, and lets others have their turn at least once.
async fn sleep(wait: Duration) {
    let (until, mut yielded) = (time::later_or_far(time::now(), wait), false);
    let mut timer = pin!(Timer::idle());
    poll_fn(|cx| {
        if !std::mem::replace(&mut yielded, true) {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        timer.as_mut().poll_until(until, cx)
    })
    .await;
}
