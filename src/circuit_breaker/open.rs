//! What a caller is told who was turned away.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::time::{self, Instant};

/// The circuit is not closed, and the call was not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("circuit breaker `{breaker}` is open")]
#[non_exhaustive]
pub struct Open {
    /// The breaker that rejected.
    pub breaker: Arc<str>,
    /// When it is worth asking again; `None` when nobody knows, as in a circuit forced open.
    pub until: Option<Instant>,
}

impl Open {
    /// How long to wait before it is worth asking again; `None` when nobody knows.
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(time::now()))
    }
}
