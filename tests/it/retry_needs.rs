//! What users need of retrying, each need by its number.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests read the paused clock and lock nothing hot"
)]

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recoup::{
    Backoff, Bulkhead, CallContext, Category, CircuitBreaker, Classification, Cooldown, ErrorClassifier,
    Event, FirstAttempts, Instant, Jitter, Nested, Observer, Reason, Recovery, RetryBudget, RetryPolicy,
    RetryPolicyBuilder, Shutdown, execute_with_recovery, retry, retry_with,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Exact waits, and no budget in the way.
fn exactly(wait: Duration) -> RetryPolicyBuilder {
    RetryPolicy::fixed(wait).jitter(Jitter::None).no_budget()
}

fn busy(hint: Duration) -> impl Fn(&&'static str) -> Classification + Send + Sync + 'static {
    move |_| Classification::of(Category::RateLimited).retry_after(hint)
}

/// What was told, in words.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Observer for Log {
    fn on_event(&self, event: &Event<'_>) {
        let line = match event {
            Event::NestedRetry { outer, inner } => format!("nested {outer} {inner}"),
            Event::GaveUp { reason, attempts, .. } => format!("gave up {reason} {attempts}"),
            Event::CallSucceeded { .. } => "succeeded".to_owned(),
            Event::RetryScheduled { source, delay, .. } => format!("wait {source:?} {delay:?}"),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

// ## R1: what the server says wins over the backoff.

#[tokio::test(start_paused = true)]
async fn need_r1_retry_after_two_seconds_is_two_seconds_even_above_the_backoffs_own_cap() {
    let begun = Instant::now();
    let policy = RetryPolicy::exponential(10 * MS).max_delay(100 * MS).max_attempts(2).build().unwrap();
    let starts = RefCell::new(Vec::new());
    let _error = retry(|| {
        starts.borrow_mut().push(Instant::now() - begun);
        async { Err::<(), _>("busy") }
    })
    .policy(&policy)
    .classifier(&busy(2 * SECOND))
    .await;
    assert_eq!(starts.into_inner(), [Duration::ZERO, 2 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn need_r1_an_hour_above_the_hint_cap_fails_at_once_or_is_clamped_as_the_policy_says() {
    let hour = 3600 * SECOND;
    for (clamp, reason, took) in
        [(false, Reason::HintTooLong(hour), Duration::ZERO), (true, Reason::AttemptsExhausted, 30 * SECOND)]
    {
        let policy = exactly(MS).max_attempts(2).max_hint(30 * SECOND).deadline(100 * SECOND);
        let policy = if clamp { policy.clamp_hints() } else { policy }.build().unwrap();
        let begun = Instant::now();
        let call = retry(|| async { Err::<(), _>("busy") }).policy(&policy).classifier(&busy(hour)).await;
        let error = call.unwrap_err();
        assert_eq!((error.reason(), Instant::now() - begun), (&reason, took));
        assert_eq!(error.retry_in(), Some(hour), "the hint is in the error");
    }
}

#[tokio::test(start_paused = true)]
async fn need_r1_a_hint_never_exceeds_the_deadline() {
    let policy = exactly(MS).deadline(2 * SECOND).build().unwrap();
    let begun = Instant::now();
    let call = retry(|| async { Err::<(), _>("busy") }).policy(&policy).classifier(&busy(2 * SECOND)).await;
    let error = call.unwrap_err();
    assert_eq!((error.reason(), Instant::now()), (&Reason::DeadlineExceeded, begun));
}

// ## R2: no arithmetic goes wrong, whatever the settings. Attempts above 10,000 are tested beside the code.

#[test]
fn need_r2_every_wait_of_every_backoff_lies_between_nothing_and_the_cap() {
    let bases = [Duration::ZERO, Duration::from_nanos(1), 3600 * SECOND, Duration::MAX];
    let jitters = [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Proportional(0.3)];
    for base in bases {
        for cap in [base, base.saturating_add(SECOND), Duration::MAX] {
            let backoffs = [
                Backoff::fixed(base),
                Backoff::linear(base),
                Backoff::exponential(base).factor(1.5),
                Backoff::exponential(base).factor(f64::MAX),
                Backoff::fibonacci(base),
                Backoff::decorrelated(base.max(Duration::from_nanos(1))),
                Backoff::delays([base]),
                Backoff::from_fn(move |n| base.saturating_mul(n)),
            ];
            for (backoff, jitter) in backoffs.iter().flat_map(|b| jitters.map(|j| (b.clone(), j))) {
                let backoff = backoff.max_delay(cap.max(Duration::from_nanos(1))).jitter(jitter);
                let policy = RetryPolicy::backoff(backoff).unlimited_attempts().build().unwrap();
                let bounds = policy.preview(10_000);
                for failed in [1, 63, 64, 1_023, 1_024, 1_025, 10_000] {
                    let wait = bounds[failed - 1];
                    assert!(wait.min <= wait.max && wait.max <= cap.max(Duration::from_nanos(1)));
                }
            }
        }
    }
}

// ## R3: the cap is a cap, and those who have reached it do not come as one wave.

#[tokio::test(start_paused = true)]
async fn need_r3_at_the_cap_waits_stay_below_it_and_stay_spread() {
    let cap = 10 * SECOND;
    for (backoff, spread) in [
        (Backoff::exponential(SECOND).jitter(Jitter::Full), 0.5),
        (Backoff::linear(SECOND).jitter(Jitter::Full), 0.5),
        (Backoff::fibonacci(SECOND).jitter(Jitter::Full), 0.5),
        (Backoff::decorrelated(MS), 0.5),
        (Backoff::exponential(SECOND).jitter(Jitter::Equal), 0.25),
    ] {
        let policy = RetryPolicy::backoff(backoff.max_delay(cap)).max_attempts(10_101).no_budget().seed(7);
        let mut waits = Vec::new();
        let policy = policy.build().unwrap();
        let call = retry(|| async { Err::<(), _>("down") }).policy(&policy);
        let _error = call.notify(|failed| waits.push(failed.delay)).await;
        let mut late = waits.split_off(100);
        assert_eq!(late.len(), 10_000);
        late.sort();
        assert!(late[9_999] <= cap);
        assert!(late.iter().filter(|&&wait| wait == cap).count() < 100);
        assert!(late[9_500] >= late[500] + cap.mul_f64(spread), "{policy:?}");
    }
}

// ## R4: one deadline over attempts, waits and hints.

#[tokio::test(start_paused = true)]
async fn need_r4_a_wait_that_does_not_fit_is_not_begun() {
    let begun = Instant::now();
    let policy = exactly(6_400 * MS).max_attempts(9).deadline(10 * SECOND).build().unwrap();
    let error = retry(|| async {
        tokio::time::sleep(9_900 * MS).await;
        Err::<(), _>("slow")
    })
    .policy(&policy)
    .await
    .unwrap_err();
    assert_eq!(Instant::now() - begun, 9_900 * MS);
    assert_eq!((error.reason(), error.attempts()), (&Reason::DeadlineExceeded, 1));
    assert_eq!((error.inner(), error.elapsed()), (Some(&"slow"), 9_900 * MS));
}

#[tokio::test(start_paused = true)]
async fn need_r4_no_attempt_starts_at_the_deadline_or_after_it() {
    let begun = Instant::now();
    let starts = RefCell::new(Vec::new());
    // The fourth would start at exactly 3 s.
    let policy = exactly(SECOND).max_attempts(99).deadline(3 * SECOND).build().unwrap();
    let _error = retry(|| {
        starts.borrow_mut().push(Instant::now() - begun);
        async { Err::<(), _>("down") }
    })
    .policy(&policy)
    .await;
    assert_eq!(starts.into_inner(), [Duration::ZERO, SECOND, 2 * SECOND]);
    assert_eq!(Instant::now() - begun, 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn need_r4_the_last_attempt_is_clipped_to_what_is_left() {
    let begun = Instant::now();
    let policy = exactly(Duration::ZERO).max_attempts(99).attempt_timeout(SECOND).deadline(2_500 * MS);
    let remaining = RefCell::new(Vec::new());
    let error = retry_with(|attempt| {
        remaining.borrow_mut().push(attempt.remaining());
        pending::<Result<(), &str>>()
    })
    .policy(&policy.build().unwrap())
    .await
    .unwrap_err();
    assert_eq!((Instant::now() - begun, error.attempts()), (2_500 * MS, 3));
    assert_eq!((error.reason(), error.is_timeout()), (&Reason::DeadlineExceeded, true));
    // The clock starts when the first attempt is pending.
    assert_eq!(remaining.into_inner(), [None, Some(1_500 * MS), Some(500 * MS)]);
}

#[tokio::test(start_paused = true)]
async fn need_r4_the_callers_own_deadline_shortens_and_never_lengthens() {
    let recovery = Recovery::<&str>::builder("db").retry(exactly(MS)).deadline(10 * SECOND).build().unwrap();
    for (callers, ends) in [(2 * SECOND, 2 * SECOND), (60 * SECOND, 10 * SECOND)] {
        let begun = Instant::now();
        let call = CallContext::new("read").deadline(begun + callers);
        let hangs = execute_with_recovery(recovery.with_context(&call), |_| pending::<Result<(), _>>());
        assert_eq!(hangs.await.unwrap_err().reason(), &Reason::DeadlineExceeded);
        assert_eq!(Instant::now() - begun, ends);
    }
}

#[tokio::test(start_paused = true)]
async fn need_r4_an_operation_is_told_the_moment_that_it_may_pass_on() {
    let recovery = Recovery::<&str>::builder("db").build().unwrap();
    let until = Instant::now() + SECOND;
    let call = CallContext::new("read").deadline(until);
    let told =
        execute_with_recovery(recovery.with_context(&call), |attempt| async move { Ok(attempt.deadline()) });
    assert_eq!(told.await.unwrap(), Some(until));
    let told = execute_with_recovery(&recovery, |attempt| async move { Ok(attempt.deadline()) });
    assert_eq!(told.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn need_r4_a_first_attempt_that_must_wait_for_others_cooldown_has_a_deadline_too() {
    let cooldown = Cooldown::builder().build().unwrap();
    let recovery = |deadline| {
        let recovery = Recovery::builder("api").classifier(busy(5 * SECOND)).cooldown(cooldown.clone());
        recovery.retry(RetryPolicy::never()).deadline(deadline).build().unwrap()
    };
    let first = recovery(2 * SECOND);
    let _busy = execute_with_recovery(&first, |_| async { Err::<(), _>("busy") }).await;
    let begun = Instant::now();
    let error = execute_with_recovery(&first, |_| async { Ok::<(), _>(()) }).await.unwrap_err();
    assert_eq!((error.reason(), Instant::now()), (&Reason::DeadlineExceeded, begun));
    // The wait counts: five of seven seconds are gone when the attempt begins.
    let longer = recovery(7 * SECOND);
    let hangs = execute_with_recovery(&longer, |_| pending::<Result<(), _>>()).await;
    assert_eq!((hangs.unwrap_err().attempts(), Instant::now() - begun), (1, 7 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn need_r4_the_queue_of_a_bulkhead_and_a_hook_are_within_the_deadline() {
    let bulkhead = Bulkhead::builder(1).queue(9).build().unwrap();
    let slot = bulkhead.try_acquire().unwrap();
    let recovery = Recovery::<&str>::builder("db").bulkhead(bulkhead.clone()).deadline(2 * SECOND);
    let recovery = recovery.build().unwrap();
    let begun = Instant::now();
    let error = execute_with_recovery(&recovery, |_| async { Ok(()) }).await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::DeadlineExceeded, 0));
    assert_eq!((Instant::now() - begun, bulkhead.queued()), (2 * SECOND, 0));
    drop(slot);

    let begun = Instant::now();
    let policy = exactly(MS).deadline(2 * SECOND).build().unwrap();
    let call = retry(|| async { Err::<(), _>("down") }).policy(&policy);
    let error = call.before_retry(|_| pending::<std::ops::ControlFlow<()>>()).await.unwrap_err();
    assert_eq!((error.reason(), error.inner()), (&Reason::DeadlineExceeded, Some(&"down")));
    assert_eq!(Instant::now() - begun, 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn need_r4_an_error_that_is_final_is_not_called_a_shutdown() {
    let shutdown = Shutdown::new();
    shutdown.trigger();
    for (category, attempts, reason) in [
        (Category::Validation, 3, Reason::Permanent),
        (Category::Network, 1, Reason::AttemptsExhausted),
        (Category::Network, 3, Reason::ShutDown),
    ] {
        let recovery = Recovery::builder("db").classifier(move |_: &&str| category).shutdown(&shutdown);
        let recovery = recovery.retry(exactly(MS).max_attempts(attempts)).build().unwrap();
        let error = execute_with_recovery(&recovery, |_| async { Err::<(), _>("down") }).await.unwrap_err();
        assert_eq!((error.reason(), error.attempts()), (&reason, 1));
    }
}

// ## R5: names that cannot be misread.

#[tokio::test(start_paused = true)]
async fn need_r5_three_attempts_are_three_calls_and_the_preview_says_when() {
    let calls = Cell::new(0);
    // Said twice, the last counts.
    let policy = RetryPolicy::exponential(50 * MS).max_attempts(9).max_attempts(3).build().unwrap();
    let _error = retry(|| {
        calls.set(calls.get() + 1);
        async { Err::<(), _>("down") }
    })
    .policy(&policy)
    .await;
    assert_eq!((calls.get(), policy.max_attempts()), (3, Some(3)));
    assert_eq!(policy.preview(9).len(), 2, "three attempts, two waits");

    let preview = RetryPolicy::exponential(50 * MS).max_attempts(6).build().unwrap().preview(5);
    let longest: Vec<u128> = preview.iter().map(|wait| wait.max.as_millis()).collect();
    assert_eq!(longest, [50, 100, 200, 400, 800]);
    assert_eq!(RetryPolicy::builder().max_attempts(0).build().unwrap_err().setting, "max_attempts");
}

#[tokio::test(start_paused = true)]
async fn need_r5_what_was_said_of_values_is_not_undone_by_saying_more_of_them() {
    let calls = Cell::new(0);
    let policy = exactly(MS).max_attempts(4).build().unwrap();
    let answer = retry(|| {
        calls.set(calls.get() + 1);
        let status = [503, 202, 200, 200][calls.get() - 1];
        async move { Ok::<u16, &str>(status) }
    })
    .policy(&policy)
    .judge(|status| (*status >= 500).then(|| Category::ServiceUnavailable.into()))
    .until(|status| *status != 202)
    .await;
    assert_eq!((answer, calls.get()), (Ok(200), 3));
}

// ## R6: a schedule for each kind of failure.

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Blip,
    Throttled,
    Broken,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "classifiers are lent the error")]
fn by_kind(kind: &Kind) -> Category {
    match kind {
        Kind::Blip => Category::Network,
        Kind::Throttled => Category::RateLimited,
        Kind::Broken => Category::Validation,
    }
}

#[tokio::test(start_paused = true)]
async fn need_r6_a_mixed_sequence_gives_exactly_the_expected_times() {
    use Kind::{Blip, Broken, Throttled};
    let policy = RetryPolicy::exponential(100 * MS)
        .jitter(Jitter::None)
        .max_attempts(3)
        .for_category(Category::RateLimited, exactly(5 * SECOND).max_attempts(10))
        .no_budget()
        .build()
        .unwrap();
    for (fails, expected) in [
        // The third blip uses up the three attempts meant for blips; throttling has its own ten.
        (&[Blip, Blip, Throttled, Throttled, Blip, Blip][..], &[0, 100, 300, 5_300, 10_300][..]),
        (&[Throttled, Broken, Blip], &[0, 5_000]),
        (&[Broken, Blip], &[0]),
    ] {
        let (begun, times) = (Instant::now(), RefCell::new(Vec::new()));
        let failed = retry_with(|attempt| {
            times.borrow_mut().push((Instant::now() - begun).as_millis());
            let kind = fails[attempt.number() as usize - 1];
            async move { Err::<(), _>(kind) }
        })
        .policy(&policy)
        .classifier(&by_kind)
        .await;
        assert_eq!(*times.borrow(), expected);
        assert_eq!(failed, Err(fails[expected.len() - 1]), "the operation's own error");
    }
}

#[tokio::test(start_paused = true)]
async fn need_r6_of_two_classifiers_that_disagree_the_first_that_knows_wins() {
    let first = |error: &&str| match *error {
        "known" => Some(Category::Validation),
        _ => None,
    };
    let both = first.or(|_: &&str| Category::Network);
    let policy = exactly(MS).max_attempts(3).build().unwrap();
    for (error, expected) in [("known", 1), ("other", 3)] {
        let calls = Cell::new(0);
        let _failed = retry(|| {
            calls.set(calls.get() + 1);
            async move { Err::<(), _>(error) }
        })
        .policy(&policy)
        .classifier(&both)
        .await;
        assert_eq!(calls.get(), expected, "{error}");
    }
}

// ## R7: values that are not good enough.

#[derive(Debug, PartialEq)]
struct Response {
    status: u16,
    body: String,
}

fn unavailable(response: &Response) -> Option<Classification> {
    (response.status == 503).then(|| Category::ServiceUnavailable.into())
}

#[tokio::test(start_paused = true)]
async fn need_r7_the_last_value_is_handed_back_and_counts_as_a_failure_everywhere() {
    let log = Arc::new(Log::default());
    let breaker = CircuitBreaker::builder("web").build().unwrap();
    let recovery = Recovery::<&str>::builder("web")
        .retry(exactly(MS).max_attempts(3))
        .circuit_breaker(breaker.clone())
        .observer(log.clone())
        .build()
        .unwrap();
    let response = execute_with_recovery(&recovery, |attempt| async move {
        Ok(Response { status: 503, body: format!("answer {}", attempt.number()) })
    })
    .judge(unavailable)
    .await;
    assert_eq!(response.unwrap(), Response { status: 503, body: "answer 3".to_owned() });
    assert_eq!((breaker.snapshot().calls, breaker.snapshot().failures), (3, 3));
    let log = log.0.lock().unwrap();
    assert_eq!(log.last().unwrap(), "gave up attempts 3");
    assert!(!log.contains(&"succeeded".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn need_r7_a_value_is_not_lost_when_a_full_bulkhead_refuses_the_next_attempt() {
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let recovery = Recovery::<&str>::builder("web").retry(exactly(SECOND)).bulkhead(bulkhead.clone());
    let recovery = recovery.build().unwrap();
    let call =
        execute_with_recovery(&recovery, |_| async { Ok(Response { status: 503, body: "first".into() }) })
            .judge(unavailable);
    let (response, ()) = tokio::join!(call, async {
        tokio::task::yield_now().await;
        let _all_the_while = bulkhead.try_acquire().expect("a call that waits holds no slot");
        tokio::time::sleep(2 * SECOND).await;
    });
    assert_eq!(response.unwrap().body, "first");
}

#[tokio::test(start_paused = true)]
async fn need_r7_asking_until_it_is_done_does_not_use_up_the_budget() {
    let budget = RetryBudget::builder().reserve(1).no_trickle().share(0.1).build().unwrap();
    let policy = exactly(SECOND).budget(budget.clone()).unlimited_attempts().build().unwrap();
    let done = retry_with(|attempt| async move { Ok::<_, &str>(attempt.number()) })
        .policy(&policy)
        .until(|number| *number == 50)
        .await;
    assert_eq!(done, Ok(50));
    assert!(budget.tokens() >= 1);
}

// ## R9: nested retries do not multiply.

/// An operation that counts its calls and fails.
fn counting(calls: &AtomicU32) -> impl Future<Output = Result<(), &'static str>> + use<> {
    calls.fetch_add(1, Ordering::Relaxed);
    std::future::ready(Err("down"))
}

#[tokio::test(start_paused = true)]
async fn need_r9_retry_in_retry_makes_at_most_as_many_calls_as_one_of_them() {
    for (nested, expected) in [(Nested::Stop, 3), (Nested::Allow, 12)] {
        let outer = exactly(MS).max_attempts(4).nested(nested).build().unwrap();
        let inner = exactly(MS).max_attempts(3).build().unwrap();
        let calls = AtomicU32::new(0);
        let failed = retry(|| retry(|| counting(&calls)).policy(&inner)).policy(&outer).await;
        assert_eq!((failed, calls.into_inner()), (Err("down"), expected));
    }
}

#[tokio::test(start_paused = true)]
async fn need_r9_three_layers_are_one_layer_too() {
    let policy = exactly(MS).max_attempts(3).build().unwrap();
    let calls = AtomicU32::new(0);
    let failed =
        retry(|| retry(|| async { retry(|| counting(&calls)).policy(&policy).await }).policy(&policy))
            .policy(&policy)
            .await;
    assert_eq!((failed, calls.into_inner()), (Err("down"), 3));
}

#[tokio::test(start_paused = true)]
async fn need_r9_recoveries_say_so_and_those_that_may_multiply_are_named() {
    for (nested, expected) in [(Nested::Stop, 3), (Nested::Allow, 12)] {
        let log = Arc::new(Log::default());
        let outer = Recovery::builder("outer").retry(exactly(MS).max_attempts(4).nested(nested));
        let outer = outer.observer(log.clone()).build().unwrap();
        let inner = Recovery::builder("inner").retry(exactly(MS).max_attempts(3)).build().unwrap();
        let calls = AtomicU32::new(0);
        let error = execute_with_recovery(&outer, |_| async {
            execute_with_recovery(&inner, |_| counting(&calls)).await
        })
        .await
        .unwrap_err();
        assert_eq!(calls.into_inner(), expected);
        let told = log.0.lock().unwrap().iter().filter(|line| *line == "nested outer inner").count();
        if nested == Nested::Stop {
            assert_eq!((error.reason(), error.attempts(), told), (&Reason::NestedRetry, 1, 0));
        } else {
            assert_eq!((error.reason(), error.attempts(), told), (&Reason::AttemptsExhausted, 4, 4));
        }
        let inner_error = error.into_inner().unwrap();
        assert_eq!((inner_error.name(), inner_error.attempts()), ("inner", 3));
    }
}

#[tokio::test(start_paused = true)]
async fn need_r9_a_recovery_in_a_retry_that_boxes_its_error_is_known_all_the_same() {
    let policy = exactly(MS).max_attempts(4).build().unwrap();
    let inner = Recovery::builder("inner").retry(exactly(MS).max_attempts(3)).build().unwrap();
    let calls = AtomicU32::new(0);
    let failed = retry(|| async {
        execute_with_recovery(&inner, |_| counting(&calls)).await.map_err(|error| error.to_string())
    })
    .policy(&policy)
    .await;
    assert_eq!(failed, Err("`inner` gave up after 3 attempts: no attempt is left".to_owned()));
    assert_eq!(calls.into_inner(), 3);
}

#[tokio::test(start_paused = true)]
async fn need_r9_an_inner_call_whose_budget_is_empty_is_not_repeated_from_outside() {
    let budget = RetryBudget::builder().reserve(0).no_trickle().build().unwrap();
    let inner = Recovery::builder("inner").retry(exactly(MS).budget(budget)).build().unwrap();
    let policy = exactly(MS).max_attempts(4).build().unwrap();
    let calls = AtomicU32::new(0);
    let failed = retry(|| execute_with_recovery(&inner, |_| counting(&calls))).policy(&policy).await;
    assert_eq!(failed.unwrap_err().reason(), &Reason::BudgetExhausted);
    assert_eq!(calls.into_inner(), 1, "or else the outer one would get around the budget");
}

#[tokio::test(start_paused = true)]
async fn need_r9_a_hint_that_is_too_long_for_the_inner_call_is_not_cut_short_from_outside() {
    let inner = Recovery::builder("inner").classifier(busy(3600 * SECOND)).build().unwrap();
    let policy = exactly(MS).max_attempts(4).build().unwrap();
    let calls = AtomicU32::new(0);
    let failed = retry(|| execute_with_recovery(&inner, |_| counting(&calls))).policy(&policy).await;
    assert_eq!(failed.unwrap_err().retry_in(), Some(3600 * SECOND));
    assert_eq!(calls.into_inner(), 1);
}

#[tokio::test(start_paused = true)]
async fn need_r9_one_attempt_of_an_inner_call_is_no_retry_and_stops_nobody() {
    let inner = RetryPolicy::never();
    let policy = exactly(MS).max_attempts(4).build().unwrap();
    let calls = AtomicU32::new(0);
    let _failed = retry(|| retry(|| counting(&calls)).policy(&inner)).policy(&policy).await;
    assert_eq!(calls.into_inner(), 4);
}

/// A retry that has given up by the time it is awaited.
async fn gives_up() -> Result<(), &'static str> {
    let policy = exactly(Duration::ZERO).max_attempts(2).build().unwrap();
    retry(|| async { Err("down") }).policy(&policy).await
}

#[tokio::test(start_paused = true)]
async fn need_r9_an_operation_that_handled_the_inner_failure_is_not_stopped() {
    let policy = exactly(MS).max_attempts(3).build().unwrap();
    let steps = RefCell::new(Vec::new());
    // It succeeds in spite of the inner failure; what fails after it in the same poll is something else.
    let answer = retry_with(|attempt| {
        let (policy, steps) = (&policy, &steps);
        async move {
            let handled = retry(|| async {
                let _handled = gives_up().await;
                Ok::<_, &str>(())
            });
            handled.policy(policy).await?;
            steps.borrow_mut().push(attempt.number());
            if attempt.number() < 3 { Err("something else") } else { Ok(()) }
        }
    })
    .policy(&policy)
    .await;
    assert_eq!((answer, steps.into_inner()), (Ok(()), vec![1, 2, 3]));
}

#[tokio::test(start_paused = true)]
async fn need_r9_a_value_that_is_not_good_enough_leaves_no_note_behind() {
    let policy = exactly(Duration::ZERO).max_attempts(3).build().unwrap();
    let once = RetryPolicy::never();
    let calls = Cell::new(0);
    let _failed = retry(|| async {
        calls.set(calls.get() + 1);
        let value = retry(|| async {
            let _handled = gives_up().await;
            Ok::<_, &str>(503)
        });
        let _kept = value.policy(&once).judge(|_| Some(Category::Unknown.into())).await;
        Err::<(), _>("something else")
    })
    .policy(&policy)
    .await;
    assert_eq!(calls.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn need_r9_notes_do_not_outlive_the_poll_they_were_left_in() {
    let policy = exactly(MS).max_attempts(3).build().unwrap();
    let calls = Cell::new(0);
    let _failed = retry(|| async {
        calls.set(calls.get() + 1);
        let _handled = gives_up().await;
        tokio::task::yield_now().await;
        Err::<(), _>("something else")
    })
    .policy(&policy)
    .await;
    assert_eq!(calls.get(), 3);

    // Nor do they reach an unrelated call on the same thread, or one beside it in the same poll.
    let _left_here = gives_up().await;
    let calls = AtomicU32::new(0);
    let _failed = retry(|| counting(&calls)).policy(&policy).await;
    assert_eq!(calls.into_inner(), 3);
    let calls = Cell::new(0);
    let _failed = retry(|| async {
        calls.set(calls.get() + 1);
        let still_pending = retry(|| async {
            let _handled = gives_up().await;
            pending::<Result<(), &str>>().await
        });
        tokio::select! {
            biased;
            never = still_pending => never,
            () = std::future::ready(()) => Err("something else"),
        }
    })
    .policy(&policy)
    .await;
    assert_eq!(calls.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn need_r9_an_attempt_that_is_cut_short_was_not_ended_by_what_gave_up_inside_it() {
    let policy = exactly(Duration::ZERO).max_attempts(3).attempt_timeout(Duration::ZERO).build();
    let error = retry(|| async {
        let _handled = gives_up().await;
        pending::<Result<(), &str>>().await
    })
    .attempt_timeout(SECOND)
    .await
    .unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
    assert_eq!(policy.unwrap_err().setting, "attempt_timeout");
}

#[tokio::test(start_paused = true)]
async fn need_r9_an_open_circuit_is_asked_once() {
    let breaker = CircuitBreaker::builder("db").build().unwrap();
    breaker.force_open();
    let policy = exactly(MS).max_attempts(4).build().unwrap();
    let (asked, begun) = (Cell::new(0), Instant::now());
    let failed = retry(|| {
        asked.set(asked.get() + 1);
        breaker.call(|| async { Ok::<(), &str>(()) })
    })
    .policy(&policy)
    .await;
    assert!(failed.unwrap_err().rejected().is_some());
    assert_eq!((asked.get(), Instant::now()), (1, begun));
}

#[tokio::test(start_paused = true)]
async fn need_r9_a_call_that_follows_a_refusal_speaks_for_itself() {
    let open = CircuitBreaker::builder("primary").build().unwrap();
    open.force_open();
    let replica = CircuitBreaker::builder("replica").build().unwrap();
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let policy = exactly(MS).max_attempts(3).build().unwrap();
    for through in ["breaker", "bulkhead"] {
        let calls = AtomicU32::new(0);
        let _failed = retry(|| async {
            let refused = open.call(|| async { Ok::<(), &str>(()) }).await;
            assert!(refused.is_err(), "go to the replica");
            match through {
                "breaker" => replica.call(|| counting(&calls)).await.map_err(|_| "down"),
                _ => bulkhead.call(|| counting(&calls)).await.map_err(|_| "down"),
            }
        })
        .policy(&policy)
        .await;
        assert_eq!(calls.into_inner(), 3, "{through}: an ordinary failure is repeated");
    }
}

#[tokio::test(start_paused = true)]
async fn need_r9_nothing_is_known_across_a_spawn() {
    let policy = exactly(MS).max_attempts(4).build().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let _failed = retry(|| {
        let calls = Arc::clone(&calls);
        async move {
            let inner = exactly(MS).max_attempts(3).build().unwrap();
            let inner = async move { retry(|| counting(&calls)).policy(&inner).await };
            tokio::spawn(inner).await.unwrap()
        }
    })
    .policy(&policy)
    .await;
    assert_eq!(calls.load(Ordering::Relaxed), 12, "as the documentation of `Nested` says");
}

// ## R10: one hint holds back everyone.

#[tokio::test(start_paused = true)]
async fn need_r10_after_one_429_nobody_leaves_for_five_seconds_and_then_not_all_at_once() {
    let recovery = Recovery::builder("api")
        .classifier(|error: &&str| match *error {
            "429" => Classification::of(Category::RateLimited).retry_after(5 * SECOND),
            _ => Category::Network.into(),
        })
        .retry(exactly(100 * MS).max_attempts(5))
        .cooldown(Cooldown::builder().burst(3))
        .build()
        .unwrap();
    let begun = Instant::now();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..40_u32 {
        let (recovery, starts) = (recovery.clone(), Arc::clone(&starts));
        tasks.spawn(async move {
            // Half of them are in flight when the 429 comes, half make their first attempt afterwards.
            if task >= 20 {
                tokio::time::sleep(Duration::from_millis(1_000 + u64::from(task))).await;
            }
            execute_with_recovery(&recovery, |attempt| {
                starts.lock().unwrap().push(Instant::now() - begun);
                async move {
                    tokio::time::sleep(if task == 0 { 10 * MS } else { 50 * MS }).await;
                    match (task, attempt.is_first()) {
                        (0, true) => Err("429"),
                        (1..20, true) => Err("reset"),
                        _ => Ok(()),
                    }
                }
            })
            .await
        });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    let mut starts = Arc::into_inner(starts).unwrap().into_inner().unwrap();
    starts.sort();
    assert_eq!(starts.len(), 60);
    let (before, after) = starts.split_at(20);
    assert!(before.iter().all(Duration::is_zero));
    assert!(after[0] >= 5_010 * MS, "{after:?}");
    for (nth, &from) in after.iter().enumerate() {
        let within = after[nth..].iter().filter(|&&at| at < from + 100 * MS).count();
        // The timer wheel counts whole milliseconds and may push one departure into the next window.
        assert!(within <= 4, "{within} left within 100 ms of {from:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn need_r10_first_attempts_may_fail_fast_instead() {
    let recovery = Recovery::builder("api")
        .classifier(busy(5 * SECOND))
        .retry(RetryPolicy::never())
        .cooldown(Cooldown::builder().first_attempts(FirstAttempts::FailFast))
        .build()
        .unwrap();
    let _busy = execute_with_recovery(&recovery, |_| async { Err::<(), _>("429") }).await;
    tokio::time::advance(SECOND).await;
    let calls = AtomicU32::new(0);
    let error = execute_with_recovery(&recovery, |_| counting(&calls)).await.unwrap_err();
    assert!(matches!(error.reason(), Reason::CoolingDown(_)), "{error}");
    assert_eq!((error.retry_in(), error.is_rejection()), (Some(4 * SECOND), true));
    assert_eq!(calls.into_inner(), 0);
}
