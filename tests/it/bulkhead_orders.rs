//! Bulkheads under more calls than they have slots for: who is served, who is not, and how long they waited.
#![expect(clippy::unwrap_used, reason = "what helps a test panics for it")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use recoup::testing::{Happened, Recorder};
use recoup::{
    Bulkhead, BulkheadBuilder, CallContext, CallError, Full, FullReason, Priority, QueueOrder, Reason,
    Recovery, execute_with_recovery,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);
const WORK: Duration = Duration::from_millis(10);

#[expect(clippy::disallowed_methods, reason = "the clock is paused, and recoup's own way to it is private")]
fn now() -> Instant {
    Instant::now()
}

/// How a call fared: when it came, and how long it waited or why it was refused.
#[derive(Clone, Copy, Debug)]
struct Fared {
    came: Duration,
    waited: Result<Duration, FullReason>,
}

async fn one_call(bulkhead: Bulkhead, start: Instant, came: Duration) -> Fared {
    let waited = bulkhead
        .call(|| {
            let waited = (start + came).elapsed();
            async move {
                sleep(WORK).await;
                Ok::<_, Infallible>(waited)
            }
        })
        .await;
    match waited {
        Ok(waited) => Fared { came, waited: Ok(waited) },
        Err(CallError::Rejected(full)) => Fared { came, waited: Err(full.reason) },
        Err(CallError::Operation(never)) => match never {},
    }
}

/// A call every `gap`, `calls` times.
async fn traffic(bulkhead: &Bulkhead, calls: u32, gap: Duration) -> Vec<Fared> {
    let (start, mut tasks) = (now(), JoinSet::new());
    for _ in 0..calls {
        tasks.spawn(one_call(bulkhead.clone(), start, start.elapsed()));
        sleep(gap).await;
    }
    let mut fared = tasks.join_all().await;
    fared.sort_by_key(|call| call.came);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
    fared
}

/// The waits of those who came after the first quarter of a second and were served, sorted.
fn waits(fared: &[Fared]) -> Vec<Duration> {
    let late = fared.iter().filter(|call| call.came > 250 * MS);
    let mut waits: Vec<_> = late.filter_map(|call| call.waited.ok()).collect();
    waits.sort();
    waits
}

