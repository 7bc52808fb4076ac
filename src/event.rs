//! What happened, told to whoever watches.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::classification::{Category, Classification};
use crate::sync::Lock;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Something that happened in a call or a policy.
///
/// Fields are plain values; what is borrowed lives only as long as the [`Observer`] looks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An attempt is about to be made.
    AttemptStarted {
        /// The call that makes it.
        call: CallInfo<'a>,
        /// Its number, from 1.
        attempt: u32,
    },
    /// An attempt failed.
    AttemptFailed {
        /// The call that made it.
        call: CallInfo<'a>,
        /// Its number, from 1.
        attempt: u32,
        /// What the classifier said.
        classification: Classification,
    },
    /// Another attempt will be made after a wait.
    RetryScheduled {
        /// The call that waits.
        call: CallInfo<'a>,
        /// The number of the attempt that failed.
        attempt: u32,
        /// How long the wait is.
        delay: Duration,
        /// Who chose the delay.
        source: DelaySource,
        /// What the failed attempt's error was.
        category: Category,
    },
    /// The call ended with a value.
    CallSucceeded {
        /// The call.
        call: CallInfo<'a>,
        /// How many attempts it took.
        attempts: u32,
        /// How long it took, waits included.
        took: Duration,
    },
    /// The call ended without a value.
    GaveUp {
        /// The call.
        call: CallInfo<'a>,
        /// How many attempts were made.
        attempts: u32,
        /// How long it took, waits included.
        took: Duration,
        /// Why no further attempt is made, in one word: `permanent`, `attempts`, `deadline`, …
        reason: &'static str,
        /// What the last error was, if an attempt failed.
        category: Option<Category>,
    },
    /// A retry sits around another retry, and both were allowed to repeat: attempts multiply.
    NestedRetry {
        /// The outer one.
        outer: &'a str,
        /// The inner one, which had given up already.
        inner: &'a str,
    },
    /// A policy of ours refused to let an attempt be made.
    Rejected {
        /// The policy that refused, by its name.
        policy: &'a str,
        /// Why: `open`, `full`, `cooldown`, …
        reason: &'static str,
    },
    /// An attempt that took long, or failed, is made once more beside it.
    Hedged {
        /// The hedge, by its name.
        policy: &'a str,
        /// Which of the attempts that race it is, from 1: 0 is the one it is made beside.
        hedge: u32,
    },
    /// A circuit opened.
    CircuitOpened {
        /// The breaker.
        breaker: &'a str,
        /// What tripped it, with the numbers.
        trip: Trip,
        /// How long it stays open; `Duration::MAX` is until somebody resets it.
        open_for: Duration,
        /// The state it is from now on, counted up at each change.
        generation: u64,
    },
    /// A circuit that only observes would have opened.
    CircuitWouldOpen {
        /// The breaker.
        breaker: &'a str,
        /// What would have tripped it, with the numbers.
        trip: Trip,
    },
    /// A circuit would have opened, but enough of its group are open already.
    CircuitHeldClosed {
        /// The breaker.
        breaker: &'a str,
        /// What would have tripped it, with the numbers.
        trip: Trip,
    },
    /// A circuit's open time is over, and it lets probes through.
    CircuitHalfOpened {
        /// The breaker.
        breaker: &'a str,
        /// The state it is from now on, counted up at each change.
        generation: u64,
    },
    /// A circuit closed.
    CircuitClosed {
        /// The breaker.
        breaker: &'a str,
        /// The state it is from now on, counted up at each change.
        generation: u64,
    },
    /// A letter was stored.
    LetterBuried {
        /// The call.
        call: CallInfo<'a>,
        /// The letter's number in its queue.
        letter: u64,
    },
    /// A letter could not be stored; the caller got it back in the error.
    LetterRefused {
        /// The call.
        call: CallInfo<'a>,
    },
}

/// Which call an event belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallInfo<'a> {
    /// The recovery's name, or `retry`.
    pub name: &'a str,
    /// What is done, if the call has a context that says so.
    pub operation: Option<&'a str>,
    /// To whom, if the call has a context that says so.
    pub destination: Option<&'a str>,
    /// What ties the call to others, if the call has a context that says so.
    pub correlation_id: Option<&'a str>,
}

/// Who chose how long to wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DelaySource {
    /// The policy's backoff.
    Backoff,
    /// The server's hint.
    Server,
    /// The circuit breaker, which says when it will let an attempt through.
    CircuitBreaker,
}

