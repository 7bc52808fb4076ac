//! How a call ends without a value.

mod boxed;
mod repeat;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::boxed::Boxed;
pub use self::repeat::CannotRepeat;
use crate::bulkhead::Full;
use crate::circuit_breaker::Open;
use crate::classification::Classification;
use crate::concurrency_limit::Saturated;
use crate::cooldown::CoolingDown;
use crate::dead_letter::{DeadReason, Failed, LetterId, PushError};
use crate::nested;
use crate::rate_limit::RateLimited;
use crate::retry::{Throttled, Withheld};

/// Why a call ended without a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The classifier said that the same call would fail again.
    Permanent,
    /// Every attempt that the policy allows was made.
    AttemptsExhausted,
    /// The error was worth another attempt, but this call must not be made again.
    CannotRepeat(CannotRepeat),
    /// The retry budget had nothing left.
    BudgetExhausted,
    /// The throttle let no retry be made, for another reason than that its tokens were spent.
    Withheld(Withheld),
    /// The throttle held the first attempt back: the dependency is overloaded.
    Throttled(Throttled),
    /// The call's deadline came, or the next wait would not have fitted.
    DeadlineExceeded,
    /// The server asked for a longer wait than the policy obeys.
    HintTooLong(Duration),
    /// A retry inside the operation had given up already.
    NestedRetry,
    /// A hook broke the call off.
    StoppedByHook,
    /// The shutdown that the call watches was triggered.
    ShutDown,
    /// The circuit breaker did not let the attempt through.
    CircuitOpen(Open),
    /// The rate limiter had nothing left, or no turn soon enough.
    RateLimited(Box<RateLimited>),
    /// The bulkhead had no slot.
    BulkheadFull(Full),
    /// As many attempts were under way as the dependency bears.
    Saturated(Saturated),
    /// Another call was told to stay away for a while.
    CoolingDown(CoolingDown),
}

impl Reason {
    /// The reason in one word, as it stands in events and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::AttemptsExhausted => "attempts",
            Self::CannotRepeat(why) => why.name(),
            Self::BudgetExhausted => "budget",
            Self::Withheld(why) => why.name(),
            Self::Throttled(_) => "throttled",
            Self::DeadlineExceeded => "deadline",
            Self::HintTooLong(_) => "hint",
            Self::NestedRetry => "nested",
            Self::StoppedByHook => "hook",
            Self::ShutDown => "shutdown",
            Self::CircuitOpen(_) => "circuit_open",
            Self::RateLimited(_) => "rate_limited",
            Self::BulkheadFull(_) => "bulkhead_full",
            Self::Saturated(_) => "saturated",
            Self::CoolingDown(_) => "cooling_down",
        }
    }

    /// Whether one of our own policies refused to make the attempt.
    #[must_use]
    pub const fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::Throttled(_)
                | Self::CircuitOpen(_)
                | Self::RateLimited(_)
                | Self::BulkheadFull(_)
                | Self::Saturated(_)
                | Self::CoolingDown(_)
        )
    }

    /// Whether a call that ends so speaks for a retry around it, even if it never came to repeat anything:
    /// someone refused the load or the wait that another attempt would be. Whoever repeats the call sooner
    /// gets around that.
    pub(crate) const fn speaks_for_retries_around(&self) -> bool {
        let refused = matches!(
            self,
            Self::BudgetExhausted
                | Self::Withheld(_)
                | Self::HintTooLong(_)
                | Self::NestedRetry
                | Self::CannotRepeat(_)
        );
        refused || self.is_rejection() || matches!(self, Self::StoppedByHook | Self::ShutDown)
    }

    /// The same, as letters have it.
    pub(crate) const fn of_death(&self) -> DeadReason {
        match self {
            Self::Permanent => DeadReason::Permanent,
            Self::AttemptsExhausted | Self::NestedRetry | Self::CannotRepeat(_) => DeadReason::Exhausted,
            Self::BudgetExhausted | Self::Withheld(_) => DeadReason::Budget,
            Self::DeadlineExceeded | Self::HintTooLong(_) => DeadReason::Deadline,
            Self::StoppedByHook | Self::ShutDown => DeadReason::Cancelled,
            Self::CircuitOpen(_) => DeadReason::CircuitOpen,
            Self::Throttled(_)
            | Self::RateLimited(_)
            | Self::BulkheadFull(_)
            | Self::Saturated(_)
            | Self::CoolingDown(_) => DeadReason::Rejected,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent => f.write_str("the error is permanent"),
            Self::AttemptsExhausted => f.write_str("no attempt is left"),
            Self::CannotRepeat(why) => why.fmt(f),
            Self::BudgetExhausted => f.write_str("the retry budget is empty"),
            Self::Withheld(why) => why.fmt(f),
            Self::Throttled(throttled) => throttled.fmt(f),
            Self::DeadlineExceeded => f.write_str("the deadline leaves no time"),
            Self::HintTooLong(hint) => write!(f, "the server asked to wait {hint:?}"),
            Self::NestedRetry => f.write_str("a retry inside of it gave up"),
            Self::StoppedByHook => f.write_str("a hook stopped it"),
            Self::ShutDown => f.write_str("it was shut down"),
            Self::CircuitOpen(open) => open.fmt(f),
            Self::RateLimited(limited) => limited.fmt(f),
            Self::BulkheadFull(full) => full.fmt(f),
            Self::Saturated(saturated) => saturated.fmt(f),
            Self::CoolingDown(cooling) => cooling.fmt(f),
        }
    }
}

