//! What an attempt is given while it runs.

use std::time::Duration;

use crate::bulkhead::Hold;
use crate::circuit_breaker::Permit;
use crate::classification::Outcome;
use crate::concurrency_limit::Leave;
use crate::time::{Instant, Now};

/// What an attempt is given while it runs, and gives back. There is one for a call, filled anew for each of
/// its attempts, and empty in between. Dropped, everything comes back.
pub(crate) trait Pass<'r> {
    /// The circuit admits the attempt.
    fn admit(&mut self, permit: Permit<'r>);

    /// The leave of the circuit, for an attempt that must wait for a slot.
    fn take_permit(&mut self) -> Permit<'r>;

    /// The attempt has a slot.
    fn hold(&mut self, slot: Hold<'r>);

    /// The attempt has a place under the concurrency limit.
    fn count_in(&mut self, leave: Leave<'r>);

    /// What a drop means from now on. While the user's code runs it is a failure, for it can only be dropped
    /// then by unwinding; while the attempt is pending it was abandoned.
    fn assume(&mut self, outcome: Outcome);

    /// The attempt gave a value.
    fn succeed(&mut self, now: &Now);

    /// The attempt ended, however.
    fn settle(&mut self, outcome: Outcome, hint: Option<Duration>, now: &Now);

    /// The same to the concurrency limit: when the attempt began, and whether it met overload.
    fn count_out(&mut self, began: Instant, outcome: Outcome, overload: bool, now: &Now);
}

/// Of a call without circuit breaker and bulkhead.
impl<'r> Pass<'r> for () {
    #[inline(always)]
    fn admit(&mut self, _: Permit<'r>) {}
    #[inline(always)]
    fn take_permit(&mut self) -> Permit<'r> {
        Permit::passenger()
    }
    #[inline(always)]
    fn hold(&mut self, _: Hold<'r>) {}
    #[inline(always)]
    fn count_in(&mut self, _: Leave<'r>) {}
    #[inline(always)]
    fn assume(&mut self, _: Outcome) {}
    #[inline(always)]
    fn succeed(&mut self, _: &Now) {}
    #[inline(always)]
    fn settle(&mut self, _: Outcome, _: Option<Duration>, _: &Now) {}
    #[inline(always)]
    fn count_out(&mut self, _: Instant, _: Outcome, _: bool, _: &Now) {}
}

/// Leave of the circuit, a slot, and a place under the concurrency limit. The circuit learns before the slot goes
/// to the next, who asks it.
#[derive(Debug)]
pub(crate) struct Held<'r> {
    /// A passenger's where no circuit was asked.
    permit: Permit<'r>,
    slot: Hold<'r>,
    leave: Leave<'r>,
}

impl Default for Held<'_> {
    #[inline]
    fn default() -> Self {
        Self { permit: Permit::passenger(), slot: Hold::default(), leave: Leave::default() }
    }
}

impl<'r> Pass<'r> for Held<'r> {
    #[inline(always)]
    fn admit(&mut self, permit: Permit<'r>) {
        self.permit = permit.loose();
    }

    fn take_permit(&mut self) -> Permit<'r> {
        std::mem::replace(&mut self.permit, Permit::passenger())
    }

    #[inline(always)]
    fn hold(&mut self, slot: Hold<'r>) {
        self.slot = slot;
    }

    #[inline(always)]
    fn count_in(&mut self, leave: Leave<'r>) {
        self.leave = leave;
    }

    #[inline(always)]
    fn assume(&mut self, outcome: Outcome) {
        self.permit.assume(outcome);
    }

    #[inline(always)]
    fn succeed(&mut self, now: &Now) {
        self.permit.succeed(now);
        self.slot.give_back();
    }

    fn settle(&mut self, outcome: Outcome, hint: Option<Duration>, now: &Now) {
        self.permit.settle_at(outcome, hint, now);
        self.slot.give_back();
    }
    fn count_out(&mut self, began: Instant, outcome: Outcome, overload: bool, now: &Now) {
        self.leave.settle(began, outcome, overload, now);
    }
}
