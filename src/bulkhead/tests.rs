use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};

use super::*;
use crate::random::Dice;
use crate::rejection::CallError;
use crate::sync::Lock;
use crate::time;

const SECOND: Duration = Duration::from_secs(1);

fn bulkhead(slots: usize, queue: usize) -> Bulkhead {
    Bulkhead::builder(slots).queue(queue).build().unwrap()
}

fn idle(bulkhead: &Bulkhead) -> bool {
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
    drop((slots, waiting));
    assert!(idle(&bulkhead));
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

#[test]
fn c2_hundred_thousand_dropped_at_any_poll_leave_nothing_and_order_holds() {
    let bulkhead = bulkhead(4, 64);
    let dice = Dice::seeded(2);
    let below = |n: usize| usize::try_from(dice.bits() % (n as u128)).unwrap();
    let mut held: VecDeque<Slot<'_>> = VecDeque::new();
    let mut waiting: VecDeque<(u32, Spawn<Acquire<'_>>)> = VecDeque::new();
    let mut last_served = 0;
    for number in 1..=100_000 {
        let mut asked = task::spawn(bulkhead.acquire());
        match below(3) {
            0 => drop(asked),
            _ => match asked.poll() {
                std::task::Poll::Ready(Ok(slot)) => held.push_back(slot),
                std::task::Poll::Ready(Err(full)) => assert_eq!(full.reason, FullReason::QueueFull),
                std::task::Poll::Pending => waiting.push_back((number, asked)),
            },
        }
        for _ in 0..below(3) {
            if !waiting.is_empty() {
                drop(waiting.remove(below(waiting.len())));
            }
        }
        if below(2) == 0 {
            drop(held.pop_front());
        }
        if below(4) == 0 {
            while waiting.front().is_some_and(|(_, waiter)| waiter.is_woken()) {
                let (number, mut waiter) = waiting.pop_front().unwrap();
                assert!(number > last_served, "first come, first served");
                last_served = number;
                held.push_back(assert_ready!(waiter.poll()).unwrap());
            }
            assert!(!waiting.iter().any(|(_, waiter)| waiter.is_woken()));
        }
        assert!(held.len() <= bulkhead.in_use() && bulkhead.in_use() <= 4);
        assert!(bulkhead.queued() <= waiting.len());
    }
    assert!(last_served > 1000, "the queue was used: {last_served}");
    drop((held, waiting));
    assert!(idle(&bulkhead));
    assert!(bulkhead.try_acquire().is_ok());
}

#[test]
fn hundred_thousand_waiters_dropped_in_any_order_pass_the_slot_on() {
    for newest_first in [true, false] {
        let bulkhead = bulkhead(1, 100_001);
        let slot = bulkhead.try_acquire().unwrap();
        let mut waiting: VecDeque<_> = (0..100_000).map(|_| Box::pin(bulkhead.acquire())).collect();
        let mut noop = std::task::Context::from_waker(std::task::Waker::noop());
        for waiter in &mut waiting {
            assert_pending!(waiter.as_mut().poll(&mut noop));
        }
        let mut last = task::spawn(bulkhead.acquire());
        assert_pending!(last.poll());
        if newest_first {
            while waiting.pop_back().is_some() {}
            drop(slot);
        } else {
            // Each of them is granted the slot just before it goes.
            drop(slot);
            while waiting.pop_front().is_some() {}
        }
        assert!(last.is_woken());
        assert!(assert_ready!(last.poll()).is_ok());
        assert!(idle(&bulkhead));
    }
}

#[test]
fn two_threads_at_one_slot_lose_no_wake_up() {
    let bulkhead = bulkhead(1, 1);
    let inside = AtomicUsize::new(0);
    let start = std::sync::Barrier::new(2);
    let work = || {
        start.wait();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for round in 0..10_000 {
                // One who is forgotten in the queue leaves it full for the other, and the close frees both.
                let slot = bulkhead.acquire().await.inspect_err(|_| bulkhead.close()).unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                // About as long as it takes the other to see that there is no slot and to line up.
                (0..round % 128).for_each(|_| std::hint::spin_loop());
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(slot);
            }
        });
    };
    std::thread::scope(|scope| [scope.spawn(work), scope.spawn(work)].map(|thread| thread.join().unwrap()));
    assert!(idle(&bulkhead));
}

