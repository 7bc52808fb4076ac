//! Settings that cannot work are refused by name, and those that are huge mean for ever.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod huge;

use std::time::Duration;

use recoup::{
    Abandoned, Backoff, BreakerGroup, Bulkhead, Category, CircuitBreaker, CircuitBreakerBuilder,
    CircuitBreakers, Cooldown, HalfOpen, Jitter, MemoryQueue, OnEmptyBudget, Ramp, Recovery, RecoveryBuilder,
    RetryBudget, RetryPolicy, SettingError, Window,
};

const ZERO: Duration = Duration::ZERO;
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NOT_A_SHARE: [f64; 6] = [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// One refusal: what was built, and what its error must name.
struct Case {
    built: Result<(), SettingError>,
    policy: &'static str,
    setting: &'static str,
    value: String,
}

fn case<T>(
    built: Result<T, SettingError>,
    policy: &'static str,
    setting: &'static str,
    value: impl std::fmt::Debug,
) -> Case {
    Case { built: built.map(drop), policy, setting, value: format!("{value:?}") }
}

fn refused(cases: impl IntoIterator<Item = Case>) {
    for Case { built, policy, setting, value } in cases {
        let Err(error) = built else { panic!("{policy}: `{setting}` of {value} was built") };
        assert_eq!((error.policy, error.setting, &*error.value), (policy, setting, &*value));
        assert!(!error.allowed.is_empty());
        let told = format!("{policy}: `{setting}` is {value}, but must be {}", error.allowed);
        assert_eq!(error.to_string(), told);
    }
}

fn breaker(set: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> Result<(), SettingError> {
    set(CircuitBreaker::builder("b")).build().map(drop)
}

#[test]
fn circuit_breaker_refuses_what_cannot_work() {
    const B: &str = "circuit breaker";
    refused([
        case(breaker(|b| b.window(Window::last_calls(0))), B, "window", 0),
        case(breaker(|b| b.window(Window::last(ZERO))), B, "window", ZERO),
        case(breaker(|b| b.window(Window::last(MS / 2))), B, "window", MS / 2),
        case(breaker(|b| b.window(Window::last_calls(9).and_last(ZERO))), B, "window", ZERO),
        case(breaker(|b| b.window(Window::last(SECOND).and_last_calls(0))), B, "window", 0),
        case(breaker(|b| b.minimum_calls(0)), B, "minimum_calls", 0),
        case(breaker(|b| b.window(Window::last_calls(9)).minimum_calls(10)), B, "minimum_calls", 10),
        case(breaker(|b| b.consecutive_failures(0)), B, "consecutive_failures", 0),
        case(breaker(|b| b.slow_calls(ZERO, 0.5)), B, "slow_calls", ZERO),
        case(breaker(|b| b.open_for(ZERO)), B, "open_for", ZERO),
        case(breaker(|b| b.open_for(Backoff::none())), B, "open_for", ZERO),
        case(breaker(|b| b.open_for(Backoff::delays([ZERO, SECOND]))), B, "open_for", ZERO),
        case(breaker(|b| b.ramp(Ramp::new(0.5, ZERO))), B, "ramp", ZERO),
    ]);
    for share in NOT_A_SHARE {
        refused([
            case(breaker(|b| b.failure_rate(share)), B, "failure_rate", share),
            case(breaker(|b| b.slow_calls(SECOND, share)), B, "slow_calls", share),
            case(breaker(|b| b.abandoned(Abandoned::Rate(share))), B, "abandoned", share),
            case(breaker(|b| b.ramp(Ramp::new(share, SECOND))), B, "ramp", share),
        ]);
    }
    let no_rule = breaker(CircuitBreakerBuilder::no_failure_rate);
    refused([case(no_rule, B, "failure_rate", "off")]);
}

#[test]
fn half_open_refuses_what_cannot_work() {
    const B: &str = "circuit breaker";
    let half_open = |half_open| breaker(|b| b.half_open(half_open));
    let three = HalfOpen::probes(3);
    refused([
        case(half_open(HalfOpen::probes(0)), B, "half_open.probes", 0),
        case(half_open(three.successes(0)), B, "half_open.successes", 0),
        case(half_open(three.successes(4)), B, "half_open.successes", 4),
        case(half_open(three.lease(ZERO)), B, "half_open.lease", ZERO),
    ]);
    for share in [-0.1, 1.0, 1.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused([case(half_open(three.failure_rate(share)), B, "half_open.failure_rate", share)]);
    }
}

/// Every schedule, so that each is asked wherever a backoff may stand.
fn backoffs() -> Vec<(Backoff, &'static str, String)> {
    let mut bad = vec![
        (Backoff::delays([]), "delays", "[]".to_owned()),
        (Backoff::decorrelated(ZERO), "decorrelated", "0ns".to_owned()),
        (Backoff::fixed(SECOND).factor(2.0), "factor", "2.0".to_owned()),
    ];
    for factor in [0.0, -1.0, 0.9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        bad.push((Backoff::exponential(SECOND).factor(factor), "factor", format!("{factor:?}")));
    }
    for share in NOT_A_SHARE {
        let jitter = Jitter::Proportional(share);
        bad.push((Backoff::exponential(SECOND).jitter(jitter), "jitter", format!("{share:?}")));
    }
    for longer in [
        Backoff::fixed(SECOND),
        Backoff::linear(SECOND),
        Backoff::exponential(SECOND),
        Backoff::fibonacci(SECOND),
        Backoff::decorrelated(SECOND),
        Backoff::delays([MS, SECOND]),
    ] {
        bad.push((longer.clone().max_delay(ZERO), "max_delay", "0ns".to_owned()));
        bad.push((longer.max_delay(MS), "max_delay", "1ms".to_owned()));
    }
    bad
}

#[test]
fn backoff_is_refused_wherever_it_is_put() {
    const R: &str = "retry policy";
    for (backoff, setting, value) in backoffs() {
        let case = |built, policy| Case { built, policy, setting, value: value.clone() };
        let policy = || RetryPolicy::backoff(backoff.clone());
        let inside = RetryPolicy::builder().for_category(Category::RateLimited, policy());
        refused([
            case(policy().build().map(drop), R),
            case(RetryPolicy::builder().backoff(backoff.clone()).build().map(drop), R),
            case(inside.build().map(drop), R),
            case(breaker(|b| b.open_for(backoff.clone())), "circuit breaker"),
            case(Recovery::<()>::builder("r").retry(policy()).build().map(drop), R),
        ]);
    }
}

#[test]
fn retry_policy_refuses_what_cannot_work() {
    const R: &str = "retry policy";
    let new = RetryPolicy::builder;
    refused([
        case(new().max_attempts(0).build(), R, "max_attempts", 0),
        case(new().max_delay(ZERO).build(), R, "max_delay", ZERO),
        case(new().jitter(Jitter::Proportional(7.0)).build(), R, "jitter", 7.0),
        case(new().attempt_timeout(ZERO).build(), R, "attempt_timeout", ZERO),
        case(new().deadline(ZERO).build(), R, "deadline", ZERO),
        case(new().attempt_timeout(2 * SECOND).deadline(SECOND).build(), R, "attempt_timeout", 2 * SECOND),
        case(new().max_hint(ZERO).build(), R, "max_hint", ZERO),
        case(new().on_empty_budget(OnEmptyBudget::Wait(ZERO)).build(), R, "on_empty_budget", ZERO),
        case(new().for_category(Category::Network, new().max_attempts(0)).build(), R, "max_attempts", 0),
    ]);
}

#[test]
fn retry_budget_refuses_what_cannot_work() {
    const R: &str = "retry budget";
    let new = RetryBudget::builder;
    refused([
        case(new().capacity(0).reserve(0).build(), R, "capacity", 0),
        case(new().capacity(5).reserve(6).build(), R, "capacity", 5),
        case(new().trickle(ZERO).build(), R, "trickle", ZERO),
    ]);
    for share in [0.0, 1e-9, -0.1, 1000.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused([case(new().share(share).build(), R, "share", share)]);
    }
}

#[test]
fn bulkhead_refuses_what_cannot_work() {
    const B: &str = "bulkhead";
    let beyond = usize::try_from(u64::from(u32::MAX) + 1).unwrap();
    let bulkhead = Bulkhead::builder(2).build().unwrap();
    refused([
        case(Bulkhead::builder(0).build(), B, "slots", 0),
        case(Bulkhead::builder(beyond).build(), B, "slots", beyond),
        case(Bulkhead::builder(usize::MAX).build(), B, "slots", usize::MAX),
        case(Bulkhead::builder(1).queue(beyond).build(), B, "queue", beyond),
        case(Bulkhead::builder(1).max_wait(ZERO).build(), B, "max_wait", ZERO),
        case(bulkhead.set_slots(0), B, "slots", 0),
        case(bulkhead.set_slots(beyond), B, "slots", beyond),
    ]);
    assert_eq!(bulkhead.slots(), 2, "what is refused changes nothing");
}

#[test]
fn cooldown_groups_tables_and_queues_refuse_what_cannot_work() {
    const M: &str = "memory queue";
    let (cooldown, queue) = (Cooldown::builder, MemoryQueue::builder);
    refused([
        case(cooldown().max(ZERO).build(), "cooldown", "max", ZERO),
        case(cooldown().burst(0).build(), "cooldown", "burst", 0),
        case(
            CircuitBreakers::<u8>::new(0, |_| CircuitBreaker::builder("b")),
            "circuit breakers",
            "capacity",
            0,
        ),
        case(queue().capacity(0).build(), M, "capacity", 0),
        case(queue().max_bytes(0).build(), M, "max_bytes", 0),
        case(queue().quarantine_after(0).build(), M, "quarantine_after", 0),
        case(queue().time_to_live(ZERO).build(), M, "time_to_live", ZERO),
    ]);
    for share in NOT_A_SHARE {
        refused([case(BreakerGroup::new(share), "breaker group", "max_open_share", share)]);
    }
}

#[test]
fn recovery_tells_the_first_mistake_of_its_own_and_of_its_policies() {
    const R: &str = "recovery";
    let built = |set: fn(RecoveryBuilder<()>) -> RecoveryBuilder<()>| set(Recovery::builder("r")).build();
    refused([
        case(built(|r| r.attempt_timeout(ZERO)), R, "attempt_timeout", ZERO),
        case(built(|r| r.deadline(ZERO)), R, "deadline", ZERO),
        case(built(|r| r.attempt_timeout(2 * SECOND).deadline(SECOND)), R, "attempt_timeout", 2 * SECOND),
        case(
            built(|r| r.retry(RetryPolicy::builder().deadline(SECOND)).attempt_timeout(2 * SECOND)),
            R,
            "attempt_timeout",
            2 * SECOND,
        ),
        case(
            built(|r| r.retry(RetryPolicy::builder().attempt_timeout(2 * SECOND)).deadline(SECOND)),
            R,
            "attempt_timeout",
            2 * SECOND,
        ),
        case(built(|r| r.bulkhead(Bulkhead::builder(0))), "bulkhead", "slots", 0),
        case(built(|r| r.cooldown(Cooldown::builder().burst(0))), "cooldown", "burst", 0),
        case(
            built(|r| r.circuit_breaker(CircuitBreaker::builder("b").minimum_calls(0)).deadline(ZERO)),
            "circuit breaker",
            "minimum_calls",
            0,
        ),
        case(
            built(|r| r.retry(RetryPolicy::builder().max_attempts(0)).bulkhead(Bulkhead::builder(0))),
            "retry policy",
            "max_attempts",
            0,
        ),
    ]);
}

/// A key from outside cannot stop a call.
#[test]
fn table_of_breakers_replaces_settings_that_do_not_build() {
    let table =
        CircuitBreakers::new(4, |name: &String| CircuitBreaker::builder(name.as_str()).minimum_calls(0));
    let breaker = table.unwrap().get(&"a".to_owned());
    assert_eq!(&**breaker.name(), "a");
    assert!(breaker.admit().is_ok());
}

/// Not every zero is a mistake: these say something that somebody may want.
#[test]
fn zero_that_means_something_builds() {
    assert!(Bulkhead::builder(1).queue(0).build().is_ok(), "nobody waits");
    assert_eq!(RetryBudget::builder().reserve(0).build().unwrap().tokens(), 0, "nothing to begin with");
    assert!(breaker(|b| b.max_hint(ZERO)).is_ok(), "hints are ignored");
    assert!(breaker(|b| b.reset_after(ZERO)).is_ok(), "each opening is the first");
    assert!(MemoryQueue::builder().max_payload(0).build().is_ok(), "letters without a payload");
    assert!(RetryPolicy::fixed(ZERO).build().is_ok(), "no wait");
    assert!(RetryPolicy::exponential(ZERO).build().is_ok(), "no wait");
}

/// The limits that a bare retry takes are not built, so they refuse nothing: no time at all is one poll.
#[tokio::test(start_paused = true)]
async fn retry_with_no_time_polls_once_and_with_all_time_for_ever() {
    let ready = || async { Ok::<_, &str>(1) };
    let hangs = || std::future::pending::<Result<u8, &str>>();
    assert_eq!(recoup::retry(ready).deadline(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(recoup::retry(ready).attempt_timeout(Duration::ZERO).await.unwrap(), 1);
    let error = recoup::retry(hangs).deadline(Duration::ZERO).await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&recoup::Reason::DeadlineExceeded, 1));
    let error = recoup::retry(hangs).attempt_timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!((error.is_timeout(), error.attempts()), (true, 3));
    let slow = || async {
        tokio::time::sleep(Duration::from_secs(1 << 30)).await;
        Ok::<_, &str>(2)
    };
    assert_eq!(recoup::retry(slow).deadline(Duration::MAX).attempt_timeout(Duration::MAX).await.unwrap(), 2);
}
