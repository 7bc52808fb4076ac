//! The last value of a call that succeeded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::Lock;
use crate::time::{self, Instant};

/// The last value of a call that succeeded, for [`or_last_good`](super::Fallback::or_last_good). A cheap
/// handle; clones share the value.
///
/// Of calls that run at once, the one that ends last is remembered. Keep one for each thing that is asked
/// for: the last answer about one user is no answer about another.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use recoup::{Fallback, LastGood, Recovery, execute_with_recovery};
///
/// let minute = Duration::from_secs(60);
/// let recovery = Recovery::<&str>::builder("prices").build().unwrap();
/// let last_good = LastGood::new().max_age(minute);
/// execute_with_recovery(&recovery, |_| async { Ok(99) }).or_last_good(&last_good).await.unwrap();
/// assert_eq!(last_good.get(), Some(99));
///
/// tokio::time::advance(2 * minute).await;
/// let stale = execute_with_recovery(&recovery, |_| async { Err("down") }).or_last_good(&last_good).await;
/// assert_eq!(stale.unwrap_err().into_inner(), Some("down"), "a price two minutes old is not given");
/// # }
/// ```
pub struct LastGood<T> {
    value: Arc<Lock<Option<Remembered<T>>>>,
    max_age: Option<Duration>,
}

/// A value, and since when it is known. Apart from the lock, so that the user's `Clone` and `Drop` run
/// outside of it.
type Remembered<T> = (Arc<T>, Instant);

impl<T> LastGood<T> {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self { value: Arc::new(Lock::new(None)), max_age: None }
    }

    /// How old a value may be; an older one is not given. It holds for this handle and the clones made of
    /// it from now on: handles that share a value may differ in how long they trust it. Measured on the
    /// monotonic clock. Default: any age will do.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The value, if there is one that is not too old.
    #[must_use]
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        let (value, since) = self.value.lock().clone()?;
        let young = |most| time::now().saturating_duration_since(since) <= most;
        self.max_age.is_none_or(young).then(|| T::clone(&value))
    }

    /// Forgets the value, for every handle.
    pub fn clear(&self) {
        let forgotten = self.value.lock().take();
        drop(forgotten); // outside the lock
    }

    pub(super) fn remember(&self, value: T) {
        let newer = Some((Arc::new(value), time::now()));
        let older = std::mem::replace(&mut *self.value.lock(), newer);
        drop(older); // outside the lock
    }
}

impl<T> Clone for LastGood<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), max_age: self.max_age }
    }
}

impl<T> Default for LastGood<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for LastGood<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.value.lock().is_some();
        f.debug_struct("LastGood").field("known", &known).field("max_age", &self.max_age).finish()
    }
}
