//! Whole requests through a load shedder.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]
#![expect(clippy::disallowed_methods, reason = "a test reads the paused clock itself")]
#![expect(clippy::disallowed_types, reason = "what is seen is collected")]

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use recoup::{
    CallError, Event, Instant, LoadShedder, LoadShedderBuilder, Observer, Priority, Shed, ShedReason, Work,
    retry,
};
use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, assert_ready, task};

const MS: Duration = Duration::from_millis(1);

fn shedder(set: impl FnOnce(LoadShedderBuilder) -> LoadShedderBuilder) -> LoadShedder {
    set(LoadShedder::builder(1).deadline(100 * MS).seed(1)).build().unwrap()
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |set: fn(LoadShedderBuilder) -> LoadShedderBuilder| {
        set(LoadShedder::builder(1)).build().unwrap_err().setting
    };
    assert_eq!(LoadShedder::builder(0).build().unwrap_err().setting, "slots");
    assert_eq!(refused(|b| b.deadline(Duration::ZERO)), "deadline");
    assert_eq!(refused(|b| b.target(Duration::ZERO)), "target");
    assert_eq!(refused(|b| b.interval(Duration::ZERO)), "interval");
    assert_eq!(refused(|b| b.reserve(Priority::High, f64::NAN)), "reserve");
    assert_eq!(refused(|b| b.reserve(Priority::High, -0.1)), "reserve");
    assert_eq!(refused(|b| b.reserve(Priority::Low, 0.1)), "reserve");
    assert_eq!(refused(|b| b.reserve(Priority::High, 0.6).reserve(Priority::Critical, 0.6)), "reserve");
}

