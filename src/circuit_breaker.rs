//! Stops calling what does not answer, and finds out when it does again.

mod call;
mod circuit;
mod control;
mod counts;
mod group;
mod half_open;
mod keyed;
mod permit;
mod rules;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
mod snapshot;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use self::call::CircuitBreakerCall;
pub use self::circuit::Control;
use self::circuit::{Change, Circuit, Entry, Report, State};
pub use self::control::Isolation;
use self::counts::Counts;
pub use self::group::BreakerGroup;
pub use self::half_open::HalfOpen;
pub use self::keyed::CircuitBreakers;
pub use self::permit::Permit;
use self::rules::Rules;
pub use self::rules::{Abandoned, CircuitBreakerBuilder, Ramp};
pub use self::snapshot::{CircuitSnapshot, CircuitState};
use crate::classification::Outcome;
use crate::event::{Event, Observer, Observers};
use crate::sync::Lock;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::{self, Instant, Now};

/// A circuit breaker: a cheap handle, whose clones share one circuit.
///
/// **Closed**, it lets every call through and counts how they end. When too many fail, are slow or are never
/// finished, it **opens**: calls are rejected at once, which spares the caller the wait and the dependency
/// the load. After a while it is **half-open**: a few calls probe, and decide whether it closes or opens
/// again. Each result counts in the state in which its call was admitted, or not at all.
///
/// The settings and their defaults stand in [`CircuitBreakerBuilder`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use recoup::{CallError, CircuitBreaker, CircuitState};
///
/// let breaker = CircuitBreaker::builder("search")
///     .consecutive_failures(2)
///     .open_for(Duration::from_secs(5))
///     .build()
///     .unwrap();
///
/// for _ in 0..2 {
///     let _ = breaker.call(|| async { Err::<(), _>("down") }).await;
/// }
/// assert_eq!(breaker.state(), CircuitState::Open);
///
/// // The operation is not called, and the error says when to come back.
/// match breaker.call(|| async { Ok::<_, &str>("up") }).await {
///     Err(CallError::Rejected(open)) => assert_eq!(open.retry_in(), Some(Duration::from_secs(5))),
///     other => panic!("{other:?}"),
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    core: Arc<Core>,
}

/// What the clones of a breaker share.
struct Core {
    name: Arc<str>,
    rules: Rules,
    origin: Instant,
    /// The generation of the state, and how to come in: all that a call needs to know of a circuit that is
    /// plainly closed or plainly open.
    word: AtomicU64,
    /// When an open circuit may be asked again, in nanoseconds since `origin`; [`NEVER`] is never.
    open_until: AtomicU64,
    counts: Counts,
    circuit: Lock<Circuit>,
    observers: Observers,
}

/// The end of an open time that does not end: five centuries away, in nanoseconds.
const NEVER: u64 = u64::MAX;

/// How to come in, in the two lowest bits of the word.
mod way {
    /// Everyone may; nobody asks further.
    pub(super) const CLOSED: u64 = 0;
    /// Nobody may before `open_until`.
    pub(super) const OPEN: u64 = 1;
    /// Ask under the lock.
    pub(super) const ASK: u64 = 2;
    pub(super) const MASK: u64 = 3;
    pub(super) const BITS: u32 = 2;
}

impl CircuitBreaker {
    /// Starts building a breaker. The name stands in errors and events.
    pub fn builder(name: impl Into<Arc<str>>) -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::new(name.into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.core.name
    }

    /// Asks for leave to make one call: the first of two steps, for those who cannot hand the call over as a
    /// closure. The second is [`Permit::settle`]; a permit that is dropped counts as an abandoned call.
    ///
    /// # Errors
    ///
    /// [`Open`], when the call must not be made.
    pub fn admit(&self) -> Result<Permit<'_>, Open> {
        let mut permit = self.enter(&Now::unread())?;
        permit.assume(Outcome::Abandoned);
        Ok(permit)
    }

    /// As [`admit`](Self::admit), but a permit that is dropped before it was told otherwise says nothing.
    #[inline(always)]
    pub(crate) fn enter(&self, now: &Now) -> Result<Permit<'_>, Open> {
        self.core.enter(now)
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observer>) {
        self.core.observers.add(observer);
    }

    fn from_parts(
        name: Arc<str>,
        rules: Rules,
        observers: Observers,
        group: Option<BreakerGroup>,
        restored: Option<&CircuitSnapshot>,
    ) -> Self {
        let origin = time::now();
        let membership = group.map(|group| group.join());
        let circuit = Circuit::new(snapshot::start(restored, origin), restored, membership);
        let counts = Counts::new(&rules, origin);
        let core = Core {
            name,
            rules,
            origin,
            word: AtomicU64::new(0),
            open_until: AtomicU64::new(0),
            counts,
            circuit: Lock::new(circuit),
            observers,
        };
        core.publish(&core.circuit.lock());
        Self { core: Arc::new(core) }
    }
}

