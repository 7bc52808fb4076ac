//! What the concurrency limit promises in whatever order calls come and end.

#![expect(clippy::unwrap_used, reason = "a thread or a setting that fails, fails the model")]

#[cfg(all(test, recoup_shuttle))]
mod by_chance;

use std::collections::BTreeSet;

use super::*;
use crate::classification::Outcome;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::model::{outcomes, thread};
use crate::time::{self, Instant};

/// Longer than any model takes: a window ends when the model says so.
const WINDOW: Duration = Duration::from_secs(600);

/// After the end of the first window, and before it is no more than a memory.
const AFTER: Duration = Duration::from_secs(601);

fn limit(initial: usize) -> ConcurrencyLimit {
    let builder = ConcurrencyLimit::aimd().initial(initial).max(8).backoff(0.5).slow_after(Duration::MAX);
    builder.window(WINDOW).build().unwrap()
}

fn enter(limit: &ConcurrencyLimit, now: Instant) -> Result<InFlight<'_>, Saturated> {
    limit.try_enter_at(Priority::Normal, &now.into())
}

/// Counts itself in for as long as it holds a place; at most `most` are counted in with it.
fn hold(inside: &AtomicU64, most: u64) {
    let already = inside.fetch_add(1, Ordering::Relaxed);
    assert!(already < most, "{already} were in flight already");
    inside.fetch_sub(1, Ordering::Relaxed);
}

/// So many calls at once, which all end like this.
fn make_calls(limit: &ConcurrencyLimit, calls: usize, outcome: Outcome, now: Instant) {
    let calls: Vec<_> = (0..calls).map(|_| enter(limit, now).unwrap()).collect();
    for call in calls {
        call.settle_at(outcome, &now.into());
    }
}

/// A call ends that was under way, after the end of the first window.
fn end_with_overload(limit: &ConcurrencyLimit, start: Instant) {
    let at = start + AFTER;
    Leave::taken(&limit.core).settle(at, Outcome::Failure, true, &at.into());
}

/// A limit of 4 with so many calls under way, whose window lacks one that ended.
fn nearly_full(calls: usize, start: Instant) -> ConcurrencyLimit {
    let limit = limit(4);
    make_calls(&limit, 4, Outcome::Failure, start);
    make_calls(&limit, 3, Outcome::Failure, start);
    (0..calls).for_each(|_| limit.core.enter(Priority::Normal, &start.into()).unwrap());
    limit
}

/// With nobody in flight, what is believed is what is held to.
fn assert_idle_at(limit: &ConcurrencyLimit, expected: usize) {
    let seen = limit.snapshot();
    assert_eq!((seen.limit, seen.limit_now, seen.in_flight), (expected, expected, 0));
}

#[test]
fn one_place_has_never_two_holders_and_comes_back() {
    let took = outcomes(|| {
        let (limit, now) = (limit(1), time::now());
        let inside = Arc::new(AtomicU64::new(0));
        let call = |limit: ConcurrencyLimit, inside: Arc<AtomicU64>, outcome| {
            move || {
                let Ok(call) = enter(&limit, now) else { return false };
                hold(&inside, 1);
                call.settle_at(outcome, &now.into());
                true
            }
        };
        // Settled or not, the place is given back.
        let others = [Outcome::Success, Outcome::Abandoned]
            .map(|outcome| thread::spawn(call(limit.clone(), Arc::clone(&inside), outcome)));
        let mine = call(limit.clone(), inside, Outcome::Success)();
        let [first, second] = others.map(|other| other.join().unwrap());
        assert_idle_at(&limit, 1);
        let _only = enter(&limit, now).unwrap();
        assert!(enter(&limit, now).is_err());
        (first, second, mine)
    });
    assert_eq!(took.len(), 7, "any of them, but never none: {took:?}");
    assert!(!took.contains(&(false, false, false)));
}

