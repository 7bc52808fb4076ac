//! One call for all who ask for the same thing at the same time.

mod call;
mod flights;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

pub use self::call::CoalesceCall;
use self::flights::Flights;
use crate::setting::{Check, SettingError};

/// One call for all who ask for the same thing at the same time.
///
/// The first to ask for a key makes the call; who asks for it while that is under way waits for a clone of the
/// answer. When it is there, the key is forgotten: an answer is never kept, so who asks later makes a call of
/// their own.
///
/// The first makes the call in its own future; nothing is spawned. If that future is dropped or its operation
/// panics, the one who waits longest makes the call instead, by its own operation, and the others go on
/// waiting. A caller who neither polls nor drops its future holds the others up: give each a
/// [`timeout`](crate::timeout). An operation that asks for its own key waits for itself.
///
/// All get the same answer, so what cannot be cloned is shared. An error that is no `Clone` goes in an `Arc`:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::io::{Error, ErrorKind};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use recoup::Coalesce;
///
/// let (asked, users) = (AtomicU32::new(0), Coalesce::<u64, Result<String, Arc<Error>>>::new());
/// let fetch = || async {
///     asked.fetch_add(1, Ordering::Relaxed);
///     tokio::task::yield_now().await;
///     Err(Arc::new(Error::from(ErrorKind::NotFound)))
/// };
/// let (first, second, other) =
///     tokio::join!(users.call(7, fetch), users.call(7, fetch), users.call(8, fetch));
/// assert_eq!(asked.load(Ordering::Relaxed), 2, "one for each key");
/// assert!(Arc::ptr_eq(&first.unwrap_err(), &second.unwrap_err()));
/// assert_eq!(other.unwrap_err().kind(), ErrorKind::NotFound);
/// assert!(users.is_empty());
/// # }
/// ```
///
/// A handle: clones share the calls that are under way.
pub struct Coalesce<K, T> {
    flights: Arc<Flights<K, T>>,
}

impl<K: Eq + Hash, T> Coalesce<K, T> {
    /// For 4096 keys at once.
    #[must_use]
    pub fn new() -> Self {
        Self { flights: Arc::new(Flights::new(CoalesceBuilder::DEFAULT.capacity)) }
    }
}

impl Coalesce<(), ()> {
    /// Begins one with settings; which keys and answers it is for shows at [`build`](CoalesceBuilder::build).
    pub const fn builder() -> CoalesceBuilder {
        CoalesceBuilder::DEFAULT
    }
}

impl<K: Eq + Hash, T: Clone> Coalesce<K, T> {
    /// Makes the call for `key` by `op`, or waits for the answer to one that is under way. Which of the two,
    /// the first poll decides.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for another, it leaves nothing behind. Dropped while `op` runs, it drops that
    /// first, and then the one who waits longest begins anew with its own operation. The answer is never lost:
    /// either this future or none has ended with it.
    pub fn call<F, Fut>(&self, key: K, op: F) -> CoalesceCall<K, T, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        CoalesceCall::new(Arc::clone(&self.flights), key, op)
    }
}

impl<K, T> Coalesce<K, T> {
    /// How many keys have a call under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flights.counts().0
    }

    /// Whether no call is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait for the call of another.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.flights.counts().1
    }
}

impl<K, T> Clone for Coalesce<K, T> {
    fn clone(&self) -> Self {
        Self { flights: Arc::clone(&self.flights) }
    }
}

impl<K: Eq + Hash, T> Default for Coalesce<K, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, T> fmt::Debug for Coalesce<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keys, waiting) = self.flights.counts();
        f.debug_struct("Coalesce").field("keys", &keys).field("waiting", &waiting).finish_non_exhaustive()
    }
}

/// Builds a [`Coalesce`].
///
/// ```
/// use recoup::Coalesce;
///
/// let users: Coalesce<u64, String> = Coalesce::builder().capacity(100).build().unwrap();
/// assert!(users.is_empty());
///
/// let error = Coalesce::builder().capacity(0).build::<u64, String>().unwrap_err();
/// assert_eq!(error.to_string(), "coalesce: `capacity` is 0, but must be at least 1");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CoalesceBuilder {
    capacity: usize,
}

impl CoalesceBuilder {
    const DEFAULT: Self = Self { capacity: 4096 };

    /// How many keys may have a call under way that others can join, at least 1. Beyond that a caller makes the
    /// call for itself alone, as if there were no others: nobody is refused. Default: 4096.
    pub const fn capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// One for keys `K` and answers `T`.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build<K: Eq + Hash, T>(self) -> Result<Coalesce<K, T>, SettingError> {
        let capacity = u64::try_from(self.capacity).unwrap_or(u64::MAX);
        Check("coalesce").at_least_one("capacity", capacity)?;
        Ok(Coalesce { flights: Arc::new(Flights::new(self.capacity)) })
    }
}

impl<K: Eq + Hash, T> TryFrom<CoalesceBuilder> for Coalesce<K, T> {
    type Error = SettingError;

    fn try_from(builder: CoalesceBuilder) -> Result<Self, SettingError> {
        builder.build()
    }
}
