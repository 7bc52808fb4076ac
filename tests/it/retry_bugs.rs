//! What has gone wrong with retrying elsewhere, and cannot here. Each test is named after its line in the list.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests read the paused clock and lock nothing hot"
)]

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use recoup::{
    Advice, Attempt, Backoff, Category, CircuitBreaker, CircuitState, Classification, DelaySource, Event,
    Instant, Jitter, Observer, Reason, Recovery, RetryBudget, RetryPolicy, Transient, execute_with_recovery,
    retry, retry_mut, timeout,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The waits of one call under `policy` that fails all the time.
async fn waits(policy: &RetryPolicy) -> Vec<Duration> {
    let mut waits = Vec::new();
    let failed = retry(|| async { Err::<(), _>("down") }).policy(policy).notify(|failed| {
        waits.push(failed.delay);
    });
    assert_eq!(failed.await, Err("down"));
    waits
}

/// How long a call under `policy` slept in all, in virtual time.
async fn slept(policy: &RetryPolicy) -> Duration {
    let start = Instant::now();
    let _failed = retry(|| async { Err::<(), _>("down") }).policy(policy).await;
    Instant::now() - start
}

/// Elsewhere a Fibonacci backoff slept 89 s under a cap of 60 s, and jitter doubled what the cap allowed.
#[tokio::test(start_paused = true)]
async fn r1_no_wait_is_longer_than_the_cap() {
    let minute = 60 * SECOND;
    for backoff in [
        Backoff::fibonacci(SECOND),
        Backoff::exponential(SECOND),
        Backoff::exponential(SECOND).factor(1e300),
        Backoff::linear(59 * SECOND),
        Backoff::decorrelated(SECOND),
    ] {
        for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Proportional(1.0)] {
            let backoff = backoff.clone().max_delay(minute).jitter(jitter);
            let policy = RetryPolicy::backoff(backoff.clone()).max_attempts(40).no_budget().build().unwrap();
            let waits = waits(&policy).await;
            assert_eq!(waits.len(), 39);
            assert!(waits.iter().all(|&wait| wait <= minute), "{backoff:?} {waits:?}");
            if jitter == Jitter::None && backoff != Backoff::decorrelated(SECOND).max_delay(minute) {
                assert_eq!(waits[38], minute, "it does get there: {backoff:?}");
            }
        }
    }
}

/// Elsewhere settings that cannot work were kept and misbehaved at the first failure.
#[test]
fn r1_what_cannot_work_is_refused_when_built_by_its_name() {
    let refused = |backoff| RetryPolicy::backoff(backoff).build().unwrap_err().setting;
    for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -2.0, 0.5] {
        assert_eq!(refused(Backoff::exponential(SECOND).factor(factor)), "factor");
    }
    for backoff in [Backoff::exponential(SECOND), Backoff::fibonacci(SECOND), Backoff::linear(SECOND)] {
        assert_eq!(refused(backoff.max_delay(999 * MS)), "max_delay");
    }
    for share in [f64::NAN, 0.0, -0.1, 1.5] {
        assert_eq!(refused(Backoff::fixed(SECOND).jitter(Jitter::Proportional(share))), "jitter");
    }
}

/// Elsewhere jitter was added after the cap, and exceeded it by half.
#[tokio::test(start_paused = true)]
async fn t8_jitter_stays_below_the_maximum_and_what_is_slept_is_what_was_told() {
    let policy = RetryPolicy::exponential(SECOND)
        .max_delay(SECOND)
        .jitter(Jitter::Full)
        .max_attempts(200)
        .no_budget()
        .build()
        .unwrap();
    let start = Instant::now();
    let waits = waits(&policy).await;
    assert!(waits.iter().all(|&wait| wait <= SECOND));
    // The timer wheel counts whole milliseconds: a wait is never shorter than was said, and up to one longer.
    let (told, slept) = (waits.iter().sum::<Duration>(), Instant::now() - start);
    assert!((told..=told + 199 * MS).contains(&slept), "{told:?} {slept:?}");
}

/// Elsewhere a limit of 2 s on the whole call let it run for 52 s, because only the sleeps were counted.
#[tokio::test(start_paused = true)]
async fn r2_the_time_that_attempts_take_counts_against_the_deadline() {
    let start = Instant::now();
    let calls = Cell::new(0);
    let policy = RetryPolicy::fixed(10 * MS).jitter(Jitter::None).max_attempts(50).deadline(2 * SECOND);
    let error = retry(|| {
        calls.set(calls.get() + 1);
        async {
            tokio::time::sleep(1030 * MS).await;
            Err::<(), _>("slow")
        }
    })
    .policy(&policy.build().unwrap())
    .await
    .unwrap_err();
    assert_eq!(error.reason(), &Reason::DeadlineExceeded);
    assert_eq!((calls.get(), error.attempts(), error.inner()), (2, 2, Some(&"slow")));
    assert_eq!(Instant::now() - start, 2 * SECOND, "the second attempt is cut at the deadline");
}

