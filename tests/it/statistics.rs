//! What was counted adds up.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crowd;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use recoup::{
    Bulkhead, CallContext, Category, CircuitBreaker, ErrorChain, MemoryQueue, Recovery, RetryPolicy,
    Statistics, execute_with_recovery,
};

fn recovery(statistics: &Statistics) -> Recovery<Category> {
    Recovery::builder("all")
        .classifier(|category: &Category| *category)
        .retry(RetryPolicy::exponential(Duration::from_millis(10)).max_attempts(3).seed(1))
        .circuit_breaker(CircuitBreaker::builder("all").consecutive_failures(4))
        .bulkhead(Bulkhead::builder(2))
        .dead_letters_described(MemoryQueue::default(), ErrorChain::from_display)
        .observer(Arc::new(statistics.clone()))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn durations_are_those_of_the_calls_waits_included() {
    let statistics = Statistics::new();
    let recovery = recovery(&statistics);
    for seconds in [1_u64, 3] {
        let call = CallContext::new("read").destination("disk");
        execute_with_recovery(recovery.with_context(&call), |_| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(())
        })
        .await
        .unwrap();
    }
    let disk = &statistics.snapshot().by_destination["disk"];
    assert_eq!((disk.longest, disk.mean_duration()), (Duration::from_secs(3), Duration::from_secs(2)));
    assert_eq!((disk.calls(), disk.succeeded_after_retry, disk.last_failure), (2, 0, None));
}

#[tokio::test(start_paused = true)]
async fn names_from_outside_take_bounded_room() {
    let statistics = Statistics::bounded(2).unwrap();
    let recovery = recovery(&statistics);
    for tenant in 0..100 {
        let call = CallContext::new("read").destination(format!("tenant-{tenant}"));
        execute_with_recovery(recovery.with_context(&call), |_| async { Ok(()) }).await.unwrap();
    }
    let snapshot = statistics.snapshot();
    let names: Vec<_> = snapshot.by_destination.keys().map(String::as_str).collect();
    assert_eq!(names, ["other", "tenant-0", "tenant-1"]);
    assert_eq!(snapshot.by_destination["other"].calls(), 98);
    assert_eq!(snapshot.total().calls(), 100);
    assert!(Statistics::bounded(0).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Calls are those that succeeded and those that were given up, attempts are first ones and retries, and a
    /// failed attempt is one of some category.
    #[test]
    fn what_was_counted_adds_up(history in proptest::collection::vec((0_usize..3, any::<u8>(), 0_usize..4), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let statistics = Statistics::new();
        let recovery = recovery(&statistics);
        let (mut calls, mut succeeded, mut attempts) = (0, 0, 0);
        runtime.block_on(async {
            for (destination, outcomes, kind) in history {
                let call = CallContext::new("call").destination(["a", "b", "c"][destination]);
                let category = [Category::Network, Category::Timeout, Category::Validation, Category::Security][kind];
                let result = execute_with_recovery(recovery.with_context(&call), |attempt| {
                    attempts += 1;
                    let fails = outcomes >> (attempt.number() % 8) & 1 == 1;
                    async move { if fails { Err(category) } else { Ok(()) } }
                }).await;
                calls += 1;
                succeeded += u64::from(result.is_ok());
            }
        });
        let total = statistics.snapshot().total();
        prop_assert_eq!((total.calls(), total.succeeded, total.attempts), (calls, succeeded, attempts));
        let given_up: u64 = total.given_up.values().sum();
        prop_assert_eq!(given_up, calls - succeeded);
        prop_assert_eq!(total.letters, given_up);
        let failures: u64 = total.failures.values().sum();
        prop_assert_eq!(failures + succeeded, attempts, "an attempt fails or ends its call well");
        prop_assert!(total.retries >= total.succeeded_after_retry);
    }
}
