//! What will happen, in order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::backend::Ticket;
use crate::call::attempt::Cut;

/// What will happen, the earliest first; of one moment, what was planned first.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    planned: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    at: u64,
    nth: u64,
    pub(super) what: What,
    pub(super) ticket: Ticket,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A server of this shard is done with the call.
    Served(u32),
    /// A wait between attempts is over.
    Waited,
    /// The caller loses patience, out of the common order.
    CutShort(Cut),
}

impl Agenda {
    pub(super) fn add(&mut self, at: u64, what: What, ticket: Ticket) {
        self.planned += 1;
        self.entries.push(Reverse(Entry { at, nth: self.planned, what, ticket }));
    }

    /// When the next thing happens; the end of time, if nothing does.
    pub(super) fn next_at(&self) -> u64 {
        self.entries.peek().map_or(u64::MAX, |Reverse(entry)| entry.at)
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.entries.pop().map(|Reverse(entry)| entry)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.nth).cmp(&(other.at, other.nth))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