/// Elsewhere `from_millis(100)` was taken to the power of the attempt: 100 ms, 10 s, 1000 s.
#[tokio::test(start_paused = true)]
async fn r3_base_and_factor_are_two_settings() {
    let policy = |factor| {
        let backoff = Backoff::exponential(100 * MS).factor(factor).max_delay(3600 * SECOND);
        RetryPolicy::backoff(backoff).max_attempts(4).build().unwrap()
    };
    assert_eq!(waits(&policy(2.0)).await, [100 * MS, 200 * MS, 400 * MS]);
    assert_eq!(waits(&policy(10.0)).await, [100 * MS, SECOND, 10 * SECOND]);
}

/// Elsewhere the server's wish when to come back was reported, and then not slept.
#[tokio::test(start_paused = true)]
async fn r4_a_hint_is_slept_to_the_instant() {
    let hint = Duration::from_millis(2718);
    let policy = RetryPolicy::fixed(10 * MS).max_attempts(3).build().unwrap();
    let starts = RefCell::new(Vec::new());
    let busy = |_: &&str| Classification::of(Category::RateLimited).retry_after(hint);
    let begun = Instant::now();
    let _error = retry(|| {
        starts.borrow_mut().push(Instant::now() - begun);
        async { Err::<(), _>("busy") }
    })
    .policy(&policy)
    .classifier(&busy)
    .await;
    assert_eq!(starts.into_inner(), [Duration::ZERO, hint, 2 * hint]);
}

/// Elsewhere the operation's closure ran before the delay, so what it made had aged by the time it was used.
#[tokio::test(start_paused = true)]
async fn r5_the_closure_runs_after_the_delay() {
    let policy = RetryPolicy::fixed(5 * SECOND).jitter(Jitter::None).max_attempts(3).build().unwrap();
    let (made, polled) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let begun = Instant::now();
    let _error = retry(|| {
        made.borrow_mut().push(Instant::now() - begun);
        let polled = &polled;
        async move {
            polled.borrow_mut().push(Instant::now() - begun);
            Err::<(), _>("down")
        }
    })
    .policy(&policy)
    .await;
    assert_eq!(*made.borrow(), [Duration::ZERO, 5 * SECOND, 10 * SECOND]);
    assert_eq!(made, polled);
}

/// Elsewhere a server's hint was slept whatever limit the whole call had.
#[tokio::test(start_paused = true)]
async fn r5_a_hint_beyond_the_deadline_ends_the_call_at_once() {
    let policy = RetryPolicy::fixed(MS).max_attempts(5).deadline(10 * SECOND).build().unwrap();
    let begun = Instant::now();
    let busy = |_: &&str| Classification::of(Category::RateLimited).retry_after(30 * SECOND);
    let error = retry(|| async { Err::<(), _>("busy") }).policy(&policy).classifier(&busy).await.unwrap_err();
    assert_eq!(Instant::now(), begun, "a wait that does not fit is not begun");
    assert_eq!((error.reason(), error.attempts()), (&Reason::DeadlineExceeded, 1));
    assert_eq!(error.retry_in(), Some(30 * SECOND), "and the hint is handed on");
}

/// Elsewhere decorrelated jitter panicked at the first retry, and linear backoff overflowed.
#[tokio::test(start_paused = true)]
async fn r6_decorrelated_and_linear_waits_neither_panic_nor_overflow() {
    let far = Duration::MAX;
    for backoff in [
        Backoff::decorrelated(Duration::from_nanos(1)),
        Backoff::decorrelated(10 * SECOND).max_delay(10 * SECOND),
        Backoff::linear(Duration::MAX).max_delay(far),
        Backoff::exponential(Duration::MAX).max_delay(far),
        Backoff::from_fn(|_| Duration::MAX).max_delay(MS),
    ] {
        let cap = backoff.preview(1)[0].max;
        let policy = RetryPolicy::backoff(backoff).max_attempts(3).build().unwrap();
        let mut told = Vec::new();
        let call = retry(|| async { Err::<(), _>("down") }).policy(&policy).notify(|f| told.push(f.delay));
        // A wait of centuries is not sat out even on a paused clock: it is enough that it is begun.
        let _ = timeout(3600 * SECOND, || call).await;
        assert!(!told.is_empty() && told[0] <= cap);
    }
}

