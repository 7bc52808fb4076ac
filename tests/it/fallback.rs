//! What the caller gets instead.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use recoup::{
    Attempt, CallContext, Fallback, LastGood, LetterId, MemoryQueue, Reason, Recovery, RetryPolicy,
    execute_with_recovery, execute_with_recovery_mut, retry,
};

type Error = &'static str;

fn recovery() -> Recovery<Error> {
    let policy = RetryPolicy::builder().max_attempts(3).no_budget();
    Recovery::builder("users").retry(policy).build().unwrap()
}

async fn down(_: Attempt) -> Result<u32, Error> {
    Err("down")
}

async fn up(_: Attempt) -> Result<u32, Error> {
    Ok(7)
}

#[tokio::test(start_paused = true)]
async fn value_is_given_only_when_the_call_fails() {
    let recovery = recovery();
    assert_eq!(execute_with_recovery(&recovery, down).or_value(1).await, 1);
    assert_eq!(execute_with_recovery(&recovery, up).or_value(1).await, 7);
}

#[tokio::test(start_paused = true)]
async fn fallback_is_asked_once_after_the_last_attempt() {
    let (recovery, attempts, asked) = (recovery(), AtomicU32::new(0), AtomicU32::new(0));
    let call = execute_with_recovery(&recovery, |_| {
        attempts.fetch_add(1, Ordering::Relaxed);
        async { Err::<u32, _>("down") }
    });
    let answer = call.or_else(|error| {
        asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!((error.attempts(), attempts.load(Ordering::Relaxed)), (3, 3));
        Ok(2)
    });
    assert_eq!(answer.await.unwrap(), 2);
    assert_eq!(asked.into_inner(), 1);
}

#[tokio::test(start_paused = true)]
async fn fallback_may_decline_and_the_error_stays_whole() {
    let recovery = recovery();
    let error = execute_with_recovery(&recovery, down).or_else(Err).await.unwrap_err();
    assert_eq!((error.reason(), error.inner()), (&Reason::AttemptsExhausted, Some(&"down")));
    let declines = |error| async move { Err(error) };
    let error = execute_with_recovery(&recovery, down).or_else_async(declines).await.unwrap_err();
    assert_eq!((error.reason(), error.inner()), (&Reason::AttemptsExhausted, Some(&"down")));
}

