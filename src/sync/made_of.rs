//! What a released recoup is made of: the standard library's own, and tokio's channel.

pub(crate) use std::sync::{MutexGuard, OnceLock, atomic};

pub(crate) use tokio::sync::oneshot;

/// Over how many lines a thing is spread that threads meet in: as many cores write to it at full speed.
pub(crate) const LINES: usize = 32;

#[expect(clippy::disallowed_types, reason = "`Lock` is the one place that wraps it")]
pub(crate) type Mutex<T> = std::sync::Mutex<T>;
