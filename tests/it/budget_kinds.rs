//! Budgets that are known from elsewhere, in whole calls; each need by its number.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use recoup::{
    Bulkhead, Category, CircuitBreaker, Classification, Instant, Jitter, OnEmptyBudget, Reason, Recovery,
    RetryBudget, RetryPolicy, RetryPolicyBuilder, execute_with_recovery, retry, retry_with,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn exactly(wait: Duration, budget: &RetryBudget) -> RetryPolicyBuilder {
    RetryPolicy::fixed(wait).jitter(Jitter::None).budget(budget.clone())
}

fn kinds() -> [RetryBudget; 4] {
    [RetryBudget::finagle(), RetryBudget::aws_standard(), RetryBudget::grpc(), RetryBudget::envoy()]
}

/// Makes so many calls that all succeed at once.
async fn succeed(policy: &RetryPolicy, calls: u32) {
    for _ in 0..calls {
        retry(|| async { Ok::<_, &str>(()) }).policy(policy).await.unwrap();
    }
}

/// Makes so many calls that all fail, and says how many retries were made in them.
async fn retries_of(policy: &RetryPolicy, calls: u32) -> u32 {
    let attempts = Cell::new(0);
    for _ in 0..calls {
        let failing = retry(|| {
            attempts.set(attempts.get() + 1);
            async { Err::<(), _>("down") }
        });
        failing.policy(policy).await.unwrap_err();
    }
    attempts.get() - calls
}

// ## G1: it means its percentage.

