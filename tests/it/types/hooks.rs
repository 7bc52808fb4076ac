//! Hooks may wait, may change what the next attempt uses, and may decide.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use recoup::{Attempt, Reason, Recovery, RetryPolicy, execute_with_recovery, retry};

tokio::task_local! {
    static REQUEST: u32;
}

#[tokio::test(start_paused = true)]
async fn t4_hook_fetches_what_the_second_attempt_uses() {
    let token = Arc::new(AtomicU32::new(0));
    let fresh = Arc::clone(&token);
    let recovery = Recovery::<u32>::builder("r")
        .before_retry(move |failed| {
            assert_eq!((failed.attempt.number(), failed.error), (1, Some(&0)));
            let fresh = Arc::clone(&fresh);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                fresh.store(REQUEST.get(), SeqCst);
                ControlFlow::Continue(())
            }
        })
        .build()
        .unwrap();
    let call = execute_with_recovery(&recovery, |_: Attempt| {
        let token = token.load(SeqCst);
        async move { if token == 0 { Err(token) } else { Ok(token) } }
    });
    assert_eq!(REQUEST.scope(7, call).await.unwrap(), 7, "it ran where the caller is");
}

#[tokio::test(start_paused = true)]
async fn t4_hook_may_break_the_call_off() {
    let recovery =
        Recovery::<&str>::builder("r").before_retry(|_| async { ControlFlow::Break(()) }).build().unwrap();
    let error = execute_with_recovery(&recovery, |_| async { Err::<(), _>("locked out") }).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.attempts(), error.inner()),
        (&Reason::StoppedByHook, 1, Some(&"locked out"))
    );
    let plain =
        retry(|| async { Err::<(), _>("locked out") }).before_retry(|_| async { ControlFlow::Break(()) });
    assert_eq!(plain.await, Err("locked out"));
}

#[tokio::test(start_paused = true)]
async fn t4_plain_closures_are_told_and_may_change_what_they_borrow() {
    let policy = RetryPolicy::fixed(Duration::from_secs(1)).jitter(recoup::Jitter::None).build().unwrap();
    let (mut told, mut ended) = (Vec::new(), None);
    let result = retry(|| async { Err::<(), _>("down") })
        .policy(&policy)
        .notify(|failed| told.push((failed.attempt.number(), failed.delay)))
        .on_give_up(|error| ended = Some(error.attempts()))
        .await;
    assert_eq!(result, Err("down"));
    assert_eq!(told, [(1, Duration::from_secs(1)), (2, Duration::from_secs(1))]);
    assert_eq!(ended, Some(3));
}
