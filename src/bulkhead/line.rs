//! Those who wait for a slot, and who of them is next.
//!
//! A line decides and tells nobody: whom it takes off is told by the caller, outside the lock.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::order::QueueOrder;
use crate::priority::Priority;
use crate::time::{Instant, Now, later_or_far};

/// A place in line. Sorted, the first is the one of the highest priority who waits longest, and the last the
/// one of the lowest priority who came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    priority: Reverse<Priority>,
    number: u64,
}

impl Ticket {
    pub(super) const fn new(priority: Priority, number: u64) -> Self {
        Self { priority: Reverse(priority), number }
    }

    pub(super) const fn priority(self) -> Priority {
        self.priority.0
    }

    /// In the order of coming.
    pub(super) const fn number(self) -> u64 {
        self.number
    }
}

pub(super) struct Line<W> {
    order: QueueOrder,
    waiting: BTreeMap<Ticket, Waiting<W>>,
    /// Since when every slot that came back found somebody here. Known only where the order asks for it.
    ///
    /// That nobody is in line does not end it: those who were shed in an overload leave none behind, and the
    /// next would have to wait again.
    busy_since: Option<Instant>,
}

struct Waiting<W> {
    who: W,
    /// When they have waited too long for an overload.
    shed_at: Option<Instant>,
}

impl<W> Line<W> {
    pub(super) const fn new(order: QueueOrder) -> Self {
        Self { order, waiting: BTreeMap::new(), busy_since: None }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a slot may be taken without asking here: nobody waits, and it need not be known that one was
    /// there.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.busy_since.is_none()
    }

    /// Who of the highest priority waits longest.
    pub(super) fn first(&self) -> Option<Ticket> {
        self.waiting.first_key_value().map(|(ticket, _)| *ticket)
    }

    /// Whether somebody would have to make room for one of `priority`.
    pub(super) fn has_below(&self, priority: Priority) -> bool {
        self.waiting.last_key_value().is_some_and(|(last, _)| last.priority() < priority)
    }

    /// Lets one in, and gives when they will have waited too long, if the order says so.
    ///
    /// The line stays busy while they are in it, so that moment is known from the start: the overload
    /// has begun by then, and they have waited for the target.
    pub(super) fn join(&mut self, ticket: Ticket, who: W, now: &Now) -> Option<Instant> {
        let shed_at = match self.order {
            QueueOrder::Fifo | QueueOrder::Lifo => None,
            QueueOrder::CoDel { target, interval } => {
                let now = now.get();
                let busy_since = *self.busy_since.get_or_insert(now);
                Some(later_or_far(now, target).max(later_or_far(busy_since, interval)))
            }
        };
        self.waiting.insert(ticket, Waiting { who, shed_at });
        shed_at
    }

