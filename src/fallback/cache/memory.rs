//! A bounded table in memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::{CacheEntry, CacheStore};
use crate::setting::{Check, SettingError};
use crate::sync::Lock;
use crate::time::Instant;

/// Values in memory, at most so many. When there is no room, that goes which nobody asked for the longest.
///
/// Each step takes the logarithm of how many there are. What is too old to be given stays until its room is
/// needed.
///
/// ```
/// use recoup::{CacheEntry, CacheStore, Instant, MemoryCache};
/// let cache = MemoryCache::new(2).unwrap();
/// let entry = |value| CacheEntry { value, since: Instant::now() };
/// cache.put('a', entry(1));
/// cache.put('b', entry(2));
/// assert!(cache.get(&'a').is_some());
/// cache.put('c', entry(3));
/// assert_eq!((cache.get(&'b'), cache.len()), (None, 2), "nobody asked for it since");
/// ```
pub struct MemoryCache<K, V> {
    capacity: usize,
    table: Lock<Table<K, V>>,
}

struct Table<K, V> {
    kept: HashMap<Arc<K>, Kept<V>>,
    /// The keys by when they were last used. Each is in both or in none.
    by_use: BTreeMap<u64, Arc<K>>,
    uses: u64,
}

/// The value apart, so that the user's `Clone` and `Drop` run outside the lock.
struct Kept<V> {
    value: Arc<V>,
    since: Instant,
    used: u64,
}

impl<K: Eq + Hash, V> MemoryCache<K, V> {
    /// Room for `capacity` values.
    ///
    /// # Errors
    ///
    /// [`SettingError`] when `capacity` is zero.
    pub fn new(capacity: usize) -> Result<Self, SettingError> {
        Check("cache").at_least_one("capacity", u64::try_from(capacity).unwrap_or(u64::MAX))?;
        let table = Table { kept: HashMap::new(), by_use: BTreeMap::new(), uses: 0 };
        Ok(Self { capacity, table: Lock::new(table) })
    }
}

impl<K, V> MemoryCache<K, V> {
    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.lock().kept.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Eq + Hash, V: Clone> CacheStore<K, V> for MemoryCache<K, V> {
    fn get(&self, key: &K) -> Option<CacheEntry<V>> {
        let (value, since) = self.table.lock().take_up(key)?;
        Some(CacheEntry { value: V::clone(&value), since })
    }

    fn put(&self, key: K, entry: CacheEntry<V>) {
        let (key, value) = (Arc::new(key), Arc::new(entry.value));
        let mut table = self.table.lock();
        let before = table.remove(&key);
        let last = if table.kept.len() < self.capacity { None } else { table.remove_last() };
        table.add(key, value, entry.since);
        drop(table);
        drop((before, last)); // the user's values, so outside the lock
    }

    fn remove(&self, key: &K) {
        let before = self.table.lock().remove(key);
        drop(before); // outside the lock
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    /// The value, which has been used now.
    fn take_up(&mut self, key: &K) -> Option<(Arc<V>, Instant)> {
        let kept = self.kept.get_mut(key)?;
        let key = self.by_use.remove(&kept.used)?;
        kept.used = self.uses;
        self.by_use.insert(self.uses, key);
        self.uses += 1;
        Some((Arc::clone(&kept.value), kept.since))
    }

    fn add(&mut self, key: Arc<K>, value: Arc<V>, since: Instant) {
        self.by_use.insert(self.uses, Arc::clone(&key));
        self.kept.insert(key, Kept { value, since, used: self.uses });
        self.uses += 1;
    }

    fn remove(&mut self, key: &K) -> Option<(Arc<K>, Kept<V>)> {
        let (key, kept) = self.kept.remove_entry(key)?;
        self.by_use.remove(&kept.used);
        Some((key, kept))
    }

    fn remove_last(&mut self) -> Option<(Arc<K>, Kept<V>)> {
        let (_, key) = self.by_use.pop_first()?;
        self.kept.remove_entry(&*key)
    }
}

impl<K, V> fmt::Debug for MemoryCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache")
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::time;

    proptest! {
        #[test]
        fn keeps_what_was_used_last_and_no_more_than_there_is_room_for(
            capacity in 1_usize..6,
            steps in proptest::collection::vec((0_u8..3, 0_u8..10), 0..200),
        ) {
            let (cache, mut model) = (MemoryCache::new(capacity).unwrap(), VecDeque::new());
            for (n, (step, key)) in steps.into_iter().enumerate() {
                let place = model.iter().position(|&(known, _)| known == key);
                let known = place.and_then(|place| model.remove(place));
                match step {
                    0 => {
                        cache.put(key, CacheEntry { value: n, since: time::now() });
                        model.push_back((key, n));
                        if model.len() > capacity {
                            model.pop_front();
                        }
                    }
                    1 => {
                        model.extend(known);
                        prop_assert_eq!(cache.get(&key).map(|entry| entry.value), known.map(|(_, value)| value));
                    }
                    _ => cache.remove(&key),
                }
                let table = cache.table.lock();
                let kept: Vec<_> = table.by_use.values().map(|key| (**key, *table.kept[key].value)).collect();
                prop_assert_eq!(kept.len(), table.kept.len());
                prop_assert_eq!(kept, Vec::from(model.clone()));
            }
        }
    }

    #[test]
    fn no_room_at_all_is_refused() {
        assert_eq!(MemoryCache::<u8, u8>::new(0).unwrap_err().setting, "capacity");
        assert!(MemoryCache::<u8, u8>::new(usize::MAX).unwrap().is_empty());
    }
}
