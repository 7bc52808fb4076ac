//! Throttles that are known from elsewhere, and retries that do not help, in whole calls.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]
#![expect(clippy::float_cmp, reason = "shares of none and of all, and whole tokens, are exact")]

use std::time::Duration;

use recoup::{
    Category, Classification, Instant, Jitter, Nested, OnEmptyBudget, Reason, Recovery, RetryPolicy,
    RetryPolicyBuilder, Throttle, Withheld, execute_with_recovery, retry,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn exactly(wait: Duration, throttle: &Throttle) -> RetryPolicyBuilder {
    RetryPolicy::fixed(wait).jitter(Jitter::None).throttle(throttle.clone())
}

/// Errors are their own categories.
fn recovery(policy: RetryPolicyBuilder) -> Recovery<Classification> {
    Recovery::builder("db").classifier(|answer: &Classification| *answer).retry(policy).build().unwrap()
}

/// Fails with each of these in turn, and then succeeds. How the call ended, after how many attempts.
async fn call(recovery: &Recovery<Classification>, fails: &[Classification]) -> Result<u32, (u32, Reason)> {
    let call = execute_with_recovery(recovery, |attempt| {
        let failure = fails.get(attempt.number() as usize - 1).copied();
        async move { failure.map_or(Ok(attempt.number()), Err) }
    });
    call.await.map_err(|error| (error.attempts(), error.reason().clone()))
}

const DATABASE: Classification = Classification::of(Category::Database);
const REFUSED: Classification = Classification::of(Category::RateLimited);

// ## Retries that do not help.

/// A call whose retry does not help, after enough that succeed to earn its token.
async fn futile(recovery: &Recovery<Classification>, error: Classification) -> Reason {
    for _ in 0..10 {
        call(recovery, &[]).await.unwrap();
    }
    call(recovery, &[error, error]).await.unwrap_err().1
}

#[tokio::test(start_paused = true)]
async fn g1_retries_of_a_category_that_never_help_are_withheld_but_for_one_in_twenty() {
    let throttle = Throttle::fleet();
    let recovery = recovery(exactly(MS, &throttle).max_attempts(2));
    for _ in 0..20 {
        assert_eq!(futile(&recovery, DATABASE).await, Reason::AttemptsExhausted);
    }
    let seen = throttle.snapshot();
    assert_eq!((seen.retries_of(Category::Database).count, seen.holds_back), (20, None));
    assert_eq!(seen.retries_of(Category::Database).helped, 0.0);

    let mut made = Vec::new();
    for nth in 0..40 {
        match futile(&recovery, DATABASE).await {
            Reason::Withheld(Withheld::Hopeless) => {}
            Reason::AttemptsExhausted => made.push(nth),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(made, [19, 39]);
    let seen = throttle.snapshot();
    assert_eq!(seen.withheld(Withheld::Hopeless), 38);
    assert_eq!(seen.retries_of(Category::Database).count, 22);
    assert_eq!(throttle.fresh().snapshot().retries_of(Category::Database).count, 0, "another endpoint");
    assert_eq!(seen.tokens, 9.0, "only the last was made, and what was withheld cost nothing");

    let network = Classification::of(Category::Network);
    assert_eq!(call(&recovery, &[network]).await, Ok(2), "others are retried as ever");
    assert_eq!(throttle.snapshot().retries_of(Category::Network).helped, 1.0);
    assert_eq!(call(&recovery, &[DATABASE.retry_after(MS)]).await, Ok(2), "a hint of the server beats it");
    assert_eq!(call(&recovery, &[DATABASE]).await, Ok(2), "and one that helped brings all of them back");
}

#[tokio::test(start_paused = true)]
async fn g2_probe_that_helps_brings_all_retries_back() {
    let throttle = Throttle::fleet();
    let recovery = recovery(exactly(MS, &throttle).max_attempts(2));
    for _ in 0..20 {
        futile(&recovery, DATABASE).await;
    }
    // It is well again: all retries would help.
    let mut mended = 0;
    for nth in 0..30 {
        call(&recovery, &[]).await.unwrap(); // other calls have been well all the time
        match call(&recovery, &[DATABASE]).await {
            Ok(_) => mended += 1,
            Err((attempts, reason)) => {
                assert_eq!((attempts, reason), (1, Reason::Withheld(Withheld::Hopeless)));
                assert!(nth < 19, "{nth}");
            }
        }
    }
    assert_eq!(mended, 11);
}

#[tokio::test(start_paused = true)]
async fn g2_asking_again_for_what_is_not_finished_is_never_hopeless() {
    let throttle = Throttle::fleet();
    let policy = exactly(MS, &throttle).unlimited_attempts().build().unwrap();
    let mut polls = 0;
    let working = |done: &bool| !done;
    let job = retry(|| {
        polls += 1;
        let done = polls == 1_000;
        async move { Ok::<_, &str>(done) }
    });
    let still = |done: &bool| {
        working(done).then(|| Classification::of(Category::Unknown).counts_as(recoup::Health::Success))
    };
    assert_eq!(job.policy(&policy).judge(still).await, Ok(true));
    assert_eq!(throttle.snapshot().retries_of(Category::Unknown).count, 0, "nothing was repeated in vain");
}

#[tokio::test(start_paused = true)]
async fn g4_retry_that_was_not_made_or_was_dropped_is_none_that_failed_to_help() {
    let throttle = Throttle::fleet();
    let policy = exactly(10 * MS, &throttle).max_attempts(2).build().unwrap();
    for cut in [5, 15] {
        let call = retry(|| async {
            if tokio::time::timeout(MS, std::future::pending::<()>()).await.is_err() && cut == 15 {
                tokio::time::sleep(8 * MS).await;
            }
            Err::<(), _>("down")
        });
        let dropped = tokio::time::timeout(cut * MS, call.policy(&policy).into_future()).await;
        assert!(dropped.is_err());
    }
    assert!(Category::ALL.iter().all(|&category| throttle.snapshot().retries_of(category).count == 0));
}

// ## The throttle of the SRE book.

#[tokio::test(start_paused = true)]
async fn sre_turns_first_attempts_and_retries_away_and_forgets_after_two_minutes() {
    let throttle = Throttle::sre(2.0).unwrap();
    let recovery = recovery(exactly(Duration::ZERO, &throttle).max_attempts(2));
    let mut turned_away = 0_u32;
    for _ in 0..1_000 {
        if let (0, reason) = call(&recovery, &[REFUSED; 2]).await.unwrap_err() {
            let Reason::Throttled(throttled) = reason else { panic!("{reason:?}") };
            assert!(throttled.retry_in() > Duration::ZERO && throttled.retry_in() <= 5 * SECOND);
            turned_away += 1;
        }
    }
    assert!((950..1_000).contains(&turned_away), "{turned_away}");
    let seen = throttle.snapshot();
    assert_eq!((seen.kind, seen.overload, seen.tokens), ("sre", 1.0, f32::INFINITY));
    let requests = f64::from(seen.history);
    assert!((f64::from(seen.admission) - 1.0 / (requests + 1.0)).abs() < 1e-6, "{seen:?}");
    assert_eq!(throttle.fresh().snapshot().history, 0);

    tokio::time::advance(120 * SECOND).await;
    assert_eq!(throttle.snapshot().admission, 1.0);
    assert_eq!(call(&recovery, &[]).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn sre_call_that_waits_for_a_retry_asks_every_five_seconds_and_ends_in_time() {
    let throttle = Throttle::sre(1.0).unwrap();
    let once = recovery(exactly(Duration::ZERO, &throttle).max_attempts(1));
    let policy = exactly(MS, &throttle).on_empty_budget(OnEmptyBudget::Wait(60 * SECOND));
    let patient = recovery(policy.max_attempts(2).nested(Nested::Allow));
    let begun = Instant::now();
    let ended = execute_with_recovery(&patient, |attempt| {
        let once = &once;
        async move {
            if !attempt.is_first() {
                return Ok(());
            }
            for _ in 0..10_000 {
                drop(call(once, &[REFUSED]).await);
            }
            Err(REFUSED)
        }
    });
    let waited = ended.await.map_err(|error| error.reason().clone());
    match waited {
        Ok(()) => {} // once in a thousand times
        Err(reason) => {
            assert_eq!(reason, Reason::Withheld(Withheld::Overloaded));
            assert_eq!(throttle.snapshot().withheld(Withheld::Overloaded), 1 + 12);
        }
    }
    assert!(Instant::now() - begun <= 60 * SECOND, "{:?}", Instant::now() - begun);
}

#[tokio::test(start_paused = true)]
async fn sre_and_cubic_take_a_mistake_of_the_caller_for_an_answer() {
    let wrong = Classification::of(Category::NotFound);
    let throttle = Throttle::sre(2.0).unwrap();
    let calls = recovery(exactly(MS, &throttle));
    for _ in 0..10 {
        assert_eq!(call(&calls, &[wrong]).await, Err((1, Reason::Permanent)));
    }
    let seen = throttle.snapshot();
    assert_eq!((seen.history, seen.overload, seen.admission), (10, 0.0, 1.0));

    let throttle = Throttle::aws_adaptive();
    let calls = recovery(exactly(MS, &throttle).max_attempts(1));
    for _ in 0..100 {
        assert_eq!(call(&calls, &[wrong]).await, Err((1, Reason::Permanent)));
        tokio::time::advance(100 * MS).await;
    }
    assert_eq!(call(&calls, &[REFUSED]).await.unwrap_err().0, 1);
    let rate = throttle.snapshot().rate.unwrap();
    assert!((6.0..8.0).contains(&rate), "0.7 of ten a second: {rate}");
}

#[tokio::test(start_paused = true)]
async fn g1_retry_that_finds_another_mistake_neither_helped_nor_did_not() {
    let throttle = Throttle::fleet();
    let recovery = recovery(exactly(MS, &throttle));
    let wrong = Classification::of(Category::Validation);
    assert_eq!(call(&recovery, &[DATABASE, wrong]).await, Err((2, Reason::Permanent)));
    assert_eq!(throttle.snapshot().retries_of(Category::Database).count, 0);
    call(&recovery, &[]).await.unwrap(); // or the gate would shut
    assert_eq!(call(&recovery, &[DATABASE, DATABASE]).await, Ok(3));
    let seen = throttle.snapshot().retries_of(Category::Database);
    assert_eq!((seen.count, seen.helped), (2, 0.5));
}

#[test]
fn sre_refuses_a_k_that_cannot_work() {
    for k in [0.0, 0.999, -2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Throttle::sre(k).unwrap_err().setting, "k", "{k}");
    }
    for k in [1.0, 1.1, f64::MAX] {
        assert!(Throttle::sre(k).is_ok(), "{k}");
    }
}

// ## The rate limit of the AWS SDKs.

#[tokio::test(start_paused = true)]
async fn cubic_limits_from_the_first_refusal_on_and_says_exactly_until_when() {
    let throttle = Throttle::aws_adaptive();
    let recovery = recovery(exactly(Duration::ZERO, &throttle).max_attempts(1));
    for _ in 0..1_000 {
        let timeout = Classification::of(Category::Timeout);
        assert_eq!(call(&recovery, &[timeout]).await.unwrap_err().0, 1, "timeouts alone change nothing");
        tokio::time::advance(10 * MS).await;
    }
    assert_eq!(throttle.snapshot().rate, None);
    assert_eq!(call(&recovery, &[REFUSED]).await.unwrap_err().0, 1);
    let seen = throttle.snapshot();
    let rate = seen.rate.unwrap();
    assert!((60.0..80.0).contains(&rate), "0.7 of a hundred a second: {rate}");
    assert!((seen.admission - 0.7).abs() < 0.01 && seen.kind == "cubic", "{seen:?}");

    let until = loop {
        match call(&recovery, &[Classification::of(Category::Network)]).await.unwrap_err() {
            (1, _) => {}
            (0, Reason::Throttled(throttled)) => break throttled.until,
            other => panic!("{other:?}"),
        }
    };
    let wait = until - Instant::now();
    assert!(wait > Duration::ZERO && wait < 100 * MS, "{wait:?}");
    tokio::time::advance(wait).await;
    assert_eq!(call(&recovery, &[]).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn cubic_retry_waits_for_its_tokens_if_the_policy_says_so() {
    for (waits, attempts) in
        [(OnEmptyBudget::Fail, Err((1, Reason::BudgetExhausted))), (OnEmptyBudget::Wait(60 * SECOND), Ok(2))]
    {
        let throttle = Throttle::aws_adaptive();
        let recovery = recovery(exactly(Duration::ZERO, &throttle).on_empty_budget(waits));
        let begun = Instant::now();
        // Refused at once, nothing measured: half a token a second, and a bucket of one.
        assert_eq!(call(&recovery, &[REFUSED]).await, attempts);
        let waited = Instant::now() - begun;
        match waits {
            OnEmptyBudget::Wait(_) => assert!(waited >= 2 * SECOND && waited < 3 * SECOND, "{waited:?}"),
            _ => assert_eq!(waited, Duration::ZERO),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g4_cubic_retry_that_was_not_made_gives_its_tokens_back() {
    for (cut, cost) in [(5, 0.0), (15, 5.0)] {
        let throttle = Throttle::aws_adaptive();
        let once = recovery(exactly(Duration::ZERO, &throttle).max_attempts(1));
        for _ in 0..1_000 {
            call(&once, &[]).await.unwrap();
            tokio::time::advance(10 * MS).await;
        }
        assert_eq!(call(&once, &[REFUSED]).await.unwrap_err().0, 1);
        tokio::time::advance(10 * SECOND).await;
        let policy = exactly(10 * MS, &throttle).max_attempts(2).build().unwrap();
        let call = recoup::retry_with(|attempt| async move {
            if !attempt.is_first() {
                tokio::time::sleep(10 * MS).await;
            }
            Err::<(), _>("down")
        });
        let dropped = tokio::time::timeout(cut * MS, call.policy(&policy).into_future()).await;
        assert!(dropped.is_err());
        // The bucket was full before the retry was decided, and holds what comes in a second.
        let seen = throttle.snapshot();
        let rate = seen.rate.unwrap();
        let spent = rate - seen.tokens;
        let came_in = if cost > 0.0 { rate * 0.015 } else { 0.0 };
        assert!((spent + came_in - cost).abs() < 0.1, "{spent} {came_in} {cost}");
    }
}
