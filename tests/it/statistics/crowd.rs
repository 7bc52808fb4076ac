//! What was counted adds up, when calls crowd each other, hang, and are dropped.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use proptest::prelude::*;
use recoup::testing::{Happened, Recorder, Script};
use recoup::{
    Bulkhead, CallContext, Category, CircuitBreaker, DestinationStatistics, ErrorChain, MemoryQueue,
    Recovery, RetryPolicy, Statistics, execute_with_recovery, timeout,
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What one call meets, and how long its caller waits for it.
#[derive(Clone, Debug)]
struct Call {
    destination: Option<u8>,
    begins: u64,
    patience: Option<u64>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Fail(Category, u64),
    Hang,
}

fn step() -> impl Strategy<Value = Step> {
    let category = prop::sample::select(Category::ALL.to_vec());
    prop_oneof![5 => (category, 0..50_u64).prop_map(|(category, wait)| Step::Fail(category, wait)), 1 => Just(Step::Hang)]
}

fn call() -> impl Strategy<Value = Call> {
    let patience = prop::option::weighted(0.4, 0..150_u64);
    (prop::option::of(0..4_u8), 0..5000_u64, patience, prop::collection::vec(step(), 0..5))
        .prop_map(|(destination, begins, patience, steps)| Call { destination, begins, patience, steps })
}

/// Makes the calls through one recovery that has everything, all at once, and gives what was counted, what
/// was recorded, and how many calls ended in a value, in an error, and by being dropped.
fn run(calls: &[Call], everything: bool) -> (Statistics, Recorder, [u64; 3]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (statistics, recorder) = (Statistics::bounded(3).unwrap(), Recorder::new());
    let mut builder = Recovery::<Category>::builder("payments")
        .classifier(|category: &Category| *category)
        .retry(RetryPolicy::exponential(ms(20)).max_attempts(3).seed(1))
        .attempt_timeout(ms(100))
        .deadline(ms(300))
        .observer(Arc::new(statistics.clone()))
        .observer(recorder.observer());
    if everything {
        builder = builder
            .circuit_breaker(CircuitBreaker::builder("bank").consecutive_failures(4).open_for(ms(200)))
            .bulkhead(Bulkhead::builder(2).queue(1))
            .dead_letters_described(
                MemoryQueue::builder().capacity(5).build().unwrap(),
                ErrorChain::from_display,
            );
    }
    let recovery = builder.build().unwrap();
    let make = |call: Call| {
        let recovery = &recovery;
        async move {
            let mut context = CallContext::new("charge");
            if let Some(destination) = call.destination {
                context = context.destination(format!("bank-{destination}"));
            }
            let mut script = Script::new();
            for step in call.steps {
                script = match step {
                    Step::Fail(category, wait) => script.after(ms(wait)).fail(category),
                    Step::Hang => script.hang(),
                };
            }
            let script = script.always_succeed(());
            tokio::time::sleep(ms(call.begins)).await;
            let made =
                execute_with_recovery(recovery.with_context(&context), |attempt| script.attempt(attempt));
            let patience = call.patience.map_or(Duration::MAX, ms);
            match timeout(patience, move || made).await {
                Ok(()) => 0,
                Err(error) if error.operation().is_some() => 1,
                Err(_) => 2,
            }
        }
    };
    let mut ends = [0; 3];
    for end in runtime.block_on(join_all(calls.iter().cloned().map(make))) {
        ends[end] += 1;
    }
    (statistics, recorder, ends)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_the_counts_add_up(
        calls in prop::collection::vec(call(), 1..40),
        everything in any::<bool>(),
    ) {
        let (statistics, recorder, [values, errors, dropped]) = run(&calls, everything);
        let seen = statistics.snapshot();
        let sum = |counts: &BTreeMap<&str, u64>| counts.values().sum::<u64>();
        let failed = |one: &DestinationStatistics| one.failures.values().sum::<u64>();
        for one in seen.by_destination.values().chain([&seen.total()]) {
            prop_assert!(one.attempts >= one.succeeded + failed(one));
            prop_assert!(one.succeeded_after_retry <= one.retries);
            prop_assert_eq!(one.last_failure.is_some(), failed(one) > 0);
            prop_assert!(one.mean_duration() <= one.longest);
        }
        prop_assert!(seen.by_destination.len() <= 4, "three, and the others");
        let total = seen.total();
        prop_assert_eq!((total.succeeded, sum(&total.given_up)), (values, errors));
        prop_assert_eq!(total.calls() + dropped, calls.len() as u64);
        // An attempt under way, or none, is what a dropped call leaves behind.
        let ended = total.succeeded + failed(&total);
        prop_assert!(total.attempts - ended <= dropped, "{} attempts, {ended} ended", total.attempts);

        let count = |asked: fn(&Happened) -> bool| recorder.count(asked) as u64;
        prop_assert_eq!(total.retries, count(|what| matches!(what, Happened::RetryScheduled { .. })));
        prop_assert_eq!(total.attempts, count(|what| matches!(what, Happened::AttemptStarted { .. })));
        let letters = total.letters + total.letters_refused;
        if everything {
            prop_assert!((errors..=errors + dropped).contains(&letters), "one letter for each that gave up");
            prop_assert!(total.letters <= 5, "the queue holds no more");
        } else {
            prop_assert_eq!(letters, 0);
            let turned_away = total.given_up.get("throttled").copied().unwrap_or_default();
            prop_assert!(total.attempts + turned_away >= total.calls(), "nobody else turned a call away");
        }
    }
}
