//! What an attempt is given while it runs.

use std::mem::ManuallyDrop;
use std::time::Duration;

use crate::bulkhead::{Hold, Taken};
use crate::circuit_breaker::{Permit, PlainPermit};
use crate::classification::Outcome;
use crate::concurrency_limit::Leave;
use crate::time::{Instant, Now};

/// What an attempt is given while it runs, and gives back. There is one for a call, filled anew for each of
/// its attempts, and empty in between. Dropped, everything comes back.
pub(crate) trait Pass<'r> {
    /// The attempt has been given all that a plain one needs. What a drop means from now on, as in
    /// [`assume`](Self::assume).
    fn keep(&mut self, given: Plain<'r>, outcome: Outcome);

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

/// What an attempt is given by policies that have nothing to say but yes. Small, so that a call that is ready at
/// once holds it in registers and never puts it away; who holds it gives it back by [`Given`].
#[derive(Clone, Copy)]
pub(crate) struct Plain<'r> {
    pub(crate) permit: Option<PlainPermit<'r>>,
    pub(crate) slot: Option<Taken<'r>>,
}

/// What a plain attempt was given, while its operation is polled for the first time. Dropped, by unwinding or
/// because there is more to come, it is put where it lies for the rest of the attempt.
pub(crate) struct Given<'a, 'r, S: Pass<'r>> {
    plain: Plain<'r>,
    pass: &'a mut S,
}

impl<'a, 'r, S: Pass<'r>> Given<'a, 'r, S> {
    #[inline(always)]
    pub(crate) fn new(plain: Plain<'r>, pass: &'a mut S) -> Self {
        Self { plain, pass }
    }

    /// The attempt gave a value.
    #[inline(always)]
    pub(crate) fn succeed(self, now: &Now) {
        let Plain { permit, slot } = self.taken();
        let mut slot = slot.map_or_else(Hold::default, Taken::hold);
        if let Some(permit) = permit {
            permit.succeed(now);
        }
        slot.give_back();
    }

    /// What was given, for one who sees to it that it comes back.
    #[inline(always)]
    pub(crate) fn taken(self) -> Plain<'r> {
        ManuallyDrop::new(self).plain
    }
}

impl<'r, S: Pass<'r>> Drop for Given<'_, 'r, S> {
    #[inline(always)]
    fn drop(&mut self) {
        self.pass.keep(self.plain, Outcome::Failure);
    }
}

/// Of a call without circuit breaker and bulkhead.
impl<'r> Pass<'r> for () {
    #[inline(always)]
    fn keep(&mut self, _: Plain<'r>, _: Outcome) {}
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

/// Leave of the circuit, a slot, and a place under the concurrency limit, or nothing of all that.
#[derive(Debug, Default)]
pub(crate) struct Held<'r>(Option<Things<'r>>);

/// The circuit learns before the slot goes to the next, who asks it.
#[derive(Debug)]
struct Things<'r> {
    /// A passenger's where no circuit was asked.
    permit: Permit<'r>,
    slot: Hold<'r>,
    leave: Leave<'r>,
}

impl<'r> Held<'r> {
    fn things(&mut self) -> &mut Things<'r> {
        self.0.get_or_insert_with(|| Things {
            permit: Permit::passenger(),
            slot: Hold::default(),
            leave: Leave::default(),
        })
    }
}

impl<'r> Pass<'r> for Held<'r> {
    #[inline(always)]
    fn keep(&mut self, Plain { permit, slot }: Plain<'r>, outcome: Outcome) {
        let mut permit = permit.map_or_else(Permit::passenger, PlainPermit::permit);
        permit.assume(outcome);
        let slot = slot.map_or_else(Hold::default, Taken::hold);
        let things = Things { permit, slot, leave: Leave::default() };
        let nothing = ManuallyDrop::new(self.0.replace(things)); // said so, there is nothing to drop
        debug_assert!(nothing.is_none(), "an attempt is given things once");
    }

    #[inline]
    fn admit(&mut self, permit: Permit<'r>) {
        self.things().permit = permit.loose();
    }

    fn take_permit(&mut self) -> Permit<'r> {
        std::mem::replace(&mut self.things().permit, Permit::passenger())
    }

    #[inline]
    fn hold(&mut self, slot: Hold<'r>) {
        self.things().slot = slot;
    }

    #[inline]
    fn count_in(&mut self, leave: Leave<'r>) {
        self.things().leave = leave;
    }

    #[inline(always)]
    fn assume(&mut self, outcome: Outcome) {
        if let Some(things) = &mut self.0 {
            things.permit.assume(outcome);
        }
    }

    #[inline(always)]
    fn succeed(&mut self, now: &Now) {
        if let Some(things) = &mut self.0 {
            things.permit.succeed(now);
            things.slot.give_back();
        }
    }

    fn settle(&mut self, outcome: Outcome, hint: Option<Duration>, now: &Now) {
        if let Some(things) = &mut self.0 {
            things.permit.settle_at(outcome, hint, now);
            things.slot.give_back();
        }
    }

    fn count_out(&mut self, began: Instant, outcome: Outcome, overload: bool, now: &Now) {
        if let Some(things) = &mut self.0 {
            things.leave.settle(began, outcome, overload, now);
        }
    }
}
