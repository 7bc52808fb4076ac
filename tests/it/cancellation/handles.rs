//! Policies live without a runtime, and end with their last handle.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use recoup::{
    Backoff, BreakerGroup, Bulkhead, CircuitBreaker, CircuitState, Classification, Cooldown, Event, Observer,
    Outcome, Recovery, RetryBudget, RetryPolicy, execute_with_recovery, retry,
};

use super::world::Oops;

const SECOND: Duration = Duration::from_secs(1);

fn just_before(end: Duration) -> Duration {
    end.saturating_sub(Duration::from_nanos(1))
}

/// Polls once, with nobody to wake: for what is ready at once.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for something"),
    }
}

#[test]
fn c6_everything_is_built_and_used_without_a_runtime() {
    let breaker = CircuitBreaker::builder("b").consecutive_failures(2).build().unwrap();
    let bulkhead = Bulkhead::builder(1).queue(1).build().unwrap();
    let budget = RetryBudget::default();
    let recovery = Recovery::<Oops>::builder("r")
        .retry(RetryPolicy::backoff(Backoff::none()).budget(budget.clone()))
        .circuit_breaker(breaker.clone())
        .bulkhead(bulkhead.clone())
        .cooldown(Cooldown::builder())
        .attempt_timeout(SECOND)
        .deadline(SECOND)
        .build()
        .unwrap();
    let op = |attempt: recoup::Attempt| async move {
        if attempt.is_first() { Err(Oops(1)) } else { Ok(attempt.number()) }
    };
    assert_eq!(at_once(execute_with_recovery(&recovery, op)).unwrap(), 2);
    assert_eq!(budget.tokens(), 10);

    assert!(at_once(breaker.call(|| async { Err::<(), _>(Oops(1)) })).is_err());
    assert!(at_once(breaker.call(|| async { Err::<(), _>(Oops(1)) })).is_err());
    assert_eq!(breaker.state(), CircuitState::Open);
    assert!(at_once(execute_with_recovery(&recovery, op)).unwrap_err().is_rejection());
    assert_eq!(at_once(retry(|| async { Ok::<_, Oops>(7) })), Ok(7));

    // Even waiting for a slot takes no runtime, if it may take for ever.
    let slot = bulkhead.try_acquire().unwrap();
    let mut waiting = pin!(bulkhead.call(|| async { Ok::<_, Oops>(7) }));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(slot);
    assert_eq!(waiting.poll(&mut context), Poll::Ready(Ok(7)));
}

#[tokio::test(start_paused = true)]
async fn c6_state_is_half_open_as_soon_as_the_wait_is_over_though_nobody_called() {
    let breaker = CircuitBreaker::builder("b").consecutive_failures(1).open_for(10 * SECOND).build().unwrap();
    breaker.admit().unwrap().settle(Outcome::Failure);
    tokio::time::advance(just_before(10 * SECOND)).await;
    assert_eq!(breaker.state(), CircuitState::Open);
    tokio::time::advance(Duration::from_nanos(1)).await;
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert_eq!(breaker.snapshot().probe_in, Some(Duration::ZERO));
}

#[test]
fn c6_last_handle_frees_everything() {
    let watched = Arc::new(());
    let observer = |held: &Arc<()>| -> Arc<dyn Observer> {
        let held = Arc::clone(held);
        Arc::new(move |_: &Event<'_>| drop(Arc::clone(&held)))
    };
    let group = BreakerGroup::new(0.5).unwrap();
    let breaker =
        CircuitBreaker::builder("b").consecutive_failures(1).group(&group).observer(observer(&watched));
    let breaker = breaker.build().unwrap();
    let bulkhead = Bulkhead::builder(1).observer(observer(&watched)).build().unwrap();
    let held = Arc::clone(&watched);
    let recovery = Recovery::<Oops>::builder("r")
        .classifier(move |_: &Oops| {
            drop(Arc::clone(&held));
            Classification::of(recoup::Category::Unknown)
        })
        .retry(RetryPolicy::backoff(Backoff::none()))
        .circuit_breaker(breaker.clone())
        .bulkhead(bulkhead.clone())
        .observer(observer(&watched))
        .build()
        .unwrap();
    assert!(at_once(execute_with_recovery(&recovery, |_| async { Err::<(), _>(Oops(1)) })).is_err());
    let isolated = breaker.isolate();
    assert_eq!((Arc::strong_count(&watched), group.members()), (5, 1));

    let last = recovery.clone();
    drop((recovery, breaker, bulkhead));
    assert_eq!(group.members(), 1, "the recovery still has them");
    drop(last);
    assert_eq!(group.members(), 1, "somebody still holds it isolated");
    drop(isolated);
    assert_eq!((group.members(), group.open()), (0, 0));
    assert_eq!(Arc::strong_count(&watched), 1);
}

#[tokio::test(start_paused = true)]
async fn c6_restored_circuit_keeps_the_open_time_that_it_had_left() {
    let builder = || CircuitBreaker::builder("b").consecutive_failures(1).open_for(10 * SECOND);
    let first = builder().build().unwrap();
    first.admit().unwrap().settle(Outcome::Failure);
    tokio::time::advance(4 * SECOND).await;
    let snapshot = first.snapshot();
    tokio::time::advance(60 * SECOND).await; // nobody was there to call

    let restored = builder().restore(&snapshot).build().unwrap();
    assert_eq!((restored.state(), restored.snapshot().probe_in), (CircuitState::Open, Some(6 * SECOND)));
    assert_eq!(restored.snapshot().openings, 1);
    tokio::time::advance(just_before(6 * SECOND)).await;
    assert!(restored.admit().is_err());
    tokio::time::advance(Duration::from_nanos(1)).await;
    assert!(restored.admit().is_ok());
}

#[tokio::test(start_paused = true)]
async fn c6_circuit_that_was_open_for_ever_is_restored_open() {
    let builder = || CircuitBreaker::builder("b").consecutive_failures(1).open_for(Duration::MAX);
    let first = builder().build().unwrap();
    first.admit().unwrap().settle(Outcome::Failure);
    assert_eq!((first.state(), first.snapshot().probe_in), (CircuitState::Open, None));
    let restored = builder().restore(&first.snapshot()).build().unwrap();
    assert_eq!(restored.state(), CircuitState::Open);
    assert!(restored.admit().is_err());
}

/// Control by hand sticks, over a restart too, and what the circuit had found out by itself waits below it.
/// Isolation belongs to its handles and ends with them.
#[tokio::test(start_paused = true)]
async fn c6_circuit_that_was_open_by_hand_is_restored_so_and_isolation_is_not() {
    let builder = || CircuitBreaker::builder("b").consecutive_failures(1).open_for(10 * SECOND);
    let healthy = builder().build().unwrap();
    healthy.force_open();
    let restored = builder().restore(&healthy.snapshot()).build().unwrap();
    assert_eq!(restored.state(), CircuitState::Open);
    restored.automatic();
    assert_eq!(restored.state(), CircuitState::Closed);

    let isolated = builder().build().unwrap();
    let _handle = isolated.isolate();
    let restored = builder().restore(&isolated.snapshot()).build().unwrap();
    assert_eq!(restored.state(), CircuitState::Closed);

    let probing = builder().build().unwrap();
    probing.admit().unwrap().settle(Outcome::Failure);
    tokio::time::advance(10 * SECOND).await;
    drop(probing.admit());
    probing.force_open();
    let restored = builder().restore(&probing.snapshot()).build().unwrap();
    restored.automatic();
    assert_eq!(restored.state(), CircuitState::HalfOpen, "its next call is a probe");
}
