//! Those who wait for room in a full queue, first come, first served.

use std::collections::BTreeMap;
use std::task::Waker;

/// The place of one who waits. Smaller came earlier.
pub(super) type Ticket = u64;

/// Who waits. It wakes nobody: whom to wake is told to the caller, who does it outside the lock.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeMap<Ticket, Option<Waker>>,
    last: Ticket,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the holder of this ticket, or one without, need not let others go first.
    pub(super) fn is_turn(&self, ticket: Option<Ticket>) -> bool {
        self.waiting.keys().next().is_none_or(|&first| Some(first) == ticket)
    }

    /// Takes a place at the end.
    pub(super) fn join(&mut self) -> Ticket {
        self.last += 1; // one a nanosecond for five centuries
        self.waiting.insert(self.last, None);
        self.last
    }

    /// Who is to be woken when it is this one's turn.
    pub(super) fn wake_by(&mut self, ticket: Ticket, waker: &Waker) {
        if let Some(known) = self.waiting.get_mut(&ticket)
            && !known.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *known = Some(waker.clone());
        }
    }

    /// Gives a place up. Who comes next is to be woken, if that was the first.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let was_first = self.is_turn(Some(ticket));
        self.waiting.remove(&ticket);
        if was_first { self.first() } else { None }
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<Waker> {
        self.waiting.values().next().cloned().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_come_is_first_served_whoever_leaves() {
        let mut line = Line::default();
        assert!(line.is_turn(None), "nobody waits");
        let [a, b, c] = [line.join(), line.join(), line.join()];
        for ticket in [a, b, c] {
            line.wake_by(ticket, Waker::noop());
        }
        assert!(line.is_turn(Some(a)) && !line.is_turn(Some(b)) && !line.is_turn(None));
        assert!(line.leave(b).is_none(), "it was not the next");
        assert!(line.leave(a).is_some());
        assert!(line.is_turn(Some(c)));
        assert!(line.leave(c).is_none() && line.is_empty());
    }
}