/// Elsewhere a timeout inside a retry panicked, and a breaker that was forced open did not keep calls away.
#[tokio::test(start_paused = true)]
async fn r7_timeout_in_retry_does_not_panic_and_a_breaker_forced_open_keeps_calls_away() {
    let policy = RetryPolicy::fixed(MS).max_attempts(3).build().unwrap();
    let late = retry(|| timeout(SECOND, pending::<Result<(), &str>>)).policy(&policy).await;
    assert_eq!(late.unwrap_err().rejected().map(|late| late.limit), Some(SECOND));

    let breaker = CircuitBreaker::builder("db").build().unwrap();
    breaker.force_open();
    let calls = Cell::new(0);
    let refused = retry(|| {
        breaker.call(|| {
            calls.set(calls.get() + 1);
            async { Ok::<_, &str>(()) }
        })
    })
    .policy(&policy)
    .await;
    assert!(refused.unwrap_err().rejected().is_some());
    assert_eq!((calls.get(), breaker.state()), (0, CircuitState::Open));
}

/// Elsewhere every request drew the same sequence of jitter, so a crowd that failed together came back together.
#[tokio::test(start_paused = true)]
async fn r8_a_thousand_calls_at_once_spread_over_the_range_and_no_two_alike() {
    let policy = RetryPolicy::fixed(SECOND).jitter(Jitter::Full).max_attempts(4).no_budget().build().unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let policy = policy.clone();
        calls.spawn(async move { waits(&policy).await });
    }
    let mut sequences = calls.join_all().await;
    for nth in 0..3 {
        let mut tenths = [0_u32; 10];
        for sequence in &sequences {
            tenths[usize::try_from(sequence[nth].as_millis() / 100).unwrap().min(9)] += 1;
        }
        // A hundred each are expected; less than fifty is more than five standard deviations off.
        assert!(tenths.iter().all(|&calls| calls >= 50), "{tenths:?}");
    }
    sequences.sort();
    sequences.dedup();
    assert_eq!(sequences.len(), 1_000);
}

/// Elsewhere a retry budget of 60 % let 100 % through, because shares of a token were rounded up.
#[tokio::test(start_paused = true)]
async fn r9_a_budget_of_sixty_percent_is_sixty_percent() {
    let budget = RetryBudget::builder().share(0.6).reserve(0).capacity(10_000).no_trickle().build().unwrap();
    let policy = RetryPolicy::fixed(MS).max_attempts(2).budget(budget.clone()).build().unwrap();
    let attempts = Cell::new(0_u32);
    for _ in 0..1_000 {
        retry(|| async { Ok::<_, ()>(()) }).policy(&policy).await.unwrap();
    }
    assert_eq!(budget.tokens(), 600);
    for _ in 0..1_000 {
        let failed = retry(|| {
            attempts.set(attempts.get() + 1);
            async { Err::<(), _>("down") }
        });
        assert_eq!(failed.policy(&policy).await, Err("down"));
    }
    assert_eq!(attempts.get(), 1_000 + 600, "exactly the share, and no more");
}

/// Elsewhere a server's hint of a day overrode a cap of a second: the call slept for a day.
#[tokio::test(start_paused = true)]
async fn s6_a_hint_of_a_day_ends_the_call_with_the_hint_in_its_error() {
    let day = Duration::from_secs(86_400);
    let begun = Instant::now();
    let recovery = Recovery::builder("api")
        .classifier(move |_: &&str| Classification::of(Category::RateLimited).retry_after(day))
        .retry(RetryPolicy::fixed(MS).max_delay(SECOND))
        .build()
        .unwrap();
    let error = execute_with_recovery(&recovery, |_| async { Err::<(), _>("busy") }).await.unwrap_err();
    assert_eq!(error.reason(), &Reason::HintTooLong(day));
    assert_eq!((error.retry_in(), error.attempts()), (Some(day), 1));
    assert_eq!(error.classification().map(|answer| answer.advice()), Some(Advice::RetryAfter(day)));
    assert_eq!(Instant::now(), begun);
}

