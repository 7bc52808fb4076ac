//! The default holds back what would make an outage worse, in whole calls.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]

use std::cell::Cell;
use std::time::Duration;

use futures::future::join_all;
use recoup::{
    Attempt, CallContext, Category, Classification, Instant, OnEmptyBudget, Priority, Reason, Recovery,
    RetryPolicy, Throttle, Withheld, execute_with_recovery, execute_with_recovery_mut, retry,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A recovery whose errors are categories, and whose attempts may take a second.
fn recovery(policy: RetryPolicy) -> Recovery<Category> {
    let builder = Recovery::builder("db").classifier(|category: &Category| Classification::of(*category));
    builder.retry(policy).attempt_timeout(SECOND).build().unwrap()
}

async fn call(recovery: &Recovery<Category>, answer: Result<(), Category>) -> Result<u32, (u32, Reason)> {
    let attempts = Cell::new(0);
    let made = execute_with_recovery(recovery, |_| {
        attempts.set(attempts.get() + 1);
        async move {
            tokio::time::sleep(MS).await;
            answer
        }
    });
    match made.await {
        Ok(()) => Ok(attempts.get()),
        Err(error) => Err((attempts.get(), error.reason().clone())),
    }
}

/// What is overloaded gets fewer first attempts, and who is held back is told so and when to come back.
#[tokio::test(start_paused = true)]
async fn g7_overload_is_met_with_less_load_and_forgotten_when_it_is_over() {
    let recovery = recovery(RetryPolicy::builder().seed(7).build().unwrap());
    for _ in 0..20 {
        assert_eq!(call(&recovery, Ok(())).await, Ok(1));
        tokio::time::sleep(50 * MS).await;
    }
    let (mut reached, mut held_back) = (0, 0);
    for _ in 0..200 {
        match call(&recovery, Err(Category::ServiceUnavailable)).await {
            Err((0, Reason::Throttled(throttled))) => {
                held_back += 1;
                assert!(throttled.until > Instant::now());
            }
            Err((attempts, _)) => reached += attempts,
            Ok(_) => panic!("it fails"),
        }
        tokio::time::sleep(50 * MS).await;
    }
    assert!(reached < 80 && held_back > 120, "{reached} attempts, {held_back} held back");
    let over = Instant::now();
    while recovery.throttle().unwrap().snapshot().admission < 1.0 {
        let _held_back = call(&recovery, Ok(())).await;
        tokio::time::sleep(50 * MS).await;
    }
    assert!(Instant::now() - over < 6 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn g7_error_says_why_no_retry_was_made() {
    let recovery = recovery(RetryPolicy::default());
    let unknown = Reason::Withheld(Withheld::Unknown);
    assert_eq!(call(&recovery, Err(Category::Timeout)).await, Err((1, unknown)));
    let failing = Reason::Withheld(Withheld::Failing);
    assert_eq!(call(&recovery, Err(Category::Network)).await, Err((2, failing)));
    let seen = recovery.throttle().unwrap().snapshot();
    assert_eq!((seen.withheld(Withheld::Unknown), seen.withheld(Withheld::Failing)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn g2_workers_that_wait_are_let_through_by_the_trickle_although_nothing_succeeds() {
    let policy = RetryPolicy::fixed(100 * MS)
        .unlimited_attempts()
        .throttle(Throttle::fleet())
        .on_empty_budget(OnEmptyBudget::Wait(600 * SECOND))
        .build()
        .unwrap();
    let begun = Instant::now();
    let attempts = Cell::new(0_u32);
    let workers = (0..8).map(|_| {
        retry(|| {
            attempts.set(attempts.get() + 1);
            async { if Instant::now() - begun < 300 * SECOND { Err("down") } else { Ok(()) } }
        })
        .policy(&policy)
    });
    assert_eq!(join_all(workers).await, [Ok(()); 8]);
    assert!(Instant::now() - begun <= 300 * SECOND + 8 * 30 * SECOND, "{:?}", Instant::now() - begun);
    assert!(attempts.get() <= 8 + 2 + 10 + 8, "one retry each 30 s during the outage: {}", attempts.get());
}

#[tokio::test(start_paused = true)]
async fn g3_a_dead_shard_holds_nothing_back_from_the_others() {
    let recovery = recovery(RetryPolicy::default());
    let shards: Vec<_> = (0..10).map(|n| recovery.shard(&format!("shard-{n}"))).collect();
    let mut served = 0;
    for n in 0..1_000 {
        let answer = if n % 10 == 3 { Err(Category::Timeout) } else { Ok(()) };
        let on = recovery.on(&shards[n % 10]);
        let made = execute_with_recovery(on, |_| async move {
            tokio::time::sleep(MS).await;
            answer
        });
        served += u32::from(made.await.is_ok());
        tokio::time::sleep(20 * MS).await;
    }
    assert_eq!(served, 900, "every call to a shard that is up");
    assert!(shards[3].throttle().unwrap().snapshot().admission < 1.0);
    assert_eq!(shards[4].throttle().unwrap().snapshot().history, 100);
}

/// The clock is not read for a quick success, so it is the attempt's timer that tells of a slow one.
#[tokio::test(start_paused = true)]
async fn success_is_a_mark_of_overload_from_three_tenths_of_its_limit_on() {
    let takes = async |recovery: &Recovery<Category>, time: Duration| {
        execute_with_recovery(recovery, |_| async move {
            tokio::time::sleep(time).await;
            Ok(())
        })
        .await
        .unwrap();
    };
    let lent = async |recovery: &Recovery<Category>, time: Duration| {
        let sleep = async |time: &mut Duration, _: Attempt| {
            tokio::time::sleep(*time).await;
            Ok(())
        };
        execute_with_recovery_mut(recovery, &mut { time }, sleep).await.unwrap();
    };
    for is_lent in [false, true] {
        let recovery = recovery(RetryPolicy::default());
        let overload = || recovery.throttle().unwrap().snapshot().overload;
        for _ in 0..20 {
            takes(&recovery, 290 * MS).await;
        }
        assert!(overload() <= 0.0, "{}", overload());
        let slow = 900 * MS;
        if is_lent {
            lent(&recovery, slow).await;
        } else {
            takes(&recovery, slow).await;
        }
        assert!(overload() > 0.1, "{}", overload());
    }
}

#[tokio::test(start_paused = true)]
async fn client_that_calls_all_the_time_is_not_forgotten() {
    let recovery = recovery(RetryPolicy::default());
    let throttle = recovery.throttle().unwrap();
    for _ in 0..600 {
        call(&recovery, Ok(())).await.unwrap();
        tokio::time::sleep(SECOND).await;
    }
    let before = throttle.snapshot().history;
    call(&recovery, Err(Category::Network)).await.unwrap_err();
    let seen = throttle.snapshot();
    assert!(before > 100 && seen.history >= before, "{seen:?}");
    let gap = seen.gap.unwrap();
    assert!(gap > 900 * MS && gap < 1_100 * MS, "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn critical_calls_are_held_back_last() {
    let recovery = recovery(RetryPolicy::builder().seed(3).build().unwrap());
    for _ in 0..20 {
        call(&recovery, Ok(())).await.unwrap();
    }
    for _ in 0..12 {
        let _ = call(&recovery, Err(Category::Timeout)).await;
        tokio::time::sleep(200 * MS).await;
    }
    let mut through = [0; 4];
    for _ in 0..300 {
        for (priority, through) in Priority::ALL.into_iter().zip(&mut through) {
            let context = CallContext::new("read").with_priority(priority);
            let made = execute_with_recovery(recovery.with_context(&context), |_| async {
                Err::<(), _>(Category::Timeout)
            });
            *through += made.await.unwrap_err().attempts();
        }
    }
    assert!(through.is_sorted() && through[0] * 4 < through[3], "{through:?}");
}

/// Who made up its mind to retry is still a call like any other: dropped, its token comes back.
#[tokio::test(start_paused = true)]
async fn g4_token_of_a_retry_that_is_dropped_while_it_waits_comes_back() {
    let policy = RetryPolicy::fixed(SECOND).build().unwrap();
    let throttle = policy.throttle().unwrap();
    let mut waiting: Vec<_> = (0..2)
        .map(|_| tokio_test::task::spawn(retry(|| async { Err::<(), _>("down") }).policy(&policy)))
        .collect();
    for call in &mut waiting {
        assert!(call.poll().is_pending());
    }
    assert_eq!(throttle.snapshot().tokens.to_bits(), 8.0_f32.to_bits());
    drop(waiting);
    assert_eq!(throttle.snapshot().tokens.to_bits(), 10.0_f32.to_bits());
}

#[tokio::test(start_paused = true)]
async fn retries_of_critical_calls_find_the_tokens_that_are_kept_for_them() {
    let throttle = Throttle::builder().gate(u32::MAX).reserve(Priority::Critical, 0.3).build().unwrap();
    let recovery = recovery(RetryPolicy::fixed(MS).max_attempts(99).throttle(throttle).build().unwrap());
    let attempts = |priority| {
        let context = CallContext::new("pay").with_priority(priority);
        let recovery = &recovery;
        async move {
            let made = execute_with_recovery(recovery.with_context(&context), |_| async {
                Err::<(), _>(Category::Network)
            });
            made.await.unwrap_err().attempts()
        }
    };
    assert_eq!(attempts(Priority::Normal).await, 1 + 7);
    assert_eq!(attempts(Priority::High).await, 1);
    assert_eq!(attempts(Priority::Critical).await, 1 + 3);
}
