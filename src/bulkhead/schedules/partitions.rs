//! Priorities and partitions, in every order.

use super::*;

/// One slot, half of it guaranteed to each partition.
fn partitions() -> Bulkhead {
    Bulkhead::builder(1).queue(2).partition("a", 0.5).partition("b", 0.5).build().unwrap()
}

fn turn_in(bulkhead: &Bulkhead, partition: &str, inside: &AtomicU64) {
    let slot = wait_for(bulkhead.partition(partition).unwrap().acquire()).unwrap();
    hold(inside, 1);
    drop(slot);
}

#[test]
fn partitions_share_one_slot_and_every_waiter_gets_it() {
    outcomes(|| {
        let shared = Arc::new((partitions(), AtomicU64::new(0)));
        let others = Arc::clone(&shared);
        let other = thread::spawn(move || turn_in(&others.0, "a", &others.1));
        turn_in(&shared.0, "b", &shared.1);
        other.join().unwrap();
        assert_idle(&shared.0);
    });
}

#[test]
fn waiter_of_one_partition_who_leaves_passes_the_slot_to_another() {
    let came = outcomes(|| {
        let bulkhead = partitions();
        let slot = bulkhead.try_acquire().unwrap();
        let impatient = bulkhead.clone();
        let leaves = thread::spawn(move || {
            let mut first = pin!(impatient.partition("a").unwrap().acquire());
            let mut nobody = Context::from_waker(Waker::noop());
            let at_once = first.as_mut().poll(&mut nobody).is_ready();
            (at_once, impatient.queued())
        });
        let patient = bulkhead.clone();
        let stays = thread::spawn(move || wait_for(patient.partition("b").unwrap().acquire()).is_ok());
        drop(slot);
        let left = leaves.join().unwrap();
        assert!(stays.join().unwrap());
        assert_idle(&bulkhead);
        left
    });
    assert!(came.contains(&(false, 2)), "both were in line: {came:?}");
}

/// One who matters less waits; one who matters more comes while the slot comes back. Whether the first of them
/// had it.
fn evicts(bulkhead: Bulkhead) -> bool {
    let slot = bulkhead.try_acquire().unwrap();
    let lower = bulkhead.clone();
    let low = thread::spawn(move || match wait_for(lower.at(Priority::Low).acquire()) {
        Ok(_slot) => true,
        Err(full) => {
            assert!(matches!(full.reason, FullReason::Evicted | FullReason::QueueFull));
            false
        }
    });
    let higher = bulkhead.clone();
    let high = thread::spawn(move || wait_for(higher.at(Priority::High).acquire()).is_ok());
    drop(slot);
    let had_it = low.join().unwrap();
    assert!(high.join().unwrap(), "who matters more is served");
    assert_idle(&bulkhead);
    had_it
}

#[test]
fn one_who_is_evicted_while_the_slot_comes_back_has_it_or_is_told() {
    let came = outcomes(|| evicts(bulkhead(1, 1)));
    assert_eq!(came, BTreeSet::from([false, true]));
    let came =
        outcomes(|| evicts(Bulkhead::builder(1).queue(1).reserve(Priority::High, 0.5).build().unwrap()));
    assert_eq!(came, BTreeSet::from([false, true]));
}

#[test]
fn closing_leaves_nobody_asleep_in_any_partition() {
    let served = outcomes(|| {
        let bulkhead = partitions();
        let slot = bulkhead.partition("a").unwrap().try_acquire().unwrap();
        let waiter = bulkhead.clone();
        let waits = thread::spawn(move || match wait_for(waiter.partition("b").unwrap().acquire()) {
            Ok(_slot) => true,
            Err(full) => {
                assert_eq!(full.reason, FullReason::Closed);
                false
            }
        });
        let handle = bulkhead.clone();
        let closes = thread::spawn(move || handle.close());
        drop(slot);
        closes.join().unwrap();
        let served = waits.join().unwrap();
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
        served
    });
    assert_eq!(served, BTreeSet::from([false, true]));
}

#[test]
fn raised_limit_wakes_who_waits_for_what_is_not_kept() {
    outcomes(|| {
        let bulkhead = Bulkhead::builder(2).queue(1).reserve(Priority::Critical, 0.5).build().unwrap();
        let _held = bulkhead.try_acquire().unwrap();
        let waiter = bulkhead.clone();
        let waits = thread::spawn(move || wait_for(waiter.acquire()).is_ok());
        bulkhead.set_slots(4).unwrap();
        assert!(waits.join().unwrap());
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (1, 0));
    });
}
