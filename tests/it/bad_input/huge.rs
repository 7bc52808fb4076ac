//! The largest values build, mean for ever, and never overflow.

use std::time::Duration;

use recoup::{
    Backoff, Bulkhead, CallContext, Category, CircuitBreaker, CircuitBreakerBuilder, CircuitBreakers,
    CircuitState, Classification, Cooldown, DeadLetter, DeadLetterQueue, HalfOpen, Instant, LetterFilter,
    MemoryQueue, OnEmptyBudget, Outcome, Payload, Ramp, Reason, Recovery, RecoveryBuilder, RetryBudget,
    RetryPolicy, Settlement, Window, execute_with_recovery, retry, timeout,
};

use super::SECOND;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const MAX: Duration = Duration::MAX;

/// Up to what any clock can count, and beyond.
fn huge() -> [Duration; 6] {
    let most = u64::try_from(i64::MAX).unwrap();
    [
        MAX,
        Duration::from_secs(u64::MAX),
        Duration::from_secs(most),
        Duration::from_secs(most - (1 << 40)),
        Duration::from_nanos(u64::MAX),
        100 * YEAR,
    ]
}

type Oops = Option<Duration>;

/// Errors carry the hint of their server.
fn classify(error: &Oops) -> Classification {
    let answer = Classification::of(Category::ServiceUnavailable);
    error.map_or(answer, |hint| answer.retry_after(hint))
}

fn recovery(set: impl FnOnce(RecoveryBuilder<Oops>) -> RecoveryBuilder<Oops>) -> Recovery<Oops> {
    let builder = Recovery::builder("r")
        .classifier(classify)
        .retry(RetryPolicy::backoff(Backoff::none()).no_budget().max_attempts(3));
    set(builder).build().unwrap()
}

/// Three attempts, each pending once, of which the last succeeds.
async fn works(recovery: &Recovery<Oops>) {
    let value = execute_with_recovery(recovery, |attempt| async move {
        tokio::task::yield_now().await;
        if attempt.number() < 3 { Err(None) } else { Ok(attempt.number()) }
    })
    .await;
    assert_eq!(value.unwrap(), 3);
}

