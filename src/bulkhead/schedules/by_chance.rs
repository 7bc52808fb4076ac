//! Histories that are too long to be run in every order.

use super::*;

#[test]
fn crowd_that_waits_leaves_and_comes_again_leaves_nothing_behind() {
    let came = outcomes(|| {
        let shared = Arc::new((bulkhead(1, 2), AtomicU64::new(0)));
        let callers = [0, 1, 2, 3].map(|nth| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (bulkhead, inside) = &*shared;
                let mut refused = 0;
                for turn in 0..3 {
                    if (nth + turn) % 3 == 0 {
                        // Lines up and goes away again, be it with a slot on its way.
                        let mut nobody = Context::from_waker(Waker::noop());
                        drop(pin!(bulkhead.acquire()).poll(&mut nobody));
                    } else {
                        match wait_for(bulkhead.acquire()) {
                            Ok(slot) => {
                                hold(inside, 1);
                                drop(slot);
                            }
                            Err(full) => {
                                assert_eq!(full.reason, FullReason::QueueFull);
                                refused += 1;
                            }
                        }
                    }
                }
                refused
            })
        });
        let refused: i32 = callers.map(|caller| caller.join().unwrap()).into_iter().sum();
        assert_idle(&shared.0);
        refused
    });
    assert!(came.contains(&0) && came.len() > 1, "the queue was full in some order: {came:?}");
}

#[test]
fn limit_that_moves_under_a_crowd_ends_where_it_was_put() {
    outcomes(|| {
        let shared = Arc::new((bulkhead(2, 3), AtomicU64::new(0)));
        let callers = [0, 1, 2].map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for _ in 0..3 {
                    let slot = wait_for(shared.0.acquire()).unwrap();
                    hold(&shared.1, 3);
                    drop(slot);
                }
            })
        });
        for slots in [3, 1, 2, 1] {
            shared.0.set_slots(slots).unwrap();
        }
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!((shared.0.slots(), shared.0.in_use(), shared.0.queued()), (1, 0, 0));
        let _only = shared.0.try_acquire().unwrap();
        assert!(shared.0.try_acquire().is_err());
    });
}
