//! Every pair of policies, nested by hand both ways, and all of them in a recovery: who is told what, how often
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]
//! the operation is called, and that everything comes back.

use std::cell::{Cell, RefCell};
use std::future::{Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::join_all;
use recoup::{
    Abandoned, Backoff, Bulkhead, CallContext, CallError, Category, CircuitBreaker, CircuitBreakerBuilder,
    CircuitState, Classification, HalfOpen, Instant, Jitter, Outcome, Ramp, Reason, Recovery, RetryBudget,
    RetryPolicy, RetryPolicyBuilder, execute_with_recovery, execute_with_recovery_mut, retry, timeout,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn exactly(wait: Duration) -> RetryPolicyBuilder {
    RetryPolicy::fixed(wait).jitter(Jitter::None).no_budget()
}

/// Opens after `failures` in a row, for 5 s; one probe, no ramp.
fn opens_after(failures: u32) -> CircuitBreaker {
    breaker().consecutive_failures(failures).build().unwrap()
}

fn breaker() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("db")
        .open_for(Backoff::fixed(5 * SECOND))
        .half_open(HalfOpen::probes(1))
        .no_ramp()
}

/// An operation that counts its calls, and what it does.
#[derive(Default)]
struct Calls(Cell<u32>);

impl Calls {
    fn fails(&self) -> Ready<Result<u32, &'static str>> {
        self.0.set(self.0.get() + 1);
        ready(Err("down"))
    }

    async fn hangs(&self) -> Result<u32, &'static str> {
        self.0.set(self.0.get() + 1);
        pending().await
    }

    fn made(&self) -> u32 {
        self.0.get()
    }
}

// ## Retry and breaker.

#[tokio::test(start_paused = true)]
async fn retry_around_breaker_counts_each_attempt_and_stops_when_the_circuit_opens() {
    let (breaker, calls, begun) = (opens_after(2), Calls::default(), Instant::now());
    let policy = exactly(SECOND).max_attempts(9).build().unwrap();
    let error = retry(|| breaker.call(|| calls.fails())).policy(&policy).await.unwrap_err();
    let CallError::Rejected(open) = error else { panic!("the circuit should have refused: {error:?}") };
    assert_eq!((calls.made(), &*open.breaker), (2, "db"));
    assert_eq!(open.retry_in(), Some(4 * SECOND), "one of its five seconds went into the wait");
    assert_eq!(Instant::now() - begun, 2 * SECOND, "and it is not waited for nor spun on");
}

#[tokio::test(start_paused = true)]
async fn breaker_around_retry_counts_the_whole_retry_once() {
    let (breaker, calls) = (opens_after(2), Calls::default());
    let policy = exactly(MS).max_attempts(3).build().unwrap();
    for made in [3, 6] {
        let failed = breaker.call(|| retry(|| calls.fails()).policy(&policy)).await;
        assert_eq!((failed, calls.made()), (Err(CallError::Operation("down")), made));
    }
    let refused = breaker.call(|| retry(|| calls.fails()).policy(&policy)).await;
    assert!(matches!(refused, Err(CallError::Rejected(_))), "{refused:?}");
    assert_eq!(calls.made(), 6);
}

// ## Retry and bulkhead.

#[tokio::test(start_paused = true)]
async fn retry_around_bulkhead_waits_without_a_slot_and_does_not_repeat_what_the_bulkhead_refused() {
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let (calls, begun) = (Calls::default(), Instant::now());
    let policy = exactly(SECOND).max_attempts(9).build().unwrap();
    let call = retry(|| bulkhead.call(|| calls.fails())).policy(&policy);
    let (error, ()) = tokio::join!(call, async {
        tokio::time::sleep(1_500 * MS).await;
        let _slot = bulkhead.try_acquire().expect("between the attempts it is free");
        tokio::time::sleep(SECOND).await;
    });
    assert!(matches!(error, Err(CallError::Rejected(_))), "{error:?}");
    assert_eq!((calls.made(), bulkhead.in_use()), (2, 0));
    assert_eq!(Instant::now() - begun, 2_500 * MS);
}

