//! The limits of a recovery, together: who is asked first, who gives what back, and what a caller is told.

#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]

use std::future::pending;
use std::time::Duration;

use futures::future::join_all;
use recoup::{
    Bulkhead, CallContext, CircuitBreaker, ConcurrencyLimit, Instant, Priority, RateLimiter, Reason,
    Recovery, RetryPolicy, execute_with_recovery,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn every_attempt_asks_the_rate_and_waits_for_its_turn() {
    let recovery = Recovery::<&str>::builder("maps")
        .retry(RetryPolicy::fixed(MS).max_attempts(3).no_budget())
        .rate_limit(RateLimiter::builder(10, SECOND).burst(1).max_wait(60 * SECOND))
        .build()
        .unwrap();
    assert_eq!(recovery.to_string(), "maps: retry 3(rate_limit rate limiter(operation))");
    let begun = Instant::now();
    let calls = (0..4).map(|_| {
        execute_with_recovery(&recovery, |_| async {
            tokio::time::sleep(MS).await;
            Err::<(), _>("busy")
        })
    });
    for ended in join_all(calls).await {
        let error = ended.unwrap_err();
        assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
    }
    let took = Instant::now() - begun;
    assert!(took >= 1_100 * MS && took < 1_200 * MS, "twelve attempts, a tenth of a second apart: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_wait_is_told_when_to_come_back() {
    let recovery = Recovery::<&str>::builder("maps")
        .rate_limit(RateLimiter::builder(1, SECOND).burst(1).name("maps api"))
        .build()
        .unwrap();
    let call = || execute_with_recovery(&recovery, |_| async { Ok::<_, &str>(()) });
    call().await.unwrap();
    let refused = call().await.unwrap_err();
    assert!(matches!(refused.reason(), Reason::RateLimited(limited) if &*limited.limiter == "maps api"));
    assert_eq!((refused.attempts(), refused.retry_in()), (0, Some(SECOND)));
    tokio::time::sleep(refused.retry_in().unwrap()).await;
    call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn wait_for_the_rate_fits_into_the_deadline_or_is_not_begun() {
    let limiter = RateLimiter::builder(1, SECOND).burst(1).max_wait(60 * SECOND).build().unwrap();
    let recovery =
        Recovery::<&str>::builder("maps").rate_limit(limiter.clone()).deadline(SECOND / 2).build().unwrap();
    let call = || execute_with_recovery(&recovery, |_| async { Ok::<_, &str>(()) });
    call().await.unwrap();
    let begun = Instant::now();
    assert_eq!(call().await.unwrap_err().reason(), &Reason::DeadlineExceeded);
    assert_eq!(Instant::now(), begun);
    assert_eq!(limiter.snapshot().waiting, 0, "its turn went to nobody in vain");
}

#[tokio::test(start_paused = true)]
async fn circuit_that_opens_during_the_wait_is_asked_again() {
    let breaker = CircuitBreaker::builder("maps").consecutive_failures(1).build().unwrap();
    let recovery = Recovery::<&str>::builder("maps")
        .circuit_breaker(breaker.clone())
        .rate_limit(RateLimiter::builder(1, SECOND).burst(1).max_wait(60 * SECOND))
        .build()
        .unwrap();
    let call = || execute_with_recovery(&recovery, |_| async { Ok::<_, &str>(()) });
    call().await.unwrap();
    let mut waiting = tokio_test::task::spawn(call());
    assert!(waiting.poll().is_pending());
    breaker.force_open();
    tokio::time::advance(SECOND).await;
    let std::task::Poll::Ready(ended) = waiting.poll() else { panic!("its turn has come") };
    assert!(matches!(ended.unwrap_err().reason(), Reason::CircuitOpen(_)));
}

#[tokio::test(start_paused = true)]
async fn call_dropped_while_it_waits_for_the_rate_gives_its_turn_to_the_next() {
    let limiter = RateLimiter::builder(1, SECOND).burst(1).max_wait(60 * SECOND).build().unwrap();
    let recovery = Recovery::<&str>::builder("maps").rate_limit(limiter.clone()).build().unwrap();
    let call = || execute_with_recovery(&recovery, |_| async { Ok::<_, &str>(()) });
    call().await.unwrap();
    let mut first = tokio_test::task::spawn(call());
    assert!(first.poll().is_pending());
    drop(first);
    let begun = Instant::now();
    call().await.unwrap();
    assert_eq!(Instant::now() - begun, SECOND, "not two");
}

#[tokio::test(start_paused = true)]
async fn critical_calls_find_the_rate_that_is_kept_for_them() {
    let limiter = RateLimiter::builder(10, SECOND).burst(10).reserve(Priority::Critical, 0.3);
    let recovery = Recovery::<&str>::builder("maps").rate_limit(limiter).build().unwrap();
    let made = |priority: Priority| {
        let recovery = &recovery;
        async move {
            let context = CallContext::new("route").with_priority(priority);
            let call =
                execute_with_recovery(recovery.with_context(&context), |_| async { Ok::<_, &str>(()) });
            call.await.is_ok()
        }
    };
    let mut normal = 0;
    while made(Priority::Normal).await {
        normal += 1;
    }
    let mut critical = 0;
    while made(Priority::Critical).await {
        critical += 1;
    }
    assert_eq!((normal, critical), (7, 3));
}

#[tokio::test(start_paused = true)]
async fn what_the_dependency_would_not_bear_is_refused_and_gives_back_what_it_was_given() {
    let breaker = CircuitBreaker::builder("db").build().unwrap();
    let recovery = Recovery::<&str>::builder("db")
        .circuit_breaker(breaker)
        .bulkhead(Bulkhead::builder(8))
        .concurrency_limit(ConcurrencyLimit::aimd().initial(2))
        .build()
        .unwrap();
    let mut held: Vec<_> = (0..2)
        .map(|_| tokio_test::task::spawn(execute_with_recovery(&recovery, |_| pending::<Result<(), &str>>())))
        .collect();
    for call in &mut held {
        assert!(call.poll().is_pending());
    }
    let refused = execute_with_recovery(&recovery, |_| async { Ok::<_, &str>(()) }).await.unwrap_err();
    assert!(matches!(refused.reason(), Reason::Saturated(saturated) if saturated.limit_now == 2));
    assert_eq!((refused.attempts(), recovery.bulkhead().unwrap().in_use()), (0, 2));
    let limit = recovery.concurrency_limit().unwrap();
    assert_eq!(limit.in_flight(), 2);
    drop(held);
    assert_eq!((limit.in_flight(), recovery.bulkhead().unwrap().in_use()), (0, 0));
    execute_with_recovery(&recovery, |_| async { Ok::<_, &str>(()) }).await.unwrap();
    assert_eq!(limit.in_flight(), 0);
}

/// Timeouts are too many calls; an error of the operation's own is not.
#[tokio::test(start_paused = true)]
async fn limit_comes_down_for_timeouts_and_not_for_errors() {
    let settles_at = |hangs: bool| async move {
        let recovery = Recovery::<&str>::builder("db")
            .retry(RetryPolicy::never())
            .attempt_timeout(100 * MS)
            .concurrency_limit(ConcurrencyLimit::aimd().initial(20))
            .build()
            .unwrap();
        for _ in 0..30 {
            let calls = (0..20).map(|_| {
                execute_with_recovery(&recovery, |_| async move {
                    tokio::time::sleep(if hangs { SECOND } else { 50 * MS }).await;
                    Err::<(), _>("bad row")
                })
            });
            join_all(calls).await;
        }
        recovery.concurrency_limit().unwrap().limit()
    };
    let low = settles_at(true).await;
    assert!(low <= 8, "{low}");
    assert_eq!(settles_at(false).await, 20);
}
