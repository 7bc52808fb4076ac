//! recoup gets back what failed.
//!
//! ```
//! # async fn fetch_user(_id: u32) -> Result<&'static str, std::io::Error> { Ok("ada") }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), std::io::Error> {
//! # let id = 7;
//! let user = recoup::retry(|| fetch_user(id)).await?;
//! # assert_eq!(user, "ada");
//! # Ok(()) }
//! ```
//!
//! A call is a future; policies decide; the call waits. [`retry`] makes at most three attempts, with waits
//! that no two callers share, and ends in the operation's own error. The rest of this page goes from there to
//! everything wired together.
//!
//! # One call, tuned
//!
//! ```
//! # use std::io::{Error, ErrorKind};
//! # use std::time::Duration;
//! # async fn fetch_user(_id: u32) -> Result<&'static str, Error> { Ok("ada") }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use recoup::{RetryPolicy, retry};
//!
//! // Built once, shared: its retry budget keeps an outage from being met with a storm.
//! let policy = RetryPolicy::exponential(Duration::from_millis(100)).max_attempts(5).build()?;
//!
//! let user = retry(|| fetch_user(7))
//!     .policy(&policy)
//!     .when(|error| error.kind() != ErrorKind::NotFound)
//!     .await?;
//! # assert_eq!(user, "ada");
//! # Ok(()) }
//! ```
//!
//! [`retry_with`] tells the operation which attempt it is, [`retry_mut`] lends it something mutable. Under a
//! policy with time limits a retry ends in a [`RecoveryError`], because when time runs out there may be no
//! error of the operation to give back.
//!
//! # What an error means
//!
//! An [`ErrorClassifier`] answers once for each failed attempt, and retry, breaker, letters and telemetry all
//! read that one [`Classification`]: what kind of trouble it is, whether to try again and not before when, and
//! whether the dependency is to blame. Closures are classifiers; [`SourceChain`] and [`IoErrors`] are ready.
//!
//! ```
//! use std::time::Duration;
//! use recoup::{Category, Classification, ErrorClassifier};
//!
//! enum PaymentError { Declined, Busy { retry_after: Duration }, Unreachable }
//!
//! struct PaymentErrors;
//!
//! impl ErrorClassifier<PaymentError> for PaymentErrors {
//!     fn classify(&self, error: &PaymentError) -> Classification {
//!         match error {
//!             PaymentError::Declined => Category::BusinessRule.into(),
//!             PaymentError::Busy { retry_after } => {
//!                 Classification::of(Category::RateLimited).retry_after(*retry_after).status(429)
//!             }
//!             PaymentError::Unreachable => Category::Network.into(),
//!         }
//!     }
//! }
//! # assert_eq!(PaymentErrors.classify(&PaymentError::Declined).advice(), recoup::Advice::Stop);
//! # assert_eq!(PaymentErrors.classify(&PaymentError::Unreachable).advice(), recoup::Advice::Retry);
//! # assert!(PaymentErrors.classify(&PaymentError::Busy { retry_after: Duration::ZERO }).hint().is_some());
//! ```
//!
//! # Everything wired together
//!
//! A [`Recovery`] is built once for a dependency and shared by everyone who calls it. [`execute_with_recovery`]
//! makes a call under it: asks the circuit and the bulkhead, makes an attempt under its limit, learns from how
//! it ends, waits holding no slot, tries again; and a call that fails for good is written down as a dead letter
//! before its caller gets the [`RecoveryError`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::io::{Error, ErrorKind};
//! use std::time::Duration;
//! use recoup::{
//!     Bulkhead, CallContext, CircuitBreaker, DeadLetterQueue, IoErrors, LetterFilter, MemoryQueue, Payload, Reason,
//!     Recovery, RetryPolicy, execute_with_recovery,
//! };
//!
//! let letters = MemoryQueue::default();
//! let recovery = Recovery::builder("payments")
//!     .classifier(IoErrors)
//!     .retry(RetryPolicy::exponential(Duration::from_millis(50)).max_attempts(4))
//!     .circuit_breaker(CircuitBreaker::builder("payments").failure_rate(0.5))
//!     .bulkhead(Bulkhead::builder(64).queue(32))
//!     .attempt_timeout(Duration::from_secs(2))
//!     .deadline(Duration::from_secs(10))
//!     .dead_letters(letters.clone())
//!     .build()?;
//!
//! let call = CallContext::new("charge").destination("payments.example").payload(|| Payload::json("{}"));
//! let error = execute_with_recovery(recovery.with_context(&call), |_attempt| async {
//!     Err::<(), _>(Error::from(ErrorKind::ConnectionRefused))
//! })
//! .await
//! .unwrap_err();
//!
//! assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 4));
//! let letter = &letters.peek(&LetterFilter::new(), 1).await?[0];
//! assert_eq!(Some(letter.id), error.dead_letter());
//! assert_eq!(letter.idempotency_key.as_deref(), Some(call.idempotency_key()));
//! # Ok(()) }
//! ```
//!
//! # Each policy alone
//!
//! | question | policy |
//! |---|---|
//! | Is it worth another attempt, and when? | [`RetryPolicy`], [`Backoff`], [`Jitter`], [`RetryBudget`] |
//! | Is the dependency up? | [`CircuitBreaker`], one for each key in [`CircuitBreakers`] |
//! | Is there room? | [`Bulkhead`] |
//! | Is it too often? | [`RateLimiter`] |
//! | How much does it bear? | [`ConcurrencyLimit`] |
//! | Can a server answer it in time? | [`LoadShedder`] |
//! | Does somebody else ask for the same thing? | [`Coalesce`] |
//! | Did the server ask to be left alone? | [`Cooldown`] |
//! | Has it taken too long? | [`timeout`] |
//! | Is it worth asking twice at once? | [`Hedge`] |
//! | Is there a value that was good before? | [`CacheFallback`], [`LastGood`] |
//! | Where does it go when it failed for good? | [`DeadLetterQueue`], [`MemoryQueue`], [`SpillQueue`] |
//!
//! Every one of them takes a closure and gives a future, so another order than that of `Recovery` is plain
//! nesting: `retry(|| breaker.call(|| op()))`. A retry around a breaker does not spin on an open circuit, and a
//! retry around a retry does not multiply its attempts.
//!
//! # What holds everywhere
//!
//! - **Dropping is safe at any await.** Slots, probes, tokens and places in a queue are owned by the future and
//!   come back with it. Each future says under *Cancel safety* what a dropped one has done.
//! - **One clock.** Everything follows tokio's clock, so `#[tokio::test(start_paused = true)]` drives it.
//! - **Checked names.** A setting that cannot work does not build; the [`SettingError`] names it.
//! - **Quiet.** No task, no output, no global state. Who wants to see what happens adds an [`Observer`]:
//!   [`TracingObserver`] writes to the log, [`Statistics`] counts.
#![forbid(unsafe_code)]

