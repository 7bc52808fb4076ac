//! What a released recoup is made of: the standard library's own, and tokio's channel.

pub(crate) use std::sync::{MutexGuard, OnceLock, atomic};

pub(crate) use tokio::sync::oneshot;

#[expect(clippy::disallowed_types, reason = "`Lock` is the one place that wraps it")]
pub(crate) type Mutex<T> = std::sync::Mutex<T>;
