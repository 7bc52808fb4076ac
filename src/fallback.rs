//! What the caller gets instead when a call fails.

mod cache;
mod last_good;
mod or_else;
mod or_else_async;
mod or_last_good;
mod or_value;

use std::future::Future;

pub use self::cache::{
    CacheEntry, CacheFallback, CacheFallbackBuilder, CacheFallbackCall, CacheStore, Cached, MemoryCache,
};
pub use self::last_good::LastGood;
pub use self::or_else::OrElse;
pub use self::or_else_async::OrElseAsync;
pub use self::or_last_good::OrLastGood;
pub use self::or_value::OrValue;
use crate::error::RecoveryError;
use crate::nested;

/// What the caller gets instead when a call fails.
///
/// Implemented for every future that ends in a [`RecoveryError`], so for
/// [`execute_with_recovery`](crate::execute_with_recovery),
/// [`execute_with_recovery_mut`](crate::execute_with_recovery_mut) and a [`retry`](crate::retry) with time
/// limits. A fallback is asked once the call is over for good: every attempt was made, its letter is stored
/// and the error knows its [number](RecoveryError::dead_letter). Breaker, budget and events have seen a
/// failure, whatever the fallback gives.
///
/// Fallbacks chain: each is asked about the error that the one before it gave back. Beside
/// `futures::TryFutureExt`, which has an `or_else` too, write `Fallback::or_else(call, …)`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{Fallback, LastGood, Recovery, execute_with_recovery};
///
/// let recovery = Recovery::<&str>::builder("rates").build().unwrap();
/// let last_good = LastGood::new();
/// let rate = execute_with_recovery(&recovery, |_| async { Ok(1.25) }).or_last_good(&last_good).or_value(1.0);
/// assert_eq!(rate.await, 1.25);
/// let rate = execute_with_recovery(&recovery, |_| async { Err("down") }).or_last_good(&last_good).or_value(1.0);
/// assert_eq!(rate.await, 1.25, "the last good one");
/// last_good.clear();
/// let rate = execute_with_recovery(&recovery, |_| async { Err("down") }).or_last_good(&last_good).or_value(1.0);
/// assert_eq!(rate.await, 1.0);
/// # }
/// ```
pub trait Fallback<T, E>: Future<Output = Result<T, RecoveryError<E>>> + Sized {
    /// Gives `value` when the call fails. What comes back is a plain value: it cannot fail any more.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{Fallback, Recovery, execute_with_recovery};
    /// let recovery = Recovery::<&str>::builder("flags").build().unwrap();
    /// let enabled = execute_with_recovery(&recovery, |_| async { Err("down") }).or_value(false).await;
    /// assert!(!enabled);
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As the call's own.
    fn or_value(self, value: T) -> OrValue<Self, T> {
        OrValue::new(self, value)
    }

    /// Asks `fallback` when the call fails. It may decline, by giving the error back.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{Fallback, Recovery, execute_with_recovery};
    /// let recovery = Recovery::<&str>::builder("users").build().unwrap();
    /// let name = execute_with_recovery(&recovery, |_| async { Err("not found") })
    ///     .or_else(|error| match error.inner() {
    ///         Some(&"not found") => Ok("nobody"),
    ///         _ => Err(error),
    ///     })
    ///     .await;
    /// assert_eq!(name.unwrap(), "nobody");
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What `fallback` gives back.
    ///
    /// # Cancel safety
    ///
    /// As the call's own. A panic of `fallback` passes through.
    fn or_else<F>(self, fallback: F) -> OrElse<Self, F>
    where
        F: FnOnce(RecoveryError<E>) -> Result<T, RecoveryError<E>>,
    {
        OrElse::new(self, fallback)
    }

    /// As [`or_else`](Self::or_else), for a fallback that has to wait itself: another source, a cache.
    ///
    /// It runs under no policy; give it a recovery or a [`timeout`](crate::timeout) of its own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{Fallback, Recovery, execute_with_recovery};
    /// let near = Recovery::<&str>::builder("near").build().unwrap();
    /// let far = Recovery::<&str>::builder("far").build().unwrap();
    /// let answer = execute_with_recovery(&near, |_| async { Err("down") })
    ///     .or_else_async(|_| execute_with_recovery(&far, |_| async { Ok("from afar") }))
    ///     .await;
    /// assert_eq!(answer.unwrap(), "from afar");
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What `fallback` gives back.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it drops the call or the fallback, whichever is under way. They never run both: the call is
    /// dropped before the fallback begins. A panic of `fallback` passes through.
    fn or_else_async<F, Fut>(self, fallback: F) -> OrElseAsync<Self, F, Fut>
    where
        F: FnOnce(RecoveryError<E>) -> Fut,
        Fut: Future<Output = Result<T, RecoveryError<E>>>,
    {
        OrElseAsync::new(self, fallback)
    }

    /// Remembers the value of each call that succeeds, and gives the last one back when the call fails.
    ///
    /// # Errors
    ///
    /// The call's own error, if there is no value that may be given.
    ///
    /// # Cancel safety
    ///
    /// As the call's own. A call that was dropped is not remembered.
    fn or_last_good(self, last_good: &LastGood<T>) -> OrLastGood<'_, Self, T>
    where
        T: Clone,
    {
        OrLastGood::new(self, last_good)
    }
}

impl<T, E, Fut> Fallback<T, E> for Fut where Fut: Future<Output = Result<T, RecoveryError<E>>> {}

/// Tells a retry around the call how it ended after all: the note that the call left when it gave up must
/// not be taken for that of another failure in the same poll, nor be lost if the fallback came polls later.
fn renote<T, E>(end: &Result<T, RecoveryError<E>>) {
    nested::clear();
    if let Err(error) = end {
        error.note();
    }
}