fn with(order: QueueOrder) -> Bulkhead {
    Bulkhead::builder(2).queue(10_000).order(order).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn overload_keeps_waits_short_under_codel_and_not_first_come_first_served() {
    // Five calls come for two that can be made, for two seconds: 200 slots a second, 500 calls.
    let (calls, gap) = (1000, 2 * MS);

    let fared = traffic(&with(QueueOrder::Fifo), calls, gap).await;
    let fifo = waits(&fared);
    assert!(fared.iter().all(|call| call.waited.is_ok()));
    assert!(fifo[fifo.len() / 2] > 1000 * MS, "half of them waited longer than a second: {:?}", fifo[0]);

    let fared = traffic(&with(QueueOrder::codel()), calls, gap).await;
    let codel = waits(&fared);
    assert!(codel.last().unwrap() <= &(5 * MS), "nobody served waited longer than the target: {codel:?}");
    assert!(!fared.iter().any(|call| call.waited.is_ok_and(|waited| waited > 100 * MS)));
    let served = fared.iter().filter(|call| call.waited.is_ok()).count();
    assert!(served >= 390, "the slots of two seconds were used, but for {served}");
    assert!(fared.iter().all(|call| matches!(call.waited, Ok(_) | Err(FullReason::Shed))));
}

#[tokio::test(start_paused = true)]
async fn short_burst_is_served_whole_and_in_order_under_codel() {
    let bulkhead = with(QueueOrder::codel());
    for _ in 0..3 {
        let fared = traffic(&bulkhead, 12, MS / 2).await;
        let served: Vec<_> = fared.iter().map(|call| call.came + call.waited.unwrap()).collect();
        assert!(served.is_sorted(), "{fared:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn newest_first_serves_most_at_once_and_leaves_the_oldest_behind() {
    let fared = traffic(&with(QueueOrder::Lifo), 1000, 2 * MS).await;
    let lifo = waits(&fared);
    let quick = fared.iter().filter(|call| call.waited.is_ok_and(|waited| waited <= 5 * MS)).count();
    assert!(quick >= 390, "all slots while the overload lasts: {quick}");
    assert!(lifo.last().unwrap() > &Duration::from_secs(4), "and the others when it is over: {lifo:?}");
}

fn served_of(recovery: &Recovery<std::io::Error>, priority: Priority, calls: u32) -> JoinSet<Option<Full>> {
    let mut tasks = JoinSet::new();
    for _ in 0..calls {
        let recovery = recovery.clone();
        tasks.spawn(async move {
            let context = CallContext::new("order").with_priority(priority);
            let call = execute_with_recovery(recovery.with_context(&context), |_| async {
                sleep(WORK).await;
                Ok(())
            });
            let error = call.await.err()?;
            let Reason::BulkheadFull(full) = error.reason() else { panic!("{error}") };
            Some(full.clone())
        });
    }
    tasks
}

async fn settled() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn recovery(bulkhead: BulkheadBuilder) -> Recovery<std::io::Error> {
    Recovery::builder("shop").bulkhead(bulkhead).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_recovery_ask_with_their_priority() {
    let recorder = Recorder::new();
    let bulkhead = Bulkhead::builder(1).queue(2).observer(recorder.observer());
    let recovery = recovery(bulkhead);
    let held = recovery.bulkhead().unwrap().try_acquire().unwrap();
    let low = served_of(&recovery, Priority::Low, 3);
    settled().await;
    let high = served_of(&recovery, Priority::High, 1);
    settled().await;
    drop(held);
    let reasons = |ended: Vec<Option<Full>>| {
        let mut reasons: Vec<_> = ended.into_iter().flatten().map(|full| full.reason).collect();
        reasons.sort_by_key(|reason| format!("{reason:?}"));
        reasons
    };
    assert_eq!(reasons(high.join_all().await), [], "it was made");
    assert_eq!(reasons(low.join_all().await), [FullReason::Evicted, FullReason::QueueFull]);
    let told = recorder.events().into_iter().filter_map(|event| match event.what {
        Happened::Rejected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), ["full", "evicted"]);
}

#[tokio::test(start_paused = true)]
async fn reserve_keeps_slots_for_calls_of_a_recovery_that_matter_more() {
    let recovery = recovery(Bulkhead::builder(4).reserve(Priority::Critical, 0.5));
    let normal = served_of(&recovery, Priority::Normal, 8);
    settled().await;
    assert_eq!(recovery.bulkhead().unwrap().in_use(), 2);
    let critical = served_of(&recovery, Priority::Critical, 2);
    assert_eq!(critical.join_all().await, [None, None]);
    assert_eq!(normal.join_all().await.iter().filter(|ended| ended.is_none()).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn noisy_tenant_takes_what_is_idle_and_gives_it_back() {
    let bulkhead = Bulkhead::builder(4).queue(1000).partition("quiet", 0.5).partition("noisy", 0.5);
    let bulkhead = bulkhead.build().unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let mut noise = JoinSet::new();
    for _ in 0..400 {
        let (bulkhead, most) = (bulkhead.clone(), Arc::clone(&most));
        noise.spawn(async move {
            let _slot = bulkhead.partition("noisy").unwrap().acquire().await.unwrap();
            most.fetch_max(bulkhead.snapshot().partitions[1].in_use, Ordering::Relaxed);
            sleep(WORK).await;
        });
    }
    sleep(WORK / 2).await;
    assert_eq!(most.load(Ordering::Relaxed), 4, "all slots were lent");
    // Two at a time, again and again: once it has its slots back, it waits for none but its own.
    let start = now();
    for _ in 0..20 {
        let quiet = bulkhead.partition("quiet").unwrap();
        let work = || async {
            sleep(WORK).await;
            Ok::<_, ()>(())
        };
        let (first, second) = tokio::join!(quiet.call(work), quiet.call(work));
        assert_eq!((first, second), (Ok(()), Ok(())));
    }
    let ideal = 20 * WORK;
    assert!(start.elapsed() <= ideal * 2, "one wait for each pair at most: {:?}", start.elapsed());
    noise.join_all().await;
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}