    /// Takes one off who will not wait any more, if they are still in line.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<W> {
        self.waiting.remove(&ticket).map(|left| left.who)
    }

    /// Takes the last off: of the lowest priority, who came last.
    pub(super) fn evict(&mut self) -> Option<W> {
        self.waiting.pop_last().map(|(_, last)| last.who)
    }

    /// Takes one off who has waited too long for an overload.
    pub(super) fn shed(&mut self, now: &Now) -> Option<W> {
        let QueueOrder::CoDel { interval, .. } = self.order else { return None };
        if !self.is_overloaded(interval, now) {
            return None;
        }
        let stale = Priority::ALL.into_iter().find_map(|priority| {
            let (oldest, waiting) = self.waiting.range(Self::all_of(priority)).next()?;
            waiting.shed_at.is_some_and(|at| at <= now.get()).then_some(*oldest)
        })?;
        self.leave(stale)
    }

    /// Takes the next off, for a slot that came back. Those to be shed are off already.
    pub(super) fn next(&mut self, now: &Now) -> Option<W> {
        let Some(first) = self.first() else {
            self.busy_since = None;
            return None;
        };
        let newest_first = match self.order {
            QueueOrder::Fifo => false,
            QueueOrder::Lifo => true,
            QueueOrder::CoDel { interval, .. } => self.is_overloaded(interval, now),
        };
        if newest_first {
            let newest = *self.waiting.range(Self::all_of(first.priority())).next_back()?.0;
            return self.leave(newest);
        }
        self.leave(first)
    }

    /// Takes everybody off.
    pub(super) fn clear(&mut self) -> Vec<W> {
        self.busy_since = None;
        std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.who).collect()
    }

    fn is_overloaded(&self, interval: Duration, now: &Now) -> bool {
        self.busy_since.is_some_and(|since| later_or_far(since, interval) <= now.get())
    }

    const fn all_of(priority: Priority) -> std::ops::RangeInclusive<Ticket> {
        Ticket::new(priority, 0)..=Ticket::new(priority, u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const MS: Duration = Duration::from_millis(1);

    fn line(order: QueueOrder, who: &[(Priority, u64)]) -> Line<u64> {
        let mut line = Line::new(order);
        for &(priority, number) in who {
            line.join(Ticket::new(priority, number), number, &Now::unread());
        }
        line
    }

    fn served(mut line: Line<u64>, now: &Now) -> Vec<u64> {
        std::iter::from_fn(|| line.next(now)).collect()
    }

    const MIXED: &[(Priority, u64)] = &[
        (Priority::Low, 1),
        (Priority::High, 2),
        (Priority::Normal, 3),
        (Priority::High, 4),
        (Priority::Low, 5),
        (Priority::Critical, 6),
    ];

    #[test]
    fn highest_comes_first_and_the_order_counts_among_equals() {
        assert_eq!(served(line(QueueOrder::Fifo, MIXED), &Now::unread()), [6, 2, 4, 3, 1, 5]);
        assert_eq!(served(line(QueueOrder::Lifo, MIXED), &Now::unread()), [6, 4, 2, 3, 5, 1]);
    }

    #[test]
    fn who_makes_room_is_the_newest_of_the_lowest() {
        let mut line = line(QueueOrder::Fifo, MIXED);
        assert!(line.has_below(Priority::Normal) && !line.has_below(Priority::Low));
        assert_eq!([line.evict(), line.evict(), line.evict()], [Some(5), Some(1), Some(3)]);
        assert!(line.has_below(Priority::Critical) && !line.has_below(Priority::High));
    }

    #[test]
    fn burst_is_served_in_order_and_an_overload_newest_first() {
        let start = time::now();
        let at = |ms: u32| Now::from(start + ms * MS);
        let mut line = Line::new(QueueOrder::codel());
        let mut join = |number: u32| {
            line.join(Ticket::new(Priority::Normal, number.into()), u64::from(number), &at(20 * number))
        };
        let shed: Vec<_> = (0..7_u32).map(|number| join(number).unwrap() - start).collect();
        let expected = [100, 100, 100, 100, 100, 105, 125].map(|ms| ms * MS);
        assert_eq!(shed, expected, "a burst may wait for the interval, later ones for the target");
        assert_eq!((line.shed(&at(99)), line.next(&at(99))), (None, Some(0)));
        for late in 1..5 {
            assert_eq!(line.shed(&at(100)), Some(late));
        }
        assert_eq!((line.shed(&at(104)), line.next(&at(104))), (None, Some(6)));
        assert_eq!((line.shed(&at(105)), line.next(&at(105))), (Some(5), None));
    }

    #[test]
    fn overload_ends_when_a_slot_finds_nobody_and_not_before() {
        let start = time::now();
        let mut line = Line::new(QueueOrder::codel());
        let join = |line: &mut Line<u64>, number: u64, ms: u32| {
            let now = start + ms * MS;
            line.join(Ticket::new(Priority::Low, number), number, &now.into()).unwrap() - now
        };
        assert!(line.is_idle());
        assert_eq!(join(&mut line, 1, 0), 100 * MS);
        assert_eq!(line.leave(Ticket::new(Priority::Low, 1)), Some(1));
        assert_eq!(join(&mut line, 2, 60), 40 * MS, "nobody was in line, but no slot came back");
        assert_eq!(line.evict(), Some(2));
        assert_eq!(join(&mut line, 3, 200), 5 * MS);
        assert_eq!(line.next(&Now::from(start + 201 * MS)), Some(3));
        assert!(line.is_empty() && !line.is_idle());
        assert_eq!(line.next(&Now::from(start + 202 * MS)), None);
        assert!(line.is_idle());
        assert_eq!(join(&mut line, 4, 203), 100 * MS, "a burst");
    }

    #[test]
    fn clock_that_was_read_in_another_order_breaks_nothing() {
        let start = time::now() + 1000 * MS;
        let mut line = Line::new(QueueOrder::codel());
        line.join(Ticket::new(Priority::Low, 1), 1, &start.into());
        let earlier = Now::from(start - 500 * MS);
        line.join(Ticket::new(Priority::Low, 2), 2, &earlier);
        assert_eq!((line.shed(&earlier), line.next(&earlier)), (None, Some(1)));
    }
}
