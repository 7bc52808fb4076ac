//! What users need of a retry budget, each need by its number.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests read the paused clock and lock nothing hot"
)]

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use recoup::{
    Bulkhead, Category, CircuitBreaker, Classification, Instant, Jitter, OnEmptyBudget, Reason, Recovery,
    RetryBudget, RetryPolicy, RetryPolicyBuilder, Shutdown, Withheld, execute_with_recovery, retry,
    retry_with,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A budget that holds `tokens` and gets no more by time.
fn holds(tokens: u32) -> RetryBudget {
    RetryBudget::builder().reserve(tokens).capacity(100_000).no_trickle().build().unwrap()
}

fn exactly(wait: Duration, budget: &RetryBudget) -> RetryPolicyBuilder {
    RetryPolicy::fixed(wait).jitter(Jitter::None).budget(budget.clone())
}

// ## G1: on by default, and it means its percentage.

#[tokio::test(start_paused = true)]
async fn g1_a_share_of_what_succeeds_is_exactly_that_share() {
    for (share, expected) in
        [(0.01, 100), (0.1, 1_000), (0.2, 2_000), (0.33, 3_300), (0.6, 6_000), (0.9, 9_000), (1.0, 10_000)]
    {
        let budget = RetryBudget::builder().share(share).reserve(0).capacity(100_000).no_trickle();
        let policy = RetryPolicy::fixed(Duration::ZERO).max_attempts(2).budget(budget.build().unwrap());
        let policy = policy.build().unwrap();
        for _ in 0..10_000 {
            retry(|| async { Ok::<_, &str>(()) }).policy(&policy).await.unwrap();
        }
        let attempts = Cell::new(0);
        for _ in 0..11_000 {
            let failing = retry(|| {
                attempts.set(attempts.get() + 1);
                async { Err::<(), _>("down") }
            });
            failing.policy(&policy).await.unwrap_err();
        }
        assert_eq!(attempts.get() - 11_000, expected, "{share}");
    }
}

/// Elsewhere a release lost the budget by accident, and for years nobody noticed.
#[tokio::test(start_paused = true)]
async fn g1_defaults_have_a_budget_and_an_outage_is_not_multiplied() {
    let policy = RetryPolicy::default();
    let recovery = Recovery::<&str>::builder("db").build().unwrap();
    let (mut by_policy, mut by_recovery) = (0_u32, 0_u32);
    for _ in 0..10_000 {
        let failing = retry(|| {
            by_policy += 1;
            async { Err::<(), _>("down") }
        });
        failing.policy(&policy).await.unwrap_err();
        let failing = execute_with_recovery(&recovery, |_| {
            by_recovery += 1;
            async { Err::<(), _>("down") }
        });
        failing.await.unwrap_err();
    }
    assert_eq!((by_policy, by_recovery), (10_002, 10_002), "two retries, and then the gate is shut");
    for throttle in [policy.throttle().unwrap(), recovery.throttle().unwrap()] {
        let seen = throttle.snapshot();
        assert_eq!((seen.failures_in_a_row, seen.holds_back), (10_002, Some(Withheld::Failing)));
        assert_eq!(seen.withheld(Withheld::Failing), 10_000);
    }
}

// ## G2: it starves neither low traffic nor a fixed pool of workers.

#[tokio::test(start_paused = true)]
async fn g2_eight_workers_ride_out_five_minutes_on_the_trickle_alone() {
    for attempt_takes in [Duration::ZERO, 10 * MS] {
        let budget = RetryBudget::builder().reserve(0).trickle(30 * SECOND).build().unwrap();
        let policy = exactly(100 * MS, &budget)
            .unlimited_attempts()
            .on_empty_budget(OnEmptyBudget::Wait(600 * SECOND))
            .build()
            .unwrap();
        let begun = Instant::now();
        let attempts = Cell::new(0_u32);
        let workers = (0..8).map(|_| {
            retry(|| {
                attempts.set(attempts.get() + 1);
                async {
                    tokio::time::sleep(attempt_takes).await;
                    if Instant::now() - begun < 300 * SECOND { Err("down") } else { Ok(()) }
                }
            })
            .policy(&policy)
        });
        let ended = join_all(workers).await;
        assert_eq!(ended, [Ok(()); 8]);
        assert!(Instant::now() - begun <= 300 * SECOND + 8 * 30 * SECOND, "{:?}", Instant::now() - begun);
        assert!(attempts.get() <= 8 + 10 + 8, "one retry each 30 s during the outage: {}", attempts.get());
    }
}

#[tokio::test(start_paused = true)]
async fn g2_without_a_trickle_the_same_pool_does_not_hang_but_says_why() {
    let begun = Instant::now();
    let budget = holds(0);
    let policy = exactly(100 * MS, &budget).on_empty_budget(OnEmptyBudget::Wait(600 * SECOND));
    let recovery = Recovery::<&str>::builder("db").retry(policy).build().unwrap();
    let error = execute_with_recovery(&recovery, |_| async { Err::<(), _>("down") }).await.unwrap_err();
    assert_eq!((error.reason(), Instant::now()), (&Reason::BudgetExhausted, begun));
}

#[tokio::test(start_paused = true)]
async fn g2_a_success_on_a_retry_pays_in_too() {
    let budget = RetryBudget::builder().reserve(1).share(1.0).no_trickle().build().unwrap();
    let policy = exactly(MS, &budget).build().unwrap();
    let call = retry_with(|attempt| async move { if attempt.is_first() { Err("reset") } else { Ok(()) } });
    call.policy(&policy).await.unwrap();
    assert_eq!(budget.tokens(), 2);
}

// ## G3: per dependency, neither per request nor by accident for all.

#[tokio::test(start_paused = true)]
async fn g3_who_shares_a_budget_shares_its_tokens_and_nobody_else_does() {
    let eu = holds(2);
    let recovery = |budget: Option<&RetryBudget>| {
        let policy = RetryPolicy::fixed(MS).max_attempts(9);
        let policy = if let Some(budget) = budget { policy.budget(budget.clone()) } else { policy };
        Recovery::<&str>::builder("s3").retry(policy).build().unwrap()
    };
    let (one, two, us) = (recovery(Some(&eu)), recovery(Some(&eu)), recovery(None));
    let down = |recovery: Recovery<&'static str>| async move {
        execute_with_recovery(&recovery, |_| async { Err::<(), _>("down") }).await.unwrap_err().attempts()
    };
    assert_eq!(down(one.clone()).await, 3, "its first attempt and two tokens");
    assert_eq!(down(two).await, 1);
    assert_eq!(down(one.clone()).await, 1, "clones and calls share");
    assert!(us.throttle().unwrap().snapshot().tokens > 9.9);
}

