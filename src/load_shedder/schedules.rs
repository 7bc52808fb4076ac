//! What the load shedder promises in whatever order work comes, ends and goes away.

#![expect(clippy::unwrap_used, reason = "a thread or a setting that fails, fails the model")]

#[cfg(all(test, recoup_shuttle))]
mod by_chance;

use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::door::{Entry, Place};
use super::*;
use crate::priority::Priority;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::model::{outcomes, thread, wait_for};
use crate::time::{self, Instant};

const LOW: Work = Work::new().priority(Priority::Low);
const HIGH: Work = Work::new().priority(Priority::High);

/// One that goes by the order alone: no time is too long for it.
fn shedder(slots: usize, queue: usize) -> LoadShedder {
    let builder = LoadShedder::builder(slots).queue(queue).deadline(Duration::MAX);
    builder.target(Duration::MAX).interval(Duration::MAX).build().unwrap()
}

fn assert_idle(shedder: &LoadShedder) {
    let seen = shedder.snapshot();
    assert_eq!((seen.in_service, seen.queued), (0, 0));
    let all: Vec<_> = (0..seen.slots).map(|_| shedder.try_admit(LOW)).collect();
    assert!(all.iter().all(Result::is_ok), "the slots are there again");
    assert!(shedder.try_admit(HIGH).is_err(), "and no more of them");
}

/// Counts itself in for as long as it is served; at most `most` are counted in with it.
fn serve(inside: &AtomicU64, most: u64) {
    let already = inside.fetch_add(1, Ordering::Relaxed);
    assert!(already < most, "{already} were served already");
    inside.fetch_sub(1, Ordering::Relaxed);
}

/// Waits for a slot and is served for a moment, or refused.
fn ask(shedder: &LoadShedder, work: Work, inside: &AtomicU64) -> Result<(), ShedReason> {
    let serving = wait_for(shedder.admit(work)).map_err(|shed| shed.reason)?;
    serve(inside, 1);
    drop(serving);
    Ok(())
}

/// In line, and nobody is woken when it is its turn.
fn line_up(shedder: &LoadShedder, work: Work) -> Pin<Box<Admit>> {
    let mut in_line = Box::pin(shedder.admit(work));
    assert!(in_line.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    in_line
}

#[test]
fn one_slot_has_never_two_holders_and_every_waiter_gets_it() {
    outcomes(|| {
        let shared = Arc::new((shedder(1, 1), AtomicU64::new(0)));
        let others = Arc::clone(&shared);
        let other = thread::spawn(move || ask(&others.0, LOW, &others.1));
        assert_eq!(ask(&shared.0, LOW, &shared.1), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_idle(&shared.0);
    });
}

#[test]
fn three_of_any_priority_share_one_slot_in_turn() {
    outcomes(|| {
        let shared = Arc::new((shedder(1, 2), AtomicU64::new(0)));
        let others = [LOW, HIGH].map(|work| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || ask(&shared.0, work, &shared.1))
        });
        assert_eq!(ask(&shared.0, LOW, &shared.1), Ok(()));
        for other in others {
            assert_eq!(other.join().unwrap(), Ok(()));
        }
        assert_idle(&shared.0);
    });
}

#[test]
fn bound_of_the_queue_is_exact_and_who_is_refused_is_told() {
    let came = outcomes(|| {
        let shared = Arc::new((shedder(1, 1), AtomicU64::new(0)));
        let serving = shared.0.try_admit(LOW).unwrap();
        let others = [0, 1].map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || ask(&shared.0, LOW, &shared.1))
        });
        drop(serving);
        let fates = others.map(|other| other.join().unwrap());
        let refused = fates.iter().filter(|fate| fate.is_err()).count();
        assert_eq!(shared.0.snapshot().shed(ShedReason::QueueFull), refused as u64);
        assert_idle(&shared.0);
        fates
    });
    let full = Err(ShedReason::QueueFull);
    assert_eq!(came, BTreeSet::from([[Ok(()), Ok(())], [Ok(()), full], [full, Ok(())]]));
}

#[test]
fn work_of_a_high_priority_is_served_whoever_had_its_place_in_the_queue() {
    let came = outcomes(|| {
        let shared = Arc::new((shedder(1, 1), AtomicU64::new(0)));
        let serving = shared.0.try_admit(LOW).unwrap();
        let [low, high] = [LOW, HIGH].map(|work| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || ask(&shared.0, work, &shared.1))
        });
        drop(serving);
        assert_eq!(high.join().unwrap(), Ok(()));
        let low = low.join().unwrap();
        assert_idle(&shared.0);
        low
    });
    assert_eq!(came, BTreeSet::from([Ok(()), Err(ShedReason::QueueFull)]));
}

