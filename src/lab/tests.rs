//! The lab runs the policies themselves: what they decide in it, they decide in a call.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::*;
use crate::call::Policies;
use crate::classification::{Category, Classification};
use crate::retry::ThrottleSnapshot;
use crate::testing::Recorder;
use crate::time::{self, Instant};
use crate::{
    Backoff, CircuitBreaker, Jitter, Recovery, RetryBudget, RetryPolicy, RetryPolicyBuilder, Throttle,
};
use crate::{execute_with_recovery, setting::SettingError};

const MS: Duration = Duration::from_millis(1);

/// One client that calls four times a second, and a backend with room for everything, that goes through all
/// kinds of trouble. Everything happens at whole milliseconds, for the timers of a call know no others.
fn troubled() -> Scenario {
    let mut scenario = Scenario::quiet(Fleet::new(1, 4.0));
    scenario.fleet.arrivals = Arrivals::Regular;
    scenario.backend = Backend::new(1_000, 20 * MS);
    scenario.backend.spread = Spread::Fixed;
    scenario.timeout = 100 * MS;
    let fault = |kind, from: u32, lasting: u32| Fault::new(kind, from * MS, lasting * MS);
    scenario.faults = vec![
        fault(FaultKind::Errors { share: 1.0 }, 5_190, 100),
        fault(FaultKind::Outage, 8_050, 3_000),
        fault(FaultKind::Brownout { factor: 4.0 }, 15_050, 4_000),
        fault(FaultKind::BlackHole, 22_050, 6_000),
        fault(FaultKind::Errors { share: 1.0 }, 32_050, 5_000),
    ];
    scenario.warm_up = Duration::ZERO;
    scenario.after = 10_000 * MS;
    scenario
}

#[derive(Debug, PartialEq)]
struct Lived {
    events: Vec<String>,
    throttle: Option<ThrottleSnapshot>,
}

fn in_the_lab(policy: RetryPolicyBuilder, breaker: bool) -> Result<Lived, SettingError> {
    let recorder = Recorder::new();
    let mut contender = Contender::new("it", policy).observer(recorder.observer());
    if breaker {
        contender = contender.circuit_breaker(CircuitBreaker::builder("it"));
    }
    let (scenario, start) = (troubled(), time::now());
    let fleet = contender.equip(&scenario, 7, start)?;
    Engine::new(&scenario, &fleet, 7, start).run(|_| {})?;
    Ok(Lived { events: of_calls(&recorder), throttle: fleet.client(0, 0).throttle().map(Throttle::snapshot) })
}

/// What the calls told. A breaker tells its own observers, of which it has none in the lab.
fn of_calls(recorder: &Recorder) -> Vec<String> {
    let is_of_a_call = |line: &String| line.starts_with("it ") && !line.starts_with("it refused");
    recorder.lines().into_iter().filter(is_of_a_call).collect()
}

fn classify(error: &io::Error) -> Classification {
    Classification::of(match error.kind() {
        io::ErrorKind::ConnectionRefused => Category::Network,
        _ => Category::ExternalService,
    })
}

