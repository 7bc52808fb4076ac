//! The calls that are under way, and who waits for each.
//!
//! Every key in the table has exactly one leader: a [`Lead`] in a caller's hands, or on its way to one. Whatever
//! becomes of that caller, the lead is dropped at last, and its drop hands it to the next or forgets the key.
//! So nobody waits for a call that nobody makes.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::sync::{Lock, oneshot};

pub(super) struct Flights<K, T> {
    capacity: usize,
    table: Lock<Table<K, T>>,
    /// What takes a key that can be hashed, named here where it is known to be one: a guard has to find its
    /// flight when it is dropped, and a drop cannot ask for more than its type does.
    find: Find<K, T>,
    forget: Forget<K, T>,
}

type Table<K, T> = HashMap<Arc<K>, Flight<K, T>>;

type Find<K, T> = for<'t> fn(&'t mut Table<K, T>, &K) -> Option<&'t mut Flight<K, T>>;

type Forget<K, T> = fn(&mut Table<K, T>, &K) -> Option<(Arc<K>, Flight<K, T>)>;

struct Flight<K, T> {
    /// By number, so the first is who waits longest.
    waiting: BTreeMap<u64, oneshot::Sender<News<K, T>>>,
    next: u64,
}

/// What one who waits is told.
pub(super) enum News<K, T> {
    /// The answer, and who gave up in the poll that it came in.
    Answer(T, Option<Arc<str>>),
    /// The leader is gone. Make the call.
    Lead(Lead<K, T>),
}

/// How one fares who asks for a key.
pub(super) enum Role<K, T> {
    Leads(Lead<K, T>),
    Waits(Seat<K, T>),
    /// There is no room for another key.
    Alone,
}

impl<K: Eq + Hash, T> Flights<K, T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            table: Lock::new(HashMap::new()),
            find: |table, key| table.get_mut(key),
            forget: |table, key| table.remove_entry(key),
        }
    }

    pub(super) fn ask(self: &Arc<Self>, key: &Arc<K>) -> Role<K, T> {
        let mut table = self.table.lock();
        if let Some(flight) = table.get_mut(&**key) {
            let (sender, news) = oneshot::channel();
            let number = flight.next;
            flight.next += 1;
            flight.waiting.insert(number, sender);
            let (flights, key) = (Arc::clone(self), Arc::clone(key));
            return Role::Waits(Seat { flights, key, number: Some(number), news });
        }
        if table.len() >= self.capacity {
            return Role::Alone;
        }
        table.insert(Arc::clone(key), Flight { waiting: BTreeMap::new(), next: 0 });
        Role::Leads(Lead::new(self, key))
    }
}

impl<K, T> Flights<K, T> {
    /// The leader has gone: hands the lead to the one who waits longest, or forgets the key.
    fn pass_on(self: &Arc<Self>, key: &Arc<K>) {
        while let Some(heir) = self.next_leader(key) {
            match heir.send(News::Lead(Lead::new(self, key))) {
                // Gone since. To drop the lead would come back here, one call deeper for each of them.
                Err(News::Lead(unwanted)) => unwanted.disarm(),
                _ => return,
            }
        }
    }

    fn next_leader(&self, key: &K) -> Option<oneshot::Sender<News<K, T>>> {
        let mut table = self.table.lock();
        let next = (self.find)(&mut table, key)?.waiting.pop_first();
        if let Some((_, heir)) = next {
            return Some(heir);
        }
        let forgotten = (self.forget)(&mut table, key);
        drop(table);
        drop(forgotten); // the user's key, so outside the lock
        None
    }

    fn leave(&self, key: &K, number: u64) {
        let mut table = self.table.lock();
        let place = (self.find)(&mut table, key).and_then(|flight| flight.waiting.remove(&number));
        drop(table);
        drop(place); // outside the lock
    }

    /// The keys, and who waits for all of them together.
    pub(super) fn counts(&self) -> (usize, usize) {
        let table = self.table.lock();
        (table.len(), table.values().map(|flight| flight.waiting.len()).sum())
    }
}

/// Where a flight is found.
type Hold<K, T> = (Arc<Flights<K, T>>, Arc<K>);

/// The duty to make the call of a key. Dropped without an answer, it goes to another.
pub(super) struct Lead<K, T> {
    /// `None` once it is over.
    hold: Option<Hold<K, T>>,
}

impl<K, T> Lead<K, T> {
    fn new(flights: &Arc<Flights<K, T>>, key: &Arc<K>) -> Self {
        Self { hold: Some((Arc::clone(flights), Arc::clone(key))) }
    }

    fn disarm(mut self) {
        self.hold = None;
    }

    /// Ends the flight and tells all who wait. If a clone panics, those who were not told yet ask anew.
    pub(super) fn answer(mut self, answer: &T, gave_up: Option<&Arc<str>>)
    where
        T: Clone,
    {
        let Some((flights, key)) = self.hold.take() else { return };
        let ended = (flights.forget)(&mut flights.table.lock(), &key);
        for (_, waiter) in ended.into_iter().flat_map(|(_, flight)| flight.waiting) {
            // One who has gone already need not be told.
            let _gone = waiter.send(News::Answer(answer.clone(), gave_up.cloned()));
        }
    }
}

impl<K, T> Drop for Lead<K, T> {
    fn drop(&mut self) {
        if let Some((flights, key)) = self.hold.take() {
            flights.pass_on(&key);
        }
    }
}

/// A seat among those who wait for a key: left when dropped.
pub(super) struct Seat<K, T> {
    flights: Arc<Flights<K, T>>,
    key: Arc<K>,
    /// `None` once there are news.
    number: Option<u64>,
    // Dropped after the seat is left, with a lead that came too late in it.
    news: oneshot::Receiver<News<K, T>>,
}

impl<K, T> Seat<K, T> {
    /// The news, or `None` if they were lost: the answer could not be cloned.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<News<K, T>>> {
        let news = ready!(Pin::new(&mut self.news).poll(cx));
        self.number = None;
        Poll::Ready(news.ok())
    }
}

impl<K, T> Drop for Seat<K, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.flights.leave(&self.key, number);
        }
    }
}
