//! Where remembered values lie.

use std::sync::Arc;

use crate::time::Instant;

/// Where a [`CacheFallback`](crate::CacheFallback) keeps its values.
///
/// It decides how many there are and which go when there are too many, not how old they may be: it may keep a
/// value for as long as it likes. A store that fails keeps that to itself, gives nothing and loses what it was
/// given: the calls go on without it. It must not block for long, for it is asked while a future is polled.
///
/// [`MemoryCache`](crate::MemoryCache) is one, and with the feature `moka` so is that crate's `sync::Cache`.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
/// use recoup::{CacheEntry, CacheFallback, CacheStore};
///
/// #[derive(Default)]
/// struct Unbounded(Mutex<BTreeMap<u64, CacheEntry<String>>>);
///
/// impl CacheStore<u64, String> for Unbounded {
///     fn get(&self, key: &u64) -> Option<CacheEntry<String>> {
///         self.0.lock().unwrap().get(key).cloned()
///     }
///     fn put(&self, key: u64, entry: CacheEntry<String>) {
///         self.0.lock().unwrap().insert(key, entry);
///     }
///     fn remove(&self, key: &u64) {
///         self.0.lock().unwrap().remove(key);
///     }
/// }
///
/// let users = CacheFallback::builder().build_on(Unbounded::default()).unwrap();
/// users.put(7, "ada".to_owned());
/// assert_eq!(users.get(&7).unwrap().value, "ada");
/// ```
pub trait CacheStore<K, V> {
    /// What is kept for `key`.
    fn get(&self, key: &K) -> Option<CacheEntry<V>>;

    /// Keeps `entry` for `key`, instead of what was kept for it before.
    fn put(&self, key: K, entry: CacheEntry<V>);

    /// Keeps nothing for `key` any more.
    fn remove(&self, key: &K);
}

/// A store that several caches share.
impl<K, V, S: CacheStore<K, V> + ?Sized> CacheStore<K, V> for Arc<S> {
    fn get(&self, key: &K) -> Option<CacheEntry<V>> {
        (**self).get(key)
    }

    fn put(&self, key: K, entry: CacheEntry<V>) {
        (**self).put(key, entry);
    }

    fn remove(&self, key: &K) {
        (**self).remove(key);
    }
}

/// A value as it lies in a [`CacheStore`].
///
/// ```
/// use recoup::{CacheEntry, CacheStore, Instant, MemoryCache};
/// let cache = MemoryCache::new(10).unwrap();
/// cache.put("EUR", CacheEntry { value: 1.25, since: Instant::now() });
/// assert_eq!(cache.get(&"EUR").map(|entry| entry.value), Some(1.25));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheEntry<V> {
    /// The value.
    pub value: V,
    /// When the call ended that gave it.
    pub since: Instant,
}
