//! Stops calling what does not answer, and finds out when it does again.

mod call;
mod circuit;
mod control;
mod counts;
mod group;
mod half_open;
mod keyed;
mod open;
mod permit;
mod rules;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
mod snapshot;
mod way;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::call::CircuitBreakerCall;
pub use self::circuit::Control;
use self::circuit::{Change, Circuit, Entry, Report, State};
pub use self::control::Isolation;
use self::counts::{Counts, Runs};
pub use self::group::BreakerGroup;
pub use self::half_open::HalfOpen;
pub use self::keyed::CircuitBreakers;
pub use self::open::Open;
use self::permit::Began;
pub use self::permit::Permit;
pub(crate) use self::permit::PlainPermit;
use self::rules::Rules;
pub use self::rules::{Abandoned, CircuitBreakerBuilder, Ramp};
pub use self::snapshot::{CircuitSnapshot, CircuitState};
use crate::classification::Outcome;
use crate::event::{Event, Observer, Observers};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Lock, OnceLock};
use crate::time::{self, Instant, Now};
use crate::window::{CountWindow, TimeWindow};

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

/// What the clones of a breaker share: what every call touches, and the rest behind a box. Of breakers by the
/// million most are idle or well, so this is kept small.
struct Core {
    name: Arc<str>,
    rules: Arc<Rules>,
    origin: Instant,
    /// The generation of the state, and how to come in: all that a call needs to know of a circuit that is
    /// plainly closed or plainly open.
    word: AtomicU64,
    runs: Runs,
    calls: Option<CountWindow>,
    /// Made when it is first needed: by a call that does not succeed, by a window of time, by hand. Until then
    /// the circuit is as it was built: closed, in generation 0.
    seldom: OnceLock<Box<Seldom>>,
}

/// What a circuit that is well does without.
struct Seldom {
    circuit: Lock<Circuit>,
    /// When an open circuit may be asked again, since `origin`: [`packed`](Core::packed), or [`NEVER`].
    open_until: AtomicU64,
    time: Option<TimeWindow>,
    observers: Observers,
}

/// The end of an open time that does not end: five centuries away.
const NEVER: u64 = u64::MAX;

/// How many bits of a packed time hold what is beyond its seconds.
const NANO_BITS: u32 = 30;

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
        self.core.seldom().observers.add(observer);
    }

    /// A breaker with the same settings and observers, closed, that has seen nothing yet.
    pub(crate) fn fresh(&self, name: Arc<str>) -> Self {
        let fresh = Self::from_parts(name, Arc::clone(&self.core.rules), None, None, time::now());
        if let Some(seldom) = self.core.seldom.get() {
            for observer in seldom.observers.all().iter() {
                fresh.observe(Arc::clone(observer));
            }
        }
        fresh
    }

    fn from_parts(
        name: Arc<str>,
        rules: Arc<Rules>,
        group: Option<BreakerGroup>,
        restored: Option<&CircuitSnapshot>,
        origin: Instant,
    ) -> Self {
        let calls = rules.last_calls().map(CountWindow::new);
        let word = AtomicU64::new(way::word(0, way::closed(&rules)));
        let (runs, seldom) = (Runs::default(), OnceLock::new());
        let core = Core { name, rules, origin, word, runs, calls, seldom };
        if group.is_some() || restored.is_some() {
            let membership = group.map(|group| group.join());
            let state = snapshot::start(restored, origin);
            let circuit = Circuit::new(state, core.rules.dice.clone(), restored, membership);
            let made = core.make_seldom(circuit);
            core.publish(&core.seldom.get_or_init(|| made).circuit.lock());
        }
        Self { core: Arc::new(core) }
    }
}

