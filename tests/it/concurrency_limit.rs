//! Calls under a concurrency limit: what they tell it, and what they give back however they end.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use recoup::testing::{Happened, Recorder};
use recoup::{Aimd, CallError, ConcurrencyLimit, ConcurrencyLimitBuilder, Outcome, Priority, retry};
use tokio::sync::Semaphore;
use tokio::time::{advance, sleep};

const MS: Duration = Duration::from_millis(1);

fn of_two() -> ConcurrencyLimitBuilder<Aimd> {
    ConcurrencyLimit::aimd().name("db").initial(2)
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn call_is_a_sample_of_how_long_it_took() {
    let limit = ConcurrencyLimit::aimd().initial(1).window(MS).build().unwrap();
    for _ in 0..3 {
        let call = limit.call(async || {
            sleep(40 * MS).await;
            Ok::<_, ()>(7)
        });
        advance(1000 * MS).await; // before its first poll: not its time
        assert_eq!(call.await, Ok(7));
    }
    let snapshot = limit.snapshot();
    assert_eq!((snapshot.latency, snapshot.samples), (Some(40 * MS), 3));
}

#[tokio::test(start_paused = true)]
async fn error_tells_nothing_unless_it_is_one_of_overload() {
    let limit = of_two().build().unwrap();
    let failed = limit.call(async || Err::<(), _>(503)).await;
    assert_eq!(failed, Err(CallError::Operation(503)));
    let counts = || (limit.snapshot().samples, limit.snapshot().dropped);
    assert_eq!(counts(), (0, 0));
    for status in [404, 503, 500] {
        let answer = limit.call(async || Err::<(), _>(status)).overload_when(|status| *status == 503).await;
        assert_eq!(answer, Err(CallError::Operation(status)));
    }
    assert_eq!(counts(), (0, 1));
    assert_eq!(limit.call(async || Ok::<_, u16>(1)).overload_when(|_| true).await, Ok(1));
    assert_eq!((counts(), limit.in_flight()), ((1, 1), 0));
}

#[tokio::test(start_paused = true)]
async fn call_without_room_is_not_made_and_is_told() {
    let recorder = Recorder::new();
    let limit = of_two().observer(recorder.observer()).build().unwrap();
    let _held = [limit.try_enter(Priority::Normal).unwrap(), limit.try_enter(Priority::Normal).unwrap()];
    let refused = limit.call(async || -> Result<(), ()> { unreachable!("there is no room") }).await;
    let saturated = refused.unwrap_err().rejected().cloned().unwrap();
    assert_eq!((&*saturated.limit, saturated.limit_now), ("db", 2));
    let rejected = recorder.count(
        |happened| matches!(happened, Happened::Rejected { policy, reason: "concurrency" } if policy == "db"),
    );
    assert_eq!(rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn reserve_is_for_those_who_matter_more() {
    let limit = ConcurrencyLimit::vegas().initial(10).reserve(Priority::Critical, 0.2).build().unwrap();
    let normal: Vec<_> = (0..10).map_while(|_| limit.try_enter(Priority::Normal).ok()).collect();
    assert_eq!(normal.len(), 8);
    assert!(limit.call(async || Ok::<_, ()>(())).priority(Priority::High).await.is_err());
    assert!(limit.call(async || Ok::<_, ()>(())).priority(Priority::Critical).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn retry_around_a_limit_ends_in_its_refusal() {
    let limit = ConcurrencyLimit::aimd().initial(1).build().unwrap();
    let held = limit.try_enter(Priority::Normal).unwrap();
    let refused = retry(|| limit.call(async || Ok::<_, std::fmt::Error>(7))).await;
    assert!(matches!(refused, Err(CallError::Rejected(_))));
    drop(held);
    assert_eq!(retry(|| limit.call(async || Ok::<_, std::fmt::Error>(7))).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn g6_a_thousand_dropped_calls_leave_nothing_in_flight() {
    let limits = [
        ConcurrencyLimit::aimd().initial(100).build(),
        ConcurrencyLimit::vegas().initial(100).build(),
        ConcurrencyLimit::gradient2().initial(100).build(),
    ];
    for limit in limits.map(Result::unwrap) {
        for round in 0..10 {
            let calls: Vec<_> = (0..100)
                .map(|_| {
                    let limit = limit.clone();
                    tokio::spawn(async move { limit.call(pending::<Result<(), ()>>).await })
                })
                .collect();
            sleep(MS).await;
            assert_eq!(limit.in_flight(), 100, "round {round}");
            advance(10_000 * MS).await;
            for call in calls {
                call.abort();
                assert!(call.await.unwrap_err().is_cancelled());
            }
            assert_eq!(limit.in_flight(), 0);
        }
        let snapshot = limit.snapshot();
        assert_eq!((snapshot.limit, snapshot.samples, snapshot.dropped), (100, 0, 0));
    }
}

#[test]
fn call_dropped_before_its_first_poll_has_taken_nothing() {
    let limit = of_two().build().unwrap();
    let call = limit.call(async || Ok::<_, ()>(()));
    assert_eq!(limit.in_flight(), 0);
    drop(call);
    assert!(poll_once(limit.call(pending::<Result<(), ()>>)).is_pending());
    assert_eq!(limit.in_flight(), 0);
}

#[test]
fn panic_gives_the_place_back_and_tells_nothing() {
    let limit = of_two().build().unwrap();
    let panics = |run: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    panics(&|| {
        let making = || -> std::future::Ready<Result<(), ()>> { panic!("while it is made") };
        let _ = poll_once(limit.call(making));
    });
    panics(&|| {
        let polling = || poll_fn(|_| -> Poll<Result<(), ()>> { panic!("while it is polled") });
        let _ = poll_once(limit.call(polling));
    });
    panics(&|| {
        let judged = limit.call(async || Err::<(), _>(())).overload_when(|()| panic!("while it is judged"));
        let _ = poll_once(judged);
    });
    let snapshot = limit.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.samples, snapshot.dropped), (0, 0, 0));
}

#[test]
fn handles_and_futures_can_be_sent_and_cost_no_more_than_what_they_hold() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let limit = of_two().build().unwrap();
    shared(&limit);
    let call = sent(limit.call(async || Ok::<_, ()>(())));
    assert!(size_of_val(&call) <= 96, "{}", size_of_val(&call));
    drop(sent(limit.try_enter(Priority::Normal).unwrap()));
}

/// A dependency of so many places, each taken for 100 ms, and clients that ask again as soon as they may.
async fn g6_over_a_server(limit: ConcurrencyLimit) -> [usize; 3] {
    let server = Arc::new(Semaphore::new(50));
    let clients: Vec<_> = (0..100)
        .map(|nth| {
            let (limit, server) = (limit.clone(), Arc::clone(&server));
            tokio::spawn(async move {
                sleep(nth * MS).await;
                loop {
                    let call = limit.call(async || {
                        let _place = server.acquire().await.unwrap();
                        sleep(100 * MS).await;
                        Ok::<_, ()>(())
                    });
                    if call.await.is_err() {
                        sleep(20 * MS).await;
                    }
                }
            })
        })
        .collect();
    sleep(30_000 * MS).await;
    let settled = limit.limit();
    let taken = server.acquire_many(40).await.unwrap();
    sleep(30_000 * MS).await;
    let fallen = limit.limit();
    drop(taken);
    sleep(30_000 * MS).await;
    let back = limit.limit();
    for client in clients {
        client.abort();
        let _ = client.await;
    }
    assert_eq!(limit.in_flight(), 0);
    [settled, fallen, back]
}

#[tokio::test(start_paused = true)]
async fn g6_limit_finds_the_capacity_of_a_server_again_and_again() {
    for limit in [
        ConcurrencyLimit::aimd().slow_after(115 * MS).seed(1).build().unwrap(),
        ConcurrencyLimit::vegas().seed(1).build().unwrap(),
        ConcurrencyLimit::gradient2().seed(1).build().unwrap(),
    ] {
        let [settled, fallen, back] = g6_over_a_server(limit.clone()).await;
        assert!((40..=60).contains(&settled), "{settled} {limit:?}");
        assert!((8..=15).contains(&fallen), "{fallen} {limit:?}");
        assert!((40..=60).contains(&back), "{back} {limit:?}");
    }
}

#[test]
fn threads_that_race_never_pass_the_limit_and_lose_no_call() {
    const LIMIT: usize = 8;
    let limit =
        ConcurrencyLimit::aimd().initial(LIMIT).max(LIMIT).min(LIMIT).window(MS / 1000).build().unwrap();
    let (inside, samples) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..LIMIT + 4 {
            scope.spawn(|| {
                for nth in 0..2000 {
                    let Ok(call) = limit.try_enter(Priority::Normal) else { continue };
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < LIMIT);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    if nth % 3 > 0 {
                        samples.fetch_add(1, Ordering::SeqCst);
                        call.settle(if nth % 3 == 1 { Outcome::Success } else { Outcome::Failure });
                    }
                }
            });
        }
    });
    let snapshot = limit.snapshot();
    assert_eq!(snapshot.in_flight, 0);
    assert_eq!(snapshot.samples + snapshot.dropped, samples.into_inner() as u64);
}