#[tokio::test(start_paused = true)]
async fn g3_policies_built_from_one_builder_have_budgets_of_their_own() {
    let builder = RetryPolicy::fixed(MS).max_attempts(99);
    let (eu, us) = (builder.clone().build().unwrap(), builder.build().unwrap());
    let _error = retry(|| async { Err::<(), _>("down") }).policy(&eu).await;
    let spent = |policy: &RetryPolicy| policy.throttle().unwrap().snapshot().tokens < 0.1;
    assert!(spent(&eu) && !spent(&us));
    assert!(spent(&eu.clone()), "clones of a policy share its throttle");
}

#[tokio::test(start_paused = true)]
async fn g3_what_one_call_has_used_up_is_not_seen_by_another() {
    let policy = RetryPolicy::fixed(SECOND).max_attempts(4).no_budget().build().unwrap();
    let calls = (0..1_000).map(|_| async {
        let seen = RefCell::new(Vec::new());
        let call = retry_with(|attempt| {
            seen.borrow_mut().push(attempt.number());
            async { Err::<(), _>("down") }
        });
        call.policy(&policy).await.unwrap_err();
        seen.into_inner()
    });
    assert!(join_all(calls).await.iter().all(|seen| *seen == [1, 2, 3, 4]));
}

// ## G4: reserved when a retry is decided, given back if it is not made.

