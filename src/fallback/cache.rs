//! A value that was good before, instead of a call or of its error.

mod builder;
mod call;
mod memory;
mod store;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

pub use self::builder::CacheFallbackBuilder;
pub use self::call::CacheFallbackCall;
pub use self::memory::MemoryCache;
pub use self::store::{CacheEntry, CacheStore};
use crate::time::{self, Instant};

/// Values that were good before, by key: given without a call while they are fresh, and instead of an error
/// while they are not too old.
///
/// A call that succeeds is remembered. Until its value is [`fresh_for`](CacheFallbackBuilder::fresh_for) old, it
/// is the answer and no call is made. After that each caller makes the call; if it fails, the value is given all
/// the same, marked [stale](Cached::stale), up to an age of
/// [`stale_for`](CacheFallbackBuilder::stale_for). An older one is never given. Errors are not remembered.
///
/// It is around the call, so what is fresh costs the policies nothing. To make one call for all who find
/// nothing fresh, put a [`Coalesce`](crate::Coalesce) between the two.
///
/// The values lie in a [`CacheStore`]: in a [`MemoryCache`], unless another is given.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use recoup::{CacheFallback, Recovery, execute_with_recovery};
///
/// let minute = Duration::from_secs(60);
/// let recovery = Recovery::<&str>::builder("rates").build().unwrap();
/// let rates: CacheFallback<&str, f64> =
///     CacheFallback::builder().fresh_for(minute).stale_for(60 * minute).build().unwrap();
/// let up = || execute_with_recovery(&recovery, |_| async { Ok(1.25) });
/// let down = || execute_with_recovery(&recovery, |_| async { Err("down") });
///
/// let rate = rates.call("EUR", up).await.unwrap();
/// assert_eq!((rate.value, rate.stale), (1.25, false));
/// let rate = rates.call("EUR", || async { Err("not even called") }).await.unwrap();
/// assert_eq!((rate.value, rate.stale), (1.25, false));
///
/// tokio::time::advance(10 * minute).await;
/// let rate = rates.call("EUR", down).await.unwrap();
/// assert!(rate.value == 1.25 && rate.age >= 10 * minute && rate.stale);
///
/// tokio::time::advance(60 * minute).await;
/// assert_eq!(rates.call("EUR", down).await.unwrap_err().into_inner(), Some("down"));
/// # }
/// ```
///
/// A handle: clones share the values.
pub struct CacheFallback<K, V, S = MemoryCache<K, V>> {
    shelf: Shelf<S>,
    holds: PhantomData<fn(K) -> V>,
}

/// Where the values lie, and how old they may be.
#[derive(Debug)]
struct Shelf<S> {
    store: Arc<S>,
    fresh_for: Duration,
    stale_for: Duration,
}

impl CacheFallback<(), ()> {
    /// Begins one; for which keys and values it is shows at [`build`](CacheFallbackBuilder::build).
    pub const fn builder() -> CacheFallbackBuilder {
        CacheFallbackBuilder::new()
    }
}

impl<K, V, S: CacheStore<K, V>> CacheFallback<K, V, S> {
    /// The value of `key`: what is remembered if it is fresh, or else what `op` gives; and if that fails, what
    /// is remembered if it is not too old.
    ///
    /// # Errors
    ///
    /// The call's own, if nothing is remembered that may be given.
    ///
    /// # Cancel safety
    ///
    /// As the call's own. A call that was dropped is not remembered.
    pub fn call<F, Fut, E>(&self, key: K, op: F) -> CacheFallbackCall<K, S, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        CacheFallbackCall::new(self.shelf.clone(), key, op)
    }

    /// What is remembered of `key`, unless it is too old. Makes no call.
    ///
    /// ```
    /// use recoup::CacheFallback;
    /// let rates: CacheFallback<&str, f64> = CacheFallback::builder().build().unwrap();
    /// assert_eq!(rates.get(&"EUR"), None);
    /// rates.put("EUR", 1.25);
    /// assert_eq!(rates.get(&"EUR").unwrap().value, 1.25);
    /// rates.forget(&"EUR");
    /// assert_eq!(rates.get(&"EUR"), None);
    /// ```
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Cached<V>> {
        self.shelf.usable(key, time::now())
    }

    /// Remembers a value that is known from elsewhere, as good as new.
    pub fn put(&self, key: K, value: V) {
        self.shelf.store.put(key, CacheEntry { value, since: time::now() });
    }

    /// Forgets what is remembered of `key`, for every handle.
    pub fn forget(&self, key: &K) {
        self.shelf.store.remove(key);
    }

    /// Where the values lie.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.shelf.store
    }
}

impl<S> Shelf<S> {
    /// What need not be asked for again.
    fn fresh<K, V>(&self, key: &K) -> Option<Cached<V>>
    where
        S: CacheStore<K, V>,
    {
        if self.fresh_for.is_zero() {
            return None; // so the store is not asked in vain
        }
        self.usable(key, time::now()).filter(|cached| !cached.stale)
    }

    /// What may be given instead of an error.
    fn usable<K, V>(&self, key: &K, now: Instant) -> Option<Cached<V>>
    where
        S: CacheStore<K, V>,
    {
        let CacheEntry { value, since } = self.store.get(key)?;
        let age = now.saturating_duration_since(since);
        (age <= self.stale_for).then(|| Cached { value, age, stale: age >= self.fresh_for })
    }
}

impl<S> Clone for Shelf<S> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), ..*self }
    }
}

impl<K, V, S> Clone for CacheFallback<K, V, S> {
    fn clone(&self) -> Self {
        Self { shelf: self.shelf.clone(), holds: PhantomData }
    }
}

impl<K, V, S> fmt::Debug for CacheFallback<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheFallback")
            .field("fresh_for", &self.shelf.fresh_for)
            .field("stale_for", &self.shelf.stale_for)
            .finish_non_exhaustive()
    }
}

/// A value of a [`CacheFallback`], and how good it is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::CacheFallback;
/// let rates: CacheFallback<&str, f64> = CacheFallback::builder().build().unwrap();
/// let rate = rates.call("EUR", async || Ok::<_, ()>(1.25)).await.unwrap();
/// assert!(!rate.stale && rate.age.is_zero());
/// assert_eq!(rate.into_value(), 1.25);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cached<V> {
    /// The value.
    pub value: V,
    /// How long ago the call ended that gave it. Zero if that was this one.
    pub age: Duration,
    /// Whether it is no longer fresh: it is given because the call failed.
    pub stale: bool,
}

impl<V> Cached<V> {
    /// What the call gave that has just ended.
    const fn new(value: V) -> Self {
        Self { value, age: Duration::ZERO, stale: false }
    }

    /// The value alone, for who does not care how old it is.
    #[must_use]
    pub fn into_value(self) -> V {
        self.value
    }
}
