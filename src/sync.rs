//! A lock that a panic does not poison, atomics, and the one channel that hands a thing over.
//!
//! All of recoup takes them from here, so that loom or shuttle can put theirs in the place of the standard
//! library's and run the models in every order, or in thousands of them.

// One of three files: which one, the checker's `cfg` says.
#[cfg_attr(recoup_loom, path = "sync/loom.rs")]
#[cfg_attr(recoup_shuttle, path = "sync/shuttle.rs")]
mod made_of;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
pub(crate) mod model;
#[cfg(feature = "redb")]
pub(crate) mod permits;
mod spread;

use std::fmt;
use std::sync::PoisonError;

pub(crate) use tokio::sync::watch;

/// Hands one value to one waiter. A value sent to a waiter that went away is dropped, so a guard sent
/// through it gives back what it holds.
pub(crate) use self::made_of::oneshot;
use self::made_of::{Mutex, MutexGuard};
pub(crate) use self::made_of::{OnceLock, atomic};
pub(crate) use self::spread::{Others, Spread};

/// A mutex for a few instructions: never held across an `await` or a call of the user's code, so a panic
/// cannot leave what it guards half changed, and poison would only spread the harm.
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
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
