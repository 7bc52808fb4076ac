//! What the budget of its own settings promises.

use std::thread;

use proptest::prelude::*;

use super::bucket::TOKEN;
use super::*;
use crate::time;

const SECOND: Duration = Duration::from_secs(1);

/// What was repeated makes no difference to this budget.
const ANY: Category = Category::Network;

fn bucket(budget: &RetryBudget) -> &Bucket {
    let Kind::Bucket(bucket) = &budget.0 else { panic!("a budget with settings of its own") };
    bucket
}

fn empty() -> RetryBudgetBuilder {
    RetryBudget::builder().reserve(0).capacity(1_000_000).no_trickle()
}

/// Spends all there is and says how much it was.
fn drain(budget: &RetryBudget, now: Instant) -> u32 {
    let tokens = std::iter::from_fn(|| budget.reserve(ANY, now));
    tokens.map(Token::spend).count().try_into().unwrap()
}

fn start(budget: &RetryBudget) -> Instant {
    bucket(budget).start
}

fn level(budget: &RetryBudget) -> u64 {
    bucket(budget).level.units()
}

#[test]
fn deposits_add_up_exactly_to_their_share() {
    for (share, expected) in [
        (0.01, 1_000),
        (0.1, 10_000),
        (0.2, 20_000),
        (0.33, 33_000),
        (0.6, 60_000),
        (0.9, 90_000),
        (1.0, 100_000),
        (2.5, 250_000),
    ] {
        let budget = empty().share(share).build().unwrap();
        (0..100_000).for_each(|_| budget.deposit(false));
        assert_eq!(drain(&budget, start(&budget)), expected, "{share}");
    }
}

#[test]
fn sixty_percent_is_sixty_percent_at_every_step() {
    let budget = empty().share(0.6).build().unwrap();
    let mut retries = 0;
    for successes in 1..=1_000 {
        budget.deposit(false);
        if let Some(token) = budget.reserve(ANY, start(&budget)) {
            token.spend();
            retries += 1;
        }
        assert_eq!(retries, successes * 6 / 10);
    }
}

#[test]
fn asking_pays_nothing_in() {
    let budget = empty().build().unwrap();
    for _ in 0..1_000 {
        assert!(budget.reserve(ANY, start(&budget)).is_none());
    }
    assert_eq!(level(&budget), 0);
}

#[test]
fn exactly_what_is_there_can_be_reserved_and_dropping_gives_it_back() {
    let budget = RetryBudget::builder().reserve(200).capacity(200).no_trickle().build().unwrap();
    let now = start(&budget);
    let mut held: Vec<_> = (0..1_000).filter_map(|_| budget.reserve(ANY, now)).collect();
    assert_eq!(held.len(), 200);
    held.truncate(150);
    assert_eq!(budget.tokens_at(now), 50);
    assert_eq!(drain(&budget, now), 50);
    held.into_iter().for_each(Token::spend);
    assert_eq!(budget.tokens_at(now), 0);
}

#[test]
fn token_held_through_a_panic_comes_back() {
    let budget = RetryBudget::builder().reserve(1).no_trickle().build().unwrap();
    let held = budget.reserve(ANY, start(&budget)).unwrap();
    assert_eq!(budget.tokens(), 0);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = held;
        panic!("while held");
    }));
    assert!(panicked.is_err());
    assert_eq!(budget.tokens(), 1);
}

#[test]
fn returned_token_does_not_overfill() {
    let budget = RetryBudget::builder().reserve(1).capacity(1).share(1.0).no_trickle().build().unwrap();
    let held = budget.reserve(ANY, start(&budget)).unwrap();
    budget.deposit(false);
    drop(held);
    assert_eq!(level(&budget), TOKEN);
}