/// Yields `times` times.
async fn pause(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_never_hold_more_than_the_slots_and_nobody_is_forgotten() {
    const SLOTS: usize = 3;
    let bulkhead = bulkhead(SLOTS, 1_000);
    let (inside, most, served) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let shared = Arc::new((inside, most, served));
    let tasks: Vec<_> = (0..64_usize)
        .map(|task| {
            let (bulkhead, shared) = (bulkhead.clone(), Arc::clone(&shared));
            tokio::spawn(async move {
                let (inside, most, served) = &*shared;
                for round in 0..500_usize {
                    if (task + round) % 3 == 0 {
                        // Goes away at about the moment at which it is served.
                        tokio::select! {
                            biased;
                            () = pause(round % 7) => {}
                            slot = bulkhead.acquire() => drop(slot),
                        }
                        continue;
                    }
                    let slot = bulkhead.acquire().await.unwrap();
                    let now_inside = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now_inside, Ordering::SeqCst);
                    pause(round % 3).await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    served.fetch_add(1, Ordering::SeqCst);
                    drop(slot);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(shared.1.load(Ordering::SeqCst) <= SLOTS, "{}", shared.1.load(Ordering::SeqCst));
    let all = (0..64_usize).map(|task| (0..500).filter(|round| (task + round) % 3 != 0).count());
    assert_eq!(shared.2.load(Ordering::SeqCst), all.sum::<usize>());
    assert!(idle(&bulkhead));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn resizing_under_load_forgets_nobody() {
    let bulkhead = bulkhead(2, 1_000);
    let tasks: Vec<_> = (0..32_usize)
        .map(|task| {
            let bulkhead = bulkhead.clone();
            tokio::spawn(async move {
                for round in 0..300_usize {
                    if task == 0 {
                        bulkhead.set_slots(1 + round % 5).unwrap();
                    }
                    let _slot = bulkhead.acquire().await.unwrap();
                    pause(round % 2).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(idle(&bulkhead));
}

#[derive(Clone, Debug)]
enum Step {
    Ask,
    Try,
    Poll(usize),
    Leave(usize),
    GiveBack(usize),
    Resize(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Ask),
        1 => Just(Step::Try),
        3 => any::<usize>().prop_map(Step::Poll),
        2 => any::<usize>().prop_map(Step::Leave),
        3 => any::<usize>().prop_map(Step::GiveBack),
        1 => (1_usize..6).prop_map(Step::Resize),
    ];
    proptest::collection::vec(step, 0..120)
}

/// The same as a bulkhead, the plain way.
struct Model {
    slots: usize,
    bound: usize,
    in_use: usize,
    line: VecDeque<usize>,
    granted: Vec<usize>,
}

impl Model {
    /// `None` when refused, else whether a slot was there.
    fn ask(&mut self, who: usize, waits: bool) -> Option<bool> {
        if self.in_use < self.slots && self.line.is_empty() {
            self.in_use += 1;
            return Some(true);
        }
        if !waits || self.line.len() == self.bound {
            return None;
        }
        self.line.push_back(who);
        Some(false)
    }

    fn serve(&mut self) {
        while self.in_use < self.slots
            && let Some(next) = self.line.pop_front()
        {
            self.in_use += 1;
            self.granted.push(next);
        }
    }

    fn leave(&mut self, who: usize) {
        self.line.retain(|waiting| *waiting != who);
        if self.take_grant(who) {
            self.in_use -= 1;
        }
        self.serve();
    }

    fn take_grant(&mut self, who: usize) -> bool {
        let before = self.granted.len();
        self.granted.retain(|granted| *granted != who);
        self.granted.len() < before
    }
}

proptest! {
    #[test]
    fn any_history_is_that_of_the_plain_model(slots in 1_usize..5, bound in 0_usize..6, steps in steps()) {
        let bulkhead = bulkhead(slots, bound);
        let mut model = Model { slots, bound, in_use: 0, line: VecDeque::new(), granted: Vec::new() };
        let mut waiting: Vec<(usize, Spawn<Acquire<'_>>)> = Vec::new();
        let mut held: Vec<Slot<'_>> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Ask => {
                    let mut asked = task::spawn(bulkhead.acquire());
                    match (asked.poll(), model.ask(number, true)) {
                        (std::task::Poll::Ready(Ok(slot)), Some(true)) => held.push(slot),
                        (std::task::Poll::Ready(Err(_)), None) => {}
                        (std::task::Poll::Pending, Some(false)) => waiting.push((number, asked)),
                        differ => prop_assert!(false, "{differ:?}"),
                    }
                }
                Step::Try => match (bulkhead.try_acquire(), model.ask(number, false)) {
                    (Ok(slot), Some(true)) => held.push(slot),
                    (Err(_), None) => {}
                    differ => prop_assert!(false, "{differ:?}"),
                },
                Step::Poll(at) if !waiting.is_empty() => {
                    let at = at % waiting.len();
                    let granted = model.take_grant(waiting[at].0);
                    match waiting[at].1.poll() {
                        std::task::Poll::Ready(Ok(slot)) if granted => {
                            held.push(slot);
                            drop(waiting.remove(at));
                        }
                        std::task::Poll::Pending if !granted => {}
                        differ => prop_assert!(false, "{differ:?}"),
                    }
                }
                Step::Leave(at) if !waiting.is_empty() => {
                    let (who, waiter) = waiting.remove(at % waiting.len());
                    drop(waiter);
                    model.leave(who);
                }
                Step::GiveBack(at) if !held.is_empty() => {
                    drop(held.remove(at % held.len()));
                    model.in_use -= 1;
                    model.serve();
                }
                Step::Resize(slots) => {
                    bulkhead.set_slots(slots).unwrap();
                    model.slots = slots;
                    model.serve();
                }
                Step::Poll(_) | Step::Leave(_) | Step::GiveBack(_) => {}
            }
            let counts = (bulkhead.slots(), bulkhead.in_use(), bulkhead.queued());
            prop_assert_eq!(counts, (model.slots, model.in_use, model.line.len()));
        }
        drop((waiting, held));
        prop_assert!(idle(&bulkhead));
    }
}
