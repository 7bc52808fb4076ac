//! The names of the fields that recoup's log events and spans carry.
//!
//! There is no convention for resilience yet. Where OpenTelemetry has a name, it is used; the rest are the
//! `resilience.*` names that other libraries write too, so that one query finds all of them. Times are
//! numbers of seconds.
//!
//! | constant | field | is |
//! |---|---|---|
//! | [`EVENT`] | `resilience.event.name` | what happened: `retry_scheduled`, `circuit_opened`, … |
//! | [`PIPELINE`] | `resilience.pipeline.name` | the recovery's name |
//! | [`STRATEGY`] | `resilience.strategy.name` | the policy's name: of the breaker, of the bulkhead, of the hedge |
//! | [`OPERATION`] | `resilience.operation.name` | what was done, if the call's context says so |
//! | [`DESTINATION`] | `resilience.destination.name` | to whom, if the call's context says so |
//! | [`CORRELATION_ID`] | `resilience.correlation_id` | what ties the call to others, if its context says so |
//! | [`ATTEMPT_INDEX`] | `resilience.attempt.index` | the attempt's number, from 1 |
//! | [`ATTEMPT_COUNT`] | `resilience.attempt.count` | how many attempts the call made |
//! | [`ATTEMPT_OUTCOME`] | `resilience.attempt.outcome` | of a span: `ok`, `error`, `dropped`, `panicked` |
//! | [`RETRY_DELAY`] | `resilience.retry.delay` | how long the wait before the next attempt is |
//! | [`RETRY_DELAY_SOURCE`] | `resilience.retry.delay.source` | who chose it: `backoff`, `server`, `circuit_breaker` |
//! | [`CALL_DURATION`] | `resilience.call.duration` | how long the call took, waits included |
//! | [`REASON`] | `resilience.reason` | why a call gave up, or a policy refused |
//! | [`CIRCUIT_STATE`] | `resilience.circuit_breaker.state` | the new state: `open`, `half_open`, `closed` |
//! | [`CIRCUIT_TRIP`] | `resilience.circuit_breaker.trip` | what opened it, with the numbers |
//! | [`CIRCUIT_OPEN_FOR`] | `resilience.circuit_breaker.open_for` | how long it stays open; absent if until it is reset |
//! | [`CIRCUIT_GENERATION`] | `resilience.circuit_breaker.generation` | counts the changes of state |
//! | [`HEDGE`] | `resilience.hedge.index` | which of the attempts that race it is, from 1 |
//! | [`LETTER`] | `resilience.letter.id` | the letter's number in its queue |
//! | [`INNER`] | `resilience.nested.name` | of two nested retries the inner one |
//! | [`STATUS`] | `resilience.attempt.status_code` | the status that the error carried |
//! | [`ERROR_TYPE`] | `error.type` | the error's category, or why a call without one gave up |
//! | [`RESEND_COUNT`] | `http.request.resend_count` | the attempt's number less one; absent on the first |
//!
//! ```
//! use recoup::attribute;
//! assert_eq!(attribute::RETRY_DELAY, "resilience.retry.delay");
//! ```

/// What happened.
pub const EVENT: &str = "resilience.event.name";
/// The recovery's name.
pub const PIPELINE: &str = "resilience.pipeline.name";
/// The policy's name.
pub const STRATEGY: &str = "resilience.strategy.name";
/// What was done.
pub const OPERATION: &str = "resilience.operation.name";
/// To whom.
pub const DESTINATION: &str = "resilience.destination.name";
/// What ties the call to others.
pub const CORRELATION_ID: &str = "resilience.correlation_id";
/// The attempt's number, from 1.
pub const ATTEMPT_INDEX: &str = "resilience.attempt.index";
/// How many attempts the call made.
pub const ATTEMPT_COUNT: &str = "resilience.attempt.count";
/// How the attempt of a span ended.
pub const ATTEMPT_OUTCOME: &str = "resilience.attempt.outcome";
/// How long the wait before the next attempt is, in seconds.
pub const RETRY_DELAY: &str = "resilience.retry.delay";
/// Who chose how long the wait is.
pub const RETRY_DELAY_SOURCE: &str = "resilience.retry.delay.source";
/// How long the call took, in seconds.
pub const CALL_DURATION: &str = "resilience.call.duration";
/// Why a call gave up, or a policy refused.
pub const REASON: &str = "resilience.reason";
/// The circuit's new state.
pub const CIRCUIT_STATE: &str = "resilience.circuit_breaker.state";
/// What opened the circuit, with the numbers.
pub const CIRCUIT_TRIP: &str = "resilience.circuit_breaker.trip";
/// How long the circuit stays open, in seconds.
pub const CIRCUIT_OPEN_FOR: &str = "resilience.circuit_breaker.open_for";
/// Counts the circuit's changes of state.
pub const CIRCUIT_GENERATION: &str = "resilience.circuit_breaker.generation";
/// Which of the attempts that race it is, from 1.
pub const HEDGE: &str = "resilience.hedge.index";
/// The letter's number in its queue.
pub const LETTER: &str = "resilience.letter.id";
/// Of two nested retries the inner one.
pub const INNER: &str = "resilience.nested.name";
/// The status that the error carried.
pub const STATUS: &str = "resilience.attempt.status_code";
/// The error's category, or why a call without one gave up.
pub const ERROR_TYPE: &str = "error.type";
/// The attempt's number less one; absent on the first.
pub const RESEND_COUNT: &str = "http.request.resend_count";
