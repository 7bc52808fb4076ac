//! Control by hand, from any handle.

use std::sync::Arc;

use super::circuit::{Change, Circuit, Control};
use super::rules::Rules;
use super::{CircuitBreaker, Core};
use crate::event::Trip;
use crate::time::{self, Instant};

/// Control by hand. It sticks until somebody else takes it back: no timer and no result undoes it. Calls that
/// were under way when it changes do not vote.
///
/// ```
/// use recoup::{CircuitBreaker, CircuitState, Control};
/// let breaker = CircuitBreaker::builder("db").build()?;
/// let handle = breaker.clone(); // kept by whoever operates
/// handle.force_open();
/// assert!(breaker.admit().is_err());
/// assert_eq!(breaker.snapshot().control, Control::ForcedOpen);
/// handle.reset();
/// assert!(breaker.admit().is_ok());
/// # Ok::<(), recoup::SettingError>(())
/// ```
impl CircuitBreaker {
    /// Rejects every call from now on.
    pub fn force_open(&self) {
        self.control(|circuit, rules, _| {
            let new = circuit.control != Control::ForcedOpen;
            circuit.take_control(Control::ForcedOpen, rules);
            new.then_some(Change::Opened { trip: Trip::Manual, open_for: std::time::Duration::MAX })
        });
    }

    /// Admits every call from now on and counts the results, but never opens. An open circuit is closed.
    pub fn force_closed(&self) {
        let counts = &self.core.counts;
        self.control(|circuit, rules, now| {
            let change =
                if circuit.control == Control::ForcedClosed { None } else { circuit.reset(counts, now) };
            circuit.take_control(Control::ForcedClosed, rules);
            change
        });
    }

    /// Admits every call from now on and counts nothing.
    pub fn disable(&self) {
        self.control(|circuit, rules, _| {
            circuit.take_control(Control::Disabled, rules);
            None
        });
    }

    /// Admits every call from now on, follows the results as if it did not, and reports with
    /// [`Event::CircuitWouldOpen`](crate::Event::CircuitWouldOpen) when it would have opened.
    pub fn observe_only(&self) {
        self.control(|circuit, rules, _| {
            circuit.take_control(Control::ObserveOnly, rules);
            None
        });
    }

    /// Follows the state machine again, from where it stands.
    pub fn automatic(&self) {
        self.control(|circuit, rules, _| {
            circuit.take_control(Control::Automatic, rules);
            None
        });
    }

    /// Back to a closed circuit that knows nothing and follows its rules. Isolation handles keep what they
    /// hold.
    pub fn reset(&self) {
        let counts = &self.core.counts;
        self.control(|circuit, _, now| circuit.reset(counts, now));
    }

    /// Rejects every call for as long as the handle lives, whatever else is said. Handles count: the circuit
    /// is isolated until the last one is dropped.
    ///
    /// ```
    /// # let breaker = recoup::CircuitBreaker::builder("db").build()?;
    /// let migration = breaker.isolate();
    /// let backup = breaker.isolate();
    /// drop(migration);
    /// assert!(breaker.admit().is_err());
    /// drop(backup);
    /// assert!(breaker.admit().is_ok());
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    pub fn isolate(&self) -> Isolation {
        self.control(|circuit, _, _| {
            circuit.isolated += 1;
            None
        });
        Isolation { core: Arc::clone(&self.core) }
    }

    fn control(&self, change: impl FnOnce(&mut Circuit, &Rules, Instant) -> Option<Change>) {
        self.core.control(change);
    }
}

impl Core {
    fn control(&self, change: impl FnOnce(&mut Circuit, &Rules, Instant) -> Option<Change>) {
        let now = time::now();
        let mut circuit = self.circuit.lock();
        let change = change(&mut circuit, &self.rules, now);
        let generation = circuit.generation;
        self.publish(&circuit);
        drop(circuit);
        self.tell(change, generation);
    }
}

/// Holds a circuit isolated until it is dropped.
#[must_use = "the isolation ends when this is dropped"]
pub struct Isolation {
    core: Arc<Core>,
}

impl Drop for Isolation {
    fn drop(&mut self) {
        self.core.control(|circuit, _, _| {
            circuit.isolated -= 1;
            None
        });
    }
}

impl std::fmt::Debug for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Isolation").field("breaker", &self.core.name).finish()
    }
}
