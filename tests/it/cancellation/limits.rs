//! What ends a wait or an attempt from within: the deadline and the shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use recoup::{
    Attempt, Backoff, Bulkhead, Category, Classification, Cooldown, Instant, Reason, Recovery, RetryPolicy,
    Shutdown, execute_with_recovery, execute_with_recovery_mut,
};
use tokio_test::task;

use super::world::{Alive, MS, Oops};

#[expect(clippy::disallowed_methods, reason = "the paused clock")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn c3_shutdown_ends_every_sleep_at_once_with_the_last_real_error() {
    let shutdown = Shutdown::new();
    let attempts = Alive::default();
    let recovery = Recovery::<Oops>::builder("r")
        .retry(RetryPolicy::backoff(Backoff::fixed(Duration::from_secs(300))).no_budget().max_attempts(9))
        .shutdown(&shutdown)
        .build()
        .unwrap();
    let calls: Vec<_> = (0..50)
        .map(|n| {
            let (recovery, attempts) = (recovery.clone(), attempts.clone());
            tokio::spawn(async move {
                execute_with_recovery(&recovery, |_| {
                    drop(attempts.born());
                    async move { Err::<(), _>(Oops(n)) }
                })
                .await
            })
        })
        .collect();
    tokio::time::advance(MS).await;
    assert_eq!(attempts.ever(), 50, "all sleep");
    let start = now();
    shutdown.trigger();
    for (n, call) in calls.into_iter().enumerate() {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!((error.reason(), error.attempts()), (&Reason::ShutDown, 1));
        assert_eq!(error.into_inner(), Some(Oops(u32::try_from(n).unwrap())));
    }
    assert_eq!(now(), start);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(attempts.ever(), 50, "none attempts further");
}

/// A call in the queue of a bulkhead waits for another attempt as well as one in its backoff.
#[tokio::test(start_paused = true)]
async fn c3_shutdown_ends_the_wait_for_a_slot_before_another_attempt() {
    for lending in [false, true] {
        let shutdown = Shutdown::new();
        let bulkhead = Bulkhead::builder(1).queue(1).build().unwrap();
        let waits = Backoff::fixed(100 * MS);
        let recovery = Recovery::<Oops>::builder("r")
            .retry(RetryPolicy::backoff(waits).no_budget())
            .bulkhead(bulkhead.clone())
            .shutdown(&shutdown)
            .build()
            .unwrap();
        let call: LocalBoxFuture<'_, _> = if lending {
            async {
                let op = async |_: &mut u32, attempt: Attempt| Err::<(), _>(Oops(attempt.number()));
                execute_with_recovery_mut(&recovery, &mut 0, op).await
            }
            .boxed_local()
        } else {
            let op = |attempt: Attempt| async move { Err::<(), _>(Oops(attempt.number())) };
            execute_with_recovery(&recovery, op).boxed_local()
        };
        let mut call = task::spawn(call);
        assert!(call.poll().is_pending());
        let slot = bulkhead.try_acquire().unwrap();
        tokio::time::advance(100 * MS).await;
        assert!(call.poll().is_pending());
        assert_eq!(bulkhead.queued(), 1);
        shutdown.trigger();
        assert!(call.is_woken(), "told in the queue");
        let Poll::Ready(Err(error)) = call.poll() else { panic!("it waits on") };
        assert_eq!((error.reason(), error.inner()), (&Reason::ShutDown, Some(&Oops(1))));
        assert_eq!(bulkhead.queued(), 0);
        drop(slot);
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_the_wait_for_a_slot() {
    let bulkhead = Bulkhead::builder(1).queue(9).build().unwrap();
    let recovery = Recovery::<Oops>::builder("r")
        .bulkhead(bulkhead.clone())
        .deadline(Duration::from_secs(2))
        .build()
        .unwrap();
    let _slot = bulkhead.try_acquire().unwrap();
    let start = now();
    let plain = execute_with_recovery(&recovery, |_| async { Ok::<_, Oops>(()) });
    let limit = Duration::from_secs(3600);
    let error = tokio::time::timeout(limit, plain).await.expect("within its deadline").unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::DeadlineExceeded, 0));
    assert_eq!(now() - start, Duration::from_secs(2));

    let mut state = 0;
    let op = async |_: &mut u32, _: Attempt| Ok::<_, Oops>(());
    let lending = execute_with_recovery_mut(&recovery, &mut state, op);
    let error = tokio::time::timeout(limit, lending).await.expect("within its deadline").unwrap_err();
    assert_eq!(error.reason(), &Reason::DeadlineExceeded);
    assert_eq!(now() - start, Duration::from_secs(4));
    assert_eq!(bulkhead.queued(), 0);
}

/// The clock of the whole call runs from its first wait, whatever that is for.
#[tokio::test(start_paused = true)]
async fn deadline_holds_over_a_cooldown_too() {
    let cooldown = Cooldown::builder().build().unwrap();
    let told = |hint: Duration| {
        let classifier = move |_: &Oops| Classification::of(Category::RateLimited).retry_after(hint);
        let recovery = Recovery::builder("other").classifier(classifier).retry(RetryPolicy::never());
        let recovery = recovery.cooldown(cooldown.clone()).build().unwrap();
        async move { execute_with_recovery(&recovery, |_| async { Err::<(), _>(Oops(0)) }).await }
    };
    let recovery = Recovery::<Oops>::builder("r").cooldown(cooldown.clone()).deadline(Duration::from_secs(2));
    let recovery = recovery.build().unwrap();
    let hang = || execute_with_recovery(&recovery, |_| std::future::pending::<Result<(), Oops>>());

    told(Duration::from_secs(1)).await.unwrap_err();
    let start = now();
    let error = hang().await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::DeadlineExceeded, 1));
    assert_eq!(start.elapsed(), Duration::from_secs(2));

    told(Duration::from_secs(9)).await.unwrap_err();
    let start = now();
    let error = hang().await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::DeadlineExceeded, 0));
    assert_eq!(start.elapsed(), Duration::ZERO, "a wait that does not fit is not begun");
}

#[tokio::test(start_paused = true)]
async fn c5_attempts_and_the_whole_call_keep_their_limits_to_the_moment() {
    let start = now();
    let policy = RetryPolicy::backoff(Backoff::none())
        .max_attempts(9)
        .no_budget()
        .attempt_timeout(Duration::from_secs(1))
        .deadline(Duration::from_millis(2500));
    let recovery = Recovery::<Oops>::builder("r").retry(policy).build().unwrap();
    let (mut begun, dropped) = (Vec::new(), Arc::new(AtomicU64::new(0)));
    let result = execute_with_recovery(&recovery, |_| {
        begun.push(start.elapsed().as_millis());
        let noted = NotesItsEnd(start, Arc::clone(&dropped));
        async move {
            let _noted = noted;
            std::future::pending::<Result<(), Oops>>().await
        }
    })
    .await;
    let error = result.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::DeadlineExceeded, 3));
    assert!(error.is_timeout());
    assert_eq!(begun, [0, 1000, 2000]);
    assert_eq!(start.elapsed(), Duration::from_millis(2500));
    assert_eq!(dropped.load(SeqCst), 2500, "the inner one ended then");
}

struct NotesItsEnd(Instant, Arc<AtomicU64>);

impl Drop for NotesItsEnd {
    fn drop(&mut self) {
        let millis = u64::try_from(self.0.elapsed().as_millis()).unwrap();
        self.1.store(millis, SeqCst);
    }
}
