//! What a bulkhead promises, one claim at a time.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};

use super::*;
use crate::event::Event;
use crate::rejection::CallError;
use crate::sync::Lock;
use crate::time;

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn bulkhead(slots: usize, queue: usize) -> Bulkhead {
    Bulkhead::builder(slots).queue(queue).build().unwrap()
}

pub(super) fn idle(bulkhead: &Bulkhead) -> bool {
    bulkhead.in_use() == 0 && bulkhead.queued() == 0
}

fn assert_all_pending(waiting: &mut [Spawn<Acquire<'_>>]) {
    for waiter in waiting {
        assert_pending!(waiter.poll());
    }
}

fn reason<T: fmt::Debug>(refused: Result<T, Full>) -> FullReason {
    refused.unwrap_err().reason
}

#[test]
fn cap_and_queue_bound_are_exact() {
    let bulkhead = bulkhead(3, 2);
    let slots: Vec<_> = (0..3).map(|_| bulkhead.try_acquire().unwrap()).collect();
    assert_eq!(reason(bulkhead.try_acquire()), FullReason::QueueFull);
    let mut waiting: Vec<_> = (0..2).map(|_| task::spawn(bulkhead.acquire())).collect();
    assert_all_pending(&mut waiting);
    let mut late = task::spawn(bulkhead.acquire());
    assert_eq!(reason(assert_ready!(late.poll())), FullReason::QueueFull);
    assert_eq!((bulkhead.slots(), bulkhead.in_use(), bulkhead.queued()), (3, 3, 2));
    assert_eq!(bulkhead.queue(), 2);
    drop((slots, waiting));
    assert!(idle(&bulkhead));
}

#[test]
fn refusal_says_who_refused_and_why() {
    let says = |reason| Full { bulkhead: "db".into(), reason }.to_string();
    assert_eq!(says(FullReason::QueueFull), "bulkhead `db` is full");
    assert_eq!(says(FullReason::WaitedTooLong), "bulkhead `db` had no slot in time");
    assert_eq!(says(FullReason::Closed), "bulkhead `db` is closed");
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |builder: BulkheadBuilder| builder.build().unwrap_err().setting;
    assert_eq!(refused(Bulkhead::builder(0)), "slots");
    assert_eq!(refused(Bulkhead::builder(u32::MAX as usize + 1)), "slots");
    assert_eq!(refused(Bulkhead::builder(1).queue(u32::MAX as usize + 1)), "queue");
    assert_eq!(refused(Bulkhead::builder(1).max_wait(Duration::ZERO)), "max_wait");
    assert!(Bulkhead::try_from(Bulkhead::builder(u32::MAX as usize).queue(u32::MAX as usize)).is_ok());
    let bulkhead = bulkhead(2, 0);
    assert_eq!(bulkhead.set_slots(0).unwrap_err().setting, "slots");
    assert_eq!(bulkhead.slots(), 2);
}

#[test]
fn clones_share_the_slots_and_all_is_send() {
    fn is_send<T: Send>(_: &T) {}
    let bulkhead = bulkhead(1, 0);
    let clone = bulkhead.clone();
    let call = clone.call(async || Ok::<_, ()>(()));
    is_send(&bulkhead.acquire());
    is_send(&call);
    let slot = bulkhead.try_acquire();
    is_send(&slot);
    assert!(clone.try_acquire().is_err());
}

#[test]
fn first_come_is_first_served_and_nobody_passes() {
    let bulkhead = bulkhead(1, 8);
    let mut held = Some(bulkhead.try_acquire().unwrap());
    let mut waiting: Vec<_> = (0..8).map(|_| task::spawn(bulkhead.acquire())).collect();
    assert_all_pending(&mut waiting);
    for next in 0..8 {
        drop(held.take());
        assert!(bulkhead.try_acquire().is_err(), "the slot belongs to who waits");
        let woken: Vec<_> = waiting.iter().map(Spawn::is_woken).collect();
        assert_eq!(woken.iter().filter(|woken| **woken).count(), 1);
        assert!(woken[0], "{next}");
        held = Some(assert_ready!(waiting.remove(0).poll()).unwrap());
    }
    drop(held);
    assert!(idle(&bulkhead));
}

#[test]
fn one_who_leaves_frees_the_place_at_once() {
    let bulkhead = bulkhead(1, 1);
    let slot = bulkhead.try_acquire().unwrap();
    for _ in 0..3 {
        let mut waiter = task::spawn(bulkhead.acquire());
        assert_pending!(waiter.poll());
        assert_eq!(bulkhead.queued(), 1);
    }
    drop(slot);
    assert!(bulkhead.try_acquire().is_ok(), "and leaves no trace in the way of others");
}

#[test]
fn slot_granted_to_one_who_leaves_goes_to_the_next() {
    let bulkhead = bulkhead(1, 3);
    let slot = bulkhead.try_acquire().unwrap();
    let [mut first, mut second, mut third] = [(); 3].map(|()| task::spawn(bulkhead.acquire()));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_pending!(third.poll());
    drop(slot);
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken() && !third.is_woken());
    assert!(assert_ready!(second.poll()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn waits_no_longer_than_it_may() {
    let bulkhead = Bulkhead::builder(1).queue(1).max_wait(SECOND).build().unwrap();
    let _slot = bulkhead.try_acquire().unwrap();
    let start = time::now();
    assert_eq!(reason(bulkhead.acquire().await), FullReason::WaitedTooLong);
    assert_eq!(time::now() - start, SECOND);
    assert_eq!(bulkhead.queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn grant_at_the_moment_of_the_timeout_is_taken_or_passes_on() {
    for grant_first in [true, false] {
        let bulkhead = Bulkhead::builder(1).queue(2).max_wait(SECOND).build().unwrap();
        let slot = bulkhead.try_acquire().unwrap();
        let mut first = task::spawn(bulkhead.acquire());
        assert_pending!(first.poll());
        tokio::time::advance(SECOND / 2).await;
        let mut second = task::spawn(bulkhead.acquire());
        assert_pending!(second.poll());
        tokio::time::advance(SECOND / 2).await;
        assert!(first.is_woken(), "its time is up");
        if grant_first {
            drop(slot);
            let taken = assert_ready!(first.poll());
            assert!(taken.is_ok(), "a slot that is there counts");
        } else {
            assert_eq!(reason(assert_ready!(first.poll())), FullReason::WaitedTooLong);
            drop(slot);
        }
        assert!(assert_ready!(second.poll()).is_ok());
        assert!(idle(&bulkhead));
    }
}

#[test]
fn raised_limit_lets_waiters_in() {
    let bulkhead = bulkhead(1, 5);
    let _slot = bulkhead.try_acquire().unwrap();
    let mut waiting: Vec<_> = (0..5).map(|_| task::spawn(bulkhead.acquire())).collect();
    assert_all_pending(&mut waiting);
    bulkhead.set_slots(4).unwrap();
    let woken: Vec<_> = waiting.iter().map(Spawn::is_woken).collect();
    assert_eq!(woken, [true, true, true, false, false]);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (4, 2));
}

#[test]
fn lowered_limit_drains() {
    let bulkhead = bulkhead(3, 1);
    let mut slots: Vec<_> = (0..3).map(|_| bulkhead.try_acquire().unwrap()).collect();
    let mut waiter = task::spawn(bulkhead.acquire());
    assert_pending!(waiter.poll());
    bulkhead.set_slots(1).unwrap();
    assert_eq!((bulkhead.slots(), bulkhead.in_use()), (1, 3));
    slots.pop();
    slots.pop();
    assert!(!waiter.is_woken());
    slots.pop();
    assert!(waiter.is_woken());
    assert_eq!(bulkhead.in_use(), 1);
}

#[test]
fn close_wakes_all_and_refuses_from_then_on() {
    let bulkhead = bulkhead(1, 2);
    let slot = bulkhead.try_acquire().unwrap();
    let mut waiting: Vec<_> = (0..2).map(|_| task::spawn(bulkhead.acquire())).collect();
    assert_all_pending(&mut waiting);
    assert!(!bulkhead.is_closed());
    bulkhead.close();
    assert!(bulkhead.is_closed());
    for waiter in &mut waiting {
        assert!(waiter.is_woken());
        assert_eq!(reason(assert_ready!(waiter.poll())), FullReason::Closed);
    }
    drop(slot);
    assert_eq!(reason(bulkhead.try_acquire()), FullReason::Closed);
    assert_eq!(reason(assert_ready!(task::spawn(bulkhead.acquire()).poll())), FullReason::Closed);
    assert!(idle(&bulkhead));
}

#[test]
fn refusals_are_told_outside_every_lock() {
    let bulkhead = bulkhead(1, 0);
    let told = Arc::new(Lock::new(Vec::new()));
    let (seen, handle) = (Arc::clone(&told), bulkhead.clone());
    bulkhead.observe(Arc::new(move |event: &Event<'_>| {
        if let Event::Rejected { policy, reason } = event {
            // Takes the bulkhead's lock: a refusal told under it would hang here.
            seen.lock().push(format!("{policy} {reason} {}", handle.in_use()));
        }
    }));
    let slot = bulkhead.try_acquire();
    assert!(bulkhead.try_acquire().is_err());
    assert!(assert_ready!(task::spawn(bulkhead.acquire()).poll()).is_err());
    drop(slot);
    bulkhead.close();
    assert!(bulkhead.try_acquire().is_err());
    assert_eq!(*told.lock(), ["bulkhead full 1", "bulkhead full 1", "bulkhead closed 0"]);
}

#[test]
fn call_makes_the_operation_only_in_a_slot_and_drops_it_before() {
    struct Witness<'b>(&'b Bulkhead, &'b AtomicUsize);
    impl Drop for Witness<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0.in_use(), 1, "the slot is given back after the operation is gone");
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let bulkhead = bulkhead(1, 1);
    let (made, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let op = || {
        made.fetch_add(1, Ordering::Relaxed);
        let witness = Witness(&bulkhead, &dropped);
        async move {
            let _witness = witness;
            pending::<Result<(), ()>>().await
        }
    };
    let slot = bulkhead.try_acquire().unwrap();
    let mut call = task::spawn(bulkhead.call(op));
    assert_pending!(call.poll());
    assert_eq!(made.load(Ordering::Relaxed), 0);
    drop(slot);
    assert_pending!(call.poll());
    assert_eq!((made.load(Ordering::Relaxed), bulkhead.in_use()), (1, 1));
    drop(call);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert!(idle(&bulkhead));
}

#[test]
fn call_tells_refused_from_failed() {
    let bulkhead = bulkhead(1, 0);
    let failed = assert_ready!(task::spawn(bulkhead.call(async || Err::<(), _>(7))).poll());
    assert_eq!(failed, Err(CallError::Operation(7)));
    let _slot = bulkhead.try_acquire().unwrap();
    let refused = assert_ready!(task::spawn(bulkhead.call(async || Err::<(), _>(7))).poll());
    assert_eq!(refused.unwrap_err().rejected().map(|full| full.reason), Some(FullReason::QueueFull));
}

#[test]
fn panicking_operation_gives_its_slot_back() {
    let bulkhead = bulkhead(1, 0);
    let made = || -> std::future::Ready<Result<(), ()>> { panic!("while it is made") };
    let polled = || std::future::poll_fn(|_| -> std::task::Poll<Result<(), ()>> { panic!("while polled") });
    let caught = |poll: &mut dyn FnMut()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll));
    let (mut made, mut polled) = (Some(made), Some(polled));
    assert!(caught(&mut || drop(task::spawn(bulkhead.call(made.take().unwrap())).poll())).is_err());
    assert!(idle(&bulkhead));
    assert!(caught(&mut || drop(task::spawn(bulkhead.call(polled.take().unwrap())).poll())).is_err());
    assert!(idle(&bulkhead));
}
