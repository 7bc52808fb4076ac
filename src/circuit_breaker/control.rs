//! Control by hand, from any handle.

use std::sync::Arc;

use super::circuit::{Circuit, Control};
use super::counts::Counts;
use super::{CircuitBreaker, Core};
use crate::time::{self, Instant};

/// Control by hand. It sticks until somebody else takes it back: no timer and no result undoes it. Calls that
/// were under way when it changes do not vote. Observers are told when callers meet an open circuit or a closed
/// one where they met the other before, whoever made the difference.
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
        self.core.steer(|circuit, _, _| circuit.control = Control::ForcedOpen);
    }

    /// Admits every call from now on and counts the results, but never opens. It closes, if it was not closed,
    /// and counts anew.
    pub fn force_closed(&self) {
        self.core.steer(|circuit, counts, now| {
            if circuit.control != Control::ForcedClosed {
                circuit.reset(counts, now);
                circuit.control = Control::ForcedClosed;
            }
        });
    }

    /// Admits every call from now on and counts nothing.
    pub fn disable(&self) {
        self.core.steer(|circuit, _, _| circuit.control = Control::Disabled);
    }

    /// Admits every call from now on, follows the results as if it did not, and reports with
    /// [`Event::CircuitWouldOpen`](crate::Event::CircuitWouldOpen) when it would have opened.
    pub fn observe_only(&self) {
        self.core.steer(|circuit, _, _| circuit.control = Control::ObserveOnly);
    }

    /// Follows the state machine again, from where it stands.
    pub fn automatic(&self) {
        self.core.steer(|circuit, _, _| circuit.control = Control::Automatic);
    }

    /// Back to a closed circuit that knows nothing and follows its rules. Isolation handles keep what they
    /// hold.
    pub fn reset(&self) {
        self.core.steer(Circuit::reset);
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
        self.core.steer(|circuit, _, _| circuit.isolated += 1);
        Isolation { core: Arc::clone(&self.core) }
    }
}

impl Core {
    fn steer(&self, steer: impl FnOnce(&mut Circuit, &Counts<'_>, Instant)) {
        let now = time::now();
        let seldom = self.seldom();
        let counts = self.counts(Some(seldom));
        let mut circuit = seldom.circuit.lock();
        let change = circuit.steer(&self.rules, &counts, now, |circuit| steer(circuit, &counts, now));
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
        self.core.steer(|circuit, _, _| circuit.isolated -= 1);
    }
}

impl std::fmt::Debug for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Isolation").field("breaker", &self.core.name).finish()
    }
}
