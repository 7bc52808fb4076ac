//! Events, written to the log.

use std::time::Duration;

use super::attribute as is;
use crate::classification::Category;
use crate::event::{DelaySource, Event, Observer};

/// The target of everything that recoup logs.
pub(super) const TARGET: &str = "recoup";

/// Writes what happens to the log of the crate `tracing`, with the target `recoup`.
///
/// Quiet by default: what the policies are there for is told at `debug`, what somebody should know of at
/// `warn` and above, and a state is told when it changes and not while it lasts.
///
/// | level | what |
/// |---|---|
/// | `error` | a letter could not be stored |
/// | `warn` | a call gave up · a letter was stored · a circuit opened · retries are nested and multiply |
/// | `info` | a circuit half-opened or closed · it would have opened, or was held closed |
/// | `debug` | an attempt failed · a retry waits · a call succeeded after retries · a policy refused · a call was turned away before its first attempt |
/// | `trace` | an attempt started · a call succeeded at once |
///
/// The fields are listed at [`attribute`](is). A circuit breaker that several recoveries share tells an
/// observer once if all of them were given clones of one `Arc`:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use std::sync::Arc;
/// use recoup::{CircuitBreaker, Observer, Recovery, TracingObserver, execute_with_recovery};
///
/// let log: Arc<dyn Observer> = Arc::new(TracingObserver::new());
/// let breaker = CircuitBreaker::builder("bank").build()?;
/// let build = |name: &str| {
///     Recovery::<&str>::builder(name).circuit_breaker(breaker.clone()).observer(Arc::clone(&log)).build()
/// };
/// let (reads, writes) = (build("reads")?, build("writes")?);
///
/// assert_eq!(execute_with_recovery(&reads, |_| async { Ok("balance") }).await.unwrap(), "balance");
/// assert_eq!(execute_with_recovery(&writes, |_| async { Ok("receipt") }).await.unwrap(), "receipt");
/// # Ok(()) }
/// ```
///
/// One span for each attempt is [`traced`](super::traced())'s affair.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TracingObserver;