#[tokio::test(start_paused = true)]
async fn g1_each_budget_lets_exactly_the_share_pass_that_its_source_says() {
    for (budget, successes, failures, expected) in [
        // A fifth of all requests of ten seconds, those that fail too, and a hundred.
        (RetryBudget::finagle(), 1_000, 1_000, (1_000 + 1_000) / 5 + 100),
        (RetryBudget::finagle(), 0, 5_000, 5_000 / 5 + 100),
        (RetryBudget::finagle(), 100_000, 30_000, (100_000 + 30_000) / 5 + 100),
        // 500 tokens, of which each costs 14.
        (RetryBudget::aws_standard(), 100_000, 1_000, 500 / 14),
        // Each failure takes one, also that of the retry: two calls of two attempts, and one more of one.
        (RetryBudget::grpc(), 100_000, 1_000, 2),
        // One at a time, there are always three.
        (RetryBudget::envoy(), 0, 1_000, 1_000),
    ] {
        let policy = exactly(Duration::ZERO, &budget).max_attempts(2).build().unwrap();
        succeed(&policy, successes).await;
        assert_eq!(retries_of(&policy, failures).await, expected, "{budget:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn g1_what_successes_earn_is_their_share_once_the_budget_is_empty() {
    for successes in [0, 13, 14, 28, 280] {
        let budget = RetryBudget::aws_standard();
        let policy = exactly(Duration::ZERO, &budget).max_attempts(2).build().unwrap();
        assert_eq!(retries_of(&policy, 100).await, 35);
        succeed(&policy, successes).await;
        assert_eq!(retries_of(&policy, 100).await, (10 + successes) / 14, "{successes}");
    }
    // Each failure takes one before it is asked whether more than five are left.
    for (successes, retries) in [(50, 0), (60, 0), (61, 1), (80, 1), (81, 2), (100, 2), (1_000, 2)] {
        let budget = RetryBudget::grpc();
        let policy = exactly(Duration::ZERO, &budget).max_attempts(2).build().unwrap();
        retries_of(&policy, 100).await;
        assert_eq!(budget.tokens(), 0);
        succeed(&policy, successes).await;
        assert_eq!(retries_of(&policy, 10).await, retries, "{successes}");
    }
}

#[tokio::test(start_paused = true)]
async fn g1_aws_success_after_a_retry_gives_back_what_that_retry_cost() {
    for (category, cost) in [
        (Category::Network, 14),
        (Category::Timeout, 14),
        (Category::RateLimited, 5),
        (Category::ServiceUnavailable, 5),
    ] {
        let budget = RetryBudget::aws_standard();
        let policy = exactly(MS, &budget).max_attempts(3).build().unwrap();
        let classifier = |_: &&str| Classification::of(category);
        let call = async |succeeds_at: u32| {
            let call = retry_with(|attempt| async move {
                if attempt.number() == succeeds_at { Ok(()) } else { Err("down") }
            });
            let _ended = call.policy(&policy).classifier(&classifier).await;
            budget.tokens()
        };
        assert_eq!(call(9).await, 500 - 2 * cost, "two retries failed");
        assert_eq!(call(2).await, 500 - 2 * cost, "the one that helped costs nothing, and earns nothing");
        assert_eq!(call(3).await, 500 - 3 * cost, "the one that helped is that of three attempts' last");
        assert_eq!(call(1).await, 500 - 3 * cost + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn g1_grpc_counts_a_server_that_asks_not_to_be_retried_and_no_mistake_of_the_caller() {
    for (answer, tokens) in [
        (Classification::of(Category::ServiceUnavailable).stop(), 9),
        (Classification::of(Category::Validation), 10),
    ] {
        let budget = RetryBudget::grpc();
        let policy = exactly(MS, &budget).build().unwrap();
        let classifier = move |_: &&str| answer;
        let call = retry(|| async { Err::<(), _>("no") }).policy(&policy).classifier(&classifier);
        call.await.unwrap_err();
        assert_eq!(budget.tokens(), tokens, "{answer:?}");
    }
}

// ## G2: what time gives, and what it does not.

#[tokio::test(start_paused = true)]
async fn g2_finagles_reserve_brings_a_pool_of_workers_through_and_the_others_say_no_at_once() {
    let budget = RetryBudget::finagle();
    let policy = exactly(MS, &budget)
        .unlimited_attempts()
        .on_empty_budget(OnEmptyBudget::Wait(60 * SECOND))
        .build()
        .unwrap();
    let (begun, attempts) = (Instant::now(), Cell::new(0_u32));
    let workers = (0..8).map(|_| {
        retry(|| {
            attempts.set(attempts.get() + 1);
            async { if Instant::now() - begun < 100 * SECOND { Err("down") } else { Ok(()) } }
        })
        .policy(&policy)
    });
    assert_eq!(join_all(workers).await, [Ok(()); 8]);
    assert!((900..=1_200).contains(&attempts.get()), "ten a second: {}", attempts.get());
    assert!(Instant::now() - begun <= 110 * SECOND);

    for budget in [RetryBudget::aws_standard(), RetryBudget::grpc()] {
        let policy = exactly(Duration::ZERO, &budget).unlimited_attempts();
        let policy = policy.on_empty_budget(OnEmptyBudget::Wait(60 * SECOND)).build().unwrap();
        let begun = Instant::now();
        retry(|| async { Err::<(), _>("down") }).policy(&policy).await.unwrap_err();
        assert_eq!(Instant::now(), begun, "{budget:?} gets nothing by time");
    }
}

// ## G3: who shares a handle shares the budget.

#[tokio::test(start_paused = true)]
async fn g3_clones_share_and_what_is_made_anew_does_not() {
    for (mine, other) in kinds().into_iter().zip(kinds()) {
        let before = mine.tokens();
        let policy = exactly(60 * SECOND, &mine).max_attempts(2).build().unwrap();
        let clone = mine.clone();
        let call = retry(|| async { Err::<(), _>("down") }).policy(&policy);
        tokio::time::timeout(SECOND, async {
            let (_ended, ()) = tokio::join!(call, async {
                assert_eq!(clone.tokens(), before - if before == 500 { 14 } else { 1 }, "{clone:?}");
                assert_eq!(other.tokens(), before);
            });
        })
        .await
        .unwrap_err();
    }
}

// ## G4: taken when a retry is decided, given back if it is dropped.

#[tokio::test(start_paused = true)]
async fn g4_of_a_thousand_failures_at_once_so_many_wait_and_the_dropped_give_back() {
    for (budget, waits, dropped, back) in [
        (RetryBudget::finagle(), 300, 50, 50),
        (RetryBudget::aws_standard(), 35, 5, 10 + 5 * 14),
        (RetryBudget::grpc(), 4, 2, 0),
        (RetryBudget::envoy(), 200, 198, 1),
    ] {
        let policy = exactly(60 * SECOND, &budget).max_attempts(2).build().unwrap();
        let barrier = Arc::new(tokio::sync::Barrier::new(1_000));
        let returned = Arc::new(AtomicU32::new(0));
        let mut tasks = Vec::new();
        for _ in 0..1_000 {
            let (policy, barrier, returned) = (policy.clone(), Arc::clone(&barrier), Arc::clone(&returned));
            tasks.push(tokio::spawn(async move {
                let failed = retry(|| {
                    let barrier = &barrier;
                    async move {
                        barrier.wait().await;
                        Err::<(), _>("down")
                    }
                });
                assert_eq!(failed.policy(&policy).await, Err("down"));
                returned.fetch_add(1, Ordering::Relaxed);
            }));
        }
        tokio::time::sleep(SECOND).await;
        assert_eq!(returned.load(Ordering::Relaxed), 1_000 - waits, "at once: {budget:?}");
        let mut waiting: Vec<_> = tasks.into_iter().filter(|task| !task.is_finished()).collect();
        for task in waiting.drain(..dropped) {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        assert_eq!(budget.tokens(), back, "{budget:?}");
        for task in waiting {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
    }
}

/// Each stage of the call takes ten milliseconds, and the call is dropped in each of them.
#[tokio::test(start_paused = true)]
async fn g4_envoys_counts_are_nothing_again_after_a_drop_at_every_await() {
    let mut stages = std::collections::BTreeSet::new();
    for cut in 0..130 {
        let budget = RetryBudget::envoy();
        let bulkhead = Bulkhead::builder(1).queue(1).build().unwrap();
        let recovery = Recovery::<&str>::builder("db")
            .retry(exactly(10 * MS, &budget).max_attempts(3))
            .bulkhead(bulkhead.clone())
            .before_retry(|_| async {
                tokio::time::sleep(10 * MS).await;
                ControlFlow::Continue(())
            })
            .build()
            .unwrap();
        let succeeds = cut % 2 == 0;
        let call = execute_with_recovery(&recovery, |attempt| async move {
            tokio::time::sleep(10 * MS).await;
            if succeeds && attempt.number() == 3 { Ok(()) } else { Err("down") }
        });
        // Somebody else has the only slot at first.
        let slot = bulkhead.try_acquire().unwrap();
        let other = async {
            tokio::time::sleep(10 * MS).await;
            drop(slot);
            std::future::pending::<()>().await;
        };
        let whole = async {
            tokio::select! { biased; ended = call => drop(ended), () = other => {} }
        };
        let watched = async {
            tokio::time::sleep(cut * MS).await;
            stages.insert(format!("{budget:?}"));
        };
        tokio::select! { biased; () = watched => {}, () = async {
            whole.await;
            std::future::pending::<()>().await;
        } => {} }
        assert_eq!(format!("{budget:?}"), "RetryBudget(envoy, 0 requests, 0 retries)", "after {cut} ms");
    }
    let seen: Vec<_> = stages.iter().map(String::as_str).collect();
    assert_eq!(
        seen,
        [
            "RetryBudget(envoy, 0 requests, 0 retries)",
            "RetryBudget(envoy, 1 requests, 0 retries)",
            "RetryBudget(envoy, 1 requests, 1 retries)",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn g4_envoy_counts_no_call_that_has_ended_though_its_future_is_kept() {
    let budget = RetryBudget::envoy();
    let policy = exactly(MS, &budget).max_attempts(2).build().unwrap();
    let counts = || format!("{budget:?}");
    for succeeds in [false, true] {
        let call = retry_with(|attempt| async move {
            if succeeds && !attempt.is_first() { Ok(()) } else { Err("down") }
        });
        let mut call = std::pin::pin!(call.policy(&policy).into_future());
        assert_eq!(call.as_mut().await.is_ok(), succeeds);
        assert_eq!(counts(), "RetryBudget(envoy, 0 requests, 0 retries)");
    }
}

#[tokio::test(start_paused = true)]
async fn g4_finagles_retry_that_left_has_cost_its_part_and_one_that_waited_has_not() {
    for (dropped_after, left) in [(5 * MS, 100), (15 * MS, 99)] {
        let budget = RetryBudget::finagle();
        let policy = exactly(10 * MS, &budget).max_attempts(2).build().unwrap();
        let call = retry_with(|attempt| async move {
            if !attempt.is_first() {
                tokio::time::sleep(10 * MS).await;
            }
            Err::<(), _>("down")
        });
        let cut = tokio::time::timeout(dropped_after, call.policy(&policy).into_future()).await;
        assert!(cut.is_err());
        assert_eq!(budget.tokens(), left, "{dropped_after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn g4_a_retry_that_an_open_circuit_turns_away_costs_nothing() {
    for budget in kinds() {
        let before = budget.tokens();
        let breaker = CircuitBreaker::builder("db").consecutive_failures(1).open_for(60 * SECOND);
        let recovery = Recovery::<&str>::builder("db")
            .retry(exactly(MS, &budget))
            .circuit_breaker(breaker.build().unwrap())
            .build()
            .unwrap();
        let error = execute_with_recovery(&recovery, |_| async { Err::<(), _>("down") }).await.unwrap_err();
        assert!(matches!(error.reason(), Reason::CircuitOpen(_)));
        // gRPC's own counts the failure, and nothing counts the retry.
        assert_eq!(budget.tokens(), before - u32::from(before == 10), "{budget:?}");
    }
}

// ## G5: an empty budget keeps back the extra attempt, and does nothing else.

#[tokio::test(start_paused = true)]
async fn g5_the_operations_own_error_comes_back_at_once() {
    for budget in [RetryBudget::finagle(), RetryBudget::aws_standard(), RetryBudget::grpc()] {
        let policy = exactly(Duration::ZERO, &budget).unlimited_attempts();
        let recovery = Recovery::<&str>::builder("db").retry(policy).build().unwrap();
        let begun = Instant::now();
        let error = execute_with_recovery(&recovery, |_| async { Err::<(), _>("down") }).await.unwrap_err();
        assert_eq!((error.reason(), error.inner()), (&Reason::BudgetExhausted, Some(&"down")));
        assert_eq!(Instant::now(), begun, "{budget:?}");
        let fine = execute_with_recovery(&recovery, |_| async { Ok(7) }).await;
        assert_eq!(fine.unwrap(), 7, "first attempts need no token");
    }
}
