//! May an attempt be made, and what must be waited for first?

use super::{Instead, Plan, Then, Wait};
use crate::bulkhead::{Bulkhead, Entrant, Hold};
use crate::call::pass::{Pass, Plain};
use crate::call::policies::Policies;
use crate::call::queue::Queue;
use crate::circuit_breaker::{Open, Permit};
use crate::classification::{Category, Outcome};
use crate::cooldown::Turn;
use crate::error::Reason;
use crate::event::DelaySource;
use crate::rate_limit::Booking;
use crate::retry::Throttle;
use crate::shutdown::Shutdown;
use crate::time::{Instant, Now};

impl<'r, P: Policies<'r, E>, E: 'r, S: Default> Plan<'r, P, E, S> {
    /// Asks everyone who has a say whether an attempt may be made.
    #[inline(always)]
    pub(crate) fn begin(&mut self, now: &Now) -> Result<(), Instead<'r>> {
        if self.watched() {
            self.started(now);
        }
        self.may_go_on(now).map_err(Instead::GiveUp)?;
        if self.attempts == 0 && self.policies.throttle().is_some_and(|throttle| !throttle.is_calm()) {
            self.ask_throttle(now).map_err(Instead::GiveUp)?;
        }
        if let Some(cooldown) = self.policies.cooldown() {
            match cooldown.ask(self.attempts == 0, now) {
                Ok(None) => {}
                Ok(Some(turn)) => return Err(self.wait_for(turn, now)),
                Err(cooling) => return Err(Instead::GiveUp(Reason::CoolingDown(cooling))),
            }
        }
        self.enter(now)
    }

    /// As [`begin`](Self::begin), for the first attempt of a call to which nobody has more to say than yes. `None`
    /// if somebody may have, and then nothing has been done.
    #[inline(always)]
    pub(in crate::call) fn begin_plainly(&mut self) -> Option<Plain<'r>> {
        let is_calm = self.policies.throttle().is_none_or(Throttle::is_calm);
        if !(self.policies.is_plain() && is_calm) || self.watched() {
            return None;
        }
        let permit = match self.policies.breaker() {
            Some(breaker) => Some(breaker.enter_plainly()?),
            None => None,
        };
        let slot = match self.policies.bulkhead() {
            Some(bulkhead) => Some(bulkhead.take_plainly()?),
            None => None,
        };
        self.attempts = 1;
        Some(Plain { permit, slot })
    }

    #[cold]
    fn ask_throttle(&self, now: &Now) -> Result<(), Reason> {
        let Some(throttle) = self.policies.throttle() else { return Ok(()) };
        throttle.admit(self.policies.priority(), now).map_err(Reason::Throttled)
    }

    /// Past the cooldown: the circuit, the rate, then a slot.
    #[inline(always)]
    pub(in crate::call) fn enter(&mut self, now: &Now) -> Result<(), Instead<'r>> {
        self.ask_circuit(now)?;
        if self.policies.is_limited() {
            self.ask_rate(now)?;
        }
        self.take_slot(now)
    }

    #[inline(always)]
    fn ask_circuit(&mut self, now: &Now) -> Result<(), Instead<'r>> {
        if let Some(breaker) = self.policies.breaker() {
            match breaker.enter(now) {
                Ok(permit) => self.pass.admit(permit),
                Err(open) => return Err(self.turned_away(open, now)),
            }
        }
        Ok(())
    }

    /// Whoever has to wait gives its permit back meanwhile, and asks the circuit again afterwards.
    #[cold]
    fn ask_rate(&mut self, now: &Now) -> Result<(), Instead<'r>> {
        let Some(limiter) = self.policies.rate_limiter() else { return Ok(()) };
        let turn = limiter.ask(1, self.policies.priority(), now);
        if !matches!(turn, Ok(None)) {
            drop(self.pass.take_permit());
        }
        match turn {
            Ok(None) => Ok(()),
            Ok(Some(booking)) => Err(self.wait_for_rate(booking, now)),
            Err(refused) => Err(Instead::GiveUp(Reason::RateLimited(Box::new(refused)))),
        }
    }

    #[inline(always)]
    fn take_slot(&mut self, now: &Now) -> Result<(), Instead<'r>> {
        if let Some(bulkhead) = self.policies.bulkhead() {
            match bulkhead.take(|| self.entrant()) {
                Some(slot) => self.pass.hold(slot),
                None => return Err(self.queue(bulkhead, now)),
            }
        }
        self.go(now)
    }

    /// Waits for a slot: no longer than the call may take, and than the program wants.
    #[cold]
    fn queue(&mut self, bulkhead: &'r Bulkhead, now: &Now) -> Instead<'r> {
        let permit = self.pass.take_permit();
        let entrance = match bulkhead.way_in(self.entrant()) {
            Ok(entrance) => entrance,
            Err(full) => return Instead::GiveUp(Reason::BulkheadFull(full)),
        };
        self.waits(now);
        let deadline = self.deadline();
        let slot = Box::pin(entrance.acquire());
        Instead::Queue(Queue { permit, slot, deadline, shutdown: self.shutdown() })
    }

    /// Who comes to the bulkhead.
    fn entrant(&self) -> Entrant<'_> {
        Entrant { priority: self.policies.priority(), partition: self.policies.partition() }
    }

    /// A slot came after a wait. The circuit may have opened meanwhile; then it is asked again.
    pub(in crate::call) fn got_slot(
        &mut self,
        mut permit: Permit<'r>,
        slot: Hold<'r>,
        now: &Now,
    ) -> Result<(), Instead<'r>> {
        self.may_go_on(now).map_err(Instead::GiveUp)?;
        match self.policies.breaker().filter(|_| !permit.is_current()).map(|breaker| breaker.enter(now)) {
            Some(Ok(fresh)) => self.pass.admit(fresh),
            Some(Err(open)) => return Err(self.turned_away(open, now)),
            None => {
                permit.begins(now);
                self.pass.admit(permit);
            }
        }
        self.pass.hold(slot);
        self.go(now)
    }

    /// With all that it needs. The limit on what is under way comes last: what waits for a slot is not.
    #[inline(always)]
    fn go(&mut self, now: &Now) -> Result<(), Instead<'r>> {
        if self.policies.is_limited() {
            self.count_in(now)?;
        }
        if self.attempts > 0 {
            self.retries();
        } else if let Some(budget) = self.policies.budget() {
            let active = budget.began(now);
            if active.is_some() {
                self.past().active = active;
            }
        }
        self.attempts = self.attempts.saturating_add(1);
        self.slow = false;
        if self.watched() {
            self.tell_started(); // before the next line: an observer that panics is no failure of the operation
        }
        self.pass.assume(Outcome::Failure);
        Ok(())
    }

    #[cold]
    fn count_in(&mut self, now: &Now) -> Result<(), Instead<'r>> {
        let Some(limit) = self.policies.concurrency_limit() else { return Ok(()) };
        match limit.enter(self.policies.priority(), now) {
            Ok(leave) => {
                self.pass.count_in(leave);
                self.pends(now); // its time begins here
            }
            Err(saturated) => {
                self.pass = P::Pass::default(); // permit and slot come back
                return Err(Instead::GiveUp(Reason::Saturated(saturated)));
            }
        }
        Ok(())
    }

    /// What was taken out for a retry is used.
    #[cold]
    fn retries(&mut self) {
        let Some(past) = &mut self.past else { return };
        if let Some(token) = &mut past.token {
            token.made();
        }
        if let Some(leave) = &mut past.leave {
            leave.made();
        }
    }

    /// Whether there is time left, and the program still wants it.
    #[inline(always)]
    fn may_go_on(&self, now: &Now) -> Result<(), Reason> {
        let shut_down = || self.policies.shutdown().is_some_and(Shutdown::is_triggered);
        if self.attempts > 0 && shut_down() {
            return Err(Reason::ShutDown); // who has begun is not begun again; who calls anew may
        }
        match self.deadline() {
            Some(deadline) if now.get() >= deadline => Err(Reason::DeadlineExceeded),
            _ => Ok(()),
        }
    }

    #[cold]
    fn wait_for(&mut self, turn: Turn, now: &Now) -> Instead<'r> {
        self.waits(now);
        let until = turn.at();
        if self.deadline().is_some_and(|deadline| until >= deadline) {
            return Instead::GiveUp(Reason::DeadlineExceeded);
        }
        Instead::Wait(Wait { until, then: Then::Leave(turn) })
    }

    #[cold]
    fn wait_for_rate(&mut self, booking: Booking, now: &Now) -> Instead<'r> {
        self.waits(now);
        let until = booking.at();
        if self.deadline().is_some_and(|deadline| until >= deadline) {
            return Instead::GiveUp(Reason::DeadlineExceeded);
        }
        Instead::Wait(Wait { until, then: Then::Book(booking) })
    }

    #[cold]
    fn turned_away(&mut self, open: Open, now: &Now) -> Instead<'r> {
        self.started(now);
        let deadline = self.deadline();
        let fits = |until: &Instant| deadline.is_none_or(|deadline| *until < deadline);
        let Self { policies, past, .. } = self;
        let rules = policies.rules();
        let mut once_more =
            || rules.may_wait_for_circuit(&mut past.get_or_insert_with(Box::default).progress);
        let Some(until) = open.until.filter(|until| rules.wait_for_circuit && fits(until) && once_more())
        else {
            return Instead::GiveUp(Reason::CircuitOpen(open));
        };
        let delay = until.saturating_duration_since(now.get());
        let category = Category::ServiceUnavailable;
        self.tell_retry(delay, DelaySource::CircuitBreaker, category);
        Instead::Wait(Wait { until, then: Then::Begin })
    }

    /// A wait is over.
    pub(crate) fn waited(&mut self, then: Then, now: &Now) -> Result<(), Instead<'r>> {
        match then {
            Then::Begin => self.begin(now),
            Then::Reserve { no_later_than } => {
                match self.take_leave(true, now) {
                    Ok(()) => self.begin(now),
                    // Somebody else was faster.
                    Err(why) => match self.wait_for_leave(now.get(), no_later_than, now) {
                        Some(wait) => Err(Instead::Wait(wait)),
                        None => Err(Instead::GiveUp(why)),
                    },
                }
            }
            Then::Leave(turn) => {
                if let Some(later) = turn.leave(now) {
                    return Err(self.wait_for(later, now));
                }
                self.may_go_on(now).map_err(Instead::GiveUp)?;
                self.enter(now)
            }
            Then::Book(booking) => match booking.leave_at(now) {
                Ok(None) => {
                    self.may_go_on(now).map_err(Instead::GiveUp)?;
                    self.ask_circuit(now)?;
                    self.take_slot(now)
                }
                Ok(Some(later)) => Err(self.wait_for_rate(later, now)),
                Err(limited) => Err(Instead::GiveUp(Reason::RateLimited(Box::new(limited)))),
            },
        }
    }
}
