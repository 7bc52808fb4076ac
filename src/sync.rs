//! A lock that a panic does not poison, and the one channel that hands a thing over.

use std::fmt;
#[expect(clippy::disallowed_types, reason = "this is the one place that wraps it")]
use std::sync::Mutex;
use std::sync::{MutexGuard, PoisonError};

/// Hands one value to one waiter. A value sent to a waiter that went away is dropped, so a guard sent
/// through it gives back what it holds.
pub(crate) use tokio::sync::{oneshot, watch};

/// A mutex for a few instructions: never held across an `await` or a call of the user's code, so a panic
/// cannot leave what it guards half changed, and poison would only spread the harm.
#[expect(clippy::disallowed_types, reason = "this is the one place that wraps it")]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        #[expect(clippy::disallowed_types, reason = "this is the one place that wraps it")]
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.lock(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_under_the_lock_leaves_it_usable() {
        let lock = Lock::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = lock.lock();
            panic!("while locked");
        }));
        assert!(panicked.is_err());
        assert_eq!(*lock.lock(), 1);
    }
}
