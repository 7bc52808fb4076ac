//! Those who wait for their moment, in the order in which they are let through.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::task::Waker;

use crate::priority::Priority;

/// How many calls each priority finds in an idle bucket.
pub(super) type Rooms = [u64; Priority::ALL.len()];

/// What a call costs and how much each priority may have used of the bucket, all in nanoseconds or calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// How long the rate takes to bring one call.
    pub(super) interval: u64,
    pub(super) rooms: Rooms,
}

impl Terms {
    pub(super) const fn cost(&self, weight: u64) -> u64 {
        self.interval.saturating_mul(weight)
    }

    /// The first moment at which `weight` calls conform, when all before them are used up at `tat`.
    pub(super) const fn due(&self, tat: u64, weight: u64, priority: Priority) -> u64 {
        let used = tat.saturating_add(self.cost(weight));
        used.saturating_sub(self.cost(self.rooms[priority as usize]))
    }
}

/// Who asks, and for how many calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    pub(super) weight: u64,
    pub(super) priority: Priority,
    /// Equal for priorities between which nothing is kept.
    pub(super) rank: usize,
}

/// What was taken from the bucket: the time of the rate from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Span {
    /// Beyond 292 years nothing is counted.
    pub(super) const LAST: u64 = u64::MAX >> 1;

    /// For a call that leaves at `at` with a bucket that is used up to `tat`. Time that passed unused beyond a
    /// full bucket is gone: hence not before `at`.
    pub(super) fn taken(tat: u64, at: u64, cost: u64) -> Self {
        let start = tat.max(at);
        Self { start, end: start.saturating_add(cost).min(Self::LAST) }
    }
}

/// A place in the line: the highest rank first, and first come, first served in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    rank: Reverse<usize>,
    ticket: u64,
}

#[derive(Debug)]
pub(super) struct Waiter {
    who: Who,
    waker: Option<Waker>,
}

/// All who wait. Nothing is taken for any of them before their moment, so whoever goes leaves no trace, and all
/// behind move up.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeMap<Place, Waiter>,
    /// How much those of each rank wait for together.
    weights: [u64; Priority::ALL.len()],
    /// Those whose moment has come, and who have not noticed yet.
    granted: BTreeMap<Place, Span>,
    tickets: u64,
    /// The latest moment at which anybody looked. Nobody is let through before it any more.
    looked: u64,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn head(&self) -> Option<Place> {
        self.waiting.first_key_value().map(|(place, _)| *place)
    }

    /// Who is first is woken once: it leaves its waker again when it looks. Not cloned, for that runs code of
    /// others, and the lock is held.
    pub(super) fn wake_head(&mut self, wake: &mut Vec<Waker>) {
        if let Some(mut head) = self.waiting.first_entry() {
            wake.extend(head.get_mut().waker.take());
        }
    }

    /// Lets everyone through whose moment has come, each at that moment: it makes no difference how late
    /// somebody looks. Gives the present moment, which never goes backwards, and who is to be woken.
    pub(super) fn settle(&mut self, tat: &mut u64, terms: &Terms, now: u64, wake: &mut Vec<Waker>) -> u64 {
        let now = now.max(self.looked);
        while let Some(head) = self.waiting.first_entry() {
            let Who { weight, priority, rank } = head.get().who;
            let at = terms.due(*tat, weight, priority).max(self.looked);
            if at > now {
                break;
            }
            let span = Span::taken(*tat, at, terms.cost(weight));
            *tat = span.end;
            self.weights[rank] = self.weights[rank].saturating_sub(weight);
            self.granted.insert(*head.key(), span);
            wake.extend(head.remove().waker);
        }
        self.looked = now;
        now
    }

    /// When somebody who comes now would be let through, after [`settle`](Self::settle).
    pub(super) fn due_for(&self, who: Who, tat: u64, terms: &Terms) -> u64 {
        let ahead = self.weights[who.rank..].iter().fold(0, |sum: u64, weight| sum.saturating_add(*weight));
        let due = terms.due(tat, ahead.saturating_add(who.weight), who.priority).max(self.looked);
        match self.waiting.first_key_value() {
            Some((head, waiter)) if head.rank.0 >= who.rank => due.max(self.due_of(waiter, tat, terms)),
            _ => due,
        }
    }

    fn due_of(&self, head: &Waiter, tat: u64, terms: &Terms) -> u64 {
        terms.due(tat, head.who.weight, head.who.priority).max(self.looked)
    }

    /// When the one at `place` will be let through if nobody ahead goes away, after [`settle`](Self::settle).
    pub(super) fn due_at(&self, place: Place, mut tat: u64, terms: &Terms) -> u64 {
        let mut at = self.looked;
        for waiter in self.waiting.range(..=place).map(|(_, waiter)| waiter) {
            at = terms.due(tat, waiter.who.weight, waiter.who.priority).max(at);
            tat = Span::taken(tat, at, terms.cost(waiter.who.weight)).end;
        }
        at
    }

    pub(super) fn enter(&mut self, who: Who) -> Place {
        let place = Place { rank: Reverse(who.rank), ticket: self.tickets };
        self.tickets += 1;
        self.weights[who.rank] = self.weights[who.rank].saturating_add(who.weight);
        self.waiting.insert(place, Waiter { who, waker: None });
        place
    }

    /// Takes what the one at `place` was let through with.
    pub(super) fn collect(&mut self, place: Place) -> Option<Span> {
        self.granted.remove(&place)
    }

    /// Who is woken when the one at `place` is let through or comes to the head. The waker that was there
    /// before is given back, for dropping it runs code of others.
    pub(super) fn watch(&mut self, place: Place, waker: Option<Waker>) -> Option<Waker> {
        match self.waiting.get_mut(&place) {
            Some(waiter) if waker.is_some() => std::mem::replace(&mut waiter.waker, waker),
            _ => waker,
        }
    }

    pub(super) fn remove(&mut self, place: Place) -> Option<Waiter> {
        let gone = self.waiting.remove(&place)?;
        let weight = &mut self.weights[gone.who.rank];
        *weight = weight.saturating_sub(gone.who.weight);
        Some(gone)
    }
}
