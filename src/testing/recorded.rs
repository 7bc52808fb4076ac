//! Events as values that outlive the moment.

use std::fmt;
use std::time::Duration;

use crate::classification::{Category, Classification};
use crate::event::{CallInfo, DelaySource, Event, Trip};

/// Something that happened, and when.
///
/// Shown, it is one line that stays the same from version to version, without the time:
/// `payments attempt 1 failed: timeout`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recorded {
    /// When, counted from when its [`Recorder`](super::Recorder) was made.
    pub at: Duration,
    /// What.
    pub what: Happened,
}

/// An [`Event`] that owns what it tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "variants and fields are those of `Event`, where they are explained")]
pub enum Happened {
    AttemptStarted {
        call: RecordedCall,
        attempt: u32,
    },
    AttemptFailed {
        call: RecordedCall,
        attempt: u32,
        classification: Classification,
    },
    RetryScheduled {
        call: RecordedCall,
        attempt: u32,
        delay: Duration,
        source: DelaySource,
        category: Category,
    },
    CallSucceeded {
        call: RecordedCall,
        attempts: u32,
        took: Duration,
    },
    GaveUp {
        call: RecordedCall,
        attempts: u32,
        took: Duration,
        reason: &'static str,
        category: Option<Category>,
    },
    NestedRetry {
        outer: String,
        inner: String,
    },
    Rejected {
        policy: String,
        reason: &'static str,
    },
    Hedged {
        policy: String,
        hedge: u32,
    },
    CircuitOpened {
        breaker: String,
        trip: Trip,
        open_for: Duration,
        generation: u64,
    },
    CircuitWouldOpen {
        breaker: String,
        trip: Trip,
    },
    CircuitHeldClosed {
        breaker: String,
        trip: Trip,
    },
    CircuitHalfOpened {
        breaker: String,
        generation: u64,
    },
    CircuitClosed {
        breaker: String,
        generation: u64,
    },
    LetterBuried {
        call: RecordedCall,
        letter: u64,
    },
    LetterRefused {
        call: RecordedCall,
    },
}

/// A [`CallInfo`] that owns what it tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedCall {
    /// The recovery's name, or `retry`.
    pub name: String,
    /// What was done, if the call had a context that said so.
    pub operation: Option<String>,
    /// To whom, if the call had a context that said so.
    pub destination: Option<String>,
    /// What tied the call to others, if the call had a context that said so.
    pub correlation_id: Option<String>,
}

impl From<&CallInfo<'_>> for RecordedCall {
    fn from(call: &CallInfo<'_>) -> Self {
        Self {
            name: call.name.to_owned(),
            operation: call.operation.map(str::to_owned),
            destination: call.destination.map(str::to_owned),
            correlation_id: call.correlation_id.map(str::to_owned),
        }
    }
}

impl From<&Event<'_>> for Happened {
    fn from(event: &Event<'_>) -> Self {
        match *event {
            Event::AttemptStarted { ref call, attempt } => {
                Self::AttemptStarted { call: call.into(), attempt }
            }
            Event::AttemptFailed { ref call, attempt, classification } => {
                Self::AttemptFailed { call: call.into(), attempt, classification }
            }
            Event::RetryScheduled { ref call, attempt, delay, source, category } => {
                Self::RetryScheduled { call: call.into(), attempt, delay, source, category }
            }
            Event::CallSucceeded { ref call, attempts, took } => {
                Self::CallSucceeded { call: call.into(), attempts, took }
            }
            Event::GaveUp { ref call, attempts, took, reason, category } => {
                Self::GaveUp { call: call.into(), attempts, took, reason, category }
            }
            Event::NestedRetry { outer, inner } => {
                Self::NestedRetry { outer: outer.to_owned(), inner: inner.to_owned() }
            }
            Event::Rejected { policy, reason } => Self::Rejected { policy: policy.to_owned(), reason },
            Event::Hedged { policy, hedge } => Self::Hedged { policy: policy.to_owned(), hedge },
            Event::CircuitOpened { breaker, trip, open_for, generation } => {
                Self::CircuitOpened { breaker: breaker.to_owned(), trip, open_for, generation }
            }
            Event::CircuitWouldOpen { breaker, trip } => {
                Self::CircuitWouldOpen { breaker: breaker.to_owned(), trip }
            }
            Event::CircuitHeldClosed { breaker, trip } => {
                Self::CircuitHeldClosed { breaker: breaker.to_owned(), trip }
            }
            Event::CircuitHalfOpened { breaker, generation } => {
                Self::CircuitHalfOpened { breaker: breaker.to_owned(), generation }
            }
            Event::CircuitClosed { breaker, generation } => {
                Self::CircuitClosed { breaker: breaker.to_owned(), generation }
            }
            Event::LetterBuried { ref call, letter } => Self::LetterBuried { call: call.into(), letter },
            Event::LetterRefused { ref call } => Self::LetterRefused { call: call.into() },
        }
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AttemptStarted { call, attempt } => write!(f, "{} attempt {attempt} started", call.name),
            Self::AttemptFailed { call, attempt, classification } => {
                write!(f, "{} attempt {attempt} failed: {}", call.name, classification.category())?;
                match classification.status_code() {
                    Some(status) => write!(f, " {status}"),
                    None => Ok(()),
                }
            }
            Self::RetryScheduled { call, attempt, delay, source, category: _ } => {
                let source = match source {
                    DelaySource::Backoff => "backoff",
                    DelaySource::Server => "the server said so",
                    DelaySource::CircuitBreaker => "the circuit said so",
                };
                write!(f, "{} waits {delay:?} after attempt {attempt}: {source}", call.name)
            }
            Self::CallSucceeded { call, attempts, took: _ } => {
                write!(f, "{} succeeded after {}", call.name, Attempts(*attempts))
            }
            Self::GaveUp { call, attempts, took: _, reason, category: _ } => {
                write!(f, "{} gave up after {}: {reason}", call.name, Attempts(*attempts))
            }
            Self::NestedRetry { outer, inner } => write!(f, "{outer} repeats {inner}, which gave up already"),
            Self::Rejected { policy, reason } => write!(f, "{policy} refused: {reason}"),
            Self::Hedged { policy, hedge } => write!(f, "{policy} launched hedge {hedge}"),
            Self::CircuitOpened { breaker, trip, .. } => write!(f, "circuit {breaker} opened: {trip}"),
            Self::CircuitWouldOpen { breaker, trip } => {
                write!(f, "circuit {breaker} would have opened: {trip}")
            }
            Self::CircuitHeldClosed { breaker, trip } => {
                write!(f, "circuit {breaker} was held closed: {trip}")
            }
            Self::CircuitHalfOpened { breaker, .. } => write!(f, "circuit {breaker} half-opened"),
            Self::CircuitClosed { breaker, .. } => write!(f, "circuit {breaker} closed"),
            Self::LetterBuried { call, letter } => write!(f, "{} buried letter {letter}", call.name),
            Self::LetterRefused { call } => write!(f, "{} could not bury its letter", call.name),
        }
    }
}

