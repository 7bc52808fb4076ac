#[cfg(test)]
mod anything;

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;
use crate::classification::Outcome;
use crate::event::Event;
use crate::time::{self, Instant};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A limit, and a clock for it.
struct World {
    limit: ConcurrencyLimit,
    now: Instant,
}

impl World {
    fn new<A>(builder: ConcurrencyLimitBuilder<A>) -> Self {
        let limit = builder.seed(1).build().unwrap();
        Self { limit, now: time::now() }
    }

    fn now(&self) -> Now {
        Now::from(self.now)
    }

    /// So many calls at once, each of which takes so long and ends so.
    fn calls(&mut self, calls: usize, took: Duration, outcome: Outcome) {
        let limit = self.limit.clone();
        let now = self.now();
        let held: Vec<_> = (0..calls).map(|_| limit.try_enter_at(Priority::Normal, &now).unwrap()).collect();
        self.now += took;
        for call in held {
            call.settle_at(outcome, &self.now());
        }
    }
}

#[test]
fn leave_is_one_word_and_nothing_by_default() {
    assert_eq!(size_of::<Leave<'_>>(), size_of::<usize>());
    let (mut nothing, now) = (Leave::default(), Now::unread());
    nothing.settle(now.get(), Outcome::Failure, true, &now);
}

#[test]
fn leave_settled_tells_once_and_dropped_tells_nothing() {
    let limit = ConcurrencyLimit::vegas().build().unwrap();
    let now = Now::unread();
    let mut leave = limit.enter(Priority::Normal, &now).unwrap();
    leave.settle(now.get(), Outcome::Success, false, &now);
    leave.settle(now.get(), Outcome::Success, false, &now);
    drop(leave);
    drop(limit.enter(Priority::Normal, &now).unwrap());
    let told = |outcome, overload| {
        limit.enter(Priority::Normal, &now).unwrap().settle(now.get(), outcome, overload, &now);
    };
    told(Outcome::Failure, true);
    told(Outcome::Failure, false);
    told(Outcome::Ignored, true);
    told(Outcome::Abandoned, true);
    let snapshot = limit.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.samples, snapshot.dropped), (0, 1, 1));
}

#[test]
fn call_within_a_window_takes_no_lock() {
    let limit = ConcurrencyLimit::gradient2().build().unwrap();
    let now = Now::unread();
    // With the lock held here, one that asked for it would hang.
    let lock = limit.core.control.lock();
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored] {
        limit.try_enter_at(Priority::Normal, &now).unwrap().settle_at(outcome, &now);
    }
    drop(lock);
    assert_eq!(limit.snapshot().samples, 1);
}

#[test]
fn overload_lowers_once_in_a_window_however_many_calls_met_it() {
    let mut world = World::new(ConcurrencyLimit::aimd().initial(100));
    world.calls(100, 300 * MS, Outcome::Failure);
    assert_eq!(world.limit.limit(), 90);
    world.calls(90, MS, Outcome::Failure);
    assert_eq!(world.limit.limit(), 90, "within the window");
    world.calls(90, 300 * MS, Outcome::Failure);
    assert_eq!(world.limit.limit(), 81);
}

#[test]
fn overload_of_a_limit_that_is_not_in_use_spares_twice_what_was_in_flight() {
    let mut world = World::new(ConcurrencyLimit::vegas().initial(100));
    for _ in 0..14 {
        world.calls(12, 300 * MS, Outcome::Failure);
    }
    assert_eq!(world.limit.limit(), 24);
    world.calls(12, 300 * MS, Outcome::Failure);
    assert_eq!(world.limit.limit(), 21, "half of it was in use");
}

