//! The simulation of single events: who calls, what becomes of the call, and what its plan makes of that.
//!
//! Each call in flight is a real plan of the crate, which is asked what is next and told how its attempts ended,
//! at the time of the simulation. The engine decides nothing about it.

use std::collections::VecDeque;
use std::time::Duration;

use super::agenda::{Agenda, Entry, What};
use super::arrivals::Source;
use super::backend::{Answer, Dropped, Shard, Ticket};
use super::clients::{Client, Fleet, Trouble};
use super::scenario::Scenario;
use super::tally::Tally;
use super::weather::{Forecast, Weather};
use crate::call::attempt::Cut;
use crate::call::plan::{Instead, Plan, Then};
use crate::random::Dice;
use crate::setting::{Check, SettingError};
use crate::time::{Instant, Now};

const CHECK: Check = Check("lab");

/// More attempts than this, and so many for each request: whoever repeats without waiting what is refused at
/// once does it for ever, and no time passes in a simulation.
const MANY: u64 = 1_000_000;
const EACH: u64 = 1_000;

/// One run of one scenario.
pub(super) struct Engine<'r> {
    scenario: &'r Scenario,
    fleet: &'r Fleet,
    /// What the clients take for the start of the run.
    start: Instant,
    now: u64,
    weather: Forecast,
    source: Source,
    places: Vec<Place<'r>>,
    free: Vec<u32>,
    shards: Vec<Shard>,
    /// What will happen, the earliest first.
    agenda: Agenda,
    /// When callers lose their patience: all have the same, so who began first comes first.
    patience: VecDeque<(u64, Ticket, Cut)>,
    requests: u64,
    attempts: u64,
    services: Dice,
    chances: Dice,
    dropped: Vec<Dropped>,
    tally: Tally,
}

/// Where a call in flight is kept.
struct Place<'r> {
    /// Which attempt of whatever call is here: a ticket with another number is out of date.
    attempt: u32,
    call: Option<Call<'r>>,
}

struct Call<'r> {
    plan: Plan<'r, Client<'r>, Trouble>,
    born: u64,
    shard: u32,
    /// What it waits to do, while it waits.
    then: Option<Then>,
    reached: bool,
}

impl<'r> Engine<'r> {
    pub(super) fn new(scenario: &'r Scenario, fleet: &'r Fleet, seed: u64, start: Instant) -> Self {
        let dice = |stream: u64| Dice::seeded(seed.wrapping_mul(4).wrapping_add(stream));
        Self {
            scenario,
            fleet,
            start,
            now: 0,
            weather: Forecast::new(scenario),
            source: Source::new(scenario, dice(1)),
            places: Vec::new(),
            free: Vec::new(),
            shards: Shard::all(scenario, seed.wrapping_mul(4), start),
            agenda: Agenda::default(),
            patience: VecDeque::new(),
            requests: 0,
            attempts: 0,
            services: dice(2),
            chances: dice(3),
            dropped: Vec::new(),
            tally: Tally::new(scenario),
        }
    }

    /// Runs until the end of the scenario, and a little on: requests that were made just before it have a chance
    /// to end, while others go on being made.
    ///
    /// `tell` is told how much of it is done, each simulated second.
    ///
    /// # Errors
    ///
    /// [`SettingError`], if the policy repeats so often that the run would not end.
    pub(super) fn run(mut self, mut tell: impl FnMut(f64)) -> Result<Tally, SettingError> {
        let grace = (10 * self.scenario.timeout).clamp(Duration::from_secs(2), Duration::from_secs(10));
        let end = nanos(self.scenario.ends() + grace);
        let mut told = 0;
        loop {
            let planned = self.agenda.next_at();
            let patience = self.patience.front().map_or(u64::MAX, |&(at, ..)| at);
            let arrival = self.source.next_at();
            // At one and the same moment an answer comes before its caller loses patience, as in a call.
            let next = planned.min(patience).min(arrival);
            if next > end {
                tell(1.0);
                return Ok(self.tally);
            }
            self.now = next;
            if next >= told {
                told = next.saturating_add(1_000_000_000);
                tell(Duration::from_nanos(next).as_secs_f64() / Duration::from_nanos(end).as_secs_f64());
            }
            if self.attempts > MANY + EACH * self.requests {
                let allowed = "so few, or so far apart, that a run comes to its end";
                return Err(CHECK.refuse("max_attempts", self.attempts / self.requests.max(1), allowed));
            }
            if next == planned {
                if let Some(entry) = self.agenda.pop() {
                    self.happens(&entry);
                }
            } else if next == patience {
                if let Some((_, ticket, cut)) = self.patience.pop_front() {
                    self.ends(ticket, Err(cut));
                }
            } else {
                self.request();
            }
        }
    }

