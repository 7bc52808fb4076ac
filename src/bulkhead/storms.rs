//! What a bulkhead promises, under storms of callers and against a model.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};

use super::tests::{bulkhead, idle};
use super::*;
use crate::random::Dice;

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
