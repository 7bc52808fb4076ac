//! The settings of a cache.

use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::{CacheFallback, CacheStore, MemoryCache, Shelf};
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("cache");

/// Builds a [`CacheFallback`].
///
/// ```
/// use std::time::Duration;
/// use recoup::CacheFallback;
///
/// let minute = Duration::from_secs(60);
/// let users: CacheFallback<u64, String> =
///     CacheFallback::builder().fresh_for(minute).stale_for(5 * minute).capacity(100).build().unwrap();
/// assert_eq!(users.get(&7), None);
///
/// let error = CacheFallback::builder().fresh_for(minute).stale_for(minute / 2).build::<u64, String>();
/// assert_eq!(error.unwrap_err().to_string(), "cache: `stale_for` is 30s, but must be at least `fresh_for`");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CacheFallbackBuilder {
    fresh_for: Duration,
    stale_for: Duration,
    capacity: usize,
}

impl CacheFallbackBuilder {
    pub(super) const fn new() -> Self {
        Self { fresh_for: Duration::ZERO, stale_for: Duration::from_secs(60 * 60), capacity: 1024 }
    }

    /// Until which age a value is given without a call. Default: zero, so that every call is made and the cache
    /// is asked only when it fails.
    pub const fn fresh_for(mut self, age: Duration) -> Self {
        self.fresh_for = age;
        self
    }

    /// Up to which age a value is given when the call fails, that age included; longer than zero and at least
    /// [`fresh_for`](Self::fresh_for). Measured on the monotonic clock. With [`Duration::MAX`] any age will do.
    /// Default: 1 hour.
    pub const fn stale_for(mut self, age: Duration) -> Self {
        self.stale_for = age;
        self
    }

    /// How many values are kept, at least 1; then that goes which nobody asked for the longest. Default: 1024.
    ///
    /// Of no effect with [a store of another kind](Self::build_on).
    pub const fn capacity(mut self, values: usize) -> Self {
        self.capacity = values;
        self
    }

    /// A cache in memory, for keys `K` and values `V`.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build<K: Eq + Hash, V: Clone>(self) -> Result<CacheFallback<K, V>, SettingError> {
        let store = MemoryCache::new(self.capacity)?;
        self.build_on(store)
    }

    /// A cache whose values lie in `store`.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build_on<K, V, S: CacheStore<K, V>>(
        self,
        store: S,
    ) -> Result<CacheFallback<K, V, S>, SettingError> {
        let Self { fresh_for, stale_for, .. } = self;
        CHECK.longer_than_zero("stale_for", stale_for)?;
        if stale_for < fresh_for {
            return Err(CHECK.refuse("stale_for", stale_for, "at least `fresh_for`"));
        }
        let kept = Shelf { store: Arc::new(store), fresh_for, stale_for };
        Ok(CacheFallback { shelf: kept, holds: PhantomData })
    }
}
