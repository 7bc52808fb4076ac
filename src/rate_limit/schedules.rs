//! What the limiter promises in whatever order threads come to it.

#![expect(clippy::unwrap_used, reason = "a thread or a setting that fails, fails the model")]

#[cfg(all(test, recoup_shuttle))]
mod by_chance;

use std::collections::BTreeSet;

use super::bucket::{Asked, Bucket};
use super::line::{Place, Span, Terms, Who};
use super::*;
use crate::sync::model::{outcomes, thread};

const NOW: u64 = 1_000_000;
const INTERVAL: u64 = 100;

fn bucket(burst: u64) -> Arc<Bucket> {
    Arc::new(Bucket::new(Terms { interval: INTERVAL, rooms: [burst; 4] }))
}

fn ask(bucket: &Bucket, latest: u64) -> Result<Asked, Option<u64>> {
    bucket.ask(Who { weight: 1, priority: Priority::Normal, rank: 0 }, NOW, latest)
}

fn taken(bucket: &Bucket) -> bool {
    ask(bucket, NOW).is_ok()
}

fn span(bucket: &Bucket) -> Option<Span> {
    match ask(bucket, NOW) {
        Ok(Asked::Taken(span)) => Some(span),
        _ => None,
    }
}

fn place(bucket: &Bucket) -> (Place, u64) {
    match ask(bucket, u64::MAX) {
        Ok(Asked::Waits(place, due)) => (place, due),
        other => panic!("{other:?}"),
    }
}

/// How many calls there are, by taking them all.
fn drain(bucket: &Bucket) -> usize {
    (0..10).take_while(|_| taken(bucket)).count()
}

#[test]
fn last_one_goes_to_exactly_one_of_three() {
    let takers = outcomes(|| {
        let bucket = bucket(1);
        let others = [0, 1].map(|_| {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || taken(&bucket))
        });
        let mine = taken(&bucket);
        let [first, second] = others.map(|other| other.join().unwrap());
        (first, second, mine)
    });
    assert_eq!(takers, BTreeSet::from([(true, false, false), (false, true, false), (false, false, true)]));
}

#[test]
fn those_who_wait_have_moments_of_their_own_whoever_comes_meanwhile() {
    let moments = outcomes(|| {
        let bucket = bucket(1);
        assert!(taken(&bucket));
        let others = [0, 1].map(|_| {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || place(&bucket).1)
        });
        let passes = taken(&bucket);
        assert!(!passes, "nobody passes them");
        others.map(|other| other.join().unwrap() - NOW)
    });
    assert_eq!(moments, BTreeSet::from([[100, 200], [200, 100]]));
}

#[test]
fn one_who_goes_away_leaves_no_trace_whoever_comes_meanwhile() {
    let dues = outcomes(|| {
        let bucket = bucket(1);
        assert!(taken(&bucket));
        let (waits, _) = place(&bucket);
        let other = Arc::clone(&bucket);
        let goes = thread::spawn(move || other.go_away(waits, NOW));
        let (stays, told) = place(&bucket);
        goes.join().unwrap();
        assert_eq!(bucket.look(stays, told, NOW, None), Err(NOW + 100));
        bucket.go_away(stays, NOW);
        assert!(
            bucket.ask(Who { weight: 1, priority: Priority::Normal, rank: 0 }, NOW + 100, NOW + 100).is_ok()
        );
        told - NOW
    });
    assert_eq!(dues, BTreeSet::from([100, 200]));
}

#[test]
fn what_is_given_back_comes_back_once_or_is_gone() {
    let left = outcomes(|| {
        let bucket = bucket(2);
        let mine = span(&bucket).unwrap();
        let other = Arc::clone(&bucket);
        let takes = thread::spawn(move || taken(&other));
        bucket.give_back(mine, NOW);
        assert!(takes.join().unwrap());
        drain(&bucket)
    });
    assert_eq!(left, BTreeSet::from([0, 1]));
}

#[test]
fn call_that_meets_a_new_rate_is_paid_in_full_at_the_new_price() {
    let used = outcomes(|| {
        let bucket = bucket(3);
        assert!(taken(&bucket));
        let other = Arc::clone(&bucket);
        let sets = thread::spawn(move || other.set_interval(1_000, NOW, |_| Ok::<_, ()>(())).unwrap());
        assert!(taken(&bucket));
        sets.join().unwrap();
        assert!(taken(&bucket));
        // Three of three: the next comes after one interval.
        ask(&bucket, NOW).unwrap_err().unwrap() - NOW
    });
    assert_eq!(used, BTreeSet::from([1_000]));
}
