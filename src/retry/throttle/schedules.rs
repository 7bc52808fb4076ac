//! What the throttle promises in whatever order attempts end.

#![expect(clippy::unwrap_used, reason = "a thread or a setting that fails, fails the model")]

#[cfg(all(test, recoup_shuttle))]
mod by_chance;

use std::collections::BTreeSet;

use super::*;
use crate::sync::model::{outcomes, thread};

/// What was repeated makes no difference here.
const ERROR: Option<Category> = Some(Category::Network);

/// Later than what a cell has noted, so that it wants to know of a success.
const LATER: Duration = Duration::from_secs(1);

/// One that knows all it wants to know after one success, which earns half a token.
fn builder(capacity: u32) -> ThrottleBuilder {
    Throttle::builder().share(0.5).capacity(capacity).history(1)
}

fn parts(throttle: &Throttle) -> (&Cell, &Rules) {
    let Learned::Adaptive(rules) = &throttle.0.learned else { panic!("one that adapts") };
    (&throttle.0.cell, rules)
}

/// A throttle for a model, and when it began.
fn open(builder: ThrottleBuilder) -> (Throttle, Instant) {
    let throttle = builder.build().unwrap();
    let start = parts(&throttle).1.origin;
    (throttle, start)
}

/// The same after a success.
fn calm(builder: ThrottleBuilder) -> (Throttle, Instant) {
    let (throttle, start) = open(builder);
    throttle.succeeded(&quick(), &start.into());
    assert!(throttle.is_calm());
    (throttle, start)
}

/// How an attempt ends that never had to wait.
fn quick() -> Attempted {
    Attempted::default()
}

/// How one ends that did.
fn waited() -> Attempted {
    Attempted { took: Some(Duration::from_millis(1)), ..Attempted::default() }
}

/// Leave for a retry, if there is one.
fn reserve(throttle: &Throttle, now: Instant) -> Result<Leave, Withheld> {
    throttle.reserve(ERROR, &quick(), &now.into())
}

/// Takes a token for good. Whether there was one.
fn spend(throttle: &Throttle, now: Instant) -> bool {
    reserve(throttle, now).map(Leave::spend).is_ok()
}

/// In tenths.
#[expect(clippy::cast_possible_truncation, reason = "few tokens")]
fn tokens(throttle: &Throttle) -> i32 {
    let (cell, rules) = parts(throttle);
    let tokens = cell.state().tokens;
    assert!((0.0..=rules.capacity()).contains(&tokens), "{tokens}");
    (tokens * 10.0) as i32
}

/// Once nobody writes, who looks must not take a cell for calm that has something to learn.
fn assert_calm_only_if_it_is(throttle: &Throttle) {
    let (cell, rules) = parts(throttle);
    assert!(!cell.is_calm() || cell.state().is_calm(rules), "{throttle:?}");
}

#[test]
fn failure_is_not_lost_on_a_cell_that_another_finds_calm() {
    let came = outcomes(|| {
        let (throttle, now) = calm(builder(1));
        let other = throttle.clone();
        let fails = thread::spawn(move || other.failed(&quick(), &now.into()));
        let other = throttle.clone();
        let succeeds = thread::spawn(move || other.succeeded(&quick(), &now.into()));
        fails.join().unwrap();
        succeeds.join().unwrap();
        let state = parts(&throttle).0.state();
        assert_eq!(throttle.is_calm(), state.run == 0);
        (state.seen, state.run)
    });
    // The success was told to nobody, or it came after the failure and says so.
    assert_eq!(came, BTreeSet::from([(2, 1), (3, 0)]));
}

#[test]
fn success_that_is_noted_hides_no_failure_that_came_after_it() {
    let came = outcomes(|| {
        let (throttle, start) = calm(builder(1));
        let now = start + LATER;
        let other = throttle.clone();
        let fails = thread::spawn(move || other.failed(&quick(), &now.into()));
        throttle.succeeded(&waited(), &now.into());
        fails.join().unwrap();
        let state = parts(&throttle).0.state();
        assert_eq!(throttle.is_calm(), state.run == 0);
        (state.seen, state.run)
    });
    assert_eq!(came, BTreeSet::from([(3, 0), (3, 1)]));
}

#[test]
fn of_two_that_fail_at_once_one_at_most_retries_under_a_gate_of_two() {
    let came = outcomes(|| {
        let (throttle, now) = calm(builder(2).gate(2));
        let other = throttle.clone();
        let fails = move |throttle: &Throttle| {
            throttle.failed(&quick(), &now.into());
            spend(throttle, now)
        };
        let first = thread::spawn(move || fails(&other));
        let second = fails(&throttle);
        let first = first.join().unwrap();
        assert_eq!(parts(&throttle).0.state().run, 2);
        assert!(!throttle.is_calm());
        assert_eq!(tokens(&throttle), 20 - 10 * (i32::from(first) + i32::from(second)));
        (first, second)
    });
    assert_eq!(came, BTreeSet::from([(false, false), (false, true), (true, false)]));
}