#[test]
fn trickle_revives_an_empty_budget() {
    let budget = empty().trickle(30 * SECOND).build().unwrap();
    let now = start(&budget);
    assert_eq!(budget.next_token_in(ANY, now), Some(30 * SECOND));
    let before = now + 30 * SECOND - Duration::from_nanos(1);
    assert!(budget.reserve(ANY, before).is_none());
    assert_eq!(budget.next_token_in(ANY, before), Some(Duration::from_nanos(1)));
    budget.reserve(ANY, now + 30 * SECOND).unwrap().spend();
    assert!(budget.reserve(ANY, now + 30 * SECOND).is_none());
    assert_eq!(drain(&budget, now + 100 * SECOND), 2, "the remainder is carried");
    assert_eq!(budget.next_token_in(ANY, now + 100 * SECOND), Some(20 * SECOND));
    assert_eq!(drain(&budget, now + 120 * SECOND), 1);
}

#[test]
fn trickle_asked_for_often_is_not_lost_to_rounding() {
    let budget = empty().trickle(Duration::from_nanos(7)).build().unwrap();
    let now = start(&budget);
    let spent: u32 = (0..=10_000).map(|ns| drain(&budget, now + Duration::from_nanos(ns))).sum();
    assert_eq!(spent, 10_000 / 7);
}

#[test]
fn full_budget_saves_up_no_time() {
    let budget = RetryBudget::builder().reserve(3).capacity(3).trickle(SECOND).build().unwrap();
    let later = start(&budget) + 1_000 * SECOND;
    assert_eq!(drain(&budget, later), 3);
    assert_eq!(drain(&budget, later), 0);
    assert_eq!(drain(&budget, later + SECOND), 1);
}

#[test]
fn time_that_runs_backwards_or_very_far_does_no_harm() {
    let budget = empty().capacity(5).trickle(Duration::from_nanos(1)).build().unwrap();
    let now = start(&budget);
    assert_eq!(budget.tokens_at(now - SECOND), 0);
    let far = time::later_or_far(now, Duration::MAX);
    assert_eq!(drain(&budget, far), 5);
    assert_eq!(drain(&budget, now + SECOND), 0, "an earlier moment is not paid again");
    assert!(budget.next_token_in(ANY, now).is_some());
}

#[test]
fn without_a_trickle_empty_stays_empty() {
    for builder in [empty().no_trickle(), empty().trickle(Duration::MAX)] {
        let budget = builder.build().unwrap();
        let far = time::later_or_far(start(&budget), Duration::MAX);
        assert_eq!(budget.next_token_in(ANY, far), None);
        assert!(budget.reserve(ANY, far).is_none());
        (0..5).for_each(|_| budget.deposit(false));
        assert_eq!(budget.next_token_in(ANY, far), Some(Duration::ZERO));
    }
}

#[test]
fn unlimited_never_runs_out() {
    let budget = RetryBudget::unlimited();
    budget.deposit(false);
    for _ in 0..1_000 {
        budget.reserve(ANY, time::now()).unwrap().spend();
    }
    assert_eq!((budget.tokens(), budget.next_token_in(ANY, time::now())), (u32::MAX, Some(Duration::ZERO)));
}

#[tokio::test(start_paused = true)]
async fn tokens_follow_the_paused_clock_and_clones_share_them() {
    let budget = RetryBudget::default();
    drain(&budget, time::now());
    tokio::time::advance(61 * SECOND).await;
    assert_eq!(budget.clone().tokens(), 2);
    assert_eq!(format!("{budget:?}"), "RetryBudget { tokens: 2, capacity: 100, .. }");
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |builder: RetryBudgetBuilder| builder.build().unwrap_err().setting;
    for share in [0.0, -0.2, 1e-9, 1_000.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(refused(RetryBudget::builder().share(share)), "share");
    }
    assert_eq!(refused(RetryBudget::builder().capacity(0).reserve(0)), "capacity");
    assert_eq!(refused(RetryBudget::builder().reserve(101)), "capacity");
    assert_eq!(refused(RetryBudget::builder().trickle(Duration::ZERO)), "trickle");
    for share in [0.000_001, 1_000.0] {
        assert!(RetryBudget::builder().share(share).build().is_ok());
    }
    let largest = RetryBudget::builder().capacity(u32::MAX).reserve(u32::MAX).build().unwrap();
    assert_eq!(largest.tokens(), u32::MAX);
}