impl TracingObserver {
    /// The observer.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

/// One log event about a call.
macro_rules! about_call {
    ($level:ident, $call:expr, $event:literal, { $($field:tt)* }, $message:literal) => {
        tracing::$level!(
            target: TARGET,
            {
                { is::EVENT } = $event,
                { is::PIPELINE } = $call.name,
                { is::OPERATION } = $call.operation,
                { is::DESTINATION } = $call.destination,
                { is::CORRELATION_ID } = $call.correlation_id,
                $($field)*
            },
            $message
        )
    };
}

/// One log event about a circuit.
macro_rules! about_circuit {
    ($level:ident, $breaker:expr, $event:literal, { $($field:tt)* }, $message:literal) => {
        tracing::$level!(
            target: TARGET,
            { { is::EVENT } = $event, { is::STRATEGY } = $breaker, $($field)* },
            $message
        )
    };
}

impl Observer for TracingObserver {
    #[expect(clippy::too_many_lines, reason = "one arm for each event, in one table")]
    fn on_event(&self, event: &Event<'_>) {
        match *event {
            Event::AttemptStarted { call, attempt } => about_call!(
                trace, call, "attempt_started", { { is::ATTEMPT_INDEX } = attempt, }, "attempt started"
            ),
            Event::AttemptFailed { call, attempt, classification } => about_call!(
                debug,
                call,
                "attempt_failed",
                {
                    { is::ATTEMPT_INDEX } = attempt,
                    { is::ERROR_TYPE } = classification.category().name(),
                    { is::STATUS } = classification.status_code(),
                },
                "attempt failed"
            ),
            Event::RetryScheduled { call, attempt, delay, source, category } => about_call!(
                debug,
                call,
                "retry_scheduled",
                {
                    { is::ATTEMPT_INDEX } = attempt,
                    { is::RETRY_DELAY } = delay.as_secs_f64(),
                    { is::RETRY_DELAY_SOURCE } = source_name(source),
                    { is::ERROR_TYPE } = category.name(),
                },
                "retry waits"
            ),
            Event::CallSucceeded { call, attempts, took } if attempts > 1 => about_call!(
                debug,
                call,
                "call_succeeded",
                { { is::ATTEMPT_COUNT } = attempts, { is::CALL_DURATION } = took.as_secs_f64(), },
                "call succeeded after retries"
            ),
            Event::CallSucceeded { call, attempts, took } => about_call!(
                trace,
                call,
                "call_succeeded",
                { { is::ATTEMPT_COUNT } = attempts, { is::CALL_DURATION } = took.as_secs_f64(), },
                "call succeeded"
            ),
            // Who turned it away has been told of already, once; the calls that follow would only repeat it.
            Event::GaveUp { call, attempts: 0, took, reason, category } => about_call!(
                debug,
                call,
                "gave_up",
                {
                    { is::ATTEMPT_COUNT } = 0_u32,
                    { is::CALL_DURATION } = took.as_secs_f64(),
                    { is::REASON } = reason,
                    { is::ERROR_TYPE } = category.map_or(reason, Category::name),
                },
                "call was turned away"
            ),
            Event::GaveUp { call, attempts, took, reason, category } => about_call!(
                warn,
                call,
                "gave_up",
                {
                    { is::ATTEMPT_COUNT } = attempts,
                    { is::CALL_DURATION } = took.as_secs_f64(),
                    { is::REASON } = reason,
                    { is::ERROR_TYPE } = category.map_or(reason, Category::name),
                },
                "call gave up"
            ),
            Event::NestedRetry { outer, inner } => tracing::warn!(
                target: TARGET,
                { { is::EVENT } = "nested_retry", { is::PIPELINE } = outer, { is::INNER } = inner },
                "a retry repeats another that gave up already: attempts multiply"
            ),
            Event::Rejected { policy, reason } => tracing::debug!(
                target: TARGET,
                { { is::EVENT } = "rejected", { is::STRATEGY } = policy, { is::REASON } = reason },
                "attempt refused"
            ),
            Event::Hedged { policy, hedge } => tracing::debug!(
                target: TARGET,
                { { is::EVENT } = "hedged", { is::STRATEGY } = policy, { is::HEDGE } = hedge },
                "attempt hedged"
            ),
            Event::CircuitOpened { breaker, trip, open_for, generation } => about_circuit!(
                warn,
                breaker,
                "circuit_opened",
                {
                    { is::CIRCUIT_STATE } = "open",
                    { is::CIRCUIT_TRIP } = %trip,
                    { is::CIRCUIT_OPEN_FOR } = (open_for < Duration::MAX).then_some(open_for.as_secs_f64()),
                    { is::CIRCUIT_GENERATION } = generation,
                },
                "circuit opened"
            ),
            Event::CircuitWouldOpen { breaker, trip } => about_circuit!(
                info,
                breaker,
                "circuit_would_open",
                { { is::CIRCUIT_TRIP } = %trip, },
                "circuit would have opened, but only observes"
            ),
            Event::CircuitHeldClosed { breaker, trip } => about_circuit!(
                info,
                breaker,
                "circuit_held_closed",
                { { is::CIRCUIT_TRIP } = %trip, },
                "circuit was held closed: enough of its group are open"
            ),
            Event::CircuitHalfOpened { breaker, generation } => about_circuit!(
                info,
                breaker,
                "circuit_half_opened",
                { { is::CIRCUIT_STATE } = "half_open", { is::CIRCUIT_GENERATION } = generation, },
                "circuit half-opened"
            ),
            Event::CircuitClosed { breaker, generation } => about_circuit!(
                info,
                breaker,
                "circuit_closed",
                { { is::CIRCUIT_STATE } = "closed", { is::CIRCUIT_GENERATION } = generation, },
                "circuit closed"
            ),
            Event::LetterBuried { call, letter } => about_call!(
                warn, call, "letter_buried", { { is::LETTER } = letter, }, "letter was stored"
            ),
            Event::LetterRefused { call } => about_call!(
                error,
                call,
                "letter_refused",
                {},
                "letter could not be stored; the caller has it"
            ),
        }
    }
}

const fn source_name(source: DelaySource) -> &'static str {
    match source {
        DelaySource::Backoff => "backoff",
        DelaySource::Server => "server",
        DelaySource::CircuitBreaker => "circuit_breaker",
    }
}