#[test]
fn last_token_goes_to_exactly_one_of_three() {
    let takers = outcomes(|| {
        let (throttle, now) = open(builder(1));
        let others = [0, 1].map(|_| {
            let throttle = throttle.clone();
            thread::spawn(move || spend(&throttle, now))
        });
        let mine = spend(&throttle, now);
        let [first, second] = others.map(|other| other.join().unwrap());
        assert_eq!(tokens(&throttle), 0);
        assert_eq!(throttle.snapshot().withheld(Withheld::Spent), 2);
        (first, second, mine)
    });
    assert_eq!(takers, BTreeSet::from([(true, false, false), (false, true, false), (false, false, true)]));
}

#[test]
fn leave_dropped_in_flight_goes_back_whoever_asks_meanwhile() {
    let came = outcomes(|| {
        let (throttle, now) = open(builder(1));
        let other = throttle.clone();
        let drops = thread::spawn(move || reserve(&other, now).is_ok());
        let spent = spend(&throttle, now);
        let had = drops.join().unwrap();
        assert_eq!(tokens(&throttle), if spent { 0 } else { 10 }, "a token is spent or there");
        assert!(spent || had, "a token that nobody has can be taken");
        (had, spent)
    });
    assert_eq!(came, BTreeSet::from([(true, true), (true, false), (false, true)]));
}

#[test]
fn earnings_that_race_with_a_returning_token_never_exceed_the_capacity() {
    let seen = outcomes(|| {
        let (throttle, now) = open(builder(1).share(0.6));
        let leave = reserve(&throttle, now);
        let other = throttle.clone();
        let earns = thread::spawn(move || {
            other.succeeded(&quick(), &now.into());
            other.succeeded(&quick(), &now.into());
        });
        let returns = thread::spawn(move || drop(leave));
        let other = throttle.clone();
        let watches = thread::spawn(move || tokens(&other));
        earns.join().unwrap();
        returns.join().unwrap();
        let seen = watches.join().unwrap();
        assert_eq!(tokens(&throttle), 10);
        assert_calm_only_if_it_is(&throttle);
        seen
    });
    assert_eq!(seen, BTreeSet::from([0, 6, 10]));
}

#[test]
fn cell_is_not_calm_while_a_token_is_out() {
    let left = outcomes(|| {
        let (throttle, start) = calm(builder(2));
        let other = throttle.clone();
        let retries = thread::spawn(move || reserve(&other, start).unwrap());
        throttle.succeeded(&waited(), &(start + LATER).into());
        let leave = retries.join().unwrap();
        assert!(!throttle.is_calm(), "it would forget to earn");
        let left = tokens(&throttle);
        drop(leave);
        assert_eq!(tokens(&throttle), 20);
        left
    });
    assert_eq!(left, BTreeSet::from([10, 15]));
}

#[test]
fn trickle_lets_exactly_one_through_of_those_who_waited_for_it() {
    let takers = outcomes(|| {
        let (throttle, start) = open(builder(1));
        let now = start + Duration::from_millis(parts(&throttle).1.period().into());
        let others = [0, 1].map(|_| {
            let throttle = throttle.clone();
            thread::spawn(move || throttle.take_trickle(now))
        });
        others.map(|other| other.join().unwrap())
    });
    assert_eq!(takers, BTreeSet::from([[true, false], [false, true]]));
}

#[test]
fn first_retries_of_two_threads_are_both_counted() {
    let helped = outcomes(|| {
        let (throttle, _) = open(builder(1));
        let other = throttle.clone();
        let helps = thread::spawn(move || other.repeated(Category::Network, true));
        throttle.repeated(Category::Network, false);
        helps.join().unwrap();
        let seen = throttle.snapshot().retries_of(Category::Network);
        (seen.count, seen.helped.to_string())
    });
    assert_eq!(helped, BTreeSet::from([(2, "0.5".to_owned())]));
}

#[test]
fn of_those_who_try_what_is_hopeless_each_twentieth_is_let_through_and_no_other() {
    let made = outcomes(|| {
        let (throttle, _) = open(builder(1));
        (0..20).for_each(|_| throttle.repeated(Category::Network, false));
        assert!((0..19).all(|_| !throttle.0.tally.may_help(Category::Network)));
        let others = [0, 1].map(|_| {
            let throttle = throttle.clone();
            thread::spawn(move || throttle.0.tally.may_help(Category::Network))
        });
        others.map(|other| other.join().unwrap())
    });
    assert_eq!(made, BTreeSet::from([[true, false], [false, true]]));
}
