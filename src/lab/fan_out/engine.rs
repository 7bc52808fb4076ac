//! The simulation of single events: requests, their calls, and the servers that answer them.
//!
//! Each call in flight is a course of the crate's own hedge, which is asked when the next attempt is due and whether
//! it may be made, and told who answered, at the time of the simulation. The engine decides nothing about it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use super::FanOut;
use crate::hedge::Hedge;
use crate::hedge::course::Course;
use crate::lab::backend::exponential;
use crate::lab::engine::nanos;
use crate::lab::weather::Forecast;
use crate::random::Dice;
use crate::time::{Instant, later_or_far};

/// What happens. Of one moment an answer comes first: who has it launches no hedge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A server is done with this attempt.
    Answered,
    /// The next attempt of the call is due.
    Due,
    /// A request is made.
    Request,
}

/// One attempt of one call; the first is the one with the number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    /// Which call of the run, counted from 0.
    pub(super) call: u64,
    pub(super) attempt: u32,
    pub(super) server: u32,
}

/// What is left to chance.
pub(super) trait Chance {
    /// How long it takes until the next request is made, in nanoseconds.
    fn gap(&self) -> u64;

    /// How long a server takes on a good day for an attempt that is made `now`, both in nanoseconds.
    fn time(&self, asked: Asked, now: u64) -> u64;
}

/// One run under one hedge.
pub(super) struct Engine<'r, C> {
    scenario: &'r FanOut,
    hedge: &'r Hedge,
    /// What the calls take for the start of the run.
    start: Instant,
    now: u64,
    chance: C,
    weather: Forecast,
    agenda: BinaryHeap<Reverse<(u64, What, u64, Asked)>>,
    planned: u64,
    servers: Vec<Server>,
    /// Those nobody has answered yet.
    calls: BTreeMap<u64, Call<'r>>,
    begun: u64,
    requests: Vec<Request>,
    took: Vec<u64>,
}

struct Call<'r> {
    course: Course<'r>,
    request: usize,
    server: u32,
}

struct Request {
    born: u64,
    unanswered: u32,
}

#[derive(Debug)]
struct Server {
    idle: u32,
    /// Who waits for it, and how long each will take on a good day.
    waiting: VecDeque<(Asked, u64)>,
}

impl<'r, C: Chance> Engine<'r, C> {
    pub(super) fn new(scenario: &'r FanOut, hedge: &'r Hedge, start: Instant, chance: C) -> Self {
        let server = |_| Server { idle: scenario.workers, waiting: VecDeque::new() };
        Self {
            scenario,
            hedge,
            start,
            now: 0,
            chance,
            weather: Forecast::of(scenario.faults.clone(), 0.0),
            agenda: BinaryHeap::new(),
            planned: 0,
            servers: (0..scenario.servers).map(server).collect(),
            calls: BTreeMap::new(),
            begun: 0,
            requests: Vec::new(),
            took: Vec::new(),
        }
    }

    /// Makes all requests, and gives back how long each took, in nanoseconds, in the order in which they ended.
    pub(super) fn run(mut self, mut tell: impl FnMut(f64)) -> Vec<u64> {
        self.next_request();
        while let Some(Reverse((at, what, _, asked))) = self.agenda.pop() {
            self.now = at;
            match what {
                What::Answered => self.answered(asked, &mut tell),
                What::Due => self.launch(asked.call),
                What::Request => self.request(),
            }
        }
        self.took
    }

    fn plan(&mut self, at: u64, what: What, asked: Asked) {
        self.planned += 1;
        self.agenda.push(Reverse((at, what, self.planned, asked)));
    }

    fn next_request(&mut self) {
        if self.requests.len() < self.scenario.requests as usize {
            let gap = self.chance.gap();
            let nobody = Asked { call: 0, attempt: 0, server: 0 };
            self.plan(self.now.saturating_add(gap), What::Request, nobody);
        }
    }

