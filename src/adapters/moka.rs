//! Values in a cache of the crate `moka`.

use std::hash::{BuildHasher, Hash};

use moka::sync::Cache;

use crate::fallback::{CacheEntry, CacheStore};

/// A cache of the crate `moka`, with the feature of that name: by weight, by frequency of use, with an eviction
/// listener, and fast where many threads meet.
///
/// How old a value may be is the [`CacheFallback`](crate::CacheFallback)'s affair. If the cache has a time to
/// live as well, that is measured by a clock of its own.
///
/// ```
/// use recoup::{CacheEntry, CacheFallback};
///
/// let store = moka::sync::Cache::<u64, CacheEntry<String>>::new(10_000);
/// let users = CacheFallback::builder().build_on(store).unwrap();
/// users.put(7, "ada".to_owned());
/// assert_eq!(users.get(&7).unwrap().value, "ada");
/// ```
impl<K, V, S> CacheStore<K, V> for Cache<K, CacheEntry<V>, S>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    fn get(&self, key: &K) -> Option<CacheEntry<V>> {
        Self::get(self, key)
    }

    fn put(&self, key: K, entry: CacheEntry<V>) {
        self.insert(key, entry);
    }

    fn remove(&self, key: &K) {
        self.invalidate(key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fallback::CacheFallback;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn age_is_counted_by_the_one_clock_and_not_by_the_store() {
        let store = Cache::<u8, CacheEntry<u8>>::builder().time_to_live(MINUTE).build();
        let cache = CacheFallback::builder().fresh_for(MINUTE).stale_for(MINUTE * 2).build_on(store).unwrap();
        assert_eq!(cache.call(1, async || Ok::<_, ()>(7)).await.map(|cached| cached.stale), Ok(false));
        tokio::time::advance(MINUTE * 2).await;
        let cached = cache.call(1, async || Err("down")).await.unwrap();
        assert_eq!((cached.value, cached.age, cached.stale), (7, MINUTE * 2, true));
        tokio::time::advance(MINUTE).await;
        assert_eq!(cache.call(1, async || Err("down")).await, Err("down"));
        cache.put(1, 8);
        cache.forget(&1);
        assert_eq!(cache.get(&1), None);
    }
}