#[tokio::test(start_paused = true)]
async fn bulkhead_around_retry_holds_its_slot_through_the_waits() {
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let calls = Calls::default();
    let policy = exactly(SECOND).max_attempts(2).build().unwrap();
    let call = bulkhead.call(|| retry(|| calls.fails()).policy(&policy));
    let (failed, ()) = tokio::join!(call, async {
        tokio::time::sleep(500 * MS).await;
        assert!(bulkhead.try_acquire().is_err(), "which is why the other order is recommended");
    });
    assert_eq!(failed, Err(CallError::Operation("down")));
    assert_eq!((calls.made(), bulkhead.in_use()), (2, 0));
}

// ## Retry and timeout.

#[tokio::test(start_paused = true)]
async fn retry_around_timeout_limits_each_attempt() {
    let (calls, begun) = (Calls::default(), Instant::now());
    let policy = exactly(MS).max_attempts(3).build().unwrap();
    let late = retry(|| timeout(SECOND, || calls.hangs())).policy(&policy).await;
    assert_eq!(late.unwrap_err().rejected().map(|late| late.limit), Some(SECOND));
    assert_eq!((calls.made(), Instant::now() - begun), (3, 3 * SECOND + 2 * MS));
}

#[tokio::test(start_paused = true)]
async fn timeout_around_retry_limits_the_whole_and_gives_the_token_back() {
    let budget = RetryBudget::builder().reserve(9).no_trickle().build().unwrap();
    let (calls, begun) = (Calls::default(), Instant::now());
    let policy = exactly(10 * SECOND).budget(budget.clone()).build().unwrap();
    let late = timeout(15 * SECOND, || retry(|| calls.fails()).policy(&policy)).await;
    assert!(matches!(late, Err(CallError::Rejected(_))), "{late:?}");
    assert_eq!((calls.made(), Instant::now() - begun), (2, 15 * SECOND));
    assert_eq!(budget.tokens(), 8, "one retry was made and failed, the second was not");
}

// ## Breaker and bulkhead.

