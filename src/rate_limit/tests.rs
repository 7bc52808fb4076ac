//! What a rate limiter promises, one claim at a time.

#[cfg(test)]
mod waiting;

use std::sync::atomic::AtomicUsize;

use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};

use super::*;
use crate::rejection::CallError;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn builder(calls: f64, burst: u32) -> RateLimiterBuilder {
    RateLimiter::builder(calls, SECOND).burst(burst)
}

fn limiter(calls: f64, burst: u32) -> RateLimiter {
    builder(calls, burst).max_wait(Duration::MAX).build().unwrap()
}

fn ask(limiter: &RateLimiter, weight: u32, now: Instant) -> Result<Option<Booking>, RateLimited> {
    limiter.ask(weight, Priority::Normal, &now.into())
}

/// How many single calls are let through at `now`.
fn left_at(limiter: &RateLimiter, now: Instant) -> usize {
    let at_once = |_: &usize| limiter.begin(1, Priority::Normal, &now.into(), Some(Duration::ZERO)).is_ok();
    (0..100_000).take_while(at_once).count()
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |builder: RateLimiterBuilder| builder.build().unwrap_err().setting;
    for calls in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.1e9, f64::MAX, f64::MIN_POSITIVE] {
        assert_eq!(refused(builder(calls, 1)), "calls", "{calls}");
    }
    assert_eq!(refused(RateLimiter::builder(1, Duration::ZERO)), "per");
    assert_eq!(refused(RateLimiter::builder(1, Duration::MAX)), "calls");
    assert_eq!(refused(builder(1.0, 0)), "burst");
    assert_eq!(refused(builder(1.0, u32::MAX)), "burst");
    assert_eq!(refused(builder(1.0, 1).reserve(Priority::High, f64::NAN)), "reserve");
    assert_eq!(refused(builder(1.0, 1).reserve(Priority::Low, 0.5)), "reserve");
    assert!(RateLimiter::try_from(builder(1e9, u32::MAX).max_wait(Duration::MAX)).is_ok());
    assert!(RateLimiter::builder(1.0, 29 * YEAR).build().is_ok());
}

#[test]
fn setting_refused_while_running_changes_nothing() {
    let limiter = limiter(1.0, 5);
    assert_eq!(limiter.set_rate(f64::NAN, SECOND).unwrap_err().setting, "calls");
    assert_eq!(
        limiter.set_rate(1, 29 * YEAR).unwrap_err().setting,
        "burst",
        "five take too long to come back"
    );
    assert_eq!(limiter.set_rate(1, Duration::ZERO).unwrap_err().setting, "per");
    assert_eq!(limiter.set_burst(0).unwrap_err().setting, "burst");
    assert_eq!(limiter.set_burst(u32::MAX).unwrap_err().setting, "burst");
    let seen = limiter.snapshot();
    assert_eq!((seen.rate, seen.burst, seen.available), (1.0, 5, 5));
}

#[test]
fn burst_is_a_second_of_the_rate_unless_told_otherwise() {
    let burst = |calls: f64, per| RateLimiter::builder(calls, per).build().unwrap().snapshot().burst;
    assert_eq!(burst(50.0, SECOND), 50);
    assert_eq!(burst(100.0, 60 * SECOND), 2);
    assert_eq!(burst(0.1, SECOND), 1);
    assert_eq!(burst(2.5, SECOND), 3);
}

#[test]
fn interval_is_never_shorter_than_the_rate_says_and_at_most_a_nanosecond_longer() {
    let interval = |calls: f64, per| builder::check_rate(calls, per).unwrap();
    assert_eq!(interval(3.0, SECOND), 333_333_334);
    assert_eq!(interval(0.1, SECOND), 10_000_000_000);
    assert_eq!(interval(10.0, SECOND), 100_000_000);
    assert_eq!(interval(1e9, SECOND), 1);
    assert_eq!(interval(0.9e9, SECOND), 2);
}

#[tokio::test(start_paused = true)]
async fn until_is_exact() {
    let limiter = builder(3.0, 4).build().unwrap();
    let now = time::now();
    assert!(ask(&limiter, 4, now).unwrap().is_none());
    for weight in [1, 2, 4] {
        let refused = ask(&limiter, weight, now).unwrap_err();
        assert_eq!(refused.reason, RateLimitReason::UsedUp);
        let early = refused.until - Duration::from_nanos(1);
        assert_eq!(ask(&limiter, weight, early).unwrap_err().until, refused.until);
    }
    let until = ask(&limiter, 4, now).unwrap_err().until;
    assert!(ask(&limiter, 4, until).unwrap().is_none());
    assert_eq!(until - now, 4 * Duration::from_nanos(333_333_334));
}