#[test]
fn calls_of_one_bad_moment_that_time_out_one_by_one_lower_once() {
    let mut world = World::new(ConcurrencyLimit::vegas().initial(100));
    let now = world.now();
    let mut held: Vec<_> =
        (0..100).map(|_| world.limit.try_enter_at(Priority::Normal, &now).unwrap()).collect();
    world.now += 5 * SECOND;
    while let Some(call) = held.pop() {
        world.now += 40 * MS;
        call.settle_at(Outcome::Failure, &world.now());
    }
    assert_eq!(world.limit.limit(), 90);
}

#[test]
fn tolerated_share_of_failures_is_no_overload() {
    let mut world = World::new(ConcurrencyLimit::aimd().initial(100).tolerated_drops(0.1));
    for _ in 0..10 {
        world.calls(10, Duration::ZERO, Outcome::Failure);
        world.calls(90, 125 * MS, Outcome::Success);
        world.calls(1, 125 * MS, Outcome::Success);
    }
    assert_eq!(world.limit.limit(), 110);
    world.calls(12, Duration::ZERO, Outcome::Failure);
    world.calls(90, 125 * MS, Outcome::Success);
    world.calls(1, 125 * MS, Outcome::Success);
    assert_eq!(world.limit.limit(), 99);
}

#[test]
fn slow_answers_lower_additive_increase() {
    let mut world = World::new(ConcurrencyLimit::aimd().initial(20).slow_after(SECOND));
    world.calls(20, SECOND, Outcome::Success);
    assert_eq!(world.limit.limit(), 20, "a window is as long as two calls");
    world.calls(20, SECOND, Outcome::Success);
    assert_eq!(world.limit.limit(), 21);
    (0..4).for_each(|_| world.calls(15, SECOND + MS, Outcome::Success));
    assert!(world.limit.limit() < 20);
    assert_eq!(world.limit.snapshot().dropped, 60);
}

#[test]
fn window_that_did_not_fill_in_time_is_forgotten() {
    let mut world = World::new(ConcurrencyLimit::aimd().initial(100));
    world.calls(9, MS, Outcome::Failure);
    world.now += 3600 * SECOND;
    world.calls(60, MS, Outcome::Failure);
    assert_eq!(world.limit.limit(), 100);
    assert_eq!(world.limit.snapshot().dropped, 69, "forgotten by the limit, but counted");
}

#[test]
fn burst_after_a_measurement_that_nobody_came_to_has_the_whole_limit() {
    let mut world = World::new(ConcurrencyLimit::vegas().initial(20));
    world.calls(20, 300 * MS, Outcome::Success);
    world.calls(20, 300 * MS, Outcome::Success);
    let snapshot = world.limit.snapshot();
    assert!(snapshot.measures && snapshot.limit_now == 14 && snapshot.limit == 20, "{snapshot:?}");
    let now = world.now();
    let full: Vec<_> = (0..15).map_while(|_| world.limit.try_enter_at(Priority::Normal, &now).ok()).collect();
    assert_eq!(full.len(), 14);
    drop(full);
    world.now += 60 * SECOND;
    world.calls(20, MS, Outcome::Success);
}

#[test]
fn limit_of_one_finds_its_way_up() {
    for mut world in [
        World::new(ConcurrencyLimit::aimd().initial(1).slow_after(60 * SECOND)),
        World::new(ConcurrencyLimit::vegas().initial(1)),
        World::new(ConcurrencyLimit::gradient2().initial(1)),
    ] {
        for _ in 0..400 {
            let calls = world.limit.snapshot().limit_now;
            world.calls(calls, 10 * SECOND, Outcome::Success);
        }
        assert!(world.limit.limit() > 10, "{:?}", world.limit);
    }
}

#[test]
fn huge_settings_are_for_ever() {
    for seed in 0..20 {
        let limit = ConcurrencyLimit::vegas().probe_every(Duration::MAX).seed(seed).build().unwrap();
        let mut world = World { limit, now: time::now() };
        for _ in 0..200 {
            let calls = world.limit.snapshot().limit_now;
            world.calls(calls, 100 * MS, Outcome::Success);
        }
        assert!(world.limit.limit() > 100, "{:?}", world.limit);
    }
}

