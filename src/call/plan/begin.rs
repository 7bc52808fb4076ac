//! May an attempt be made, and what must be waited for first?

use super::{Begin, Plan, Then, Wait};
use crate::bulkhead::{Bulkhead, Slot};
use crate::call::attempt::Pass;
use crate::call::policies::Policies;
use crate::call::queue::Queue;
use crate::circuit_breaker::{Open, Permit};
use crate::classification::{Category, Outcome};
use crate::cooldown::Turn;
use crate::error::Reason;
use crate::event::{DelaySource, Event, Observers};
use crate::shutdown::Shutdown;
use crate::time::{Instant, Now};

impl<'r, P: Policies<'r, E>, E: 'r> Plan<'r, P, E> {
    /// Asks everyone who has a say whether an attempt may be made.
    pub(in crate::call) fn begin(&mut self, now: &Now) -> Begin<'r> {
        if self.policies.observers().is_some_and(Observers::any) {
            self.started(now);
        }
        if let Err(reason) = self.may_go_on(now) {
            return Begin::Refused(reason);
        }
        if let Some(cooldown) = self.policies.cooldown() {
            match cooldown.ask(self.attempts == 0, now) {
                Ok(None) => {}
                Ok(Some(turn)) => return self.wait_for(turn, now),
                Err(cooling) => return Begin::Refused(Reason::CoolingDown(cooling)),
            }
        }
        self.enter(now)
    }

    /// Past the cooldown: the circuit, then a slot.
    pub(in crate::call) fn enter(&mut self, now: &Now) -> Begin<'r> {
        let permit = match self.policies.breaker().map(|breaker| breaker.enter(now)) {
            Some(Err(open)) => return self.turned_away(open, now),
            Some(Ok(permit)) => Some(permit),
            None => None,
        };
        match self.policies.bulkhead() {
            None => self.go(permit, None),
            Some(bulkhead) => match bulkhead.take() {
                Some(slot) => self.go(permit, Some(slot)),
                None => self.queue(permit, bulkhead, now),
            },
        }
    }

    /// Waits for a slot: no longer than the call may take, and than the program wants.
    fn queue(&mut self, permit: Option<Permit<'r>>, bulkhead: &'r Bulkhead, now: &Now) -> Begin<'r> {
        self.started(now);
        let (slot, deadline) = (Box::pin(bulkhead.acquire()), self.deadline());
        Begin::Queue(Queue { permit, slot, deadline, shutdown: self.shutdown() })
    }

    /// A slot came after a wait. The circuit may have opened meanwhile; then it is asked again.
    pub(in crate::call) fn got_slot(
        &mut self,
        permit: Option<Permit<'r>>,
        slot: Slot<'r>,
        now: &Now,
    ) -> Begin<'r> {
        if let Err(reason) = self.may_go_on(now) {
            return Begin::Refused(reason);
        }
        let stale = permit.as_ref().is_some_and(|permit| !permit.is_current());
        match self.policies.breaker().filter(|_| stale).map(|breaker| breaker.enter(now)) {
            Some(Err(open)) => self.turned_away(open, now),
            Some(Ok(fresh)) => self.go(Some(fresh), Some(slot)),
            None => {
                let mut permit = permit;
                if let Some(permit) = &mut permit {
                    permit.begins(now);
                }
                self.go(permit, Some(slot))
            }
        }
    }

    fn go(&mut self, permit: Option<Permit<'r>>, slot: Option<Slot<'r>>) -> Begin<'r> {
        self.attempts = self.attempts.saturating_add(1);
        let mut pass = Pass { permit, slot, pending_since: None };
        if let Some(observers) = self.policies.observers() {
            let attempt = self.attempts;
            observers.tell(|| Event::AttemptStarted { call: self.policies.info(), attempt });
        }
        pass.assume(Outcome::Failure);
        Begin::Go(pass)
    }

    /// Whether there is time left, and the program still wants it.
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

    fn wait_for(&mut self, turn: Turn, now: &Now) -> Begin<'r> {
        self.started(now);
        let until = turn.at();
        if self.deadline().is_some_and(|deadline| until >= deadline) {
            return Begin::Refused(Reason::DeadlineExceeded);
        }
        Begin::Wait(Wait { until, then: Then::Leave(turn) })
    }

    fn turned_away(&mut self, open: Open, now: &Now) -> Begin<'r> {
        self.started(now);
        let deadline = self.deadline();
        let fits = |until: &Instant| deadline.is_none_or(|deadline| *until < deadline);
        let Self { policies, past, .. } = self;
        let rules = policies.rules();
        let mut once_more =
            || rules.may_wait_for_circuit(&mut past.get_or_insert_with(Box::default).progress);
        let Some(until) = open.until.filter(|until| rules.wait_for_circuit && fits(until) && once_more())
        else {
            return Begin::Refused(Reason::CircuitOpen(open));
        };
        let delay = until.saturating_duration_since(now.get());
        let category = Category::ServiceUnavailable;
        self.tell_retry(delay, DelaySource::CircuitBreaker, category);
        Begin::Wait(Wait { until, then: Then::Begin })
    }

    /// A wait is over.
    pub(in crate::call) fn waited(&mut self, then: Then) -> Begin<'r> {
        let now = Now::unread();
        match then {
            Then::Begin => self.begin(&now),
            Then::Reserve { no_later_than } => {
                let rules = self.policies.rules();
                match rules.budget.as_ref().and_then(|budget| budget.reserve(now.get())) {
                    Some(token) => {
                        self.past().token = Some(token);
                        self.begin(&now)
                    }
                    // Somebody else was faster.
                    None => match self.wait_for_token(now.get(), no_later_than, &now) {
                        Some(wait) => Begin::Wait(wait),
                        None => Begin::Refused(Reason::BudgetExhausted),
                    },
                }
            }
            Then::Leave(turn) => match turn.leave(&now) {
                Some(later) => self.wait_for(later, &now),
                None => match self.may_go_on(&now) {
                    Ok(()) => self.enter(&now),
                    Err(reason) => Begin::Refused(reason),
                },
            },
        }
    }
}