/// What made a circuit open, with the numbers that did it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Trip {
    /// The share of failures reached its threshold.
    FailureRate {
        /// Failures over calls, 0.0 to 1.0.
        rate: f64,
        /// The calls in the window.
        calls: u64,
    },
    /// The share of slow calls reached its threshold.
    SlowCallRate {
        /// Slow calls over calls, 0.0 to 1.0.
        rate: f64,
        /// The calls in the window.
        calls: u64,
    },
    /// So many failures came one after the other.
    ConsecutiveFailures {
        /// How many.
        failures: u64,
    },
    /// So many calls were dropped before they ended that the dependency must hang.
    Abandoned {
        /// How many.
        abandoned: u64,
        /// Out of how many.
        calls: u64,
    },
    /// Too many probes failed while half-open.
    Probes {
        /// Probes that failed.
        failures: u32,
        /// Probes that succeeded.
        successes: u32,
    },
    /// Somebody opened it by hand.
    Manual,
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailureRate { rate, calls } => {
                write!(f, "{:.0} % of {calls} calls failed", rate * 100.0)
            }
            Self::SlowCallRate { rate, calls } => {
                write!(f, "{:.0} % of {calls} calls were slow", rate * 100.0)
            }
            Self::ConsecutiveFailures { failures } => write!(f, "{failures} failures in a row"),
            Self::Abandoned { abandoned, calls } => {
                write!(f, "{abandoned} of {calls} calls were abandoned")
            }
            Self::Probes { failures, successes } => {
                write!(f, "of the probes {failures} failed and {successes} succeeded")
            }
            Self::Manual => f.write_str("opened by hand"),
        }
    }
}

/// Watches what happens. Called in the task of the call, outside every lock: be quick, or hand the event on.
///
/// Closures are observers:
///
/// ```
/// use recoup::{Event, Observer};
/// let observer = |event: &Event<'_>| {
///     if let Event::CircuitOpened { breaker, trip, .. } = event {
///         eprintln!("{breaker}: {trip}");
///     }
/// };
/// # fn takes(_: impl Observer) {}
/// takes(observer);
/// ```
pub trait Observer: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: &Event<'_>);
}

impl<F> Observer for F
where
    F: Fn(&Event<'_>) + Send + Sync,
{
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// Those who watch one call or policy. Looking that nobody does is one relaxed load.
#[derive(Default)]
pub(crate) struct Observers {
    any: AtomicBool,
    list: Lock<Arc<[Arc<dyn Observer>]>>,
}

impl Observers {
    /// Adds an observer, unless it is there already.
    pub(crate) fn add(&self, observer: Arc<dyn Observer>) {
        let mut list = self.list.lock();
        if !list.iter().any(|known| Arc::ptr_eq(known, &observer)) {
            *list = list.iter().cloned().chain([observer]).collect();
            self.any.store(true, Ordering::Release);
        }
    }

    /// Whether anybody watches.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    pub(crate) fn all(&self) -> Arc<[Arc<dyn Observer>]> {
        Arc::clone(&self.list.lock())
    }

    /// Tells everyone. The event is made only if somebody watches.
    ///
    /// An observer that panics takes the others' turn and reaches the caller. While the thread is unwinding
    /// already, a second panic would abort the process, so it is swallowed then.
    #[inline]
    pub(crate) fn tell<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if self.any() {
            self.tell_all(event);
        }
    }

    #[cold]
    fn tell_all<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        let event = &event();
        let list = self.all();
        let tell = || list.iter().for_each(|observer| observer.on_event(event));
        if std::thread::panicking() {
            let _swallowed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(tell));
        } else {
            tell();
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observers({})", self.list.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Counts(AtomicU32);

    impl Observer for Counts {
        fn on_event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn event_is_made_only_if_somebody_watches_and_told_once_to_each() {
        let observers = Observers::default();
        observers.tell(|| unreachable!("nobody watches"));
        let (one, other) = (Arc::new(Counts::default()), Arc::new(Counts::default()));
        observers.add(one.clone());
        observers.add(other.clone());
        observers.add(one.clone());
        observers.tell(|| Event::NestedRetry { outer: "job", inner: "http" });
        assert_eq!([one, other].map(|counts| counts.0.load(Ordering::Relaxed)), [1, 1]);
    }
}