/// A call that ended without a value: who gave up and why, after how many attempts, when to come back, and
/// where its letter lies. The operation's own error is kept whole.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{Reason, Recovery, RetryPolicy, execute_with_recovery};
/// let policy = RetryPolicy::builder().max_attempts(3);
/// let recovery = Recovery::<std::io::Error>::builder("disk").retry(policy).build().unwrap();
/// let error = execute_with_recovery(&recovery, |_| async {
///     Err::<(), _>(std::io::Error::other("bad sector"))
/// })
/// .await
/// .unwrap_err();
///
/// match error.reason() {
///     Reason::AttemptsExhausted => assert_eq!(error.attempts(), 3),
///     other => panic!("{other}"),
/// }
/// assert_eq!(error.to_string(), "`disk` gave up after 3 attempts: no attempt is left");
/// assert_eq!(error.into_inner().unwrap().to_string(), "bad sector");
/// # }
/// ```
pub struct RecoveryError<E> {
    pub(crate) error: Option<E>,
    // In a box, so that the results of all the calls that succeed are not moved about with room for it.
    pub(crate) story: Box<Story>,
}

/// What is known of a call that ended without a value, but for its operation's error.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) name: Arc<str>,
    pub(crate) reason: Reason,
    pub(crate) classification: Option<Classification>,
    pub(crate) timed_out: bool,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) burial: Option<Box<Burial>>,
}

/// What became of the letter of a call that failed.
#[derive(Debug)]
pub(crate) enum Burial {
    /// It is stored.
    Stored(LetterId),
    /// It could not be stored.
    Refused(PushError),
    /// The call was a redrive: it has a letter already, on which this is to be written down.
    Redriven(LetterId, Box<Failed>),
}