    fn happens(&mut self, entry: &Entry) {
        match entry.what {
            What::Served(shard) => self.served(shard, entry.ticket),
            What::Waited => {
                let now = self.clock();
                let waited = self.current(entry.ticket).and_then(|call| {
                    let then = call.then.take()?;
                    Some(call.plan.waited(then, &now))
                });
                if let Some(begun) = waited {
                    self.goes_on(entry.ticket.place, begun);
                }
            }
            What::CutShort(cut) => self.ends(entry.ticket, Err(cut)),
        }
    }

    /// A user makes a request.
    fn request(&mut self) {
        let (client, shard) = self.source.take(self.now);
        self.requests += 1;
        self.tally.offered(self.now);
        let plan = Plan::new(self.fleet.client(client, shard));
        let call = Call { plan, born: self.now, shard, then: None, reached: false };
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { attempt: 0, call: None });
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let now = self.clock();
        let begun = self.places[place as usize].call.insert(call).plan.begin(&now);
        self.goes_on(place, begun);
    }

    /// What the plan says comes next.
    fn goes_on(&mut self, place: u32, next: Result<(), Instead<'r>>) {
        match next {
            Ok(()) => self.send(place),
            Err(Instead::Wait(wait) | Instead::Ask(_, wait)) => {
                let at = self.simulated(wait.until);
                let ticket = self.new_ticket(place);
                if let Some(call) = &mut self.places[place as usize].call {
                    call.then = Some(wait.then);
                }
                self.plan(at, What::Waited, ticket);
            }
            Err(Instead::GiveUp(reason)) => {
                let now = self.clock();
                if let Some(call) = &mut self.places[place as usize].call {
                    drop(call.plan.give_up(reason, &now)); // whoever watches is told, and no letter is kept
                }
                self.leaves(place, false);
            }
            // Nobody in the lab has a bulkhead to queue for.
            Err(Instead::Queue(_)) => self.leaves(place, false),
        }
    }

    /// An attempt goes to the backend.
    fn send(&mut self, place: u32) {
        let (now, ticket) = (self.now, self.new_ticket(place));
        self.attempts += 1;
        self.tally.reached(now);
        let clock = self.clock();
        let Some(call) = &mut self.places[place as usize].call else { return };
        call.reached = true;
        let shard = call.shard;
        let weather = self.weather.at(now);
        if weather.refuses {
            return self.ends(ticket, Ok(Err(Trouble::Refused)));
        }
        let is_lost =
            weather.is_dead(shard) || (weather.losses > 0.0 && self.chances.draw() < weather.losses);
        if !is_lost {
            match self.shards[shard as usize].comes(ticket, now, &mut self.dropped) {
                Answer::Served => self.serve(shard, ticket),
                Answer::Queued => {}
                Answer::TurnedAway => self.ends(ticket, Ok(Err(Trouble::Overloaded(None)))),
            }
            self.turn_dropped_away();
        }
        let pends = self.current(ticket).and_then(|call| call.plan.pends_until(&clock));
        if let Some((until, cut)) = pends {
            let at = self.simulated(until);
            if self.patience.back().is_none_or(|&(last, ..)| last <= at) {
                self.patience.push_back((at, ticket, cut));
            } else {
                self.plan(at, What::CutShort(cut), ticket);
            }
        }
    }

    /// A server begins with a call.
    fn serve(&mut self, shard: u32, ticket: Ticket) {
        let backend = &self.scenario.backend;
        let Weather { brownout, .. } = *self.weather.at(self.now);
        let speed = self.shards[shard as usize].speed();
        let mean = backend.service.as_secs_f64() * brownout / speed;
        let takes = Duration::try_from_secs_f64(mean * backend.spread.draw(&self.services));
        let at = self.now.saturating_add(takes.map_or(u64::MAX, nanos));
        self.plan(at, What::Served(shard), ticket);
    }

    /// A server is done with a call, whether anybody still waits for it or not.
    fn served(&mut self, shard: u32, ticket: Ticket) {
        let weather = self.weather.at(self.now);
        let (is_dead, errors) = (weather.is_dead(shard), weather.errors);
        let places = &self.places;
        let is_gone = |ticket: Ticket| places[ticket.place as usize].attempt != ticket.attempt;
        let next = self.shards[shard as usize].next(self.now, is_gone, &mut self.dropped);
        if let Some(next) = next {
            self.serve(shard, next);
        }
        self.turn_dropped_away();
        if self.current(ticket).is_none() {
            self.tally.wasted(self.now);
        } else if !is_dead {
            let fails = errors > 0.0 && self.chances.draw() < errors;
            self.ends(ticket, Ok(if fails { Err(Trouble::Failed) } else { Ok(()) }));
        }
    }

    fn turn_dropped_away(&mut self) {
        while let Some(Dropped { ticket, retry_in }) = self.dropped.pop() {
            self.ends(ticket, Ok(Err(Trouble::Overloaded(retry_in))));
        }
    }

    /// An attempt ends, if it has not ended before.
    fn ends(&mut self, ticket: Ticket, how: Result<Result<(), Trouble>, Cut>) {
        let now = self.clock();
        let Some(call) = self.current(ticket) else { return };
        let failure = match how {
            Ok(Ok(())) => {
                call.plan.slow = call.plan.slow_at(&now).is_some_and(|slow_at| slow_at <= now.get());
                call.plan.succeeded(&now);
                return self.leaves(ticket.place, true);
            }
            Ok(Err(trouble)) => Ok(trouble),
            Err(cut) => Err(cut),
        };
        let instead = call.plan.failed(failure, &now);
        self.goes_on(ticket.place, Err(instead));
    }

    /// A request is over.
    fn leaves(&mut self, place: u32, well: bool) {
        self.new_ticket(place);
        if let Some(call) = self.places[place as usize].call.take() {
            if well {
                self.tally.succeeded(call.born, self.now);
            } else if !call.reached {
                self.tally.held_back(call.born);
            }
        }
        self.free.push(place);
    }

    /// The call that this ticket is of, if it is not out of date.
    fn current(&mut self, ticket: Ticket) -> Option<&mut Call<'r>> {
        let place = &mut self.places[ticket.place as usize];
        place.call.as_mut().filter(|_| place.attempt == ticket.attempt)
    }

    /// Makes every other ticket of this place out of date.
    fn new_ticket(&mut self, place: u32) -> Ticket {
        let attempt = &mut self.places[place as usize].attempt;
        *attempt = attempt.wrapping_add(1);
        Ticket { place, attempt: *attempt }
    }

    fn plan(&mut self, at: u64, what: What, ticket: Ticket) {
        self.agenda.add(at.max(self.now), what, ticket);
    }

    /// What the clients take for the present moment.
    fn clock(&self) -> Now {
        Now::from(self.start + Duration::from_nanos(self.now))
    }

    fn simulated(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.start))
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