/// Elsewhere fifty retries at once that all succeeded drained 196 of 500 tokens.
#[tokio::test(start_paused = true)]
async fn m1_fifty_retries_that_all_succeed_leave_the_budget_as_full_as_before() {
    let budget = RetryBudget::builder().reserve(500).capacity(500).no_trickle().build().unwrap();
    let policy = RetryPolicy::fixed(SECOND).max_attempts(3).budget(budget.clone()).build().unwrap();
    let all_failed = Arc::new(tokio::sync::Barrier::new(50));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (policy, all_failed) = (policy.clone(), Arc::clone(&all_failed));
        calls.spawn(async move {
            recoup::retry_with(|attempt| {
                let all_failed = &all_failed;
                async move {
                    if !attempt.is_first() {
                        return Ok(());
                    }
                    all_failed.wait().await;
                    Err("busy")
                }
            })
            .policy(&policy)
            .await
        });
    }
    let least = Arc::new(Mutex::new(u32::MAX));
    while let Some(call) = calls.join_next().await {
        let mut least = least.lock().unwrap();
        *least = budget.tokens().min(*least);
        assert_eq!(call.unwrap(), Ok(()));
    }
    assert!(*least.lock().unwrap() < 500, "tokens were held while the retries were under way");
    assert_eq!(budget.tokens(), 500);
}

/// Elsewhere the delay went negative after 1025 attempts, and the retries ran away without a pause.
#[tokio::test(start_paused = true)]
async fn p1_a_call_that_retries_for_days_keeps_waiting_the_cap() {
    for backoff in [Backoff::exponential(MS), Backoff::fibonacci(MS), Backoff::linear(SECOND)] {
        let policy = RetryPolicy::backoff(backoff.max_delay(30 * SECOND)).max_attempts(2_100).no_budget();
        let policy = policy.jitter(Jitter::None).build().unwrap();
        let waits = waits(&policy).await;
        assert_eq!(waits.len(), 2_099);
        assert!(waits[40..].iter().all(|&wait| wait == 30 * SECOND));
    }
    let policy = RetryPolicy::exponential(SECOND).jitter(Jitter::None).max_attempts(2_100).no_budget();
    assert!(slept(&policy.build().unwrap()).await >= 2_000 * 30 * SECOND, "and they are slept");
}

/// What was told of the waits of one recovery.
#[derive(Default)]
struct Waits(Mutex<Vec<(Duration, DelaySource)>>);

impl Observer for Waits {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::RetryScheduled { delay, source, .. } = event {
            self.0.lock().unwrap().push((*delay, *source));
        }
    }
}

/// Elsewhere nobody could tell a wait that the server had asked for from one of the policy's own.
#[tokio::test(start_paused = true)]
async fn r4_the_event_says_that_the_server_chose_the_wait() {
    let told = Arc::new(Waits::default());
    let recovery = Recovery::builder("api")
        .classifier(|error: &&str| match *error {
            "busy" => Classification::of(Category::RateLimited).retry_after(2 * SECOND),
            _ => Category::Network.into(),
        })
        .retry(RetryPolicy::fixed(10 * MS).jitter(Jitter::None))
        .observer(told.clone())
        .build()
        .unwrap();
    let _error = execute_with_recovery(&recovery, |attempt| async move {
        Err::<(), _>(if attempt.is_first() { "busy" } else { "reset" })
    })
    .await;
    let told = told.0.lock().unwrap();
    assert_eq!(*told, [(2 * SECOND, DelaySource::Server), (10 * MS, DelaySource::Backoff)]);
}

/// A loop without waits, around an operation that is never pending, must not keep its thread to itself: the
/// time limit around it would never be looked at, though the documentation says "be ready to drop it".
#[tokio::test(start_paused = true)]
async fn retry_without_waits_and_without_end_can_be_dropped() {
    let policy = RetryPolicy::backoff(Backoff::none()).unlimited_attempts().no_budget();
    let policy = policy.build().unwrap();
    let attempts = Cell::new(0_u32);
    let down = || {
        attempts.set(attempts.get() + 1);
        assert!(attempts.get() < 100_000, "nobody else came to run");
        std::future::ready(Err::<(), _>("down"))
    };
    assert!(retry(down).policy(&policy).now_or_never().is_none(), "it never ends");
    assert!(attempts.replace(0) > 1);

    let mut attempts = 0_u32;
    let lent = retry_mut(&policy, &Transient, &mut attempts, async |attempts: &mut u32, _: Attempt| {
        *attempts += 1;
        assert!(*attempts < 100_000, "nobody else came to run");
        Err::<(), _>("down")
    });
    assert!(lent.now_or_never().is_none(), "it never ends");
    assert!(attempts > 1);
}
