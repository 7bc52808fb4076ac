//! Calls through a rate limiter, from its first poll to its end, on a paused clock.

#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]

use std::cell::RefCell;
use std::time::Duration;

use futures::future::{join_all, select, try_join_all};
use recoup::{CallError, Instant, Priority, RateLimitReason, RateLimiter};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn limiter(calls: u32, burst: u32) -> RateLimiter {
    RateLimiter::builder(calls, SECOND)
        .burst(burst)
        .max_wait(Duration::MAX)
        .build()
        .expect("settings that work")
}

/// When each of so many calls that come at once is made.
async fn made_at(limiter: &RateLimiter, calls: usize) -> Vec<Duration> {
    let start = Instant::now();
    let call = || limiter.call(async || Ok::<_, ()>(start.elapsed()));
    try_join_all((0..calls).map(|_| call())).await.expect("nobody is refused")
}

#[tokio::test(start_paused = true)]
async fn burst_leaves_at_once_and_the_others_evenly_in_their_order() {
    let limiter = limiter(10, 3);
    let expected: Vec<_> = [0, 0, 0, 100, 200, 300, 400].map(Duration::from_millis).into();
    assert_eq!(made_at(&limiter, 7).await, expected);
}

#[tokio::test(start_paused = true)]
async fn ticks_of_the_timer_cost_nothing_of_the_rate() {
    let limiter = limiter(10_000, 1);
    let made = made_at(&limiter, 10_001).await;
    assert_eq!(made.last(), Some(&SECOND), "ten leave in each millisecond");
    assert!(made.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn heavy_call_waits_as_long_as_the_last_of_as_many_light_ones() {
    let limiter = limiter(10, 5);
    limiter.acquire_many(5).await.unwrap();
    let start = Instant::now();
    limiter.acquire_many(4).await.unwrap();
    assert_eq!(start.elapsed(), 400 * MILLI);
    let (heavy, light) = tokio::join!(limiter.acquire_many(5), limiter.acquire());
    assert!(heavy.is_ok() && light.is_ok());
    assert_eq!(start.elapsed(), 1000 * MILLI, "the light one does not pass the heavy one");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_to_wait_is_told_when_to_come_back_and_gets_in_then() {
    let limiter = RateLimiter::builder(3, SECOND).burst(1).name("mail").build().unwrap();
    assert_eq!(limiter.call(async || Ok::<_, &str>(1)).await, Ok(1));
    let error = limiter.call(async || Ok::<_, &str>(2)).await.unwrap_err();
    let CallError::Rejected(refused) = error else { panic!("{error:?}") };
    assert_eq!((&*refused.limiter, refused.reason), ("mail", RateLimitReason::UsedUp));
    tokio::time::sleep_until(refused.until).await;
    assert_eq!(refused.retry_in(), Duration::ZERO);
    assert_eq!(limiter.call(async || Err::<(), _>("down")).await, Err(CallError::Operation("down")));
}

#[tokio::test(start_paused = true)]
async fn dropped_waiter_returns_its_place_and_all_behind_move_up() {
    let limiter = limiter(1, 1);
    limiter.acquire().await.unwrap();
    let start = Instant::now();
    let impatient = || tokio::time::timeout(500 * MILLI, limiter.acquire_many(1));
    let patient = || async { limiter.acquire().await.map(|()| start.elapsed()) };
    let (gave_up, first, gave_up_too, second) = tokio::join!(impatient(), patient(), impatient(), patient());
    assert!(gave_up.is_err() && gave_up_too.is_err());
    assert_eq!((first.unwrap(), second.unwrap()), (SECOND, 2 * SECOND));
    assert_eq!(limiter.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn crowd_that_gives_up_does_not_put_off_the_next() {
    let limiter = limiter(1, 1);
    limiter.acquire().await.unwrap();
    let crowd = join_all((0..10_000).map(|_| limiter.acquire()));
    select(crowd, Box::pin(tokio::time::sleep(500 * MILLI))).await;
    assert_eq!(limiter.snapshot().waiting, 0, "they are dropped");
    let start = Instant::now();
    limiter.acquire().await.unwrap();
    assert_eq!(start.elapsed(), 500 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn rate_changed_while_they_wait_holds_for_those_who_wait() {
    let limiter = limiter(1, 1);
    let start = Instant::now();
    let left = RefCell::new(Vec::new());
    let waiters = join_all((0..6).map(|_| async {
        limiter.acquire().await.unwrap();
        left.borrow_mut().push(start.elapsed());
    }));
    tokio::join!(waiters, async {
        tokio::time::sleep(1500 * MILLI).await;
        limiter.set_rate(10, SECOND).unwrap();
        tokio::time::sleep(100 * MILLI).await;
        limiter.set_rate(0.1, SECOND).unwrap();
    });
    // Half of the third's second is left at first: 50 ms of the faster rate. Of the fourth's 100 ms then, half
    // is left: five seconds of the slower one.
    let expected: Vec<_> = [0, 1000, 1550, 6600, 16_600, 26_600].map(Duration::from_millis).into();
    assert_eq!(left.into_inner(), expected);
}

#[tokio::test(start_paused = true)]
async fn urgent_calls_pass_a_crowd_of_others() {
    let limiter = RateLimiter::builder(10, SECOND)
        .burst(10)
        .reserve(Priority::High, 0.2)
        .max_wait(Duration::MAX)
        .build()
        .unwrap();
    let high = limiter.with_priority(Priority::High);
    let start = Instant::now();
    let crowd = join_all((0..200).map(|_| limiter.acquire()));
    let urgent = async {
        for _ in 0..20 {
            let asked = Instant::now();
            high.acquire().await.unwrap();
            assert_eq!(asked.elapsed(), Duration::ZERO, "its share of the rate is its own");
            tokio::time::sleep(500 * MILLI).await;
        }
    };
    let (crowd, ()) = tokio::join!(crowd, urgent);
    assert!(crowd.iter().all(Result::is_ok));
    // All 220, of which eight found the bucket full above what is kept, and two are kept in the end.
    assert_eq!(start.elapsed(), 21_200 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn waiter_that_others_pass_for_too_long_is_refused() {
    let limiter = RateLimiter::builder(1, SECOND)
        .burst(2)
        .reserve(Priority::High, 0.5)
        .max_wait(3 * SECOND)
        .build()
        .unwrap();
    let high = limiter.with_priority(Priority::High);
    high.acquire_many(2).await.unwrap();
    let start = Instant::now();
    let (low, ()) = tokio::join!(limiter.acquire(), async {
        for _ in 0..10 {
            high.acquire().await.unwrap();
        }
    });
    assert_eq!(low.unwrap_err().reason, RateLimitReason::WaitTooLong);
    assert!(start.elapsed() >= 10 * SECOND, "the others did not wait for it");
}

#[tokio::test(start_paused = true)]
async fn operation_that_panics_or_is_dropped_was_one_of_the_calls() {
    let limiter = RateLimiter::builder(1, SECOND).burst(2).build().unwrap();
    drop(
        tokio::time::timeout(MILLI, limiter.call(async || std::future::pending::<Result<(), ()>>().await))
            .await,
    );
    let clone = limiter.clone();
    let panicked = tokio::spawn(async move {
        clone.call(|| -> std::future::Ready<Result<(), ()>> { panic!("in the operation") }).await
    });
    assert!(panicked.await.is_err());
    assert!(limiter.try_acquire().is_err(), "both are used");
}

#[tokio::test(start_paused = true)]
async fn tasks_on_many_handles_share_one_limit() {
    let limiter = limiter(100, 10);
    let start = Instant::now();
    let tasks = (0..50).map(|_| {
        let limiter = limiter.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                limiter.acquire().await.unwrap();
            }
        })
    });
    assert!(join_all(tasks).await.iter().all(Result::is_ok));
    assert_eq!(start.elapsed(), 4900 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn acquire_asks_again_when_polled_again() {
    let limiter = limiter(1, 1);
    let start = Instant::now();
    let mut acquire = std::pin::pin!(limiter.acquire());
    for seconds in 0..3 {
        acquire.as_mut().await.unwrap();
        assert_eq!(start.elapsed(), SECOND * seconds);
    }
}