/// The backend of the scenario, for one real attempt.
async fn backend(scenario: &Scenario, start: Instant) -> Result<(), io::Error> {
    let faults = || {
        let at = time::now() - start;
        scenario.faults.iter().filter(move |fault| fault.from <= at && at < fault.ends())
    };
    let is_on = |kind: FaultKind| faults().any(|fault| fault.kind == kind);
    if is_on(FaultKind::Outage) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    if is_on(FaultKind::BlackHole) {
        return std::future::pending().await;
    }
    let factor = if is_on(FaultKind::Brownout { factor: 4.0 }) { 4 } else { 1 };
    tokio::time::sleep(factor * 20 * MS).await;
    if is_on(FaultKind::BlackHole) {
        return std::future::pending().await;
    }
    if is_on(FaultKind::Errors { share: 1.0 }) { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
}

/// The same with real calls, on the paused clock of the test.
async fn in_calls(policy: RetryPolicyBuilder, breaker: bool) -> Result<Lived, SettingError> {
    let (scenario, start) = (Arc::new(troubled()), time::now());
    let recorder = Recorder::new();
    let mut builder = Recovery::builder("it")
        .classifier(classify)
        .retry(policy.seed(7).build()?)
        .attempt_timeout(scenario.timeout)
        .observer(recorder.observer());
    if breaker {
        builder = builder.circuit_breaker(CircuitBreaker::builder("it").seed(7));
    }
    let recovery = builder.build()?;
    let mut calls = Vec::new();
    let end = scenario.ends() + 10 * scenario.timeout.max(200 * MS);
    for nth in 1.. {
        let at = nth * 250 * MS;
        if at > end {
            break;
        }
        tokio::time::sleep_until(start + at).await;
        let (recovery, scenario) = (recovery.clone(), Arc::clone(&scenario));
        calls.push(tokio::spawn(async move {
            let _ = execute_with_recovery(&recovery, |_| backend(&scenario, start)).await;
        }));
        tokio::task::yield_now().await;
    }
    tokio::time::sleep_until(start + end).await;
    tokio::task::yield_now().await;
    let events = of_calls(&recorder);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(Lived { events, throttle: recovery.throttle().map(Throttle::snapshot) })
}

fn even_waits() -> RetryPolicyBuilder {
    let waits = Backoff::exponential(60 * MS).max_delay(2_000 * MS);
    RetryPolicy::backoff(waits).max_attempts(4)
}

#[tokio::test(start_paused = true)]
async fn client_of_the_lab_and_a_real_call_decide_the_same() {
    let throttles = [
        Throttle::builder().seed(7),
        Throttle::builder().seed(7).gate(1),
        Throttle::builder().seed(7).cut(0.2),
        Throttle::builder().seed(7).capacity(2),
        Throttle::builder().seed(7).slow_from(0.9),
        Throttle::builder().seed(7).without_history(1.0).history(255),
    ];
    let mut seen: Vec<Lived> = Vec::new();
    for throttle in throttles {
        let policy = || even_waits().throttle(throttle.clone().build().unwrap());
        let lived = in_the_lab(policy(), false).unwrap();
        let called = in_calls(policy(), false).await.unwrap();
        assert_eq!(lived.events, called.events, "{throttle:?}");
        assert_eq!(lived.throttle, called.throttle, "{throttle:?}");
        assert!(!seen.contains(&lived), "it changes both: {throttle:?}");
        assert!(lived.throttle.is_some() && lived.events.len() > 200);
        seen.push(lived);
    }
}

#[tokio::test(start_paused = true)]
async fn budgets_of_the_lab_are_those_of_a_call() {
    let budgets: [fn() -> RetryBudget; 6] = [
        RetryBudget::finagle,
        RetryBudget::grpc,
        RetryBudget::aws_standard,
        RetryBudget::envoy,
        RetryBudget::default,
        || RetryBudget::builder().reserve(1).capacity(4).trickle(3_000 * MS).build().unwrap(),
    ];
    let mut seen: Vec<Lived> = Vec::new();
    for budget in budgets {
        let lived = in_the_lab(even_waits().budget(budget()), false).unwrap();
        assert_eq!(lived, in_calls(even_waits().budget(budget()), false).await.unwrap(), "{:?}", budget());
        seen.push(lived);
    }
    assert_ne!(seen[4], seen[5], "a setting that was changed through the builder changes both");
    assert_ne!(seen[1], seen[2]);
    let adaptive = || even_waits().no_budget().throttle(Throttle::aws_adaptive());
    let (lived, called) = (in_the_lab(adaptive(), false), in_calls(adaptive(), false).await);
    assert_eq!(lived.unwrap().events, called.unwrap().events);
}

#[tokio::test(start_paused = true)]
async fn breaker_of_the_lab_is_that_of_a_call() {
    let (plain, breaker) = (even_waits().no_budget(), true);
    let lived = in_the_lab(plain.clone(), breaker).unwrap();
    let called = in_calls(plain.clone(), breaker).await.unwrap();
    assert_eq!(lived, called);
    assert!(lived.events.iter().any(|line| line.contains("circuit_open")), "{:?}", lived.events);
    assert_ne!(lived, in_the_lab(plain, false).unwrap());
}

#[tokio::test(start_paused = true)]
async fn draws_of_the_lab_are_those_of_a_call() {
    // Waits of full jitter end between the milliseconds, so only what is drawn is compared.
    let waits = |lived: Lived| -> Vec<String> {
        lived.events.into_iter().filter(|line| line.contains("waits")).take(30).collect()
    };
    let policy = || RetryPolicy::exponential(20 * MS).jitter(Jitter::Full).max_attempts(4).no_budget();
    let drawn = waits(in_the_lab(policy(), false).unwrap());
    assert_eq!(drawn, waits(in_calls(policy(), false).await.unwrap()));
    assert_eq!(drawn.len(), 30);
}
