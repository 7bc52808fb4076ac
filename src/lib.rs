//! recoup gets back what failed.
#![forbid(unsafe_code)]

mod attempt;
mod backoff;
mod bulkhead;
mod call;
mod circuit_breaker;
mod classification;
mod classify;
mod cooldown;
mod dead_letter;
mod error;
mod event;
mod nested;
mod random;
mod recovery;
mod rejection;
mod retry;
mod retrying;
mod setting;
mod shutdown;
mod sync;
mod time;
mod timeout;
mod timer;
mod window;

pub use crate::attempt::Attempt;
pub use crate::backoff::{Backoff, DelayBounds, Jitter};
pub use crate::bulkhead::{Acquire, Bulkhead, BulkheadBuilder, BulkheadCall, Full, FullReason, Slot};
pub use crate::call::{AnyValue, CallContext, FailedAttempt, Judging, LendingOperation, Lent, Until, When};
pub use crate::circuit_breaker::{
    Abandoned, BreakerGroup, CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerCall, CircuitBreakers,
    CircuitSnapshot, CircuitState, Control, HalfOpen, Isolation, Open, Permit, Ramp,
};
pub use crate::classification::{Advice, Category, Classification, Health, Outcome, Severity};
pub use crate::classify::{
    AsError, BoxedError, Classified, ClassifiedErrors, Classify, ClassifyError, ErrorClassifier, IoErrors,
    Or, Permanent, PlainError, SourceChain, Transient,
};
pub use crate::cooldown::{Cooldown, CooldownBuilder, CoolingDown, FirstAttempts};
pub use crate::dead_letter::{
    AttemptRecord, DeadLetter, DeadLetterQueue, DeadReason, ErrorChain, ErrorFrame, Failed, History,
    LeaseToken, Leased, LetterFilter, LetterId, LetterState, Loss, MAX_UNSETTLED, MemoryQueue,
    MemoryQueueBuilder, Payload, PushError, PushErrorKind, QueueError, QueueStats, Receipt, SettleError,
    Settled, Settlement, WhenFull,
};
pub use crate::error::{Boxed, Reason, RecoveryError};
pub use crate::event::{CallInfo, DelaySource, Event, Observer, Trip};
pub use crate::recovery::{
    ExecuteWithRecovery, Recovery, RecoveryBuilder, Using, execute_with_recovery, execute_with_recovery_mut,
};
pub use crate::rejection::CallError;
pub use crate::retry::{
    Nested, OnEmptyBudget, RetryBudget, RetryBudgetBuilder, RetryPolicy, RetryPolicyBuilder, Timed, Untimed,
};
pub use crate::retrying::{Retry, retry, retry_mut, retry_with};
pub use crate::setting::SettingError;
pub use crate::shutdown::Shutdown;
pub use crate::time::Instant;
pub use crate::timeout::{TimedOut, Timeout, timeout};
pub use crate::window::Window;