    fn request(&mut self) {
        let request = self.requests.len();
        self.requests.push(Request { born: self.now, unanswered: self.scenario.servers });
        for server in 0..self.scenario.servers {
            let call = self.begun;
            self.begun += 1;
            let course = Course::begin(self.hedge, self.at(self.now));
            self.calls.insert(call, Call { course, request, server });
            self.ask(Asked { call, attempt: 0, server });
        }
        self.next_request();
    }

    /// An attempt is made, and has to be waited for.
    fn ask(&mut self, asked: Asked) {
        let service = self.chance.time(asked, self.now);
        let server = &mut self.servers[asked.server as usize];
        if server.idle > 0 {
            server.idle -= 1;
            self.serve(asked, service);
        } else {
            server.waiting.push_back((asked, service));
        }
        let now = self.at(self.now);
        let due = self.calls.get_mut(&asked.call).and_then(|call| call.course.due(now));
        if let Some(due) = due {
            let at = nanos(due.saturating_duration_since(self.start));
            self.plan(at, What::Due, asked);
        }
    }

    fn serve(&mut self, asked: Asked, service: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a day in nanoseconds is less than 2^53")]
        let slowed = rounded(service as f64 * self.weather.at(self.now).brownout);
        self.plan(self.now.saturating_add(slowed), What::Answered, asked);
    }

    fn launch(&mut self, call: u64) {
        let now = self.at(self.now);
        let Some(waits) = self.calls.get_mut(&call) else { return };
        let first = waits.server;
        if let Some(attempt) = waits.course.launch(now) {
            // Each server holds a copy of what the one before it has.
            let server = (first + attempt) % self.scenario.servers;
            self.ask(Asked { call, attempt, server });
        }
    }

    fn answered(&mut self, asked: Asked, tell: &mut impl FnMut(f64)) {
        let server = &mut self.servers[asked.server as usize];
        match server.waiting.pop_front() {
            Some((next, service)) => self.serve(next, service),
            None => server.idle += 1,
        }
        let Some(call) = self.calls.remove(&asked.call) else { return }; // nobody waits for it any more
        call.course.answered(asked.attempt, self.at(self.now));
        let request = &mut self.requests[call.request];
        request.unanswered -= 1;
        if request.unanswered == 0 {
            self.took.push(self.now - request.born);
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
            let done = self.took.len() as f64;
            tell(done / f64::from(self.scenario.requests));
        }
    }

    fn at(&self, now: u64) -> Instant {
        later_or_far(self.start, Duration::from_nanos(now))
    }
}

/// The dice of a run.
pub(super) struct Chances<'r> {
    scenario: &'r FanOut,
    arrivals: Dice,
    /// Apart, so that first attempts take as long whoever hedges them.
    firsts: Dice,
    hedges: Dice,
}

impl<'r> Chances<'r> {
    pub(super) fn new(scenario: &'r FanOut, seed: u64) -> Self {
        let dice = |nth: u64| Dice::seeded(seed.wrapping_add(nth << 40));
        Self { scenario, arrivals: dice(0), firsts: dice(1), hedges: dice(2) }
    }
}

impl Chance for Chances<'_> {
    fn gap(&self) -> u64 {
        rounded(exponential(&self.arrivals) / self.scenario.rate * 1e9)
    }

    fn time(&self, asked: Asked, _: u64) -> u64 {
        let dice = if asked.attempt == 0 { &self.firsts } else { &self.hedges };
        let (mut share, within) = (dice.draw(), dice.draw());
        let bands = &self.scenario.latencies;
        let falls = bands.iter().find(|band| {
            share -= band.share;
            share < 0.0
        });
        // What rounding leaves over is of the last.
        let Some(band) = falls.or(bands.last()) else { return 0 };
        let (least, most) = (band.least.as_secs_f64(), band.most.as_secs_f64());
        rounded((least + (most - least) * within) * 1e9)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
fn rounded(nanos: f64) -> u64 {
    nanos as u64
}