#[tokio::test(start_paused = true)]
async fn settings_that_are_huge_or_tiny_work() {
    let most = Duration::MAX;
    let huge = LoadShedder::builder(usize::MAX).deadline(most).target(most).interval(most).queue(usize::MAX);
    let huge = huge.build().unwrap();
    let serving = huge.admit(Work::new()).await.unwrap();
    assert_eq!(huge.snapshot().in_service, 1);
    drop(serving);
    let tiny = LoadShedder::builder(1).deadline(Duration::from_nanos(1)).interval(Duration::from_nanos(1));
    let tiny = tiny.build().unwrap();
    let serving = tiny.admit(Work::new()).await.unwrap();
    let mut late = task::spawn(tiny.admit(Work::new()));
    assert_pending!(late.poll());
    advance(MS).await;
    assert_eq!(assert_ready!(late.poll()).unwrap_err().reason, ShedReason::Expired);
    drop(serving);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_order_and_slots_come_back() {
    let (shedder, served) = (shedder(|b| b), Mutex::new(Vec::new()));
    let calls = (0..5).map(|n| {
        let served = &served;
        shedder.call(async move || {
            served.lock().unwrap().push(n);
            sleep(MS).await;
            Ok::<_, ()>(n)
        })
    });
    assert_eq!(join_all(calls).await, (0..5).map(Ok).collect::<Vec<_>>());
    assert_eq!(served.into_inner().unwrap(), [0, 1, 2, 3, 4]);
    let seen = shedder.snapshot();
    assert_eq!((seen.in_service, seen.queued, seen.shed_in_all()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn work_is_refused_at_its_deadline_and_never_started() {
    let shedder = shedder(|b| b);
    let serving = shedder.admit(Work::new()).await.unwrap();
    let (start, ran) = (Instant::now(), AtomicU32::new(0));
    let op = || {
        ran.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, ()>(()) }
    };
    let Err(CallError::Rejected(shed)) = shedder.call(op).await else { panic!("no slot in time") };
    assert_eq!((shed.reason, start.elapsed()), (ShedReason::Expired, 100 * MS), "the usual deadline");
    let work = Work::new().deadline(Instant::now() + 30 * MS);
    assert!(shedder.call(op).work(work).await.is_err());
    assert_eq!((start.elapsed(), shedder.snapshot().queued), (130 * MS, 0), "its own");
    drop(serving);
    let late = Work::new().deadline(Instant::now());
    assert!(shedder.call(op).work(late).await.is_err(), "late, though there is a slot");
    assert_eq!(ran.into_inner(), 0);
    assert_eq!(shedder.snapshot().shed(ShedReason::Expired), 3);
}

/// A slot given in time to a task that is not polled until it is too late goes to the next.
#[tokio::test(start_paused = true)]
async fn slot_taken_too_late_passes_on() {
    let shedder = shedder(|b| b);
    let serving = shedder.try_admit(Work::new()).unwrap();
    let mut slow = task::spawn(shedder.admit(Work::new().deadline(Instant::now() + 10 * MS)));
    let mut next = task::spawn(shedder.admit(Work::new()));
    assert_pending!(slow.poll());
    assert_pending!(next.poll());
    drop(serving);
    assert!(slow.is_woken());
    advance(10 * MS).await;
    assert_eq!(assert_ready!(slow.poll()).unwrap_err().reason, ShedReason::Expired);
    assert!(next.is_woken());
    assert!(assert_ready!(next.poll()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_point_it_leaves_nothing_behind() {
    let shedder = shedder(|b| b.queue(2));
    let serving = shedder.try_admit(Work::new()).unwrap();
    drop(shedder.admit(Work::new()));
    let (mut first, mut second) =
        (task::spawn(shedder.admit(Work::new())), task::spawn(shedder.admit(Work::new())));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(first);
    assert_eq!(shedder.snapshot().queued, 1, "its place is free at once");
    let mut third = task::spawn(shedder.admit(Work::new()));
    assert_pending!(third.poll());
    drop(serving);
    assert!(second.is_woken());
    drop(second);
    assert!(third.is_woken(), "the slot given to the second goes on");
    drop(assert_ready!(third.poll()).unwrap());
    let seen = shedder.snapshot();
    assert_eq!((seen.in_service, seen.queued, seen.shed_in_all()), (0, 0, 0));

    let mut running = task::spawn(shedder.call(std::future::pending::<Result<(), ()>>));
    assert_pending!(running.poll());
    assert_eq!(shedder.snapshot().in_service, 1);
    drop(running);
    let panics = shedder.call(|| -> std::future::Ready<Result<(), ()>> { panic!("the operation is broken") });
    assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
    assert_eq!(shedder.snapshot().in_service, 0);
}

#[tokio::test(start_paused = true)]
async fn lowest_priority_is_turned_away_first_and_reserve_is_kept_from_it() {
    let shedder = LoadShedder::builder(4).queue(1).reserve(Priority::High, 0.25).build().unwrap();
    let work = |priority| Work::new().priority(priority);
    let normal: Vec<_> = (0..3).map(|_| shedder.try_admit(Work::new()).unwrap()).collect();
    assert!(shedder.try_admit(Work::new()).is_err(), "the fourth is kept");
    let mut low = task::spawn(shedder.admit(work(Priority::Low)));
    assert_pending!(low.poll());
    let _high = shedder.try_admit(work(Priority::High)).unwrap();
    let mut waits = task::spawn(shedder.admit(work(Priority::Critical)));
    assert_pending!(waits.poll());
    assert_eq!(assert_ready!(low.poll()).unwrap_err().reason, ShedReason::QueueFull);
    drop(normal);
    assert!(assert_ready!(waits.poll()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn queue_that_stands_serves_the_newest_and_turns_away_who_waited_too_long() {
    let shedder = shedder(|b| b.deadline(1000 * MS).target(10 * MS));
    let serving = shedder.try_admit(Work::new()).unwrap();
    let mut early: Vec<_> = (0..3).map(|_| task::spawn(shedder.admit(Work::new()))).collect();
    for one in &mut early {
        assert_pending!(one.poll());
    }
    assert_eq!(shedder.snapshot().standing_since, None);
    let start = Instant::now();
    advance(110 * MS).await;
    assert_eq!(shedder.snapshot().standing_since, Some(start + 110 * MS));
    assert_eq!(shedder.snapshot().minimum_sojourn, Duration::ZERO, "when they came");
    let mut newest = task::spawn(shedder.admit(Work::new()));
    assert_pending!(newest.poll());
    for one in &mut early {
        let shed = assert_ready!(one.poll()).unwrap_err();
        assert_eq!(shed.reason, ShedReason::Overloaded);
        assert!(shed.retry_in >= 10 * MS && shed.retry_in < 60_000 * MS);
    }
    drop(serving);
    assert!(assert_ready!(newest.poll()).is_ok());
    assert_eq!(shedder.snapshot().standing_since, None);
    assert_eq!(shedder.snapshot().shed(ShedReason::Overloaded), 3);
}

/// Every one of a thousand who came at once is told another time.
#[tokio::test(start_paused = true)]
async fn crowd_does_not_come_back_as_one() {
    let shedder = shedder(|b| b.queue(10));
    let serve = || async {
        sleep(10 * MS).await;
        Ok::<_, ()>(())
    };
    for _ in 0..2 {
        // The second time the pace is known: one in 10 ms.
        let ends = join_all((0..1000).map(|_| shedder.call(serve))).await;
        let mut waits: Vec<Duration> = ends
            .into_iter()
            .filter_map(|end| end.err()?.rejected().map(|shed: &Shed| shed.retry_in))
            .collect();
        waits.sort_unstable();
        assert!(waits.len() >= 980 && waits[0] >= 10 * MS);
        waits.dedup();
        assert!(waits.len() >= 980, "hardly two come back together");
    }
    let full = shedder.snapshot().shed(ShedReason::QueueFull);
    assert!(full >= 1900, "{full}");
}

#[tokio::test(start_paused = true)]
async fn retry_around_a_shedder_does_not_spin_on_it() {
    let shedder = shedder(|b| b.queue(0));
    let _serving = shedder.try_admit(Work::new()).unwrap();
    let start = Instant::now();
    let end = retry(|| shedder.call(async || Ok::<_, std::io::Error>(()))).await;
    assert!(matches!(end, Err(CallError::Rejected(_))));
    assert_eq!((start.elapsed(), shedder.snapshot().shed_in_all()), (Duration::ZERO, 1));
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Observer for Told {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Rejected { policy, reason } = event {
            self.0.lock().unwrap().push(format!("{policy}: {reason}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_watch_are_told_of_each_refusal_by_name() {
    let told = Arc::new(Told::default());
    let shedder = shedder(|b| b.name("search").queue(0).observer(told.clone()));
    let serving = shedder.try_admit(Work::new()).unwrap();
    assert!(shedder.try_admit(Work::new()).is_err());
    assert!(shedder.admit(Work::new()).await.is_err());
    assert!(shedder.admit(Work::new().deadline(Instant::now())).await.is_err());
    drop(serving);
    assert_eq!(*told.0.lock().unwrap(), ["search: queue_full", "search: queue_full", "search: expired"]);
    assert_eq!(format!("{}", &shedder.name()), "search");
}

#[tokio::test]
async fn threads_that_race_never_pass_the_cap_and_everybody_gets_an_answer() {
    let shedder = LoadShedder::builder(3).queue(8).deadline(Duration::from_secs(3600)).build().unwrap();
    let (inside, most, answered) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    for n in 0..300 {
                        let admit = shedder.admit(Work::new());
                        if n % 7 == 0 {
                            let _served_or_dropped = admit.now_or_never();
                        } else if let Ok(_serving) = admit.await {
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                });
            });
        }
    });
    assert_eq!(answered.into_inner(), 2400);
    assert!((1..=3).contains(&most.into_inner()));
    let seen = shedder.snapshot();
    assert_eq!((seen.in_service, seen.queued), (0, 0));
}