async fn lasts_a_year<F: Future>(future: F) -> bool {
    tokio::time::timeout(YEAR, future).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn limits_in_time_that_are_huge_limit_nothing() {
    for huge in huge() {
        let limited = recovery(|r| r.attempt_timeout(huge).deadline(huge));
        works(&limited).await;
        let hangs = |_| std::future::pending::<Result<(), Oops>>();
        assert!(lasts_a_year(execute_with_recovery(&limited, hangs)).await, "{huge:?}");

        let policy = RetryPolicy::backoff(Backoff::none())
            .no_budget()
            .attempt_timeout(huge)
            .deadline(huge)
            .max_hint(huge);
        works(&recovery(|r| r.retry(policy.clone()))).await;
        let policy = policy.build().unwrap();
        let hangs = || std::future::pending::<Result<(), Oops>>();
        assert!(lasts_a_year(retry(hangs).policy(&policy)).await);
        assert!(lasts_a_year(retry(hangs).attempt_timeout(huge).deadline(huge)).await);
        assert!(lasts_a_year(timeout(huge, hangs)).await);
        assert_eq!(timeout(huge, || async { Ok::<_, Oops>(1) }).await, Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn zero_in_time_for_one_call_ends_it_without_a_panic() {
    let hangs = || std::future::pending::<Result<(), Oops>>();
    let error = retry(hangs).attempt_timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
    let error = retry(hangs).deadline(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.reason(), &Reason::DeadlineExceeded);
    let plain = recovery(|r| r);
    let call = CallContext::new("op").deadline(now());
    let late = execute_with_recovery(plain.with_context(&call), |_| async { Ok::<_, Oops>(()) });
    assert_eq!(late.await.unwrap_err().reason(), &Reason::DeadlineExceeded);
}

#[expect(clippy::disallowed_methods, reason = "the paused clock")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn waits_that_are_huge_last_and_give_everything_back() {
    for huge in huge() {
        for backoff in [
            Backoff::fixed(huge),
            Backoff::linear(huge).max_delay(MAX),
            Backoff::exponential(huge).max_delay(MAX),
            Backoff::exponential(huge).factor(f64::MAX).max_delay(MAX),
            Backoff::fibonacci(huge).max_delay(MAX),
            Backoff::decorrelated(huge).max_delay(MAX),
            Backoff::delays([huge]),
            Backoff::from_fn(move |_| huge),
        ] {
            assert_eq!(backoff.preview(usize::MAX).len(), 10_000);
            let budget = RetryBudget::default();
            let policy = RetryPolicy::backoff(backoff).jitter(recoup::Jitter::None).budget(budget.clone());
            let waiting = recovery(|r| r.retry(policy.max_attempts(u32::MAX)));
            assert!(lasts_a_year(execute_with_recovery(&waiting, |_| async { Err::<(), Oops>(None) })).await);
            assert!(budget.tokens() >= 10, "the retry was never made");
        }
        let policy = || RetryPolicy::backoff(Backoff::none()).no_budget().max_attempts(2);
        let told = |_| async move { Err::<(), Oops>(Some(huge)) };
        let error = execute_with_recovery(&recovery(|r| r.retry(policy())), told).await.unwrap_err();
        assert_eq!(error.reason(), &Reason::HintTooLong(huge));
        let obeys = recovery(|r| r.retry(policy().max_hint(MAX)));
        assert!(lasts_a_year(execute_with_recovery(&obeys, told)).await);
        let clamps = recovery(|r| r.retry(policy().max_hint(SECOND).clamp_hints()));
        assert!(execute_with_recovery(&clamps, told).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_and_tokens_are_counted_to_the_end_of_their_range() {
    let budget = RetryBudget::builder().share(1000.0).reserve(u32::MAX).capacity(u32::MAX).trickle(MAX);
    let budget = budget.build().unwrap();
    let policy = RetryPolicy::backoff(Backoff::none()).max_attempts(u32::MAX).budget(budget.clone());
    let patient = recovery(|r| r.retry(policy));
    let op =
        |attempt: recoup::Attempt| async move { if attempt.number() < 1000 { Err(None) } else { Ok(()) } };
    execute_with_recovery(&patient, op).await.unwrap();
    assert_eq!(budget.tokens(), u32::MAX, "one success is worth more than the 998 retries that failed");
}

#[tokio::test(start_paused = true)]
async fn empty_budget_with_endless_patience_waits_only_for_what_comes() {
    for (trickle, waits) in [(MAX, false), (Duration::from_nanos(u64::MAX), true), (100 * YEAR, true)] {
        let budget = RetryBudget::builder().reserve(0).trickle(trickle).build().unwrap();
        let policy = RetryPolicy::backoff(Backoff::none()).budget(budget.clone());
        let patient = recovery(|r| r.retry(policy.on_empty_budget(OnEmptyBudget::Wait(MAX))));
        let call = execute_with_recovery(&patient, |_| async { Err::<(), Oops>(None) });
        assert_eq!(lasts_a_year(call).await, waits, "{trickle:?}");
        assert_eq!(budget.tokens(), 0);
    }
    let often = RetryBudget::builder().trickle(Duration::from_nanos(1)).build().unwrap();
    tokio::time::advance(YEAR).await;
    assert_eq!(often.tokens(), 100);
}

fn breakers() -> Vec<CircuitBreakerBuilder> {
    let new = || CircuitBreaker::builder("b").no_ramp();
    let mut all = vec![
        new().window(Window::last_calls(u32::MAX)).minimum_calls(u32::MAX),
        new().window(Window::last(SECOND)).minimum_calls(u32::MAX),
        new().consecutive_failures(u32::MAX),
        new().half_open(HalfOpen::probes(u32::MAX)),
        new().half_open(HalfOpen::probes(u32::MAX).successes(u32::MAX)),
        new().half_open(HalfOpen::probes(u32::MAX).failure_rate(1.0_f64.next_down())),
        new().failure_rate(f64::MIN_POSITIVE),
        new().seed(u64::MAX),
    ];
    for huge in huge() {
        all.extend([
            new().window(Window::last(huge)),
            new().window(Window::last_calls(u32::MAX).and_last(huge)),
            new().slow_calls(huge, 1.0),
            new().max_hint(huge),
            new().reset_after(huge),
            new().half_open(HalfOpen::probes(1).lease(huge)),
            new().ramp(Ramp::new(f64::MIN_POSITIVE, huge)),
            new().open_for(huge),
        ]);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn breaker_with_huge_settings_carries_calls_in_every_state() {
    for builder in breakers() {
        let breaker = builder.clone().build().unwrap();
        let through = recovery(|r| r.circuit_breaker(breaker.clone()));
        works(&through).await;
        tokio::time::advance(YEAR).await;
        works(&through).await;
        // Whatever opens it, with whatever hint: nothing overflows on the way out and back.
        let opens = builder.consecutive_failures(1).build().unwrap();
        opens.admit().unwrap().settle_with_hint(Outcome::Failure, MAX);
        assert_eq!(opens.state(), CircuitState::Open);
        let restored = CircuitBreaker::builder("b").restore(&opens.snapshot()).build().unwrap();
        assert_eq!(restored.state(), CircuitState::Open);
        let _tells = opens.admit().map(drop).unwrap_err().retry_in();
        tokio::time::advance(20 * YEAR).await;
        if opens.state() == CircuitState::HalfOpen {
            let permits: Vec<_> = (0..5).map_while(|_| opens.admit().ok()).collect();
            for permit in permits {
                permit.settle(Outcome::Success);
            }
        }
        let _told = format!("{:?} {:?}", opens.snapshot(), opens);
        opens.reset();
        works(&recovery(|r| r.circuit_breaker(CircuitBreaker::builder("c")))).await;
        assert!(opens.admit().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn circuit_that_opens_for_ever_stays_open() {
    for huge in huge() {
        for by_hint in [false, true] {
            let builder = CircuitBreaker::builder("b").consecutive_failures(1);
            let breaker =
                if by_hint { builder.max_hint(MAX) } else { builder.open_for(huge) }.build().unwrap();
            breaker.admit().unwrap().settle_with_hint(Outcome::Failure, if by_hint { huge } else { SECOND });
            for _ in 0..80 {
                assert_eq!(breaker.state(), CircuitState::Open, "{huge:?}");
                assert!(breaker.admit().is_err());
                tokio::time::advance(YEAR).await;
            }
        }
    }
}

/// Who may wait for an open circuit must not wait for one that never says when.
#[tokio::test(start_paused = true)]
async fn circuit_that_opens_for_ever_names_no_moment() {
    let breaker = CircuitBreaker::builder("b").consecutive_failures(1).open_for(MAX).build().unwrap();
    breaker.admit().unwrap().settle(Outcome::Failure);
    assert_eq!(breaker.admit().map(drop).unwrap_err().until, None);
    let policy = RetryPolicy::backoff(Backoff::none()).wait_for_open_circuit();
    let waits = recovery(|r| r.retry(policy).circuit_breaker(breaker));
    let error = execute_with_recovery(&waits, |_| async { Ok::<_, Oops>(()) }).await.unwrap_err();
    assert!(error.is_rejection());

    let breaker = CircuitBreaker::builder("b").consecutive_failures(1).open_for(100 * YEAR).build().unwrap();
    breaker.admit().unwrap().settle(Outcome::Failure);
    assert_eq!(breaker.admit().map(drop).unwrap_err().retry_in(), Some(100 * YEAR));

    // Of a time still longer it may say nothing, but not that it is over soon.
    let centuries = Duration::from_secs((1 << 34) + 1);
    let breaker = CircuitBreaker::builder("b").consecutive_failures(1).open_for(centuries).build().unwrap();
    breaker.admit().unwrap().settle(Outcome::Failure);
    assert!(breaker.admit().map(drop).unwrap_err().retry_in().is_none_or(|wait| wait > 100 * YEAR));
}

#[tokio::test(start_paused = true)]
async fn bulkhead_and_cooldown_with_huge_settings_work() {
    let most = usize::try_from(u32::MAX).unwrap();
    for huge in huge() {
        let bulkhead = Bulkhead::builder(most).queue(most).max_wait(huge).build().unwrap();
        works(&recovery(|r| r.bulkhead(bulkhead.clone()))).await;
        assert_eq!((bulkhead.slots(), bulkhead.in_use()), (most, 0));
        bulkhead.set_slots(1).unwrap();
        let slot = bulkhead.try_acquire().unwrap();
        assert!(lasts_a_year(bulkhead.acquire()).await, "{huge:?}");
        bulkhead.set_slots(most).unwrap();
        assert!(bulkhead.acquire().await.is_ok());
        drop(slot);

        let cooldown = Cooldown::builder().max(huge).burst(u32::MAX).build().unwrap();
        let shared = recovery(|r| r.retry(RetryPolicy::never()).cooldown(cooldown.clone()));
        works(&recovery(|r| r.cooldown(cooldown.clone()))).await;
        let told = |_| async move { Err::<(), Oops>(Some(MAX)) };
        execute_with_recovery(&shared, told).await.unwrap_err();
        assert!(cooldown.until().is_some());
        assert!(lasts_a_year(execute_with_recovery(&shared, told)).await, "nobody leaves");
    }
}

#[tokio::test(start_paused = true)]
async fn queue_and_table_with_huge_settings_work() {
    for huge in huge() {
        let queue = MemoryQueue::builder()
            .capacity(usize::MAX)
            .max_bytes(usize::MAX)
            .max_payload(usize::MAX)
            .quarantine_after(u32::MAX)
            .time_to_live(huge)
            .build()
            .unwrap();
        queue.push(DeadLetter::new("op").payload(Payload::text("text"))).await.unwrap();
        let leased = queue.lease(&LetterFilter::new(), usize::MAX, huge).await.unwrap();
        tokio::time::advance(YEAR).await;
        queue.settle(leased[0].token, Settlement::Extend(huge)).await.unwrap();
        tokio::time::advance(YEAR).await;
        assert_eq!(queue.stats().await.unwrap().leased, 1, "{huge:?}");
        queue.settle(leased[0].token, Settlement::Delivered).await.unwrap();
    }
    let table = CircuitBreakers::new(usize::MAX, |_: &u8| CircuitBreaker::builder("b")).unwrap();
    assert!(table.get(&1).admit().is_ok());
}