impl Core {
    #[inline(always)]
    fn enter(&self, now: &Now) -> Result<Permit<'_>, Open> {
        let word = self.word.load(Ordering::Acquire);
        if word & way::MASK != way::CLOSED {
            return self.knock(word, now);
        }
        let started = self.rules.times_every_call().then(|| now.get());
        Ok(Permit::voter(self, word >> way::BITS, started))
    }

    /// Asks a circuit that is not plainly closed. One that is plainly open is only read.
    #[cold]
    fn knock(&self, word: u64, now: &Now) -> Result<Permit<'_>, Open> {
        let until = match word & way::MASK {
            way::OPEN => self.opens_at(),
            _ => return self.enter_slowly(now),
        };
        match until {
            Some(until) if now.get() >= until => self.enter_slowly(now),
            until => Err(self.open(until)),
        }
    }

    #[cold]
    fn enter_slowly(&self, now: &Now) -> Result<Permit<'_>, Open> {
        let now = now.get();
        let mut circuit = self.circuit.lock();
        let (entry, change) = circuit.enter(&self.rules, now);
        let generation = circuit.generation;
        self.publish(&circuit);
        drop(circuit);
        // From here on the place that a probe took is owned, so a panicking observer gives it back.
        let permit = match entry {
            Entry::Voter => Ok(Permit::voter(self, generation, Some(now))),
            Entry::Probe(number) => Ok(Permit::probe(self, generation, number, now)),
            Entry::Passenger => Ok(Permit::passenger()),
            Entry::Turned { until } => Err(self.open(until)),
        };
        self.tell(change, generation);
        permit
    }

    /// Takes in a success without a lock, if there is nothing more to it. `false`: it must be settled.
    #[inline(always)]
    fn settle_success(&self, generation: u64, started: Option<Instant>, now: &Now) -> bool {
        let plain = self.word.load(Ordering::Acquire) == generation << way::BITS | way::CLOSED;
        if !plain || self.rules.judge_successes || self.rules.is_slow(started, now) {
            return false;
        }
        self.counts.runs.end();
        if let Some(window) = &self.counts.calls {
            window.success();
        }
        if let Some(window) = &self.counts.time {
            window.success(now.get());
        }
        true
    }

    #[cold]
    fn settle(&self, report: Report, now: Instant) {
        let mut circuit = self.circuit.lock();
        let change = circuit.settle(report, &self.rules, &self.counts, now);
        let generation = circuit.generation;
        self.publish(&circuit);
        drop(circuit);
        self.tell(change, generation);
    }

    /// Writes what the fast path reads. Called with the circuit locked, so the writes come in its order.
    fn publish(&self, circuit: &Circuit) {
        let plainly_open = circuit.isolated == 0 && circuit.control == Control::Automatic;
        let way = match circuit.state {
            _ if circuit.is_plainly_closed() => way::CLOSED,
            State::Open { until } if plainly_open => {
                self.open_until.store(until.map_or(NEVER, |at| self.nanos(at)), Ordering::Relaxed);
                way::OPEN
            }
            _ => way::ASK,
        };
        let word = circuit.generation << way::BITS | way;
        if self.word.load(Ordering::Relaxed) != word {
            self.word.store(word, Ordering::Release);
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap_or(NEVER)
    }

    /// The moment written by [`publish`](Self::publish).
    fn opens_at(&self) -> Option<Instant> {
        match self.open_until.load(Ordering::Relaxed) {
            NEVER => None,
            nanos => time::later(self.origin, Duration::from_nanos(nanos)),
        }
    }

    fn open(&self, until: Option<Instant>) -> Open {
        self.observers.tell(|| Event::Rejected { policy: &self.name, reason: "open" });
        Open { breaker: Arc::clone(&self.name), until }
    }

    fn tell(&self, change: Option<Change>, generation: u64) {
        let Some(change) = change else { return };
        let breaker = &*self.name;
        self.observers.tell(|| match change {
            Change::Opened { trip, open_for } => Event::CircuitOpened { breaker, trip, open_for, generation },
            Change::WouldOpen { trip } => Event::CircuitWouldOpen { breaker, trip },
            Change::HeldClosed { trip } => Event::CircuitHeldClosed { breaker, trip },
            Change::HalfOpened => Event::CircuitHalfOpened { breaker, generation },
            Change::Closed => Event::CircuitClosed { breaker, generation },
        });
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.core.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// The circuit is not closed, and the call was not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("circuit breaker `{breaker}` is open")]
#[non_exhaustive]
pub struct Open {
    /// The breaker that rejected.
    pub breaker: Arc<str>,
    /// When it is worth asking again; `None` when nobody knows, as in a circuit forced open.
    pub until: Option<Instant>,
}

impl Open {
    /// How long to wait before it is worth asking again; `None` when nobody knows.
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(time::now()))
    }
}