impl Core {
    /// Lets a caller in, or says why not. A closed circuit costs one look at its word.
    #[inline(always)]
    fn enter(&self, now: &Now) -> Result<Permit<'_>, Open> {
        let word = self.word.load(Ordering::Acquire);
        if word & way::OBSTACLES == 0 {
            return Ok(Permit::voter(self, word, None));
        }
        rarely();
        if word & way::MASK == way::OPEN {
            // Only read: who is rejected writes nothing that others read.
            let until = self.opens_at();
            if until.is_none_or(|until| now.get() < until) {
                return Err(self.open(until));
            }
        }
        if word & way::MASK == way::WATCHED {
            let started = self.rules.times_every_call().then(|| now.get());
            return Ok(Permit::voter(self, word, started));
        }
        self.ask(now.get()).map(Permit::loose)
    }

    /// Asks to come in under the lock.
    fn ask(&self, now: Instant) -> Result<Permit<'_>, Open> {
        let mut circuit = self.seldom().circuit.lock();
        let (entry, change) = circuit.enter(&self.rules, now);
        let generation = circuit.generation;
        self.publish(&circuit);
        drop(circuit);
        // From here on the place that a probe took is owned, so a panicking observer gives it back.
        let permit = match entry {
            Entry::Voter => Ok(Permit::voter(self, self.closed(generation), Some(now))),
            Entry::Probe(number) => Ok(Permit::probe(self, way::word(generation, way::ASK), number, now)),
            Entry::Passenger => Ok(Permit::passenger()),
            Entry::Turned { until } => Err(self.open(until)),
        };
        self.tell(change, generation);
        permit
    }

    /// Takes in a success without a lock, if there is nothing more to it. `false`: it must be settled.
    ///
    /// The word is the one that the permit was given. If it still stands, the generation is the same, and the
    /// circuit is plainly closed if the word says so. A probe's says that it asked, so it is settled.
    #[inline(always)]
    fn settle_success(&self, word: u64, began: Option<Began>, now: &Now) -> bool {
        if self.word.load(Ordering::Acquire) != word {
            return false;
        }
        if word & way::MASK == way::CLOSED {
            self.runs.end();
            if let Some(window) = &self.calls {
                window.success();
            }
            return true;
        }
        rarely();
        if word & way::MASK != way::DATED {
            return self.settle_watched(word, began, now.get());
        }
        self.runs.end();
        if let Some(window) = &self.seldom().time {
            window.success(now.get());
        }
        true
    }

    /// As [`settle_success`](Self::settle_success), where a success may be slow, or be one too many.
    fn settle_watched(&self, word: u64, began: Option<Began>, now: Instant) -> bool {
        let plain = word & way::MASK == way::WATCHED;
        let is_slow = || self.rules.is_slow(began.map(|began| began.instant(self)), now);
        if !plain || self.rules.judge_successes || is_slow() {
            return false;
        }
        self.runs.end();
        if let Some(window) = &self.calls {
            window.success();
        }
        if let Some(window) = &self.seldom().time {
            window.success(now);
        }
        true
    }

    #[cold]
    fn settle(&self, report: Report, now: Instant) {
        let seldom = self.seldom();
        let mut circuit = seldom.circuit.lock();
        let change = circuit.settle(report, &self.rules, &self.counts(Some(seldom)), now);
        let generation = circuit.generation;
        self.publish(&circuit);
        drop(circuit);
        self.tell(change, generation);
    }

    /// What a circuit that is well does without, made now if it was not.
    #[inline]
    fn seldom(&self) -> &Seldom {
        match self.seldom.get() {
            Some(seldom) => seldom,
            None => self.first_seldom(),
        }
    }

    #[cold]
    fn first_seldom(&self) -> &Seldom {
        let made = self.make_seldom(self.as_built());
        self.seldom.get_or_init(|| made) // or what another thread made meanwhile
    }

    #[cold]
    fn make_seldom(&self, circuit: Circuit) -> Box<Seldom> {
        Box::new(Seldom {
            circuit: Lock::new(circuit),
            open_until: AtomicU64::new(NEVER),
            time: self.rules.last_span().map(|span| TimeWindow::new(span, self.origin)),
            observers: Observers::default(),
        })
    }

    /// A circuit to which nothing has happened yet.
    fn as_built(&self) -> Circuit {
        let state = snapshot::start(None, self.origin);
        Circuit::new(state, self.rules.dice.clone(), None, None)
    }

    fn counts<'c>(&'c self, seldom: Option<&'c Seldom>) -> Counts<'c> {
        let time = seldom.and_then(|seldom| seldom.time.as_ref());
        Counts { runs: &self.runs, calls: self.calls.as_ref(), time }
    }

    /// Shows the circuit as it is, without making what it does not need.
    fn look<T>(&self, look: impl Fn(&Circuit, &Counts<'_>) -> T) -> T {
        if self.seldom.get().is_none() {
            let seen = look(&self.as_built(), &self.counts(None));
            // Only if nothing happened meanwhile that the circuit would have known of.
            if self.seldom.get().is_none() {
                return seen;
            }
        }
        let seldom = self.seldom();
        look(&seldom.circuit.lock(), &self.counts(Some(seldom)))
    }

    /// Writes what the fast path reads. Called with the circuit locked, so the writes come in its order.
    fn publish(&self, circuit: &Circuit) {
        let plainly_open = circuit.isolated == 0 && circuit.control == Control::Automatic;
        let word = match circuit.state {
            _ if circuit.is_plainly_closed() => self.closed(circuit.generation),
            State::Open { until } if plainly_open => {
                self.seldom().open_until.store(until.map_or(NEVER, |at| self.packed(at)), Ordering::Relaxed);
                way::word(circuit.generation, way::OPEN)
            }
            _ => way::word(circuit.generation, way::ASK),
        };
        if self.word.load(Ordering::Relaxed) != word {
            self.word.store(word, Ordering::Release);
        }
    }

    /// The word of a circuit that is plainly closed.
    fn closed(&self, generation: u64) -> u64 {
        way::word(generation, way::closed(&self.rules))
    }

    /// The moment written by [`publish`](Self::publish).
    #[inline(always)]
    fn opens_at(&self) -> Option<Instant> {
        match self.seldom().open_until.load(Ordering::Relaxed) {
            NEVER => None,
            packed => {
                let nanos = (packed & ((1 << NANO_BITS) - 1)) as u32;
                time::later(self.origin, Duration::new(packed >> NANO_BITS, nanos))
            }
        }
    }

    /// How long after `origin` a moment is, in a word that is quickly made a moment again.
    fn packed(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin);
        if since.as_secs() >= NEVER >> NANO_BITS {
            return NEVER;
        }
        since.as_secs() << NANO_BITS | u64::from(since.subsec_nanos())
    }

    #[inline(always)]
    fn open(&self, until: Option<Instant>) -> Open {
        self.seldom().observers.tell(|| Event::Rejected { policy: &self.name, reason: "open" });
        Open { breaker: Arc::clone(&self.name), until }
    }

    fn tell(&self, change: Option<Change>, generation: u64) {
        let Some(change) = change else { return };
        let breaker = &*self.name;
        self.seldom().observers.tell(|| match change {
            Change::Opened { trip, open_for } => Event::CircuitOpened { breaker, trip, open_for, generation },
            Change::WouldOpen { trip } => Event::CircuitWouldOpen { breaker, trip },
            Change::HeldClosed { trip } => Event::CircuitHeldClosed { breaker, trip },
            Change::HalfOpened => Event::CircuitHalfOpened { breaker, generation },
            Change::Closed => Event::CircuitClosed { breaker, generation },
        });
    }
}

/// What comes next is for few calls of few breakers: the compiler puts it out of the others' way.
#[cold]
fn rarely() {}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.core.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