struct Attempts(u32);

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempt{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallInfo<'_> = CallInfo {
        name: "payments",
        operation: Some("charge"),
        destination: Some("eu"),
        correlation_id: Some("7"),
    };

    #[test]
    fn every_event_has_its_line() {
        let trip = Trip::ConsecutiveFailures { failures: 5 };
        let timeout = Classification::of(Category::Timeout);
        let second = Duration::from_secs(1);
        let category = Category::Timeout;
        let source = DelaySource::Server;
        let lines = [
            (Event::AttemptStarted { call: CALL, attempt: 1 }, "payments attempt 1 started"),
            (
                Event::AttemptFailed { call: CALL, attempt: 1, classification: timeout },
                "payments attempt 1 failed: timeout",
            ),
            (
                Event::AttemptFailed { call: CALL, attempt: 2, classification: timeout.status(504) },
                "payments attempt 2 failed: timeout 504",
            ),
            (
                Event::RetryScheduled { call: CALL, attempt: 1, delay: second, source, category },
                "payments waits 1s after attempt 1: the server said so",
            ),
            (
                Event::CallSucceeded { call: CALL, attempts: 1, took: second },
                "payments succeeded after 1 attempt",
            ),
            (
                Event::GaveUp { call: CALL, attempts: 3, took: second, reason: "budget", category: None },
                "payments gave up after 3 attempts: budget",
            ),
            (Event::NestedRetry { outer: "a", inner: "b" }, "a repeats b, which gave up already"),
            (Event::Rejected { policy: "db", reason: "full" }, "db refused: full"),
            (Event::Hedged { policy: "search", hedge: 1 }, "search launched hedge 1"),
            (
                Event::CircuitOpened { breaker: "db", trip, open_for: second, generation: 1 },
                "circuit db opened: 5 failures in a row",
            ),
            (
                Event::CircuitWouldOpen { breaker: "db", trip },
                "circuit db would have opened: 5 failures in a row",
            ),
            (
                Event::CircuitHeldClosed { breaker: "db", trip },
                "circuit db was held closed: 5 failures in a row",
            ),
            (Event::CircuitHalfOpened { breaker: "db", generation: 2 }, "circuit db half-opened"),
            (Event::CircuitClosed { breaker: "db", generation: 3 }, "circuit db closed"),
            (Event::LetterBuried { call: CALL, letter: 7 }, "payments buried letter 7"),
            (Event::LetterRefused { call: CALL }, "payments could not bury its letter"),
        ];
        for (event, line) in &lines {
            assert_eq!(Happened::from(event).to_string(), *line);
        }
    }

    #[test]
    fn what_is_known_of_the_call_is_kept() {
        let Happened::LetterRefused { call } = Happened::from(&Event::LetterRefused { call: CALL }) else {
            panic!("another event");
        };
        assert_eq!(call.name, "payments");
        assert_eq!(call.operation.as_deref(), Some("charge"));
        assert_eq!(call.destination.as_deref(), Some("eu"));
        assert_eq!(call.correlation_id.as_deref(), Some("7"));
    }
}
