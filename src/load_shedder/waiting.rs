//! Those who wait, in every order in which one may be looked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::priority::Priority;
use crate::time::Instant;

/// Where one waits, for as long as they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    priority: Priority,
    /// In the order in which they came.
    number: u64,
}

#[derive(Debug)]
pub(super) struct Waiter<T> {
    pub(super) item: T,
    pub(super) arrived: Instant,
    deadline: Option<Instant>,
}

/// Each step takes the logarithm of how many wait.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    by_priority: [BTreeMap<u64, Waiter<T>>; Priority::ALL.len()],
    by_deadline: BTreeSet<(Instant, Ticket)>,
    next: u64,
    count: usize,
}

impl<T> Waiting<T> {
    pub(super) fn new() -> Self {
        let by_priority = std::array::from_fn(|_| BTreeMap::new());
        Self { by_priority, by_deadline: BTreeSet::new(), next: 0, count: 0 }
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    pub(super) fn add(
        &mut self,
        item: T,
        priority: Priority,
        deadline: Option<Instant>,
        arrived: Instant,
    ) -> Ticket {
        let ticket = Ticket { priority, number: self.next };
        self.next += 1;
        self.count += 1;
        self.by_deadline.extend(deadline.map(|at| (at, ticket)));
        self.of(priority).insert(ticket.number, Waiter { item, arrived, deadline });
        ticket
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiter<T>> {
        let gone = self.of(ticket.priority).remove(&ticket.number)?;
        self.count -= 1;
        if let Some(at) = gone.deadline {
            self.by_deadline.remove(&(at, ticket));
        }
        Some(gone)
    }

    /// One whose deadline has come.
    pub(super) fn remove_expired(&mut self, now: Instant) -> Option<Waiter<T>> {
        let &(at, ticket) = self.by_deadline.first()?;
        if at <= now { self.remove(ticket) } else { None }
    }

    /// Who of this priority came first, and when.
    pub(super) fn oldest(&self, priority: Priority) -> Option<(Ticket, Instant)> {
        let (&number, waiter) = self.by_priority[priority as usize].first_key_value()?;
        Some((Ticket { priority, number }, waiter.arrived))
    }

    /// Who of this priority came last.
    pub(super) fn newest(&self, priority: Priority) -> Option<Ticket> {
        let (&number, _) = self.by_priority[priority as usize].last_key_value()?;
        Some(Ticket { priority, number })
    }

    /// When the one came who waits longest.
    pub(super) fn oldest_of_all(&self) -> Option<Instant> {
        Priority::ALL
            .into_iter()
            .filter_map(|priority| self.oldest(priority))
            .map(|(_, arrived)| arrived)
            .min()
    }

    /// The highest priority of those who wait.
    pub(super) fn highest(&self) -> Option<Priority> {
        Priority::ALL.into_iter().rev().find(|&priority| self.any(priority))
    }

    /// The lowest priority of those who wait.
    pub(super) fn lowest(&self) -> Option<Priority> {
        Priority::ALL.into_iter().find(|&priority| self.any(priority))
    }

    pub(super) fn has(&self, ticket: Ticket) -> bool {
        self.by_priority[ticket.priority as usize].contains_key(&ticket.number)
    }

    fn any(&self, priority: Priority) -> bool {
        !self.by_priority[priority as usize].is_empty()
    }

    fn of(&mut self, priority: Priority) -> &mut BTreeMap<u64, Waiter<T>> {
        &mut self.by_priority[priority as usize]
    }
}
