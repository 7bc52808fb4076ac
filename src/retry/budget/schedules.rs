//! What the budget promises in whatever order threads come to it.

#![expect(clippy::unwrap_used, reason = "a thread or a setting that fails, fails the model")]

#[cfg(all(test, recoup_shuttle))]
mod by_chance;

use std::collections::BTreeSet;

use super::bucket::TOKEN;
use super::*;
use crate::sync::model::{outcomes, thread};

const PERIOD: Duration = Duration::from_secs(30);

/// What was repeated makes no difference to this budget.
const ANY: Category = Category::Network;

fn bucket(budget: &RetryBudget) -> &Bucket {
    let Kind::Bucket(bucket) = &budget.0 else { panic!("a budget with settings of its own") };
    bucket
}

fn budget(reserve: u32, capacity: u32) -> RetryBudgetBuilder {
    RetryBudget::builder().reserve(reserve).capacity(capacity).no_trickle()
}

/// A budget for a model, and when it began.
fn open(builder: RetryBudgetBuilder) -> (RetryBudget, Instant) {
    let budget = builder.build().unwrap();
    let start = bucket(&budget).start;
    (budget, start)
}

/// Takes a token for good. Whether there was one.
fn spend(budget: &RetryBudget, now: Instant) -> bool {
    budget.reserve(ANY, now).map(Token::spend).is_some()
}

fn level(budget: &RetryBudget) -> u64 {
    bucket(budget).level.units()
}

#[test]
fn last_token_goes_to_exactly_one_of_three() {
    let takers = outcomes(|| {
        let (budget, now) = open(budget(1, 1));
        let others = [0, 1].map(|_| {
            let budget = budget.clone();
            thread::spawn(move || spend(&budget, now))
        });
        let mine = spend(&budget, now);
        let [first, second] = others.map(|other| other.join().unwrap());
        assert_eq!(level(&budget), 0);
        (first, second, mine)
    });
    assert_eq!(takers, BTreeSet::from([(true, false, false), (false, true, false), (false, false, true)]));
}

#[test]
fn token_dropped_in_flight_goes_back_whoever_asks_meanwhile() {
    let came = outcomes(|| {
        let (budget, now) = open(budget(1, 1));
        let other = budget.clone();
        let dropper = thread::spawn(move || other.reserve(ANY, now).is_some());
        let spent = spend(&budget, now);
        let had = dropper.join().unwrap();
        assert_eq!(budget.tokens_at(now), u32::from(!spent), "a token is spent or there");
        assert!(spent || had, "a token that nobody has can be taken");
        (had, spent)
    });
    assert_eq!(came, BTreeSet::from([(true, true), (true, false), (false, true)]));
}

#[test]
fn deposits_that_race_with_a_returning_token_never_exceed_the_capacity() {
    let levels = outcomes(|| {
        let (budget, now) = open(budget(1, 1).share(0.6));
        let token = budget.reserve(ANY, now);
        let depositor = budget.clone();
        let deposits = thread::spawn(move || {
            depositor.deposit(false);
            depositor.deposit(false);
        });
        let returns = thread::spawn(move || drop(token));
        let other = budget.clone();
        let watches = thread::spawn(move || level(&other));
        deposits.join().unwrap();
        returns.join().unwrap();
        let seen = watches.join().unwrap();
        assert_eq!(level(&budget), TOKEN);
        seen
    });
    assert_eq!(levels, BTreeSet::from([0, TOKEN * 3 / 5, TOKEN]));
}

#[test]
fn no_deposit_is_lost_below_the_capacity() {
    let taken = outcomes(|| {
        let (budget, now) = open(budget(1, 100).share(0.5));
        let depositors = [0, 1].map(|_| {
            let budget = budget.clone();
            thread::spawn(move || budget.deposit(false))
        });
        let taken = [spend(&budget, now), spend(&budget, now)].map(u64::from);
        for depositor in depositors {
            depositor.join().unwrap();
        }
        assert_eq!(level(&budget) + (taken[0] + taken[1]) * TOKEN, 2 * TOKEN);
        taken
    });
    assert_eq!(taken, BTreeSet::from([[1, 0], [1, 1]]));
}

#[test]
fn trickle_is_paid_once_whoever_comes_for_it() {
    let takers = outcomes(|| {
        let (budget, start) = open(budget(0, 10).trickle(PERIOD));
        let now = start + PERIOD;
        let others = [0, 1].map(|_| {
            let budget = budget.clone();
            thread::spawn(move || spend(&budget, now))
        });
        let others = others.map(|other| other.join().unwrap());
        assert_eq!(level(&budget), 0);
        others
    });
    assert_eq!(takers, BTreeSet::from([[true, false], [false, true]]));
}

#[test]
fn trickle_of_two_looks_at_different_times_adds_up() {
    let tokens = outcomes(|| {
        let (budget, start) = open(budget(0, 10).trickle(PERIOD));
        let early = budget.clone();
        let other = thread::spawn(move || early.tokens_at(start + PERIOD));
        let seen = budget.tokens_at(start + 3 * PERIOD);
        let seen_early = other.join().unwrap();
        assert_eq!(budget.tokens_at(start + 3 * PERIOD), 3);
        (seen_early, seen)
    });
    // Who looks while another pays may miss what that one is paying, and never sees more than there is.
    assert_eq!(tokens.iter().map(|seen| seen.0).max(), Some(3));
    assert_eq!(tokens.iter().map(|seen| seen.1).max(), Some(3));
    assert!(tokens.iter().all(|seen| seen.1 >= 2), "{tokens:?}");
}
