//! What a bulkhead promises to those of a priority or a partition, one claim at a time, and in storms.

#[cfg(test)]
mod storms;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};

use super::tests::{bulkhead, idle};
use super::*;
use crate::event::Event;
use crate::random::Dice;
use crate::rejection::CallError;
use crate::sync::Lock;
use crate::time;

const MS: Duration = Duration::from_millis(1);

fn wait<'b>(entrance: &Entrance<'b>) -> Spawn<Acquire<'b>> {
    let mut waiter = task::spawn(entrance.acquire());
    assert_pending!(waiter.poll());
    waiter
}

fn reason<T: fmt::Debug>(refused: Result<T, Full>) -> FullReason {
    refused.unwrap_err().reason
}

fn tenants(slots: usize) -> BulkheadBuilder {
    Bulkhead::builder(slots).queue(8).partition("a", 0.5).partition("b", 0.25)
}

#[test]
fn settings_of_reserves_and_partitions_that_cannot_work_are_refused_by_name() {
    let refused = |builder: BulkheadBuilder| builder.build().unwrap_err().setting;
    let bulkhead = || Bulkhead::builder(4);
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(refused(bulkhead().reserve(Priority::High, share)), "reserve");
        assert_eq!(refused(bulkhead().partition("a", share)), "partition");
    }
    assert_eq!(refused(bulkhead().reserve(Priority::Low, 0.1)), "reserve");
    assert_eq!(refused(bulkhead().reserve(Priority::High, 0.6).reserve(Priority::Critical, 0.6)), "reserve");
    assert_eq!(refused(bulkhead().partition("a", 0.0)), "partition");
    assert_eq!(refused(bulkhead().partition("a", 0.5).partition("a", 0.1)), "partition");
    assert_eq!(refused(bulkhead().partition("a", 0.7).partition("b", 0.4)), "partition");
    assert!(bulkhead().partition("a", 0.7).partition("b", 0.3).build().is_ok());
    let codel = |target, interval| bulkhead().order(QueueOrder::CoDel { target, interval });
    assert_eq!(refused(codel(Duration::ZERO, MS)), "target");
    assert_eq!(refused(codel(MS, Duration::ZERO)), "interval");
    assert_eq!(refused(codel(MS, Duration::MAX)), "interval");
    assert_eq!(refused(codel(2 * MS, MS)), "target");
    assert!(codel(MS, MS).build().is_ok());
    let unknown = bulkhead().build().unwrap().partition("c").unwrap_err();
    assert_eq!(
        unknown.to_string(),
        r#"bulkhead: `partition` is "c", but must be one that the bulkhead was built with"#
    );
}

#[test]
fn newest_is_served_first_where_that_was_asked_for() {
    let bulkhead = Bulkhead::builder(1).queue(3).order(QueueOrder::Lifo).build().unwrap();
    let slot = bulkhead.try_acquire().unwrap();
    let [first, second, mut third] = [(); 3].map(|()| wait(&bulkhead.at(Priority::Normal)));
    drop(slot);
    assert_eq!([&first, &second, &third].map(Spawn::is_woken), [false, false, true]);
    drop(assert_ready!(third.poll()));
    assert_eq!([&first, &second].map(Spawn::is_woken), [false, true]);
}

#[test]
fn who_matters_more_takes_the_place_of_the_newest_of_those_who_matter_least() {
    let told = Arc::new(Lock::new(Vec::new()));
    let seen = Arc::clone(&told);
    let bulkhead = bulkhead(1, 3);
    bulkhead.observe(Arc::new(move |event: &Event<'_>| {
        if let Event::Rejected { reason, .. } = event {
            seen.lock().push(*reason);
        }
    }));
    let slot = bulkhead.try_acquire().unwrap();
    let normal = wait(&bulkhead.at(Priority::Normal));
    let [low, mut newest] = [(); 2].map(|()| wait(&bulkhead.at(Priority::Low)));
    let mut high = wait(&bulkhead.at(Priority::High));
    assert!(newest.is_woken() && !low.is_woken() && !normal.is_woken());
    assert_eq!(reason(assert_ready!(newest.poll())), FullReason::Evicted);
    assert_eq!(bulkhead.queued(), 3);
    let equal = assert_ready!(task::spawn(bulkhead.at(Priority::Low).acquire()).poll());
    assert_eq!(reason(equal), FullReason::QueueFull, "equals are not evicted");
    drop(slot);
    assert!(assert_ready!(high.poll()).is_ok());
    assert_eq!(*told.lock(), ["evicted", "full"]);
    drop((normal, low));
    drop(high);
    assert!(idle(&bulkhead));
}

#[test]
fn one_who_is_dropped_after_the_eviction_gives_nothing_back_twice() {
    let bulkhead = bulkhead(1, 1);
    let slot = bulkhead.try_acquire().unwrap();
    let low = wait(&bulkhead.at(Priority::Low));
    let mut high = wait(&bulkhead.at(Priority::High));
    drop(low);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (1, 1));
    drop(slot);
    drop(assert_ready!(high.poll()));
    assert!(idle(&bulkhead));
}