#[test]
fn more_than_the_burst_is_refused_whoever_waits_how_long() {
    let limiter = limiter(1.0, 5);
    let refused = limiter.try_acquire_many(6).unwrap_err();
    assert_eq!(refused.reason, RateLimitReason::TooMany);
    assert!(refused.until > time::now() + 29 * YEAR);
    assert_eq!(refused.to_string(), "rate limit `rate limiter` never lets so many through at once");
    assert_eq!(limiter.book(u32::MAX).unwrap_err().reason, RateLimitReason::TooMany);
    let mut acquire = task::spawn(limiter.acquire_many(6));
    assert_eq!(assert_ready!(acquire.poll()).unwrap_err().reason, RateLimitReason::TooMany);
    assert!(limiter.try_acquire_many(5).is_ok(), "nothing was taken");
    assert!(limiter.try_acquire_many(0).is_ok() && limiter.book(0).is_ok(), "nothing is always there");
}

#[tokio::test(start_paused = true)]
async fn reserve_makes_a_smaller_bucket_for_those_below() {
    let limiter =
        builder(1.0, 10).reserve(Priority::High, 0.3).reserve(Priority::Critical, 0.2).build().unwrap();
    let most = |priority| limiter.with_priority(priority).snapshot().available;
    assert_eq!(Priority::ALL.map(most), [5, 5, 8, 10]);
    let low = limiter.with_priority(Priority::Low);
    assert_eq!(low.try_acquire_many(6).unwrap_err().reason, RateLimitReason::TooMany);
    low.try_acquire_many(5).unwrap();
    assert_eq!(limiter.try_acquire().unwrap_err().reason, RateLimitReason::UsedUp);
    limiter.with_priority(Priority::High).try_acquire_many(3).unwrap();
    assert!(limiter.with_priority(Priority::High).try_acquire().is_err());
    limiter.with_priority(Priority::Critical).try_acquire_many(2).unwrap();
    assert!(limiter.with_priority(Priority::Critical).try_acquire().is_err());
}

#[test]
fn share_of_the_rate_is_there_however_much_those_below_ask() {
    let limiter = builder(10.0, 10).reserve(Priority::High, 0.2).build().unwrap();
    let start = time::now();
    let (mut low, mut high) = (0_u32, 0);
    for step in 0..100_000_u32 {
        let now = Now::from(start + Duration::from_millis(1) * step);
        low += u32::from(limiter.ask(1, Priority::Low, &now).is_ok());
        if step % 500 == 0 {
            assert!(limiter.ask(1, Priority::High, &now).is_ok(), "two in a second are for it, at {step} ms");
            high += 1;
        }
    }
    assert_eq!(high, 200);
    assert!((805..=808).contains(&low), "the rest is used: {low}");
}

#[test]
fn long_idle_gives_the_burst_and_no_more() {
    for years in [0, 1, 10, 29, 100, 290] {
        let limiter = builder(1000.0, 7).build().unwrap();
        let start = time::now();
        assert_eq!(left_at(&limiter, start), 7);
        let later = start + years * YEAR + SECOND;
        assert_eq!(left_at(&limiter, later), 7, "{years} years");
        assert_eq!(left_at(&limiter, later + Duration::from_millis(3)), 3, "{years} years");
    }
}

#[test]
fn nothing_breaks_where_the_count_of_time_ends() {
    let limiter = limiter(1.0, 2);
    let end = time::now() + 300 * YEAR;
    for _ in 0..3 {
        drop(ask(&limiter, 2, end).unwrap());
    }
    assert_eq!(limiter.snapshot().waiting, 0);
}

#[test]
fn clock_that_jumps_back_lets_nobody_through_twice() {
    let limiter = builder(1.0, 3).build().unwrap();
    let start = time::now() + 100 * SECOND;
    assert_eq!(left_at(&limiter, start), 3);
    assert_eq!(left_at(&limiter, start - 50 * SECOND), 0);
    assert_eq!(left_at(&limiter, start - 500 * SECOND), 0, "before it was built");
    assert_eq!(left_at(&limiter, start + SECOND), 1);
}

#[tokio::test(start_paused = true)]
async fn used_stays_used_when_the_rate_changes() {
    let bucket = || limiter(10.0, 10);
    for (rate, seconds) in [(100.0, 0.05), (1.0, 5.0), (10.0, 0.5), (0.001, 5_000.0)] {
        let limiter = bucket();
        limiter.try_acquire_many(10).unwrap();
        limiter.set_rate(rate, SECOND).unwrap();
        let seen = limiter.snapshot();
        assert_eq!((seen.rate, seen.available), (rate, 0), "nothing for free");
        let now = time::now();
        let until = limiter.ask(5, Priority::Normal, &now.into()).unwrap().unwrap().at() - now;
        assert!((until.as_secs_f64() - seconds).abs() < 1e-6, "{until:?}");
    }
    let idle = bucket();
    idle.set_rate(0.001, SECOND).unwrap();
    assert!(idle.try_acquire_many(10).is_ok(), "what was there is there");
}