#[test]
fn what_a_call_wrote_the_next_one_reads_though_the_limit_moves() {
    let came = outcomes(|| {
        let (limit, now, written) = (limit(1), time::now(), Arc::new(AtomicU64::new(0)));
        let (other, line) = (limit.clone(), Arc::clone(&written));
        let writes = thread::spawn(move || {
            if let Ok(_call) = enter(&other, now) {
                line.store(1, Ordering::Relaxed);
            }
        });
        let other = limit.clone();
        let moves = thread::spawn(move || other.set_bounds(1, 1).unwrap());
        let read = {
            let call = enter(&limit, now);
            call.ok().map(|_call| (written.load(Ordering::Relaxed), written.load(Ordering::Relaxed)))
        };
        writes.join().unwrap();
        moves.join().unwrap();
        assert!(read.is_none_or(|(first, second)| first == second), "{read:?}: it was written meanwhile");
        assert_idle_at(&limit, 1);
        read
    });
    assert_eq!(came, BTreeSet::from([None, Some((0, 0)), Some((1, 1))]));
}

#[test]
fn nobody_is_let_in_above_a_limit_that_has_fallen() {
    let came = outcomes(|| {
        let (limit, now) = (limit(2), time::now());
        let inside = Arc::new(AtomicU64::new(0));
        let others = [0, 1].map(|_| {
            let (limit, inside) = (limit.clone(), Arc::clone(&inside));
            thread::spawn(move || {
                let call = enter(&limit, now);
                call.is_ok_and(|_call| {
                    hold(&inside, 2);
                    true
                })
            })
        });
        limit.set_bounds(1, 1).unwrap();
        let mine = enter(&limit, now).is_ok_and(|_call| {
            hold(&inside, 1);
            true
        });
        let took = others.map(|other| other.join().unwrap());
        assert_idle_at(&limit, 1);
        (took, mine)
    });
    assert!(came.contains(&([true, true], true)) && came.contains(&([true, true], false)), "{came:?}");
}

#[test]
fn window_that_two_end_at_once_lowers_the_limit_once() {
    outcomes(|| {
        let start = time::now();
        let limit = nearly_full(2, start);
        let other = limit.clone();
        let ends = thread::spawn(move || end_with_overload(&other, start));
        end_with_overload(&limit, start);
        ends.join().unwrap();
        assert_idle_at(&limit, 2);
        assert_eq!(limit.snapshot().dropped, 9, "each is counted in one window");
    });
}

#[test]
fn who_looks_while_a_window_is_closed_sees_its_calls_once() {
    let seen = outcomes(|| {
        let (limit, start) = (limit(2), time::now());
        make_calls(&limit, 2, Outcome::Success, start);
        make_calls(&limit, 1, Outcome::Success, start);
        let other = limit.clone();
        let ends = thread::spawn(move || make_calls(&other, 1, Outcome::Success, start + AFTER));
        let other = limit.clone();
        let looks = thread::spawn(move || {
            let seen = other.snapshot();
            (seen.limit, seen.samples)
        });
        ends.join().unwrap();
        looks.join().unwrap()
    });
    assert_eq!(seen, BTreeSet::from([(2, 3), (2, 4), (3, 4)]));
}

#[test]
fn bounds_that_move_while_a_window_is_closed_hold_in_the_end() {
    let came = outcomes(|| {
        let (limit, start) = (limit(2), time::now());
        make_calls(&limit, 2, Outcome::Success, start);
        make_calls(&limit, 1, Outcome::Success, start);
        let other = limit.clone();
        let closes = thread::spawn(move || make_calls(&other, 1, Outcome::Success, start + AFTER));
        let other = limit.clone();
        let takes = thread::spawn(move || enter(&other, start).is_ok());
        limit.set_bounds(1, 2).unwrap();
        closes.join().unwrap();
        let took = takes.join().unwrap();
        assert_idle_at(&limit, 2);
        took
    });
    assert!(came.contains(&true), "{came:?}");
}