#[test]
fn waker_that_panics_as_its_future_is_evicted_takes_no_place_with_it() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("while woken");
        }
    }
    let pooled = Bulkhead::builder(1).queue(1).partition("a", 1.0).build().unwrap();
    for bulkhead in [bulkhead(1, 1), pooled] {
        let slot = bulkhead.try_acquire().unwrap();
        let waker = Arc::new(Panics).into();
        let mut low = Box::pin(bulkhead.at(Priority::Low).acquire());
        assert_pending!(low.as_mut().poll(&mut std::task::Context::from_waker(&waker)));
        let evicts = std::panic::AssertUnwindSafe(|| wait(&bulkhead.at(Priority::High)));
        assert!(std::panic::catch_unwind(evicts).is_err());
        assert_eq!(bulkhead.queued(), 0);
        drop((slot, low));
        assert!(idle(&bulkhead));
    }
}

#[tokio::test(start_paused = true)]
async fn overload_sheds_by_the_waiters_own_timer_until_a_slot_finds_nobody() {
    let bulkhead = Bulkhead::builder(1).queue(9).order(QueueOrder::codel()).build().unwrap();
    let slot = bulkhead.try_acquire().unwrap();
    let start = time::now();
    let ended = async |after: Duration| {
        tokio::time::sleep(after).await;
        (reason(bulkhead.acquire().await), time::now() - start)
    };
    let (first, second, third) = tokio::join!(ended(Duration::ZERO), ended(50 * MS), ended(98 * MS));
    assert_eq!(first, (FullReason::Shed, 100 * MS));
    assert_eq!(second, (FullReason::Shed, 100 * MS));
    assert_eq!(third, (FullReason::Shed, 103 * MS));
    assert_eq!(bulkhead.queued(), 0);
    assert_eq!(ended(97 * MS).await, (FullReason::Shed, 205 * MS), "the overload goes on");
    drop(slot);
    let _slot = bulkhead.try_acquire().unwrap();
    assert_eq!(ended(95 * MS).await, (FullReason::Shed, 400 * MS), "a burst may wait for the interval");
}

