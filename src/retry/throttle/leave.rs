//! Leave of a throttle to repeat an attempt.

use std::fmt;

use super::{Learned, Throttle};

/// Leave for one retry. Dropped, what it cost goes back.
#[must_use = "a leave dropped at once goes back"]
pub(crate) struct Leave(Taken);

enum Taken {
    Nothing,
    Token(Throttle),
    Cost(Throttle, f64),
}

impl Leave {
    pub(super) fn token(throttle: &Throttle) -> Self {
        Self(Taken::Token(throttle.clone()))
    }

    pub(super) fn cost(throttle: &Throttle, cost: f64) -> Self {
        Self(Taken::Cost(throttle.clone(), cost))
    }

    pub(super) const fn free() -> Self {
        Self(Taken::Nothing)
    }

    /// The retry begins. Where the attempt itself is what costs, nothing comes back from now on.
    pub(crate) fn made(&mut self) {
        if let Taken::Cost(..) = self.0 {
            self.0 = Taken::Nothing;
        }
    }

    /// The retry failed: the token is gone.
    pub(crate) fn spend(mut self) {
        self.0 = Taken::Nothing;
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let (throttle, cost) = match &self.0 {
            Taken::Nothing => return,
            Taken::Token(throttle) => (throttle, 1.0),
            Taken::Cost(throttle, cost) => (throttle, *cost),
        };
        match &throttle.0.learned {
            Learned::Adaptive(rules) => throttle.0.cell.give_back(rules),
            Learned::Sre(_) => {}
            Learned::Cubic(cubic) => cubic.give_back(cost),
        }
    }
}

impl fmt::Debug for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leave").finish_non_exhaustive()
    }
}