#[tokio::test(start_paused = true)]
async fn fallback_is_told_where_the_letter_lies() {
    let queue = MemoryQueue::default();
    let recovery = Recovery::<Error>::builder("users")
        .dead_letters_described(queue, recoup::ErrorChain::from_display)
        .build()
        .unwrap();
    let call = CallContext::new("fetch");
    for number in 1..=2 {
        let told = execute_with_recovery(recovery.with_context(&call), down).or_else(|error| {
            assert_eq!(error.dead_letter(), Some(LetterId::new(number)));
            Ok(3)
        });
        assert_eq!(told.await.unwrap(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn fallbacks_chain_and_each_sees_what_the_one_before_declined() {
    let recovery = recovery();
    let slow = |error: recoup::RecoveryError<Error>| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err(error.map(|_| "also down"))
    };
    let answer = execute_with_recovery(&recovery, down).or_else(Err).or_else_async(slow).or_else(|error| {
        assert_eq!(error.inner(), Some(&"also down"));
        Ok(4)
    });
    assert_eq!(answer.await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn call_is_dropped_before_another_future_begins() {
    let (recovery, held) = (recovery(), Arc::new(()));
    let op = {
        let held = Arc::clone(&held);
        move |_| {
            let _held = Arc::clone(&held);
            async { Err::<u32, _>("down") }
        }
    };
    let answer = execute_with_recovery(&recovery, op).or_else_async(|_| {
        let held = Arc::strong_count(&held);
        async move { Ok(u32::try_from(held).unwrap()) }
    });
    assert_eq!(answer.await.unwrap(), 1, "nobody but the test holds it");
}

#[tokio::test(start_paused = true)]
async fn dropped_fallback_future_drops_the_call_and_asks_nobody() {
    let (recovery, asked) = (recovery(), AtomicU32::new(0));
    let op = |_| std::future::pending::<Result<u32, Error>>();
    let mut call = Box::pin(execute_with_recovery(&recovery, op).or_else(|error| {
        asked.fetch_add(1, Ordering::Relaxed);
        Err(error)
    }));
    assert!((&mut call).now_or_never().is_none());
    drop(call);
    assert_eq!(asked.into_inner(), 0);
}

#[tokio::test(start_paused = true)]
async fn panic_of_a_fallback_passes_through() {
    let recovery = recovery();
    let call = execute_with_recovery(&recovery, down).or_else(|_| panic!("own bug"));
    let panic = AssertUnwindSafe(call).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"own bug"));
    assert_eq!(execute_with_recovery(&recovery, up).await.unwrap(), 7, "nothing is wedged");
}

#[tokio::test(start_paused = true)]
async fn every_call_that_ends_in_a_recovery_error_has_fallbacks() {
    let recovery = recovery();
    let mut seen = 0;
    let lent = execute_with_recovery_mut(&recovery, &mut seen, async |seen: &mut u32, _: Attempt| {
        *seen += 1;
        Err::<u32, _>("down")
    });
    assert_eq!(lent.or_value(5).await, 5);
    assert_eq!(seen, 3);
    let timed = retry(std::future::pending::<Result<u32, Error>>).deadline(Duration::from_secs(1));
    assert_eq!(timed.or_value(6).await, 6);
}

#[tokio::test(start_paused = true)]
async fn last_good_value_is_the_latest_and_handles_share_it() {
    let (recovery, last_good) = (recovery(), LastGood::new());
    let other = last_good.clone();
    for value in [1_u32, 2] {
        let call = execute_with_recovery(&recovery, move |_| async move { Ok(value) });
        assert_eq!(call.or_last_good(&last_good).await.unwrap(), value);
    }
    assert_eq!(execute_with_recovery(&recovery, down).or_last_good(&other).await.unwrap(), 2);
    assert_eq!(other.get(), Some(2), "a failure does not forget it");
    other.clear();
    let error = execute_with_recovery(&recovery, down).or_last_good(&last_good).await.unwrap_err();
    assert_eq!(error.inner(), Some(&"down"));
}

#[tokio::test(start_paused = true)]
async fn value_is_given_until_its_age_is_over_and_each_handle_has_its_own_limit() {
    let (recovery, age) = (recovery(), Duration::from_secs(60));
    let last_good = LastGood::new().max_age(age);
    let patient = last_good.clone().max_age(2 * age);
    execute_with_recovery(&recovery, up).or_last_good(&last_good).await.unwrap();
    tokio::time::advance(age).await;
    assert_eq!(last_good.get(), Some(7), "exactly at the limit");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!((last_good.get(), patient.get()), (None, Some(7)));
    execute_with_recovery(&recovery, up).or_last_good(&patient).await.unwrap();
    assert_eq!(last_good.get(), Some(7), "a new success counts for all");
}

#[tokio::test(start_paused = true)]
async fn user_code_runs_outside_the_lock_of_the_last_good_value() {
    struct Nosy(Option<LastGood<Nosy>>);
    impl Nosy {
        fn look(&self) {
            if let Some(own) = &self.0 {
                let _would_hang_under_the_lock = format!("{own:?}");
            }
        }
    }
    impl Clone for Nosy {
        fn clone(&self) -> Self {
            self.look();
            Self(self.0.clone())
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            self.look();
        }
    }
    let (recovery, last_good) = (recovery(), LastGood::new());
    for _ in 0..2 {
        let own = last_good.clone();
        let call = execute_with_recovery(&recovery, move |_| {
            let value = Nosy(Some(own.clone()));
            async { Ok(value) }
        });
        call.or_last_good(&last_good).await.unwrap();
    }
    assert!(last_good.get().is_some());
    last_good.clear();
}

/// How many attempts an outer retry of four makes of an operation in which a recovery gives up each time.
async fn outer_attempts<Fut: Future<Output = Result<u32, Error>>>(op: impl Fn() -> Fut) -> u32 {
    let attempts = AtomicU32::new(0);
    let policy = RetryPolicy::fixed(Duration::from_secs(1)).max_attempts(4).no_budget().build().unwrap();
    let counted = || {
        attempts.fetch_add(1, Ordering::Relaxed);
        op()
    };
    let _failed = retry(counted).policy(&policy).await.unwrap_err();
    attempts.into_inner()
}

#[tokio::test(start_paused = true)]
async fn failure_that_was_made_good_does_not_stop_an_outer_retry() {
    let (recovery, last_good) = (&recovery(), &LastGood::new());
    execute_with_recovery(recovery, up).or_last_good(last_good).await.unwrap();
    let value = || async {
        execute_with_recovery(recovery, down).or_value(1).await;
        Err("something else")
    };
    let function = || async {
        execute_with_recovery(recovery, down).or_else(|_| Ok(1)).await.unwrap();
        Err("something else")
    };
    let remembered = || async {
        execute_with_recovery(recovery, down).or_last_good(last_good).await.unwrap();
        Err("something else")
    };
    let future = || async {
        execute_with_recovery(recovery, down).or_else_async(|_| async { Ok(1) }).await.unwrap();
        Err("something else")
    };
    assert_eq!(outer_attempts(value).await, 4);
    assert_eq!(outer_attempts(function).await, 4);
    assert_eq!(outer_attempts(remembered).await, 4);
    assert_eq!(outer_attempts(future).await, 4);
}

#[tokio::test(start_paused = true)]
async fn failure_that_a_slow_fallback_gives_back_still_stops_an_outer_retry() {
    let recovery = &recovery();
    let op = || async {
        let declines = |error| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err(error)
        };
        let call = execute_with_recovery(recovery, down).or_else_async(declines);
        call.await.map_err(|error| error.into_inner().unwrap())
    };
    assert_eq!(outer_attempts(op).await, 1, "attempts of nested retries do not multiply");
}