#[test]
fn lowered_burst_drains_and_raised_burst_is_there_at_once() {
    let limiter = builder(1.0, 10).build().unwrap();
    let now = time::now();
    assert_eq!(left_at(&limiter, now), 10);
    limiter.set_burst(4).unwrap();
    assert_eq!(left_at(&limiter, now + 6 * SECOND), 0);
    assert_eq!(left_at(&limiter, now + 7 * SECOND), 1);
    assert_eq!(left_at(&limiter, now + 100 * SECOND), 4);
    limiter.set_burst(6).unwrap();
    assert_eq!(left_at(&limiter, now + 100 * SECOND), 2);
}

#[test]
fn booking_of_more_than_a_lowered_burst_is_still_served() {
    let limiter = limiter(1.0, 10);
    let now = time::now();
    ask(&limiter, 10, now).unwrap();
    let booking = ask(&limiter, 8, now).unwrap().unwrap();
    limiter.set_burst(2).unwrap();
    let later = now + 8 * SECOND;
    let booking = booking.leave_at(&later.into()).unwrap().expect("two of eight are not there yet");
    assert_eq!(booking.at(), now + 16 * SECOND);
    assert!(booking.leave_at(&(now + 16 * SECOND).into()).unwrap().is_none());
}

#[test]
fn booking_put_off_beyond_the_longest_wait_is_refused_and_gone() {
    let limiter = builder(1.0, 1).max_wait(5 * SECOND).build().unwrap();
    let now = time::now();
    ask(&limiter, 1, now).unwrap();
    let booking = ask(&limiter, 1, now).unwrap().unwrap();
    limiter.set_rate(0.1, SECOND).unwrap();
    let refused = booking.leave_at(&(now + SECOND).into()).unwrap_err();
    assert_eq!(refused.reason, RateLimitReason::WaitTooLong);
    assert!(refused.until > now + 9 * SECOND);
    assert_eq!(limiter.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn wait_that_would_be_too_long_is_not_begun() {
    let limiter = builder(1.0, 1).max_wait(2 * SECOND).build().unwrap();
    let now = time::now();
    ask(&limiter, 1, now).unwrap();
    let waiting = [ask(&limiter, 1, now).unwrap().unwrap(), ask(&limiter, 1, now).unwrap().unwrap()];
    let refused = ask(&limiter, 1, now).unwrap_err();
    assert_eq!((refused.until - now, refused.reason), (3 * SECOND, RateLimitReason::WaitTooLong));
    drop(waiting);
    assert_eq!(ask(&limiter, 1, now).unwrap().unwrap().at() - now, SECOND, "the refused took no place");
}

#[tokio::test(start_paused = true)]
async fn dropped_booking_leaves_no_trace_before_its_moment() {
    let limiter = limiter(1.0, 1);
    let now = time::now();
    limiter.try_acquire().unwrap();
    let mut bookings: Vec<_> = (0..10).map(|_| limiter.book(1).unwrap()).collect();
    bookings.drain(2..8);
    assert_eq!(limiter.snapshot().waiting, 4);
    assert_eq!(limiter.book(1).unwrap().at() - now, 5 * SECOND);
    let last = bookings.pop().unwrap();
    drop(bookings);
    tokio::time::advance(SECOND).await;
    assert!(last.leave().unwrap().is_none(), "it is the only one");
    assert_eq!(limiter.snapshot().next_free - now, 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn moment_that_was_missed_comes_back_only_if_nobody_left_after_it() {
    let limiter = limiter(1.0, 2);
    limiter.try_acquire_many(2).unwrap();
    let (first, second) = (limiter.book(1).unwrap(), limiter.book(1).unwrap());
    tokio::time::advance(2 * SECOND).await;
    drop(first);
    assert_eq!(limiter.snapshot().available, 0, "the second has left after it");
    drop(second);
    assert_eq!(limiter.snapshot().available, 1);

    tokio::time::advance(60 * SECOND).await;
    let (booking, other) = (limiter.book(1).unwrap(), limiter.book(1).unwrap());
    drop((other, booking));
    assert_eq!(limiter.snapshot().available, 2, "in the order in which they came, all of it");
}

#[tokio::test(start_paused = true)]
async fn used_booking_is_not_given_back() {
    let limiter = limiter(1.0, 1);
    let booking = limiter.book(1).unwrap();
    assert!(booking.at() <= time::now());
    assert!(booking.leave().unwrap().is_none());
    assert_eq!(limiter.snapshot().available, 0);
}
