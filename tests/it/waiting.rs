//! Callers that wait for an open circuit.

use std::time::Duration;

use futures::future::join_all;
use recoup::{
    CircuitBreaker, Instant, Reason, Recovery, RecoveryError, RetryPolicy, execute_with_recovery, retry,
};

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_an_open_circuit_get_through_once_it_is_closed() {
    let breaker = CircuitBreaker::builder("db")
        .consecutive_failures(1)
        .open_for(Duration::from_millis(500))
        .no_ramp()
        .build()
        .unwrap();
    let policy = RetryPolicy::fixed(Duration::from_millis(10)).max_attempts(4).wait_for_open_circuit();
    let db = Recovery::<&str>::builder("db")
        .retry(policy)
        .circuit_breaker(breaker.clone())
        .deadline(Duration::from_secs(10))
        .build()
        .unwrap();
    let _down = breaker.call(|| async { Err::<(), _>("down") }).await;
    assert!(breaker.admit().is_err());

    let up = |_| async {
        tokio::time::sleep(Duration::from_millis(15)).await;
        Ok::<_, &str>(())
    };
    // More than there are probes: the others find the circuit half-open, and not for as long as a lease.
    let calls = join_all((0..10).map(|_| execute_with_recovery(&db, up))).await;
    let lost: Vec<_> = calls.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert_eq!(lost, [""; 0]);
}

/// A call that has not begun and would wait for a slot does not keep the program from ending; one that need
/// not wait is made all the same.
#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_wait_for_a_first_slot_and_refuses_no_call_that_need_not_wait() {
    let shutdown = recoup::Shutdown::new();
    let recovery = Recovery::<&str>::builder("queued")
        .bulkhead(recoup::Bulkhead::builder(1).queue(1))
        .shutdown(&shutdown)
        .build()
        .unwrap();
    let slot = recovery.bulkhead().unwrap().try_acquire().unwrap();
    let queued = execute_with_recovery(&recovery, |_| async { Ok(()) });
    let (ended, ()) = tokio::join!(queued, async { shutdown.trigger() });
    let error = ended.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&recoup::Reason::ShutDown, 0));
    assert_eq!(recovery.bulkhead().unwrap().queued(), 0);

    drop(slot);
    assert!(execute_with_recovery(&recovery, |_| async { Ok(()) }).await.is_ok());
}

/// A slot that comes at the very moment at which the program ends is for nobody who has had an attempt already.
#[tokio::test(start_paused = true)]
async fn slot_that_comes_with_the_shutdown_is_not_used_for_a_retry() {
    let shutdown = recoup::Shutdown::new();
    let second = Duration::from_secs(1);
    let recovery = Recovery::<&str>::builder("queued")
        .retry(RetryPolicy::fixed(second).jitter(recoup::Jitter::None).max_attempts(2))
        .bulkhead(recoup::Bulkhead::builder(1).queue(1))
        .shutdown(&shutdown)
        .build()
        .unwrap();
    let bulkhead = recovery.bulkhead().unwrap();
    let call = execute_with_recovery(&recovery, |_| async { Err::<(), _>("down") });
    let (ended, ()) = tokio::join!(call, async {
        let slot = bulkhead.try_acquire().unwrap();
        tokio::time::sleep(2 * second).await;
        assert_eq!(bulkhead.queued(), 1);
        shutdown.trigger();
        drop(slot);
    });
    let error = ended.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&recoup::Reason::ShutDown, 1));
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}

/// Who came through the queue holds the slot for as long as the operation runs.
#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_there_are_slots_though_most_have_queued() {
    let recovery =
        Recovery::<&str>::builder("db").bulkhead(recoup::Bulkhead::builder(2).queue(9)).build().unwrap();
    let (running, most) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let calls = join_all((0..10).map(|_| {
        execute_with_recovery(&recovery, |_| async {
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            tokio::time::sleep(Duration::from_secs(1)).await;
            running.set(running.get() - 1);
            Ok(())
        })
    }));
    assert!(calls.await.iter().all(Result::is_ok));
    assert_eq!(most.get(), 2);
}

#[expect(clippy::disallowed_methods, reason = "the clock is paused, and recoup's own way to it is private")]
fn now() -> Instant {
    Instant::now()
}

/// When an attempt that has to wait is first looked at is worked out beforehand; it must be what its limits say.
#[tokio::test(start_paused = true)]
async fn call_is_cut_short_by_whichever_of_its_limits_comes_first() {
    const SECOND: Duration = Duration::from_secs(1);
    const SOON: Duration = Duration::from_millis(100);
    const NONE: Duration = Duration::ZERO;
    let hangs = || std::future::pending::<Result<(), u8>>();
    for (attempt, call, ends, by_deadline) in [
        (SOON, SECOND, SOON, false),
        (SECOND, SOON, SOON, true),
        (SECOND, 4 * SOON, 4 * SOON, true),
        (SECOND, SECOND, SECOND, false),
        (Duration::MAX, SECOND, SECOND, true),
        (SECOND, Duration::MAX, SECOND, false),
        (NONE, SECOND, NONE, false),
        (SECOND, NONE, NONE, true),
    ] {
        let seen = |start: Instant, error: &RecoveryError<u8>| {
            (start.elapsed(), matches!(error.reason(), Reason::DeadlineExceeded))
        };
        // Of its own, for what is cut short teaches the throttle.
        let once = RetryPolicy::builder().max_attempts(1).build().unwrap();
        let start = now();
        let limited = retry(hangs).policy(&once).attempt_timeout(attempt).deadline(call);
        let error = limited.await.unwrap_err();
        assert_eq!(seen(start, &error), (ends, by_deadline), "{attempt:?} of {call:?}");

        if call < attempt || ends == NONE {
            continue; // no recovery is built of these
        }
        let recovery = Recovery::builder("r").retry(once.clone()).attempt_timeout(attempt).deadline(call);
        let recovery = recovery.build().unwrap();
        let start = now();
        let error = execute_with_recovery(&recovery, |_| hangs()).await.unwrap_err();
        assert_eq!(seen(start, &error), (ends, by_deadline), "{attempt:?} of {call:?}");
    }
}
