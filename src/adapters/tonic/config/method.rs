//! One `methodConfig`.

use tonic::Code;

use super::ServiceConfigError;
use super::cursor::Cursor;
use super::node::Node;
use crate::adapters::tonic::policy::{Hedging, MethodPolicy, Retry};
use crate::setting::SettingError;

/// The most attempts that a service config can ask for; more is taken as that (gRPC A6, "Maximum number of
/// retries").
const MOST_ATTEMPTS: u32 = 5;

/// What one `methodConfig` says, its names apart.
pub(super) fn policy(said: &Cursor<'_>) -> Result<MethodPolicy, ServiceConfigError> {
    said.object()?;
    let mut policy = MethodPolicy::new();
    if let Some(timeout) = said.field("timeout") {
        let zero = |_: SettingError| timeout.refuse("must be longer than zero");
        policy = policy.timeout(timeout.duration()?).map_err(zero)?;
    }
    if let Some(wait) = said.field("waitForReady") {
        policy = policy.wait_for_ready(wait.flag()?);
    }
    match (said.field("retryPolicy"), said.field("hedgingPolicy")) {
        (Some(_), Some(_)) => Err(said.refuse("must not have both `retryPolicy` and `hedgingPolicy`")),
        (Some(retries), None) => Ok(policy.retry(retry(&retries)?)),
        (None, Some(hedges)) => Ok(policy.hedge(hedging(&hedges)?)),
        (None, None) => Ok(policy),
    }
}

fn retry(said: &Cursor<'_>) -> Result<Retry, ServiceConfigError> {
    said.object()?;
    let built = Retry::builder()
        .max_attempts(attempts(said)?)
        .initial_backoff(said.need("initialBackoff")?.duration()?)
        .max_backoff(said.need("maxBackoff")?.duration()?)
        .multiplier(said.need("backoffMultiplier")?.number()?)
        .codes(codes(said, "retryableStatusCodes")?)
        .build();
    built.map_err(|error| {
        named(
            said,
            &error,
            &[
                ("initial_backoff", "initialBackoff"),
                ("max_backoff", "maxBackoff"),
                ("multiplier", "backoffMultiplier"),
                ("codes", "retryableStatusCodes"),
            ],
        )
    })
}

/// A `hedgingDelay` that is not there is none: all attempts begin at once, as in gRPC.
fn hedging(said: &Cursor<'_>) -> Result<Hedging, ServiceConfigError> {
    said.object()?;
    let delay = said.field("hedgingDelay").map(|delay| delay.duration()).transpose()?;
    let built = Hedging::builder()
        .max_attempts(attempts(said)?)
        .delay(delay.unwrap_or_default())
        .non_fatal_codes(codes(said, "nonFatalStatusCodes")?)
        .build();
    built.map_err(|error| {
        named(said, &error, &[("delay", "hedgingDelay"), ("non_fatal_codes", "nonFatalStatusCodes")])
    })
}

/// Refused before the other fields are looked at, so that who reads the error knows the first reason first.
fn attempts(said: &Cursor<'_>) -> Result<u32, ServiceConfigError> {
    let attempts = said.need("maxAttempts")?;
    match attempts.whole()? {
        0 | 1 => Err(attempts.refuse("must be at least 2")),
        number => Ok(number.min(MOST_ATTEMPTS)),
    }
}

fn codes(said: &Cursor<'_>, field: &str) -> Result<Vec<Code>, ServiceConfigError> {
    said.list(field)?.iter().map(code).collect()
}

/// A status code by its number or by its name, in whatever case (gRPC A6).
fn code(said: &Cursor<'_>) -> Result<Code, ServiceConfigError> {
    let found = match said.node() {
        Node::Text(text) => NAMES.iter().position(|name| name.eq_ignore_ascii_case(text)),
        Node::Number(_) => said.whole().ok().map(|number| number as usize).filter(|at| *at < NAMES.len()),
        _ => None,
    };
    let number = found.and_then(|at| i32::try_from(at).ok());
    number
        .map(Code::from_i32)
        .ok_or_else(|| said.refuse("must be a status code, by its name or as a number from 0 to 16"))
}

/// The names of the codes, each at its number (`grpc/doc/statuscodes.md`).
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The error of a builder, at the field that says the setting.
fn named(said: &Cursor<'_>, error: &SettingError, fields: &[(&str, &str)]) -> ServiceConfigError {
    let field = fields.iter().find(|(setting, _)| *setting == error.setting).map(|(_, field)| *field);
    let at = field.map_or_else(|| said.clone(), |field| said.at(field));
    at.refuse(format!("must be {}", error.allowed))
}
