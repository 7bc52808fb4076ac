//! Partitions and priorities under many callers at once.

use super::*;

#[test]
fn hundred_thousand_dropped_at_any_poll_leave_nothing_in_any_partition() {
    let dice = Dice::seeded(3);
    let below = |n: usize| usize::try_from(dice.bits() % (n as u128)).unwrap();
    for order in [QueueOrder::Fifo, QueueOrder::Lifo] {
        let bulkhead = tenants(4).order(order).reserve(Priority::Critical, 0.25).build().unwrap();
        let ways = [
            bulkhead.at(Priority::Normal),
            bulkhead.partition("a").unwrap(),
            bulkhead.partition("b").unwrap(),
        ];
        let (mut held, mut waiting) = (Vec::new(), Vec::new());
        let mut served = 0;
        for _ in 0..50_000 {
            let mut asked = task::spawn(ways[below(3)].at(Priority::ALL[below(4)]).acquire());
            match asked.poll() {
                std::task::Poll::Ready(Ok(slot)) => held.push(slot),
                std::task::Poll::Ready(Err(full)) => assert_eq!(full.reason, FullReason::QueueFull),
                std::task::Poll::Pending => waiting.push(asked),
            }
            for _ in 0..below(3) {
                if !waiting.is_empty() {
                    drop(waiting.swap_remove(below(waiting.len())));
                }
            }
            if below(2) == 0 && !held.is_empty() {
                drop(held.swap_remove(below(held.len())));
            }
            waiting.retain_mut(|waiter| {
                !waiter.is_woken()
                    || match assert_ready!(waiter.poll()) {
                        Ok(slot) => {
                            held.push(slot);
                            served += 1;
                            false
                        }
                        Err(full) => {
                            assert_eq!(full.reason, FullReason::Evicted);
                            false
                        }
                    }
            });
            assert_eq!(bulkhead.in_use(), held.len());
            assert!(held.len() <= 4 && bulkhead.queued() == waiting.len());
        }
        assert!(served > 1000, "the queues were used: {served}");
        drop((held, waiting));
        assert!(idle(&bulkhead));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_of_all_partitions_and_priorities_never_hold_more_than_the_slots() {
    const SLOTS: usize = 4;
    let bulkhead = tenants(SLOTS).queue(1000).reserve(Priority::Critical, 0.25).build().unwrap();
    let counts = Arc::new([const { AtomicUsize::new(0) }; 4]);
    let tasks: Vec<_> = (0..48_usize)
        .map(|task| {
            let (bulkhead, counts) = (bulkhead.clone(), Arc::clone(&counts));
            tokio::spawn(async move {
                let [inside, below_critical, most, most_below] = &*counts;
                let way = match task % 3 {
                    0 => bulkhead.at(Priority::Normal),
                    1 => bulkhead.partition("a").unwrap(),
                    _ => bulkhead.partition("b").unwrap(),
                };
                let way = way.at(Priority::ALL[task % 4]);
                for round in 0..300_usize {
                    if (task + round) % 5 == 0 {
                        // Goes away at about the moment at which it is served.
                        tokio::select! {
                            biased;
                            () = tokio::task::yield_now() => {}
                            slot = way.acquire() => drop(slot),
                        }
                        continue;
                    }
                    let slot = way.acquire().await.unwrap();
                    let others = inside.fetch_add(1, Ordering::SeqCst);
                    most.fetch_max(others + 1, Ordering::SeqCst);
                    if way.priority() < Priority::Critical {
                        let others = below_critical.fetch_add(1, Ordering::SeqCst);
                        most_below.fetch_max(others + 1, Ordering::SeqCst);
                    }
                    tokio::task::yield_now().await;
                    if way.priority() < Priority::Critical {
                        below_critical.fetch_sub(1, Ordering::SeqCst);
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(slot);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let [.., most, most_below] = &*counts;
    assert!(most.load(Ordering::SeqCst) <= SLOTS);
    assert!(most_below.load(Ordering::SeqCst) < SLOTS, "one slot is kept");
    assert!(idle(&bulkhead));
}