#[test]
fn who_does_not_wait_never_passes_the_line() {
    let came = outcomes(|| {
        let shedder = shedder(1, 1);
        let serving = shedder.try_admit(LOW).unwrap();
        let mut in_line = line_up(&shedder, LOW);
        let other = shedder.clone();
        let hasty = thread::spawn(move || other.try_admit(LOW).is_ok());
        drop(serving);
        let took = hasty.join().unwrap();
        let polled = in_line.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(_))), "the slot was kept for it");
        took
    });
    assert_eq!(came, BTreeSet::from([false]), "it was for who was in line");
}

#[test]
fn waiter_dropped_while_the_slot_is_on_its_way_passes_it_on() {
    outcomes(|| {
        let shared = Arc::new((shedder(1, 2), AtomicU64::new(0)));
        let serving = shared.0.try_admit(LOW).unwrap();
        let goes = line_up(&shared.0, LOW);
        let others = Arc::clone(&shared);
        let stays = thread::spawn(move || ask(&others.0, LOW, &others.1));
        let leaves = thread::spawn(move || drop(goes));
        drop(serving);
        leaves.join().unwrap();
        assert_eq!(stays.join().unwrap(), Ok(()));
        assert_idle(&shared.0);
    });
}

#[test]
fn waiter_who_goes_as_a_higher_priority_takes_its_place_leaves_nothing_behind() {
    outcomes(|| {
        let shared = Arc::new((shedder(1, 1), AtomicU64::new(0)));
        let serving = shared.0.try_admit(LOW).unwrap();
        let goes = line_up(&shared.0, LOW);
        let others = Arc::clone(&shared);
        let high = thread::spawn(move || ask(&others.0, HIGH, &others.1));
        let leaves = thread::spawn(move || drop(goes));
        drop(serving);
        leaves.join().unwrap();
        assert_eq!(high.join().unwrap(), Ok(()));
        assert_idle(&shared.0);
    });
}

/// Enters a line in which it has to wait.
fn enter(shedder: &LoadShedder, deadline: Instant, now: Instant) -> Place {
    match shedder.door.enter(&LOW, Some(deadline), now).unwrap() {
        Entry::Waits(place) => place,
        Entry::Took(_) => panic!("the slot is taken"),
    }
}

/// Polls as [`Admit`] does once the timer says that the deadline has come: leaves, or waits for the answer that
/// is on its way. `None` if it left.
fn give_up(mut place: Place, now: Instant) -> Option<Result<(), ShedReason>> {
    let mut left = None;
    wait_for(poll_fn(|cx| match place.poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer.map(drop).map_err(|why| why.reason))),
        Poll::Pending if left.is_some() => Poll::Pending,
        Poll::Pending if *left.insert(place.leave(now)) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    }))
}

#[test]
fn waiter_whose_time_is_up_has_left_or_is_told_and_loses_no_slot() {
    let came = outcomes(|| {
        let (shedder, now) = (shedder(1, 1), time::now());
        let serving = shedder.try_admit(LOW).unwrap();
        // Far off for who frees the slot: only the waiter takes it to have come.
        let place = enter(&shedder, now + Duration::from_secs(600), now);
        let frees = thread::spawn(move || drop(serving));
        let fate = give_up(place, now);
        frees.join().unwrap();
        assert_idle(&shedder);
        fate
    });
    assert_eq!(came, BTreeSet::from([None, Some(Ok(()))]));

    let came = outcomes(|| {
        let now = time::now();
        let shedder = shedder(1, 1);
        let serving = shedder.try_admit(LOW).unwrap();
        // It has come by the time that the slot is free.
        let place = enter(&shedder, now + Duration::from_nanos(1), now);
        let frees = thread::spawn(move || drop(serving));
        let fate = give_up(place, now);
        frees.join().unwrap();
        assert_idle(&shedder);
        fate
    });
    assert_eq!(came, BTreeSet::from([None, Some(Err(ShedReason::Expired))]));
}

#[test]
fn call_dropped_at_any_moment_gives_its_slot_to_who_waits() {
    outcomes(|| {
        let shared = Arc::new((shedder(1, 1), AtomicU64::new(0)));
        let others = Arc::clone(&shared);
        let goes = thread::spawn(move || {
            let mut call = pin!(others.0.call(pending::<Result<(), ()>>).work(HIGH));
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        });
        assert_eq!(ask(&shared.0, LOW, &shared.1), Ok(()));
        goes.join().unwrap();
        assert_idle(&shared.0);
    });
}