#[test]
fn threads_lose_and_invent_nothing() {
    const EACH: u64 = 20_000;
    let budget = empty().reserve(1_000).share(0.33).build().unwrap();
    let now = start(&budget);
    let spent: u64 = thread::scope(|scope| {
        let workers: Vec<_> = (0..8_u64)
            .map(|worker| {
                let budget = &budget;
                scope.spawn(move || {
                    let mut spent = 0;
                    for turn in 0..EACH {
                        budget.deposit(false);
                        match budget.reserve(ANY, now) {
                            Some(token) if (turn + worker) % 3 == 0 => {
                                token.spend();
                                spent += 1;
                            }
                            token => drop(token),
                        }
                    }
                    spent
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(spent > 0);
    assert_eq!(level(&budget), 1_000 * TOKEN + 8 * EACH * 330_000 - spent * TOKEN);
}

#[test]
fn threads_pay_each_period_of_the_trickle_once() {
    const STEPS: u64 = 20_000;
    let budget = empty().trickle(Duration::from_nanos(3)).build().unwrap();
    let now = start(&budget);
    let spent: u32 = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let budget = &budget;
                scope.spawn(move || {
                    (0..=STEPS).map(|ns| drain(budget, now + Duration::from_nanos(ns))).sum::<u32>()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let rest = drain(&budget, now + Duration::from_nanos(STEPS));
    assert_eq!(u64::from(spent + rest), STEPS / 3);
}

#[test]
fn threads_never_hold_more_than_the_capacity() {
    let budget = empty().reserve(5).capacity(5).share(2.5).build().unwrap();
    let now = start(&budget);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    drop(budget.reserve(ANY, now));
                    budget.deposit(false);
                    assert!(level(&budget) <= 5 * TOKEN);
                }
            });
        }
    });
    assert_eq!(level(&budget), 5 * TOKEN);
}

#[derive(Clone, Debug)]
enum Step {
    Deposit,
    Reserve,
    Drop,
    Spend,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Deposit),
        4 => Just(Step::Reserve),
        1 => Just(Step::Drop),
        2 => Just(Step::Spend),
        2 => (0_u64..5_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn any_history_matches_a_naive_model(
        share in 1_u32..3_000_000,
        reserve in 0_u32..5,
        room in 1_u32..8,
        period in 1_u64..4_000,
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let budget = RetryBudget::builder()
            .share(f64::from(share) / 1e6)
            .reserve(reserve)
            .capacity(reserve + room)
            .trickle(Duration::from_nanos(period))
            .build()
            .unwrap();
        let start = start(&budget);
        let token = i128::from(TOKEN);
        let capacity = i128::from(reserve + room) * token;
        // The model pays its trickle at once, one nanosecond after the other.
        let (mut level_then, mut ns) = (i128::from(reserve) * token, 0_u64);
        let mut held = Vec::new();
        for step in steps {
            let now = start + Duration::from_nanos(ns);
            match step {
                Step::Deposit => {
                    budget.deposit(false);
                    level_then = capacity.min(level_then + i128::from(share));
                }
                Step::Reserve => {
                    let got = budget.reserve(ANY, now);
                    prop_assert_eq!(got.is_some(), level_then >= token);
                    if let Some(got) = got {
                        held.push(got);
                        level_then -= token;
                    }
                }
                Step::Drop => if held.pop().is_some() {
                    level_then = capacity.min(level_then + token);
                },
                Step::Spend => if let Some(got) = held.pop() {
                    got.spend();
                },
                Step::Wait(wait) => for _ in 0..wait {
                    ns += 1;
                    if ns % period == 0 {
                        level_then = capacity.min(level_then + token);
                    }
                },
            }
            let now = start + Duration::from_nanos(ns);
            if let Step::Reserve = step {
                let wait = budget.next_token_in(ANY, now).unwrap();
                let expected = if level_then >= token { 0 } else { period - ns % period };
                prop_assert_eq!(wait, Duration::from_nanos(expected));
            }
        }
        let end = start + Duration::from_nanos(ns);
        prop_assert_eq!(i128::from(budget.tokens_at(end)), level_then / token);
        prop_assert_eq!(i128::from(level(&budget)), level_then);
    }
}