#[tokio::test(start_paused = true)]
async fn g4_of_a_thousand_failures_at_once_two_hundred_wait_and_the_dropped_give_back() {
    let budget = RetryBudget::builder().share(0.2).reserve(0).capacity(1_000).no_trickle().build().unwrap();
    let policy = exactly(60 * SECOND, &budget).max_attempts(2).build().unwrap();
    for _ in 0..1_000 {
        retry(|| async { Ok::<_, &str>(()) }).policy(&policy).await.unwrap();
    }
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
    assert_eq!(returned.load(Ordering::Relaxed), 800, "at once, with the operation's own error");
    assert_eq!(budget.tokens(), 0);
    let mut waiting: Vec<_> = tasks.into_iter().filter(|task| !task.is_finished()).collect();
    assert_eq!(waiting.len(), 200);
    for task in waiting.drain(..50) {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(budget.tokens(), 50);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn g4_program_that_ends_while_a_hook_decides_makes_no_further_attempt() {
    let (budget, shutdown, attempts) = (holds(1), Shutdown::new(), Cell::new(0));
    let policy = exactly(Duration::ZERO, &budget).build().unwrap();
    let call = retry(|| {
        attempts.set(attempts.get() + 1);
        async { Err::<(), _>("down") }
    });
    let call = call.policy(&policy).shutdown(&shutdown).before_retry(|_| async {
        shutdown.trigger();
        ControlFlow::Continue(())
    });
    assert_eq!((call.await, attempts.get(), budget.tokens()), (Err("down"), 1, 1));
}

#[tokio::test(start_paused = true)]
async fn g4_a_retry_that_is_not_made_costs_nothing() {
    let down = |_| async { Err::<(), _>("down") };
    let budget = holds(1);

    let policy = exactly(SECOND, &budget).build().unwrap();
    let stopped = retry_with(down).policy(&policy).before_retry(|_| async { ControlFlow::Break(()) });
    assert_eq!(stopped.await, Err("down"));
    assert_eq!(budget.tokens(), 1, "a hook stopped it");

    let shutdown = Shutdown::new();
    let call = retry_with(down).policy(&policy).shutdown(&shutdown);
    let (ended, ()) = tokio::join!(call, async {
        assert_eq!(budget.tokens(), 0, "held while it waits");
        shutdown.trigger();
    });
    assert_eq!((ended, budget.tokens()), (Err("down"), 1), "the program ended");

    let breaker =
        CircuitBreaker::builder("db").consecutive_failures(1).open_for(60 * SECOND).build().unwrap();
    let recovery = Recovery::builder("db").retry(exactly(SECOND, &budget)).circuit_breaker(breaker);
    let error = execute_with_recovery(&recovery.build().unwrap(), down).await.unwrap_err();
    assert!(matches!(error.reason(), Reason::CircuitOpen(_)));
    assert_eq!((error.attempts(), budget.tokens()), (1, 1), "the circuit opened");

    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let recovery = Recovery::builder("db").retry(exactly(SECOND, &budget)).bulkhead(bulkhead.clone());
    let recovery = recovery.build().unwrap();
    let (ended, ()) = tokio::join!(execute_with_recovery(&recovery, down), async {
        let _slot = bulkhead.try_acquire().unwrap();
        tokio::time::sleep(2 * SECOND).await;
    });
    assert!(matches!(ended.unwrap_err().reason(), Reason::BulkheadFull(_)));
    assert_eq!(budget.tokens(), 1, "there was no slot");
}

#[tokio::test(start_paused = true)]
async fn g4_a_retry_that_fails_is_paid_for() {
    let budget = holds(5);
    let policy = exactly(SECOND, &budget).max_attempts(3).build().unwrap();
    let _error = retry(|| async { Err::<(), _>("down") }).policy(&policy).await;
    assert_eq!(budget.tokens(), 3);
    // So is one that gives a value which is the dependency's failure.
    let bad = |(): &()| Some(Classification::of(Category::ServiceUnavailable));
    retry(|| async { Ok::<_, &str>(()) }).policy(&policy).judge(bad).await.unwrap();
    assert_eq!(budget.tokens(), 1);
}

// ## G5: an empty budget keeps back the extra attempt, and does nothing else.

#[tokio::test(start_paused = true)]
async fn g5_the_operations_own_error_comes_back_at_once() {
    let begun = Instant::now();
    let budget = holds(0);
    let policy = exactly(SECOND, &budget).build().unwrap();
    assert_eq!(retry(|| async { Err::<(), _>("down") }).policy(&policy).await, Err("down"));

    let recovery = Recovery::<&str>::builder("db").retry(policy).build().unwrap();
    let error = execute_with_recovery(&recovery, |_| async { Err::<(), _>("down") }).await.unwrap_err();
    assert_eq!((error.reason(), error.inner()), (&Reason::BudgetExhausted, Some(&"down")));
    assert_eq!(Instant::now(), begun);
    let fine = execute_with_recovery(&recovery, |_| async { Ok(7) }).await;
    assert_eq!(fine.unwrap(), 7, "first attempts need no token");
}

#[tokio::test(start_paused = true)]
async fn g5_a_token_is_waited_for_if_it_comes_before_the_deadline() {
    for (deadline, attempts, waited) in [(1_001 * MS, 2, SECOND), (SECOND, 1, Duration::ZERO)] {
        let budget = RetryBudget::builder().reserve(0).trickle(SECOND).build().unwrap();
        let policy = exactly(MS, &budget).max_attempts(2).on_empty_budget(OnEmptyBudget::Wait(60 * SECOND));
        let policy = policy.deadline(deadline).build().unwrap();
        let begun = Instant::now();
        let error = retry(|| async { Err::<(), _>("down") }).policy(&policy).await.unwrap_err();
        assert_eq!((error.attempts(), Instant::now() - begun), (attempts, waited), "{deadline:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn g5_who_waits_for_a_token_waits_no_longer_than_was_said() {
    for (trickle, waited, attempts) in
        // Too long; just short enough; and while another call takes each token that comes.
        [(1_001 * MS, Duration::ZERO, 1), (SECOND, SECOND, 2), (400 * MS, 400 * MS, 2)]
    {
        let budget = RetryBudget::builder().reserve(0).trickle(trickle).build().unwrap();
        let policy = exactly(MS, &budget).max_attempts(2).on_empty_budget(OnEmptyBudget::Wait(SECOND));
        let policy = policy.build().unwrap();
        let (begun, told) = (Instant::now(), Mutex::new(Vec::new()));
        let calls = Cell::new(0);
        let call = retry(|| {
            calls.set(calls.get() + 1);
            async { Err::<(), _>("down") }
        });
        let call = call.policy(&policy).notify(|failed| told.lock().unwrap().push(failed.delay));
        assert_eq!(call.await, Err("down"));
        assert_eq!((Instant::now() - begun, calls.get()), (waited, attempts), "{trickle:?}");
        let told = told.into_inner().unwrap();
        assert!(told.iter().all(|&delay| delay == waited), "the hook is told the real wait: {told:?}");
    }

    // Others may be faster, time and again; then the wait ends when it was to end, and not later.
    let budget = RetryBudget::builder().reserve(0).trickle(400 * MS).build().unwrap();
    let policy = exactly(MS, &budget).max_attempts(2).on_empty_budget(OnEmptyBudget::Wait(SECOND));
    let policy = policy.build().unwrap();
    let begun = Instant::now();
    let calls = (0..4).map(|_| async {
        retry(|| async { Err::<(), _>("down") }).policy(&policy).await.unwrap_err();
        (Instant::now() - begun).as_millis()
    });
    let mut ended = join_all(calls).await;
    ended.sort_unstable();
    assert_eq!(ended, [400, 800, 800, 800], "two got a token; there is no third within the second");
}

// ## G8: who waits to retry holds no slot.

#[tokio::test(start_paused = true)]
async fn g8_four_throttled_calls_do_not_hold_up_ninety_six_others() {
    let bulkhead = Bulkhead::builder(4).queue(100).build().unwrap();
    let recovery = Recovery::builder("api")
        .classifier(|_: &&str| Classification::of(Category::RateLimited).retry_after(60 * SECOND))
        .retry(RetryPolicy::builder())
        .bulkhead(bulkhead.clone())
        .build()
        .unwrap();
    let begun = Instant::now();
    let items = (0..100).map(|item| {
        let recovery = &recovery;
        async move {
            let call = execute_with_recovery(recovery, |attempt| async move {
                tokio::time::sleep(100 * MS).await;
                if item < 4 && attempt.is_first() { Err("429") } else { Ok(()) }
            });
            call.await.unwrap();
            Instant::now() - begun
        }
    });
    let (ended, ()) = tokio::join!(join_all(items), async {
        tokio::time::sleep(30 * SECOND).await;
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0), "the four wait outside");
    });
    assert!(ended[4..].iter().all(|&took| took < 5 * SECOND), "{ended:?}");
    assert!(ended[..4].iter().all(|&took| took > 60 * SECOND), "{ended:?}");
}
