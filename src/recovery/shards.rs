//! What is known of the parts of one dependency, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::circuit_breaker::CircuitBreaker;
use crate::retry::Throttle;
use crate::sync::Lock;

/// How many shards are looked at, at most, to find one that may go.
const LOOKS: usize = 64;

/// What is known of one endpoint, shard or tenant of a dependency: a throttle and a circuit breaker of its own.
/// A handle; see [`Recovery::shard`](super::Recovery::shard).
#[derive(Clone, Debug)]
pub struct Shard {
    pub(super) throttle: Option<Throttle>,
    pub(super) breaker: Option<CircuitBreaker>,
}

impl Shard {
    /// Its throttle, if the recovery has one.
    #[must_use]
    pub fn throttle(&self) -> Option<&Throttle> {
        self.throttle.as_ref()
    }

    /// Its circuit breaker, if the recovery has one. Its name is that of the recovery's, a slash and the key.
    #[must_use]
    pub fn circuit_breaker(&self) -> Option<&CircuitBreaker> {
        self.breaker.as_ref()
    }

    /// Whether forgetting it changes nothing: nobody else holds it, and it knows of no trouble.
    fn may_go(&self) -> bool {
        self.throttle.as_ref().is_none_or(Throttle::equals_a_fresh_one)
            && self.breaker.as_ref().is_none_or(CircuitBreaker::equals_a_fresh_one)
    }
}

/// Shards by key.
#[derive(Debug)]
pub(super) struct Shards {
    capacity: usize,
    table: Lock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    shards: HashMap<Arc<str>, Shard>,
    /// The keys, in the order in which they are looked at when one must go.
    turn: VecDeque<Arc<str>>,
}

impl Default for Shards {
    fn default() -> Self {
        Self::new(1_000)
    }
}

impl Shards {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, table: Lock::default() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The shard of this key, or a new one that begins like these two.
    pub(super) fn get(
        &self,
        key: &str,
        throttle: Option<&Throttle>,
        breaker: Option<&CircuitBreaker>,
    ) -> Shard {
        if let Some(shard) = self.table.lock().shards.get(key) {
            return shard.clone();
        }
        let named = |breaker: &CircuitBreaker| breaker.fresh(format!("{}/{key}", breaker.name()).into());
        let made = Shard { throttle: throttle.map(Throttle::fresh), breaker: breaker.map(named) };
        let mut table = self.table.lock();
        if let Some(first) = table.shards.get(key) {
            return first.clone(); // somebody else was quicker
        }
        if table.shards.len() < self.capacity || table.make_room() {
            let key: Arc<str> = key.into();
            table.turn.push_back(Arc::clone(&key));
            table.shards.insert(key, made.clone());
        }
        made
    }
}

impl Table {
    fn make_room(&mut self) -> bool {
        for _ in 0..LOOKS.min(self.turn.len()) {
            let Some(key) = self.turn.pop_front() else { break };
            if self.shards.get(&key).is_none_or(Shard::may_go) {
                self.shards.remove(&key);
                return true;
            }
            self.turn.push_back(key);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Attempted;

    #[test]
    fn shard_in_trouble_or_in_use_is_not_forgotten() {
        let (shards, throttle) = (Shards::new(2), Throttle::fleet());
        let get = |key: &str| shards.get(key, Some(&throttle), None);
        let held = get("a");
        get("b").throttle.unwrap().failed(&Attempted::default(), &crate::time::now().into());
        for n in 0..1_000 {
            let unremembered = get(&format!("key {n}"));
            assert_eq!(unremembered.throttle.unwrap().snapshot().history, 0);
        }
        assert_eq!(shards.table.lock().shards.len(), 2);
        assert_eq!(get("b").throttle.unwrap().snapshot().failures_in_a_row, 1);
        drop(held);
        get("c");
        assert!(shards.table.lock().shards.contains_key("c"), "the place of `a`");
    }

    #[test]
    fn shards_of_one_key_are_one() {
        let (shards, breaker) = (Shards::default(), CircuitBreaker::builder("db").build().unwrap());
        let get = |key: &str| shards.get(key, None, Some(&breaker)).breaker.unwrap();
        get("a").force_open();
        assert!(get("a").admit().is_err());
        assert!(get("b").admit().is_ok() && breaker.admit().is_ok());
        assert_eq!(&**get("a").name(), "db/a");
    }
}
