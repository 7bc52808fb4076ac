//! One breaker for each key, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::rules::Rules;
use super::{CircuitBreaker, CircuitBreakerBuilder};
use crate::setting::{Check, SettingError};
use crate::sync::Lock;

/// How many keys are looked at, at most, to find one that may go.
const LOOKS: usize = 64;

/// Breakers by key: one for each host, tenant or shard, made when its key is first asked for.
///
/// At most `capacity` of them are remembered, whatever keys the world sends. When the table is full, a breaker
/// goes only if forgetting it changes nothing: closed, without failures, and in nobody's hands. If none of
/// the next 64 in turn may go, the new key gets a breaker that nobody remembers, so its calls are let
/// through: the table never forgets an open circuit, and never refuses a call for want of room.
/// [`overflowed`](Self::overflowed) counts how often that happened.
///
/// ```
/// use recoup::{CircuitBreaker, CircuitBreakers};
/// let hosts = CircuitBreakers::new(10_000, |host: &String| {
///     CircuitBreaker::builder(host.as_str()).consecutive_failures(5)
/// })?;
/// let breaker = hosts.get(&"a.example".to_owned());
/// assert_eq!(&**breaker.name(), "a.example");
/// assert_eq!(hosts.len(), 1);
/// # Ok::<(), recoup::SettingError>(())
/// ```
pub struct CircuitBreakers<K> {
    build: Box<dyn Fn(&K) -> CircuitBreakerBuilder + Send + Sync>,
    capacity: usize,
    table: Lock<Table<K>>,
}

struct Table<K> {
    breakers: HashMap<K, CircuitBreaker>,
    /// The keys, in the order in which they are looked at when one must go.
    turn: VecDeque<K>,
    overflowed: u64,
    /// Those of the breaker that was made last. Most have the same, and then share them.
    rules: Option<Arc<Rules>>,
}

impl<K: Clone + Eq + Hash> CircuitBreakers<K> {
    /// A table of at most `capacity` breakers, each with the settings that `build` gives for its key.
    ///
    /// # Errors
    ///
    /// [`SettingError`] when `capacity` is zero.
    pub fn new(
        capacity: usize,
        build: impl Fn(&K) -> CircuitBreakerBuilder + Send + Sync + 'static,
    ) -> Result<Self, SettingError> {
        if capacity == 0 {
            return Err(Check("circuit breakers").refuse("capacity", 0, "at least 1"));
        }
        let table = Table { breakers: HashMap::new(), turn: VecDeque::new(), overflowed: 0, rules: None };
        Ok(Self { build: Box::new(build), capacity, table: Lock::new(table) })
    }

    /// The breaker of `key`.
    ///
    /// Settings for a key that do not build are replaced by the defaults under the same name: a key from
    /// outside must not be able to stop a call.
    pub fn get(&self, key: &K) -> CircuitBreaker {
        if let Some(breaker) = self.table.lock().breakers.get(key) {
            return breaker.clone();
        }
        let mut builder = (self.build)(key); // the user's code, so outside the lock
        self.table.lock().share(&mut builder.rules);
        let name = Arc::clone(&builder.name);
        let breaker = builder.build().unwrap_or_else(|_| CircuitBreakerBuilder::new(name).unchecked());
        let mut table = self.table.lock();
        if let Some(first) = table.breakers.get(key) {
            return first.clone(); // somebody else was quicker
        }
        if table.breakers.len() < self.capacity || table.make_room() {
            table.breakers.insert(key.clone(), breaker.clone());
            table.turn.push_back(key.clone());
        } else {
            table.overflowed += 1;
        }
        breaker
    }

    /// How many breakers are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.lock().breakers.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often a key got a breaker that nobody remembers, because the table was full of ones in use.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.table.lock().overflowed
    }

    /// Every breaker that is remembered, the one whose turn to be forgotten comes first in front: as long as
    /// there is room for all, in the order in which their keys were first asked for.
    #[must_use]
    pub fn all(&self) -> Vec<CircuitBreaker> {
        let table = self.table.lock();
        table.turn.iter().filter_map(|key| table.breakers.get(key)).cloned().collect()
    }
}

impl<K> Table<K> {
    /// Takes the rules that are shared already, if these are the same.
    fn share(&mut self, rules: &mut Arc<Rules>) {
        match &self.rules {
            Some(known) if known == rules => *rules = Arc::clone(known),
            _ => self.rules = Some(Arc::clone(rules)),
        }
    }
}

impl<K: Eq + Hash> Table<K> {
    fn make_room(&mut self) -> bool {
        for _ in 0..LOOKS.min(self.turn.len()) {
            let Some(key) = self.turn.pop_front() else { break };
            if self.breakers.get(&key).is_none_or(CircuitBreaker::equals_a_fresh_one) {
                self.breakers.remove(&key);
                return true;
            }
            self.turn.push_back(key);
        }
        false
    }
}

impl<K> fmt::Debug for CircuitBreakers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakers")
            .field("capacity", &self.capacity)
            .field("remembered", &self.table.lock().breakers.len())
            .finish_non_exhaustive()
    }
}
