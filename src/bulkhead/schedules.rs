//! What the bulkhead promises in whatever order callers come, leave and go away.

#![expect(clippy::unwrap_used, reason = "a thread or a setting that fails, fails the model")]

#[cfg(all(test, recoup_shuttle))]
mod by_chance;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod partitions;

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::model::{outcomes, thread, wait_for};

fn bulkhead(slots: usize, queue: usize) -> Bulkhead {
    Bulkhead::builder(slots).queue(queue).build().unwrap()
}

fn assert_idle(bulkhead: &Bulkhead) {
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
    assert!(bulkhead.try_acquire().is_ok(), "the slot is there again");
}

/// Counts itself in for as long as it holds a slot; at most `most` are counted in with it.
fn hold(inside: &AtomicU64, most: u64) {
    let already = inside.fetch_add(1, Ordering::Relaxed);
    assert!(already < most, "{already} holders were in already");
    inside.fetch_sub(1, Ordering::Relaxed);
}

/// Waits for a slot and holds it for a moment.
fn take_turn(bulkhead: &Bulkhead, inside: &AtomicU64) {
    let slot = wait_for(bulkhead.acquire()).unwrap();
    hold(inside, 1);
    drop(slot);
}

#[test]
fn one_slot_has_never_two_holders_and_every_waiter_gets_it() {
    outcomes(|| {
        let shared = Arc::new((bulkhead(1, 1), AtomicU64::new(0)));
        let others = Arc::clone(&shared);
        let other = thread::spawn(move || take_turn(&others.0, &others.1));
        take_turn(&shared.0, &shared.1);
        other.join().unwrap();
        assert_idle(&shared.0);
    });
}

#[test]
fn three_in_turn_share_one_slot() {
    outcomes(|| {
        let shared = Arc::new((bulkhead(1, 2), AtomicU64::new(0)));
        let others = [0, 1].map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || take_turn(&shared.0, &shared.1))
        });
        take_turn(&shared.0, &shared.1);
        for other in others {
            other.join().unwrap();
        }
        assert_idle(&shared.0);
    });
}

#[test]
fn who_does_not_wait_never_passes_the_line() {
    let came = outcomes(|| {
        let shared = Arc::new((bulkhead(1, 1), AtomicU64::new(0)));
        let slot = shared.0.try_acquire().unwrap();
        let others = Arc::clone(&shared);
        let waiter = thread::spawn(move || take_turn(&others.0, &others.1));
        let others = Arc::clone(&shared);
        let hasty = thread::spawn(move || {
            let (bulkhead, inside) = &*others;
            let slot = bulkhead.try_acquire().ok()?;
            hold(inside, 1);
            drop(slot);
            Some(())
        });
        hold(&shared.1, 1);
        drop(slot);
        waiter.join().unwrap();
        let took = hasty.join().unwrap().is_some();
        assert_idle(&shared.0);
        took
    });
    assert_eq!(came, BTreeSet::from([false, true]));

    let came = outcomes(|| {
        let bulkhead = bulkhead(1, 1);
        let slot = bulkhead.try_acquire().unwrap();
        let mut in_line = Box::pin(bulkhead.acquire());
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(in_line.as_mut().poll(&mut nobody).is_pending());
        let handle = bulkhead.clone();
        let hasty = thread::spawn(move || handle.try_acquire().is_ok());
        drop(slot);
        let took = hasty.join().unwrap();
        assert!(in_line.as_mut().poll(&mut nobody).is_ready(), "the slot was kept for it");
        took
    });
    assert_eq!(came, BTreeSet::from([false]), "it was for who was in line");
}

#[test]
fn what_a_holder_wrote_the_next_one_reads() {
    let came = outcomes(|| {
        let shared = Arc::new((bulkhead(1, 0), AtomicU64::new(0)));
        let others = Arc::clone(&shared);
        let writer = thread::spawn(move || {
            let slot = others.0.try_acquire();
            if slot.is_ok() {
                others.1.store(1, Ordering::Relaxed);
            }
        });
        let others = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let mine = others.0.try_acquire();
            mine.ok().map(|_slot| (others.1.load(Ordering::Relaxed), others.1.load(Ordering::Relaxed)))
        });
        writer.join().unwrap();
        let read = reader.join().unwrap();
        assert!(read.is_none_or(|(first, second)| first == second), "{read:?}: the writer held it meanwhile");
        read
    });
    assert_eq!(came, BTreeSet::from([None, Some((0, 0)), Some((1, 1))]));
}