mod adapters;
#[cfg(feature = "archive")]
pub mod archive;
mod attempt;
mod backoff;
mod bulkhead;
mod call;
mod circuit_breaker;
mod classification;
mod classify;
mod coalesce;
mod concurrency_limit;
mod cooldown;
mod dead_letter;
#[cfg(feature = "archive")]
pub mod edit;
#[cfg(any(feature = "archive", feature = "redb"))]
mod envelope;
mod error;
mod event;
mod fallback;
mod hedge;
mod hedging;
#[cfg(feature = "lab")]
pub mod lab;
mod load_shedder;
mod nested;
mod priority;
mod random;
mod rate_limit;
mod reconnect;
mod recovery;
mod redrive;
mod rejection;
mod retry;
mod retrying;
mod setting;
mod shutdown;
mod spill;
mod statistics;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod timeout;
mod timer;
mod window;

#[cfg(feature = "axum")]
pub use crate::adapters::axum;
#[cfg(feature = "http")]
pub use crate::adapters::http;
#[cfg(feature = "redb")]
pub use crate::adapters::redb::{
    OpenError, OpenErrorKind, Recounted, RedbQueue, RedbQueueBuilder, Verified, WrongNumber,
};
#[cfg(feature = "reqwest")]
pub use crate::adapters::reqwest;
#[cfg(feature = "tonic")]
pub use crate::adapters::tonic;
#[cfg(feature = "tower")]
pub use crate::adapters::tower;
pub use crate::adapters::{Traced, TracingObserver, attribute, traced};
pub use crate::attempt::Attempt;
pub use crate::backoff::{Backoff, DelayBounds, Jitter};
pub use crate::bulkhead::{
    Acquire, Bulkhead, BulkheadBuilder, BulkheadCall, BulkheadSnapshot, Entrance, Full, FullReason,
    OwnedSlot, PartitionSnapshot, QueueOrder, Slot,
};
pub use crate::call::{
    AnyValue, CallContext, FailedAttempt, Judging, LendingOperation, Lent, Repeating, Until, When,
};
pub use crate::circuit_breaker::{
    Abandoned, BreakerGroup, CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerCall, CircuitBreakers,
    CircuitSnapshot, CircuitState, Control, HalfOpen, Isolation, Open, Permit, Ramp,
};
pub use crate::classification::{Advice, Category, Classification, Health, Outcome, Severity};
pub use crate::classify::{
    AsError, BoxedError, Classified, ClassifiedErrors, Classify, ClassifyError, ErrorClassifier, IoErrors,
    Or, Permanent, PlainError, SourceChain, Transient,
};
pub use crate::coalesce::{Coalesce, CoalesceBuilder, CoalesceCall};
pub use crate::concurrency_limit::{
    Aimd, ConcurrencyLimit, ConcurrencyLimitBuilder, ConcurrencyLimitCall, ConcurrencySnapshot, Gradient2,
    InFlight, OwnedInFlight, Saturated, Vegas,
};
pub use crate::cooldown::{Cooldown, CooldownBuilder, CoolingDown, FirstAttempts};
pub use crate::dead_letter::{
    Act, AttemptRecord, ByHand, DeadLetter, DeadLetterQueue, DeadReason, Deed, Edited, ErrorChain,
    ErrorFrame, Failed, Fingerprint, History, LeaseToken, Leased, LetterFilter, LetterGroup, LetterId,
    LetterState, Loss, MAX_UNSETTLED, MemoryQueue, MemoryQueueBuilder, Origin, Payload, PushError,
    PushErrorKind, QueueError, QueueStats, Receipt, Redacted, Redactor, RedriveOrder, RedriveOrderBuilder,
    RedriveRun, RunBook, RunError, RunId, RunOwner, RunProgress, RunState, SettleError, Settled, Settlement,
    Survives, WhenFull,
};
pub use crate::error::{Boxed, CannotRepeat, Reason, RecoveryError};
pub use crate::event::{CallInfo, DelaySource, Event, Observer, Trip};
pub use crate::fallback::{
    CacheEntry, CacheFallback, CacheFallbackBuilder, CacheFallbackCall, CacheStore, Cached, Fallback,
    LastGood, MemoryCache, OrElse, OrElseAsync, OrLastGood, OrValue,
};
pub use crate::hedge::{Hedge, HedgeBuilder, HedgeSnapshot, Hedged, Idempotent};
pub use crate::load_shedder::{
    Admit, LoadShedder, LoadShedderBuilder, LoadShedderCall, LoadShedderSnapshot, Serving, Shed, ShedReason,
    Work,
};
pub use crate::priority::Priority;
pub use crate::rate_limit::{
    AcquireRate, Booking, RateLimitReason, RateLimited, RateLimiter, RateLimiterBuilder, RateLimiterCall,
    RateSnapshot,
};
pub use crate::reconnect::{Reconnect, ReconnectBuilder, Supervise, reconnect};
pub use crate::recovery::{
    ExecuteWithRecovery, Recovery, RecoveryBuilder, Shard, Using, execute_with_recovery,
    execute_with_recovery_mut,
};
pub use crate::redrive::{
    Redrive, RedriveError, RedriveOne, RedriveReport, Redriven, Redriver, Stopped, redrive, redrive_one,
};
pub use crate::rejection::CallError;
pub use crate::retry::{
    Nested, OnEmptyBudget, RetriesSeen, RetryBudget, RetryBudgetBuilder, RetryPolicy, RetryPolicyBuilder,
    Throttle, ThrottleBuilder, ThrottleSnapshot, Throttled, TimeLimits, Timed, Untimed, Withheld,
};
pub use crate::retrying::{Retry, retry, retry_mut, retry_with};
pub use crate::setting::SettingError;
pub use crate::shutdown::Shutdown;
pub use crate::spill::{Forwarded, SpillQueue, SpillQueueBuilder};
pub use crate::statistics::{DestinationStatistics, Statistics, StatisticsSnapshot};
pub use crate::time::Instant;
pub use crate::timeout::{TimedOut, Timeout, timeout};
pub use crate::window::Window;