#[tokio::test(start_paused = true)]
async fn breaker_around_bulkhead_must_be_told_that_a_full_bulkhead_is_no_failure() {
    let (breaker, bulkhead) = (opens_after(1), Bulkhead::builder(1).build().unwrap());
    let calls = Calls::default();
    let slot = bulkhead.try_acquire().unwrap();
    // By hand it is the operation of `call` that fails, so `judge` has the say.
    let full = breaker
        .call_judged(
            || bulkhead.call(|| calls.fails()),
            |error: &CallError<_, _>| match error {
                CallError::Rejected(_) => recoup::Health::Ignored,
                CallError::Operation(_) => recoup::Health::Failure,
            },
        )
        .await;
    assert!(matches!(full, Err(CallError::Operation(CallError::Rejected(_)))), "{full:?}");
    assert_eq!((breaker.state(), breaker.snapshot().calls), (CircuitState::Closed, 0));
    drop(slot);
    let failed = breaker.call(|| bulkhead.call(|| calls.fails())).await;
    assert_eq!(failed, Err(CallError::Operation(CallError::Operation("down"))));
    assert_eq!((breaker.state(), calls.made(), bulkhead.in_use()), (CircuitState::Open, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn bulkhead_around_breaker_never_tells_the_breaker_of_a_full_bulkhead() {
    let (breaker, bulkhead) = (opens_after(1), Bulkhead::builder(1).build().unwrap());
    let calls = Calls::default();
    let slot = bulkhead.try_acquire().unwrap();
    let full = bulkhead.call(|| breaker.call(|| calls.fails())).await;
    assert!(matches!(full, Err(CallError::Rejected(_))), "{full:?}");
    assert_eq!((calls.made(), breaker.state()), (0, CircuitState::Closed));
    drop(slot);
    let _failed = bulkhead.call(|| breaker.call(|| calls.fails())).await;
    let open = bulkhead.call(|| breaker.call(|| calls.fails())).await;
    assert!(matches!(open, Err(CallError::Operation(CallError::Rejected(_)))), "{open:?}");
    assert_eq!((calls.made(), bulkhead.in_use()), (1, 0));
}

// ## Breaker and timeout.

#[tokio::test(start_paused = true)]
async fn breaker_around_timeout_counts_a_timeout_as_failure() {
    let (breaker, calls) = (opens_after(2), Calls::default());
    for made in [1, 2] {
        let late = breaker.call(|| timeout(SECOND, || calls.hangs())).await;
        assert!(matches!(late, Err(CallError::Operation(CallError::Rejected(_)))), "{late:?}");
        assert_eq!(calls.made(), made);
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn timeout_around_breaker_abandons_the_call_and_only_nothing_but_that_opens_it() {
    let breaker = breaker().consecutive_failures(2).minimum_calls(3).build().unwrap();
    let calls = Calls::default();
    for state in [CircuitState::Closed, CircuitState::Closed, CircuitState::Open] {
        let late = timeout(SECOND, || breaker.call(|| calls.hangs())).await;
        assert!(matches!(late, Err(CallError::Rejected(_))), "{late:?}");
        assert_eq!(breaker.state(), state);
    }
    let refused = timeout(SECOND, || breaker.call(|| calls.hangs())).await;
    assert!(matches!(refused, Err(CallError::Operation(CallError::Rejected(_)))), "{refused:?}");
    assert_eq!(calls.made(), 3);
}

// ## Bulkhead and timeout.

#[tokio::test(start_paused = true)]
async fn bulkhead_around_timeout_gives_the_slot_back_at_the_limit() {
    let (bulkhead, calls) = (Bulkhead::builder(1).queue(1).build().unwrap(), Calls::default());
    let call = || bulkhead.call(|| timeout(SECOND, || calls.hangs()));
    let begun = Instant::now();
    let (first, second) = tokio::join!(call(), call());
    for late in [first, second] {
        assert!(matches!(late, Err(CallError::Operation(CallError::Rejected(_)))), "{late:?}");
    }
    assert_eq!(Instant::now() - begun, 2 * SECOND, "the wait in the queue is not on the limit");
    assert_eq!((calls.made(), bulkhead.in_use()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn timeout_around_bulkhead_limits_the_wait_in_the_queue_too() {
    let (bulkhead, calls) = (Bulkhead::builder(1).queue(1).build().unwrap(), Calls::default());
    let call = || timeout(SECOND, || bulkhead.call(|| calls.hangs()));
    let begun = Instant::now();
    let (first, second) = tokio::join!(call(), call());
    assert!(matches!(first, Err(CallError::Rejected(_))), "{first:?}");
    assert!(matches!(second, Err(CallError::Rejected(_))), "{second:?}");
    assert_eq!(Instant::now() - begun, SECOND);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}

// ## All of them, in a recovery.

#[tokio::test(start_paused = true)]
async fn b12_the_order_is_shown() {
    let recovery = Recovery::<&str>::builder("db")
        .retry(exactly(MS))
        .circuit_breaker(opens_after(5))
        .bulkhead(Bulkhead::builder(1))
        .attempt_timeout(SECOND)
        .build()
        .unwrap();
    let order = "db: retry 4(circuit_breaker db(bulkhead 1(attempt_timeout 1s(operation))))";
    assert_eq!(recovery.to_string(), order);
}

#[tokio::test(start_paused = true)]
async fn b12_ninety_nine_refusals_of_a_full_bulkhead_say_nothing_to_the_breaker() {
    let (breaker, bulkhead) = (opens_after(1), Bulkhead::builder(1).build().unwrap());
    let recovery = Recovery::<&str>::builder("db")
        .retry(exactly(MS).max_attempts(5))
        .circuit_breaker(breaker.clone())
        .bulkhead(bulkhead.clone())
        .build()
        .unwrap();
    let calls = Cell::new(0);
    let all = join_all((0..100).map(|_| {
        execute_with_recovery(&recovery, |_| {
            calls.set(calls.get() + 1);
            async {
                tokio::time::sleep(SECOND).await;
                Ok(())
            }
        })
    }))
    .await;
    let full = |ended: &&Result<(), recoup::RecoveryError<_>>| matches!(ended, Err(error) if matches!(error.reason(), Reason::BulkheadFull(_)) && error.is_rejection());
    assert_eq!((all.iter().filter(full).count(), calls.get()), (99, 1));
    let circuit = breaker.snapshot();
    assert_eq!((circuit.state, circuit.failures, circuit.calls), (CircuitState::Closed, 0, 1));
    assert_eq!(bulkhead.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn b12_a_wait_for_a_slot_is_not_the_dependencys_slowness() {
    let breaker = breaker().slow_calls(2 * SECOND, 0.5).minimum_calls(2).build().unwrap();
    let recovery = Recovery::<&str>::builder("db")
        .circuit_breaker(breaker.clone())
        .bulkhead(Bulkhead::builder(1).queue(9))
        .build()
        .unwrap();
    let all = join_all((0..10).map(|_| {
        execute_with_recovery(&recovery, |_| async {
            tokio::time::sleep(SECOND).await;
            Ok(())
        })
    }));
    assert!(all.await.iter().all(Result::is_ok), "each took a second, however long it queued");
    assert_eq!((breaker.state(), breaker.snapshot().slow_calls), (CircuitState::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn b12_a_call_that_got_its_slot_when_the_circuit_had_opened_is_not_made() {
    let (breaker, bulkhead) = (opens_after(1), Bulkhead::builder(1).queue(1).build().unwrap());
    let recovery = Recovery::builder("db").circuit_breaker(breaker.clone()).bulkhead(bulkhead.clone());
    let recovery = recovery.build().unwrap();
    let (slot, calls) = (bulkhead.try_acquire().unwrap(), Calls::default());
    let (ended, ()) = tokio::join!(execute_with_recovery(&recovery, |_| calls.fails()), async {
        breaker.admit().unwrap().settle(Outcome::Failure);
        drop(slot);
    });
    assert!(matches!(ended.unwrap_err().reason(), Reason::CircuitOpen(_)));
    assert_eq!((calls.made(), bulkhead.in_use()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn b12_a_probe_keeps_its_place_while_it_waits_for_a_slot() {
    let (breaker, bulkhead) = (opens_after(1), Bulkhead::builder(1).queue(1).build().unwrap());
    let recovery =
        Recovery::<&str>::builder("db").circuit_breaker(breaker.clone()).bulkhead(bulkhead.clone());
    let recovery = recovery.build().unwrap();
    breaker.admit().unwrap().settle(Outcome::Failure);
    tokio::time::advance(5 * SECOND).await;
    let slot = bulkhead.try_acquire().unwrap();
    let probe = execute_with_recovery(&recovery, |_| ready(Ok(7)));
    let (ended, ()) = tokio::join!(probe, async {
        assert!(breaker.admit().is_err(), "the one place is taken");
        drop(slot);
    });
    assert_eq!(ended.unwrap(), 7);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn b12_an_open_circuit_ends_the_call_at_once_and_says_when_to_come_back() {
    let (breaker, begun) = (opens_after(2), Instant::now());
    let recovery = Recovery::builder("db").retry(exactly(SECOND).max_attempts(9)).circuit_breaker(breaker);
    let recovery = recovery.build().unwrap();
    let calls = Calls::default();
    let error = execute_with_recovery(&recovery, |_| calls.fails()).await.unwrap_err();
    assert!(matches!(error.reason(), Reason::CircuitOpen(_)), "{error}");
    assert_eq!((error.attempts(), error.inner(), calls.made()), (2, Some(&"down"), 2));
    assert!(error.is_rejection() && !error.is_timeout());
    assert_eq!((error.retry_in(), Instant::now() - begun), (Some(4 * SECOND), 2 * SECOND));
    let error = execute_with_recovery(&recovery, |_| calls.fails()).await.unwrap_err();
    assert_eq!((error.attempts(), error.inner(), calls.made()), (0, None, 2));
}

#[tokio::test(start_paused = true)]
async fn b12_who_chooses_to_wait_for_the_circuit_waits_until_it_says_and_calls_once() {
    let breaker = opens_after(1);
    let retry = exactly(MS).max_attempts(3).wait_for_open_circuit();
    let recovery = Recovery::<&str>::builder("db").retry(retry).circuit_breaker(breaker.clone());
    let recovery = recovery.build().unwrap();
    let _failed = breaker.call(|| async { Err::<(), _>("down") }).await;
    let (begun, starts) = (Instant::now(), RefCell::new(Vec::new()));
    let answer = execute_with_recovery(&recovery, |attempt| {
        starts.borrow_mut().push(Instant::now() - begun);
        async move { Ok(attempt.number()) }
    })
    .await;
    assert_eq!((answer.unwrap(), starts.into_inner()), (1, vec![5 * SECOND]));
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn b12_each_wait_for_the_circuit_uses_up_an_attempt() {
    let breaker = opens_after(1);
    let retry = exactly(MS).max_attempts(3).wait_for_open_circuit();
    let recovery = Recovery::builder("db").retry(retry).circuit_breaker(breaker.clone()).build().unwrap();
    let _failed = breaker.call(|| async { Err::<(), _>("down") }).await;
    let (begun, calls) = (Instant::now(), Calls::default());
    // Waits 5 s, probes in vain, waits out the wait of 5 s that follows, and has no third to spend.
    let error = execute_with_recovery(&recovery, |_| calls.fails()).await.unwrap_err();
    assert_eq!((calls.made(), error.attempts()), (1, 1));
    assert!(matches!(error.reason(), Reason::CircuitOpen(_)), "{error}");
    assert_eq!(Instant::now() - begun, 5 * SECOND + MS);

    // Two waits and an attempt are three, so there is no second attempt.
    let policy = exactly(MS).max_attempts(2).wait_for_open_circuit();
    let recovery = Recovery::builder("db").retry(policy).circuit_breaker(breaker.clone()).build().unwrap();
    let calls = Calls::default();
    let error = execute_with_recovery(&recovery, |_| calls.fails()).await.unwrap_err();
    assert_eq!((error.reason(), calls.made()), (&Reason::AttemptsExhausted, 1));
}

#[tokio::test(start_paused = true)]
async fn b12_a_circuit_beyond_the_deadline_is_not_waited_for() {
    let (breaker, begun) = (opens_after(1), Instant::now());
    let retry = exactly(MS).wait_for_open_circuit().deadline(5 * SECOND);
    let recovery = Recovery::<&str>::builder("db").retry(retry).circuit_breaker(breaker.clone());
    let recovery = recovery.build().unwrap();
    let _failed = breaker.call(|| async { Err::<(), _>("down") }).await;
    let error = execute_with_recovery(&recovery, |_| async { Ok(()) }).await.unwrap_err();
    assert!(matches!(error.reason(), Reason::CircuitOpen(_)), "{error}");
    assert_eq!((error.retry_in(), Instant::now()), (Some(5 * SECOND), begun));
}

#[tokio::test(start_paused = true)]
async fn b12_callers_whom_a_warming_circuit_turned_away_wait_and_do_not_spin() {
    let breaker = breaker().consecutive_failures(1).ramp(Ramp::new(0.01, 10 * SECOND)).build().unwrap();
    let _failed = breaker.call(|| async { Err::<(), _>("down") }).await;
    tokio::time::advance(5 * SECOND).await;
    breaker.call(|| async { Ok::<_, &str>(()) }).await.unwrap();
    let recovery = Recovery::<&str>::builder("db")
        .retry(exactly(MS).unlimited_attempts().wait_for_open_circuit())
        .circuit_breaker(breaker)
        .build()
        .unwrap();
    let begun = Instant::now();
    execute_with_recovery(&recovery, |_| async { Ok(()) }).await.unwrap();
    assert!(Instant::now() - begun >= SECOND, "each time it is turned away it waits");
}

#[tokio::test(start_paused = true)]
async fn attempt_timeout_counts_as_failure_and_the_deadlines_cut_as_abandoned() {
    let counting = || breaker().abandoned(Abandoned::Ignore).minimum_calls(1).build().unwrap();
    let hangs = |recovery: Recovery<&'static str>| async move {
        execute_with_recovery(&recovery, |_| pending::<Result<(), _>>()).await.unwrap_err()
    };

    let circuit = counting();
    let recovery = Recovery::builder("db").retry(RetryPolicy::never()).circuit_breaker(circuit.clone());
    let error = hangs(recovery.attempt_timeout(SECOND).build().unwrap()).await;
    assert_eq!((error.reason(), error.is_timeout()), (&Reason::AttemptsExhausted, true));
    assert_eq!(error.classification().map(|answer| answer.category()), Some(Category::Timeout));
    assert_eq!((circuit.snapshot().failures, circuit.state()), (1, CircuitState::Open));

    let circuit = counting();
    let recovery = Recovery::builder("db").retry(RetryPolicy::never()).circuit_breaker(circuit.clone());
    let error = hangs(recovery.deadline(SECOND).build().unwrap()).await;
    assert_eq!((error.reason(), error.is_timeout()), (&Reason::DeadlineExceeded, true));
    assert_eq!((circuit.snapshot().failures, circuit.state()), (0, CircuitState::Closed));

    // The sooner of both is what it was.
    let circuit = counting();
    let recovery = Recovery::<&str>::builder("db").retry(exactly(MS)).circuit_breaker(circuit.clone());
    let recovery = recovery.attempt_timeout(SECOND).build().unwrap();
    let call = CallContext::new("read").deadline(Instant::now() + SECOND / 2);
    let cut = execute_with_recovery(recovery.with_context(&call), |_| pending::<Result<(), _>>()).await;
    assert_eq!(cut.unwrap_err().reason(), &Reason::DeadlineExceeded);
    assert_eq!((circuit.snapshot().failures, circuit.state()), (0, CircuitState::Closed));

    // At one and the same moment the attempt has had all that it may take: the dependency was too slow.
    let circuit = counting();
    let recovery = Recovery::builder("db").retry(exactly(MS)).circuit_breaker(circuit.clone());
    let error = hangs(recovery.attempt_timeout(SECOND).deadline(SECOND).build().unwrap()).await;
    assert_eq!((error.reason(), error.attempts()), (&Reason::DeadlineExceeded, 1));
    assert_eq!((circuit.snapshot().failures, circuit.state()), (1, CircuitState::Open));
}

#[tokio::test(start_paused = true)]
async fn everything_in_one_recovery_gives_everything_back() {
    let breaker = breaker().failure_rate(1.0).build().unwrap();
    let bulkhead = Bulkhead::builder(4).queue(100).build().unwrap();
    let budget = RetryBudget::builder().reserve(50).capacity(100).no_trickle().build().unwrap();
    let recovery = Recovery::builder("db")
        .classifier(|error: &&str| match *error {
            "bad input" => Classification::of(Category::Validation),
            _ => Category::Network.into(),
        })
        .retry(exactly(100 * MS).max_attempts(3).budget(budget.clone()))
        .circuit_breaker(breaker.clone())
        .bulkhead(bulkhead.clone())
        .attempt_timeout(SECOND)
        .deadline(20 * SECOND)
        .build()
        .unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let calls = (0..40_u32).map(|nth| {
        let attempts = Arc::clone(&attempts);
        let recovery = &recovery;
        async move {
            let mut seen = 0;
            let ended = execute_with_recovery_mut(
                recovery,
                &mut seen,
                async |seen: &mut u32, attempt: recoup::Attempt| {
                    *seen += 1;
                    attempts.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(10 * MS).await;
                    match (nth % 4, attempt.number()) {
                        (1, 1) => Err("reset"),
                        (2, _) => Err("bad input"),
                        (3, 1 | 2) => pending().await,
                        _ => Ok(()),
                    }
                },
            );
            let reason = ended.await.map_err(|error| error.reason().name());
            (nth % 4, reason, seen)
        }
    });
    let ended = join_all(calls).await;
    for (kind, reason, seen) in &ended {
        let expected = [(Ok(()), 1), (Ok(()), 2), (Err("permanent"), 1), (Ok(()), 3)];
        assert_eq!((*reason, *seen), expected[*kind as usize]);
    }
    let made: u32 = ended.iter().map(|(_, _, seen)| seen).sum();
    assert_eq!(attempts.load(Ordering::Relaxed), made);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
    let circuit = breaker.snapshot();
    assert_eq!(circuit.state, CircuitState::Closed);
    // Each of the ten that hung did so twice, the ten that were reset failed once; bad input says nothing.
    assert_eq!((circuit.failures, circuit.calls), (30, 10 + 20 + 30));
    // The ten whose first retry hung too have paid for it; thirty successes paid in a fifth of a token each.
    assert_eq!(budget.tokens(), 50 - 10 + 30 / 5);
}

/// What an attempt was given is in registers while its operation is polled for the first time; unwinding puts it
/// where it belongs.
#[tokio::test(start_paused = true)]
async fn operation_that_panics_at_once_is_dropped_before_its_slot_comes_back() {
    struct Panics<'b>(&'b Bulkhead, &'b Cell<usize>);
    impl Future for Panics<'_> {
        type Output = Result<(), &'static str>;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            panic!("while polled")
        }
    }
    impl Drop for Panics<'_> {
        fn drop(&mut self) {
            self.1.set(self.0.in_use());
        }
    }
    let (breaker, bulkhead) = (breaker().build().unwrap(), Bulkhead::builder(1).build().unwrap());
    let builder = Recovery::<&str>::builder("db").circuit_breaker(breaker.clone());
    let recovery = builder.bulkhead(bulkhead.clone()).build().unwrap();
    let in_use = Cell::new(0);
    let mut call = Box::pin(execute_with_recovery(&recovery, |_| Panics(&bulkhead, &in_use)));
    let poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
    drop(call);
    assert_eq!((in_use.get(), bulkhead.in_use()), (1, 0));
    let seen = breaker.snapshot();
    assert_eq!((seen.calls, seen.failures), (1, 1));
}
