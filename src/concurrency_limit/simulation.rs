//! A server in virtual time, for what a limit does over minutes. Nothing sleeps: the limit is told the time.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ConcurrencyLimit, ConcurrencyLimitBuilder, InFlight};
use crate::classification::Outcome;
use crate::priority::Priority;
use crate::random::Dice;
use crate::time::{self, Instant, Now};

/// Serves `capacity` calls at once, each for `service` milliseconds; the others wait, first come, first served.
/// One that finds `room` others waiting is refused.
struct Server {
    capacity: usize,
    service: f64,
    /// How much the service times scatter: evenly, so many of them up and down.
    scatter: f64,
    room: usize,
}

/// Clients that send `rate` calls in a millisecond, whether the limit lets them through or not.
struct World<'l> {
    limit: &'l ConcurrencyLimit,
    server: Server,
    rate: f64,
    /// Of the calls, so many take a millisecond and pass the queue by: health checks.
    tiny: f64,
    start: Instant,
    at: u64,
    owed: f64,
    dice: Dice,
    busy: Vec<(u64, InFlight<'l>)>,
    checks: Vec<(u64, InFlight<'l>)>,
    waiting: VecDeque<InFlight<'l>>,
}

impl<'l> World<'l> {
    fn new(limit: &'l ConcurrencyLimit) -> Self {
        Self {
            limit,
            server: Server { capacity: 50, service: 100.0, scatter: 0.0, room: usize::MAX },
            rate: 1.0,
            tiny: 0.0,
            start: time::now(),
            at: 0,
            owed: 0.0,
            dice: Dice::seeded(7),
            busy: Vec::new(),
            checks: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    fn now(&self) -> Now {
        Now::from(self.start + Duration::from_millis(self.at))
    }

    fn step(&mut self) {
        self.at += 1;
        let now = self.now();
        for calls in [&mut self.busy, &mut self.checks] {
            let over = |(end, _): &mut (u64, InFlight<'_>)| *end <= self.at;
            calls.extract_if(.., over).for_each(|(_, call)| call.settle_at(Outcome::Success, &now));
        }
        self.owed += self.rate;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            let Ok(call) = self.limit.try_enter_at(Priority::Normal, &now) else { continue };
            if self.tiny > 0.0 && self.dice.draw() < self.tiny {
                self.checks.push((self.at + 1, call));
            } else if self.busy.len() >= self.server.capacity && self.waiting.len() >= self.server.room {
                call.settle_at(Outcome::Failure, &now);
            } else {
                self.waiting.push_back(call);
            }
        }
        while self.busy.len() < self.server.capacity
            && let Some(call) = self.waiting.pop_front()
        {
            let Server { service, scatter, .. } = self.server;
            let chance = if scatter > 0.0 { self.dice.draw() } else { 0.5 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds")]
            let took = (service * (1.0 + scatter * (2.0 * chance - 1.0))) as u64;
            self.busy.push((self.at + took.max(1), call));
        }
    }

    /// The limits that there were in so many seconds.
    fn run(&mut self, seconds: u64) -> RangeInclusive<usize> {
        let (mut low, mut high) = (usize::MAX, 0);
        for _ in 0..seconds * 1000 {
            self.step();
            let limit = self.limit.limit();
            (low, high) = (low.min(limit), high.max(limit));
        }
        low..=high
    }

    /// Runs for the 30 seconds that a limit has to settle, and then for a minute in which it must have.
    fn settles(&mut self, within: RangeInclusive<usize>, what: &str) {
        self.run(30);
        let was = self.run(60);
        let inside = within.contains(was.start()) && within.contains(was.end());
        assert!(inside, "{what}: {was:?}, {:?}", self.limit.snapshot());
    }

    /// Everything ends that was begun, and nothing new begins.
    fn drains(&mut self) {
        let rate = std::mem::take(&mut self.rate);
        while self.limit.in_flight() > 0 {
            self.step();
        }
        self.rate = rate;
    }

    fn idle(&mut self, seconds: u64) {
        self.drains();
        self.at += seconds * 1000;
    }
}

fn limits() -> [(&'static str, ConcurrencyLimit); 3] {
    fn built<A>(builder: ConcurrencyLimitBuilder<A>) -> ConcurrencyLimit {
        builder.seed(1).build().unwrap()
    }
    [
        ("aimd", built(ConcurrencyLimit::aimd().slow_after(Duration::from_millis(115)))),
        ("vegas", built(ConcurrencyLimit::vegas())),
        ("gradient2", built(ConcurrencyLimit::gradient2())),
    ]
}

#[test]
fn g6_limit_settles_follows_capacity_down_and_comes_back() {
    for (name, limit) in &limits() {
        let mut world = World::new(limit);
        world.settles(40..=60, name);
        world.server.capacity = 10;
        world.settles(8..=15, name);
        world.server.capacity = 50;
        world.settles(40..=60, name);
    }
}

#[test]
fn g6_limit_does_not_drift_in_ten_minutes_at_capacity() {
    for (name, limit) in &limits() {
        let mut world = World::new(limit);
        world.run(30);
        let was = world.run(600);
        assert!(*was.start() >= 40 && *was.end() <= 60, "{name}: {was:?}");
    }
}

#[test]
fn g6_ten_idle_minutes_do_not_move_the_limit() {
    for (name, limit) in &limits() {
        let mut world = World::new(limit);
        world.run(60);
        world.drains();
        let before = limit.limit();
        world.idle(600);
        assert_eq!(limit.limit(), before, "{name}");
        let was = world.run(60);
        assert!(*was.start() >= 40 && *was.end() <= 60, "{name}: {was:?}");
    }
}

#[test]
fn g6_ten_minutes_of_only_tiny_calls_do_not_move_the_limit() {
    for (name, limit) in &limits() {
        let mut world = World::new(limit);
        world.run(60);
        world.drains();
        (world.tiny, world.rate) = (1.0, 0.1);
        world.run(1); // the window that the others ended in
        let before = limit.limit();
        let was = world.run(600);
        assert_eq!(was, before..=before, "{name}");
        (world.tiny, world.rate) = (0.0, 1.0);
        let was = world.run(60);
        assert!(*was.start() >= 40 && *was.end() <= 60, "{name}: {was:?}");
    }
}

#[test]
fn g6_tiny_calls_among_the_others_do_not_poison_the_baseline() {
    for (name, limit) in &limits() {
        let mut world = World::new(limit);
        world.tiny = 0.1;
        world.settles(40..=65, name); // of the calls in flight, some are the tiny ones
        world.tiny = 0.0;
        world.settles(40..=60, name);
    }
}

#[test]
fn g6_latencies_that_scatter_do_not_bring_it_down() {
    for (name, limit) in limits().iter().skip(1) {
        let mut world = World::new(limit);
        world.server.scatter = 0.5;
        world.settles(40..=62, name);
        world.server.capacity = 10;
        world.settles(8..=16, name);
    }
}

#[test]
fn calls_that_become_slower_for_good_do_not_bring_it_down() {
    for (name, limit) in limits().iter().skip(1) {
        let mut world = World::new(limit);
        world.run(30);
        for (service, rate) in [(300.0, 0.5), (1500.0, 0.2), (30.0, 3.0)] {
            (world.server.service, world.rate) = (service, rate);
            world.run(60);
            let was = world.run(60);
            assert!(
                *was.start() >= 34 && *was.end() <= 62,
                "{name} {service}: {was:?} {:?}",
                limit.snapshot()
            );
        }
    }
}

#[test]
fn first_baseline_under_load_is_found_out() {
    for (name, limit) in limits().iter().skip(1) {
        let mut world = World::new(limit);
        world.server.capacity = 4;
        world.run(60);
        let was = world.run(60);
        assert!(*was.start() >= 3 && *was.end() <= 8, "{name}: {was:?} {:?}", limit.snapshot());
    }
}

#[test]
fn stall_of_a_second_is_forgotten() {
    for (name, limit) in limits().iter().skip(1) {
        let mut world = World::new(limit);
        world.run(60);
        for _ in 0..20 {
            world.server.capacity = 0;
            world.run(1);
            world.server.capacity = 50;
            let was = world.run(20);
            assert!(*was.start() >= 20 && *was.end() <= 64, "{name}: {was:?}");
        }
    }
}

#[test]
fn server_that_refuses_is_followed_by_all() {
    for (name, limit) in &limits() {
        let mut world = World::new(limit);
        world.server.room = 3;
        world.settles(40..=60, name);
        world.server.capacity = 10;
        world.settles(8..=15, name);
    }
}

#[test]
fn one_failure_in_a_hundred_under_any_load_does_not_bring_it_down() {
    for (name, limit) in &limits() {
        let mut world = World::new(limit);
        world.run(30);
        for _ in 0..60 {
            world.run(1);
            let now = world.now();
            for _ in 0..5 {
                if let Ok(call) = limit.try_enter_at(Priority::Normal, &now) {
                    call.settle_at(Outcome::Failure, &now);
                }
            }
        }
        let was = world.run(10);
        assert!(*was.start() >= 40 && *was.end() <= 60, "{name}: {was:?}");
    }
}

#[test]
fn measuring_refuses_few() {
    for (name, limit) in limits().iter().skip(1) {
        let mut world = World::new(limit);
        world.run(60);
        let (mut lowered, steps) = (0, 120_000);
        for _ in 0..steps {
            world.step();
            lowered += usize::from(limit.snapshot().measures);
        }
        assert!(lowered > 0 && lowered * 20 < steps, "{name}: {lowered} of {steps}");
    }
}
