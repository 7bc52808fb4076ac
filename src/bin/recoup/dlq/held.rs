//! Something that several threads use in turn.
#![expect(clippy::disallowed_types, reason = "the library keeps its own lock to itself")]

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Never held across an `await`.
#[derive(Debug)]
pub(crate) struct Held<T>(Mutex<T>);

impl<T> Held<T> {
    pub(crate) const fn new(it: T) -> Self {
        Self(Mutex::new(it))
    }

    /// As it was left, also by a thread that panicked.
    pub(crate) fn take(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