#[test]
fn bound_of_the_queue_is_exact() {
    let refused = outcomes(|| {
        let bulkhead = bulkhead(1, 1);
        let slot = bulkhead.try_acquire().unwrap();
        let others = [0, 1].map(|_| {
            let bulkhead = bulkhead.clone();
            thread::spawn(move || wait_for(bulkhead.acquire()).is_err())
        });
        drop(slot);
        let refused = others.map(|other| other.join().unwrap());
        assert_idle(&bulkhead);
        refused
    });
    assert_eq!(refused, BTreeSet::from([[false, false], [false, true], [true, false]]));
}

#[test]
fn waiter_dropped_while_the_slot_is_on_its_way_passes_it_on() {
    let came = outcomes(|| {
        let bulkhead = bulkhead(1, 2);
        let slot = bulkhead.try_acquire().unwrap();
        let impatient = bulkhead.clone();
        let leaves = thread::spawn(move || {
            let mut first = pin!(impatient.acquire());
            let mut nobody = Context::from_waker(Waker::noop());
            let at_once = first.as_mut().poll(&mut nobody).is_ready();
            // Dropped without being polled again: whatever was granted meanwhile has to go on.
            (at_once, impatient.queued())
        });
        let patient = bulkhead.clone();
        let stays = thread::spawn(move || wait_for(patient.acquire()).is_ok());
        drop(slot);
        let left = leaves.join().unwrap();
        assert!(stays.join().unwrap());
        assert_idle(&bulkhead);
        left
    });
    assert!(came.iter().any(|&(at_once, _)| at_once), "{came:?}");
    assert!(came.contains(&(false, 2)), "both were in line: {came:?}");
}

#[test]
fn waiter_who_leaves_as_a_raised_limit_reaches_it_passes_the_slot_on() {
    outcomes(|| {
        let bulkhead = bulkhead(1, 2);
        let held = bulkhead.try_acquire().unwrap();
        let mut nobody = Context::from_waker(Waker::noop());
        let giver = bulkhead.clone();
        let mut goes = Box::pin(bulkhead.acquire());
        assert!(goes.as_mut().poll(&mut nobody).is_pending());
        let patient = giver.clone();
        let stays = thread::spawn(move || wait_for(patient.acquire()).is_ok());
        let raises = thread::spawn(move || giver.set_slots(2).unwrap());
        drop(goes);
        drop(held);
        raises.join().unwrap();
        assert!(stays.join().unwrap());
        assert_eq!((bulkhead.slots(), bulkhead.in_use(), bulkhead.queued()), (2, 0, 0));
    });
}

#[test]
fn raised_limit_wakes_who_waits() {
    outcomes(|| {
        let bulkhead = bulkhead(1, 1);
        let _held = bulkhead.try_acquire().unwrap();
        let waiter = bulkhead.clone();
        let waits = thread::spawn(move || wait_for(waiter.acquire()).is_ok());
        bulkhead.set_slots(2).unwrap();
        assert!(waits.join().unwrap());
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (1, 0));
    });
}

#[test]
fn closing_leaves_nobody_asleep() {
    let served = outcomes(|| {
        let bulkhead = bulkhead(1, 1);
        let slot = bulkhead.try_acquire().unwrap();
        let waiter = bulkhead.clone();
        let waits = thread::spawn(move || match wait_for(waiter.acquire()) {
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
        assert!(bulkhead.try_acquire().is_err());
        served
    });
    assert_eq!(served, BTreeSet::from([false, true]));
}

#[test]
fn slots_taken_away_while_callers_come_are_not_given_twice() {
    outcomes(|| {
        let shared = Arc::new((bulkhead(2, 2), AtomicU64::new(0)));
        let others = Arc::clone(&shared);
        let taker = thread::spawn(move || {
            let slot = wait_for(others.0.acquire()).unwrap();
            hold(&others.1, 2);
            drop(slot);
        });
        let others = Arc::clone(&shared);
        let lowers = thread::spawn(move || others.0.set_slots(1).unwrap());
        let slot = wait_for(shared.0.acquire()).unwrap();
        hold(&shared.1, 2);
        drop(slot);
        taker.join().unwrap();
        lowers.join().unwrap();
        assert_eq!((shared.0.slots(), shared.0.in_use(), shared.0.queued()), (1, 0, 0));
        let _only = shared.0.try_acquire().unwrap();
        assert!(shared.0.try_acquire().is_err(), "one slot is left");
    });
}