#[tokio::test(start_paused = true)]
async fn stale_ones_whose_timers_have_not_run_yet_are_shed_as_a_slot_comes_back() {
    for pool in [false, true] {
        let builder = Bulkhead::builder(1).queue(9).order(QueueOrder::codel());
        let builder = if pool { builder.reserve(Priority::Critical, 0.5) } else { builder };
        let bulkhead = builder.build().unwrap();
        let slot = bulkhead.try_acquire().unwrap();
        let mut stale = wait(&bulkhead.at(Priority::High));
        tokio::time::advance(98 * MS).await;
        let [mut older, mut newer] = [(); 2].map(|()| wait(&bulkhead.at(Priority::Normal)));
        tokio::time::advance(2 * MS).await;
        drop(slot);
        assert_eq!(reason(assert_ready!(stale.poll())), FullReason::Shed);
        assert_pending!(older.poll());
        assert!(assert_ready!(newer.poll()).is_ok(), "newest first");
        drop(newer);
        assert!(assert_ready!(older.poll()).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn overload_of_a_partition_ends_when_a_slot_finds_nobody() {
    let bulkhead = tenants(1).order(QueueOrder::codel()).build().unwrap();
    let a = bulkhead.partition("a").unwrap();
    for _ in 0..2 {
        let slot = bulkhead.try_acquire().unwrap();
        let start = time::now();
        assert_eq!(reason(a.acquire().await), FullReason::Shed);
        assert_eq!(time::now() - start, 100 * MS, "a burst may wait for the interval");
        assert_eq!(reason(a.acquire().await), FullReason::Shed);
        assert_eq!(time::now() - start, 105 * MS);
        drop(slot);
    }
}

#[tokio::test(start_paused = true)]
async fn shorter_of_both_limits_ends_the_wait() {
    for (max_wait, expected) in [(20, FullReason::WaitedTooLong), (200, FullReason::Shed)] {
        let builder = Bulkhead::builder(1).queue(1).max_wait(max_wait * MS).order(QueueOrder::codel());
        let bulkhead = builder.build().unwrap();
        let _slot = bulkhead.try_acquire().unwrap();
        assert_eq!(reason(bulkhead.acquire().await), expected);
    }
}

#[test]
fn reserve_is_for_those_who_matter_more_whoever_waits() {
    let bulkhead = Bulkhead::builder(2).queue(4).reserve(Priority::Critical, 0.5).build().unwrap();
    let held = bulkhead.try_acquire().unwrap();
    let mut normal = wait(&bulkhead.at(Priority::Normal));
    let critical = bulkhead.at(Priority::Critical).try_acquire().unwrap();
    drop(critical);
    assert!(!normal.is_woken(), "the slot that is kept stays kept");
    bulkhead.set_slots(3).unwrap();
    assert!(!normal.is_woken(), "half of three is rounded up");
    bulkhead.set_slots(4).unwrap();
    assert!(assert_ready!(normal.poll()).is_ok());
    drop(held);
    assert!(idle(&bulkhead));
}

#[test]
fn partition_below_its_share_has_the_next_slot_whatever_waits_elsewhere() {
    let bulkhead = tenants(4).build().unwrap();
    let mut lent: Vec<_> = (0..4).map(|_| bulkhead.try_acquire().unwrap()).collect();
    let (a, b) = (bulkhead.partition("a").unwrap(), bulkhead.partition("b").unwrap());
    let rival = wait(&bulkhead.at(Priority::Critical));
    let mut of_a: Vec<_> = (0..3).map(|_| wait(&a)).collect();
    let mut of_b = wait(&b.at(Priority::Low));
    let mut held = Vec::new();
    for expected in [[true, false, false], [true, true, false]] {
        drop(lent.pop());
        assert_eq!([0, 1, 2].map(|at| of_a[at].is_woken()), expected);
        assert!(!of_b.is_woken() && !rival.is_woken());
    }
    drop(lent.pop());
    assert!(of_b.is_woken(), "its guarantee goes before any priority of those who have theirs");
    held.push(assert_ready!(of_b.poll()).unwrap());
    let snapshot = bulkhead.snapshot();
    let counts = |at: usize| {
        let part = &snapshot.partitions[at];
        (&*part.name, part.guaranteed, part.in_use, part.queued)
    };
    assert_eq!((snapshot.slots, snapshot.in_use, snapshot.queued), (4, 4, 2));
    assert_eq!([counts(0), counts(1)], [("a", 2, 2, 1), ("b", 1, 1, 0)]);
    of_a.clear();
    assert!(rival.is_woken());
    drop((rival, held, lent, of_b));
    assert!(idle(&bulkhead));
}

#[test]
fn full_queue_of_one_partition_is_not_in_the_way_of_another() {
    let bulkhead = Bulkhead::builder(1).queue(1).partition("a", 0.5).build().unwrap();
    let slot = bulkhead.try_acquire().unwrap();
    let a = bulkhead.partition("a").unwrap();
    let mut of_a = wait(&a);
    assert_eq!(reason(assert_ready!(task::spawn(a.acquire()).poll())), FullReason::QueueFull);
    let rest = wait(&bulkhead.at(Priority::Critical));
    assert!(!of_a.is_woken(), "nobody is evicted from another partition");
    drop(rest);
    drop(slot);
    assert!(assert_ready!(of_a.poll()).is_ok());
}

#[test]
fn closing_reaches_all_partitions() {
    let bulkhead = tenants(1).build().unwrap();
    let slot = bulkhead.partition("b").unwrap().try_acquire().unwrap();
    let a = bulkhead.partition("a").unwrap();
    let mut waiting = [wait(&a), wait(&bulkhead.at(Priority::Critical))];
    assert!(!bulkhead.is_closed());
    bulkhead.close();
    assert!(bulkhead.is_closed());
    for waiter in &mut waiting {
        assert_eq!(reason(assert_ready!(waiter.poll())), FullReason::Closed);
    }
    assert_eq!(reason(a.try_acquire()), FullReason::Closed);
    assert_eq!(reason(assert_ready!(task::spawn(a.acquire()).poll())), FullReason::Closed);
    drop(slot);
    assert!(idle(&bulkhead));
}

#[test]
fn grant_to_one_who_leaves_goes_to_whose_turn_it_is_in_all_partitions() {
    let bulkhead = tenants(1).build().unwrap();
    let slot = bulkhead.try_acquire().unwrap();
    let goes = wait(&bulkhead.partition("a").unwrap().at(Priority::High));
    let mut stays = wait(&bulkhead.partition("b").unwrap());
    drop(slot);
    assert!(goes.is_woken() && !stays.is_woken());
    assert_eq!(bulkhead.snapshot().partitions[0].in_use, 1);
    drop(goes);
    assert!(assert_ready!(stays.poll()).is_ok());
    drop(stays);
    assert!(idle(&bulkhead));
}

#[test]
fn call_through_a_partition_holds_its_slot() {
    let bulkhead = tenants(4).build().unwrap();
    let in_use = || bulkhead.snapshot().partitions[1].in_use;
    let call = bulkhead.partition("b").unwrap().call(async || Ok::<_, ()>(in_use()));
    assert_eq!(assert_ready!(task::spawn(call).poll()), Ok(1));
    bulkhead.close();
    let call = bulkhead.partition("b").unwrap().call(async || Ok::<_, ()>(()));
    let refused: Result<(), CallError<Full, ()>> = assert_ready!(task::spawn(call).poll());
    assert_eq!(refused.unwrap_err().rejected().map(|full| full.reason), Some(FullReason::Closed));
    assert_eq!(in_use(), 0);
}
