//! The user's own code between attempts.

use std::ops::ControlFlow;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::attempt::Attempt;
use crate::classification::Classification;
use crate::error::RecoveryError;

/// A failed attempt that will be repeated, as a hook sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedAttempt<'a, E> {
    /// Which attempt it was.
    pub attempt: Attempt,
    /// The operation's error; none when the attempt was cut short by its time limit, or gave a value that is
    /// not good enough.
    pub error: Option<&'a E>,
    /// What the classifier said.
    pub classification: Classification,
    /// How long the wait before the next attempt is.
    pub delay: Duration,
}

/// Runs before the wait, and may break the call off if it gives a future that says so.
pub(crate) type BeforeRetry<'h, E> =
    dyn FnMut(FailedAttempt<'_, E>) -> Option<BoxFuture<'h, ControlFlow<()>>> + Send + 'h;

/// Runs when the call ends without a value.
pub(crate) type GiveUp<'h, E> = dyn FnMut(&RecoveryError<E>) + Send + 'h;
