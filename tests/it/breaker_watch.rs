//! Writes down what a breaker tells its observers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use recoup::{CircuitBreaker, Event, Observer, Outcome, Trip};

/// What an observer saw of a circuit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Seen {
    Opened { trip: Trip, open_for: Duration, generation: u64 },
    WouldOpen(Trip),
    HeldClosed(Trip),
    HalfOpened(u64),
    Closed(u64),
}

impl Seen {
    /// The state that began; of what changed none, the first.
    pub(crate) fn generation(&self) -> u64 {
        match *self {
            Self::Opened { generation, .. } | Self::HalfOpened(generation) | Self::Closed(generation) => {
                generation
            }
            Self::WouldOpen(_) | Self::HeldClosed(_) => 0,
        }
    }
}

/// An observer, and what it has seen of circuits so far.
pub(crate) fn watch() -> (Arc<dyn Observer>, Receiver<Seen>) {
    let (sender, seen) = channel();
    let observer = move |event: &Event<'_>| {
        let seen = match *event {
            Event::CircuitOpened { trip, open_for, generation, .. } => {
                Seen::Opened { trip, open_for, generation }
            }
            Event::CircuitWouldOpen { trip, .. } => Seen::WouldOpen(trip),
            Event::CircuitHeldClosed { trip, .. } => Seen::HeldClosed(trip),
            Event::CircuitHalfOpened { generation, .. } => Seen::HalfOpened(generation),
            Event::CircuitClosed { generation, .. } => Seen::Closed(generation),
            _ => return,
        };
        sender.send(seen).ok();
    };
    (Arc::new(observer), seen)
}

/// The kinds of what was seen since the last look, in order.
pub(crate) fn kinds(seen: &Receiver<Seen>) -> Vec<&'static str> {
    seen.try_iter()
        .map(|seen| match seen {
            Seen::Opened { .. } => "opened",
            Seen::WouldOpen(_) => "would open",
            Seen::HeldClosed(_) => "held closed",
            Seen::HalfOpened(_) => "half-opened",
            Seen::Closed(_) => "closed",
        })
        .collect()
}

/// One call that is let in and ends like this.
#[track_caller]
pub(crate) fn report(breaker: &CircuitBreaker, outcome: Outcome) {
    breaker.admit().expect("the circuit lets it in").settle(outcome);
}

/// Whether a call would be let in; it is, and says nothing.
pub(crate) fn lets_in(breaker: &CircuitBreaker) -> bool {
    breaker.admit().map(|permit| permit.settle(Outcome::Ignored)).is_ok()
}