#[test]
fn lowered_bounds_take_nobody_out_and_let_nobody_in_until_it_has_drained() {
    let limit = ConcurrencyLimit::vegas().initial(4).build().unwrap();
    let mut held: Vec<_> = (0..4).map(|_| limit.try_enter(Priority::Normal).unwrap()).collect();
    limit.set_bounds(1, 2).unwrap();
    assert_eq!((limit.limit(), limit.in_flight()), (2, 4));
    for left in [3, 2] {
        drop(held.pop());
        assert_eq!(limit.in_flight(), left);
        assert!(limit.try_enter(Priority::Critical).is_err());
    }
    drop(held.pop());
    assert!(limit.try_enter(Priority::Normal).is_ok());
    limit.set_bounds(7, 9).unwrap();
    assert_eq!(limit.limit(), 7);
}

#[test]
fn observer_is_told_of_a_refusal_and_of_nothing_else() {
    let told = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&told);
    let observer = move |event: &Event<'_>| {
        assert!(matches!(event, Event::Rejected { policy: "db", reason: "concurrency" }));
        count.fetch_add(1, Ordering::Relaxed);
    };
    let limit = ConcurrencyLimit::aimd().name("db").initial(1).observer(Arc::new(observer)).build().unwrap();
    let call = limit.try_enter(Priority::Normal).unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 0);
    assert!(limit.try_enter(Priority::Normal).is_err());
    call.settle(Outcome::Success);
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    fn refused<A>(builder: ConcurrencyLimitBuilder<A>) -> &'static str {
        let error = builder.build().unwrap_err();
        assert_eq!(error.policy, "concurrency limit");
        error.setting
    }
    let (aimd, vegas, gradient2) =
        (ConcurrencyLimit::aimd, ConcurrencyLimit::vegas, ConcurrencyLimit::gradient2);
    assert_eq!(refused(aimd().min(0)), "min");
    assert_eq!(refused(aimd().min(usize::MAX)), "min");
    assert_eq!(refused(aimd().min(9).max(8)), "max");
    assert_eq!(refused(aimd().max(0)), "max");
    assert_eq!(refused(aimd().max(usize::MAX)), "max");
    assert_eq!(refused(aimd().initial(0)), "initial");
    assert_eq!(refused(aimd().initial(201)), "initial");
    assert_eq!(refused(aimd().initial(usize::MAX)), "initial");
    assert_eq!(refused(aimd().slow_after(Duration::ZERO)), "slow_after");
    for share in [-0.1, 0.0, 1.0, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(aimd().backoff(share)), "backoff");
    }
    for share in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(vegas().tolerated_drops(share)), "tolerated_drops");
    }
    for time in [Duration::ZERO, Duration::MAX, 3601 * SECOND] {
        assert_eq!(refused(vegas().window(time)), "window");
    }
    assert_eq!(refused(vegas().probe_every(Duration::ZERO)), "probe_every");
    for (low, high) in [(0.9, 3.0), (3.0, 2.0), (f64::NAN, 3.0), (1.0, f64::NAN), (1.0, f64::INFINITY)] {
        assert_eq!(refused(vegas().queue(low, high)), "queue");
    }
    for times in [0.99, 10.1, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(gradient2().tolerance(times)), "tolerance");
    }
    for share in [0.0, -0.1, 1.1, f64::NAN] {
        assert_eq!(refused(gradient2().smoothing(share)), "smoothing");
        if share != 0.0 {
            assert_eq!(refused(gradient2().reserve(Priority::High, share)), "reserve");
        }
    }
    let all = u32::MAX as usize;
    assert!(aimd().min(all).max(all).build().is_ok());
    assert!(aimd().slow_after(Duration::MAX).probe_every(Duration::MAX).build().is_ok());
    assert_eq!(aimd().max(8).build().unwrap().limit(), 8);
    assert_eq!(aimd().min(30).build().unwrap().limit(), 30);
}