impl<E> RecoveryError<E> {
    /// Why there was no further attempt.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.story.reason
    }

    /// The operation's last error; none if no attempt was made, or every one was cut short.
    #[must_use]
    pub const fn inner(&self) -> Option<&E> {
        self.error.as_ref()
    }

    /// The operation's last error, by value.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        self.error
    }

    /// What the classifier said of the last failed attempt.
    #[must_use]
    pub const fn classification(&self) -> Option<Classification> {
        self.story.classification
    }

    /// The recovery that gave up.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.story.name
    }

    /// How many attempts were made.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.story.attempts
    }

    /// How long the call took, from when it first had to wait.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.story.elapsed
    }

    /// Whether time ran out: for the whole call, or for its last attempt.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        self.story.timed_out || matches!(self.story.reason, Reason::DeadlineExceeded)
    }

    /// Whether one of our own policies refused to make the last attempt.
    #[must_use]
    pub const fn is_rejection(&self) -> bool {
        self.story.reason.is_rejection()
    }

    /// How long to wait before it is worth asking again, if somebody said: the circuit, the server.
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        match &self.story.reason {
            Reason::CircuitOpen(open) => open.retry_in(),
            Reason::Throttled(throttled) => Some(throttled.retry_in()),
            Reason::RateLimited(limited) => Some(limited.retry_in()),
            Reason::CoolingDown(cooling) => Some(cooling.retry_in()),
            Reason::HintTooLong(hint) => Some(*hint),
            _ => self.story.classification.and_then(|answer| answer.hint()),
        }
    }

    /// The number of the call's letter, if it has one: because it was buried, or because it was a redrive.
    #[must_use]
    pub fn dead_letter(&self) -> Option<LetterId> {
        match self.story.burial.as_deref()? {
            Burial::Stored(id) | Burial::Redriven(id, _) => Some(*id),
            Burial::Refused(_) => None,
        }
    }

    /// Why the call could not be buried, with its letter, if that was tried and failed.
    #[must_use]
    pub fn burial_error(&self) -> Option<&PushError> {
        match self.story.burial.as_deref()? {
            Burial::Refused(error) => Some(error),
            Burial::Stored(_) | Burial::Redriven(..) => None,
        }
    }

    /// As [`burial_error`](Self::burial_error), by value, so that the letter can be kept elsewhere.
    #[must_use]
    pub fn into_burial_error(self) -> Option<PushError> {
        match *self.story.burial? {
            Burial::Refused(error) => Some(error),
            Burial::Stored(_) | Burial::Redriven(..) => None,
        }
    }

    /// What the letter of a redrive that failed is to be told, once.
    pub(crate) fn take_redriven(&mut self) -> Option<Failed> {
        match self.story.burial.as_deref_mut()? {
            Burial::Redriven(_, failed) => Some(std::mem::take(failed)),
            Burial::Stored(_) | Burial::Refused(_) => None,
        }
    }

    /// Lets a retry around this call know, in the very poll in which it ends, that trying again is in vain.
    /// The last word is this call's own, whatever a hook or a queue of letters has noted meanwhile.
    pub(crate) fn note(&self) {
        if self.story.attempts > 1 || self.story.reason.speaks_for_retries_around() {
            nested::note(&self.story.name);
        } else {
            nested::clear();
        }
    }

    /// Changes the operation's error and keeps the rest.
    pub fn map<F>(self, change: impl FnOnce(E) -> F) -> RecoveryError<F> {
        let Self { error, story } = self;
        RecoveryError { error: error.map(change), story }
    }

    /// Makes it an error whose source can be walked when `E` itself is a box of an error: for
    /// `Box<dyn Error + Send + Sync>` and `anyhow::Error`.
    ///
    /// ```
    /// # use recoup::{RecoveryError, Recovery, execute_with_recovery};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// # let recovery = Recovery::<anyhow::Error>::builder("db").build().unwrap();
    /// let error = execute_with_recovery(&recovery, |_| async { Err::<(), _>(anyhow::anyhow!("gone")) })
    ///     .await
    ///     .unwrap_err();
    /// let error: anyhow::Error = error.boxed().into();
    /// assert_eq!(error.root_cause().to_string(), "gone");
    /// # }
    /// ```
    pub fn boxed(self) -> RecoveryError<Boxed>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.map(|error| Boxed(error.into()))
    }
}

impl<E> fmt::Display for RecoveryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.story.attempts == 1 { "" } else { "s" };
        write!(
            f,
            "`{}` gave up after {} attempt{s}: {}",
            self.story.name, self.story.attempts, self.story.reason
        )
    }
}

impl<E: fmt::Debug> fmt::Debug for RecoveryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryError")
            .field("name", &self.story.name)
            .field("reason", &self.story.reason)
            .field("error", &self.error)
            .field("attempts", &self.story.attempts)
            .field("elapsed", &self.story.elapsed)
            .field("burial", &self.story.burial)
            .finish_non_exhaustive()
    }
}

impl<E: Error + 'static> Error for RecoveryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.as_ref().map(|error| error as &(dyn Error + 'static))
    }
}
