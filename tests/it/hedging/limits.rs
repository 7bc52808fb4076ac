//! How much load hedges may add, and what cannot be set.

use futures::future::join_all;
use proptest::prelude::*;
use recoup::{RetryBudget, SettingError};

use super::*;

fn holds(tokens: u32) -> RetryBudget {
    RetryBudget::builder().reserve(tokens).capacity(100).no_trickle().build().unwrap()
}

// ## G5: an empty budget suppresses the extra attempt and nothing else.

#[tokio::test(start_paused = true)]
async fn g5_empty_budget_suppresses_the_hedge_and_the_first_attempt_answers() {
    let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(3).budget(&holds(0))), World::default());
    let begun = Instant::now();
    let does = [Does::Answers(95), Does::Hangs, Does::Hangs];
    assert_eq!(hedge.call(world.attempts(&does)).await, Ok(0));
    assert_eq!(begun.elapsed(), ms(95), "nobody waits for a token");
    assert_eq!(world.made.get(), 1);
    assert_eq!((hedge.snapshot().suppressed, hedge.snapshot().launched), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn g5_empty_budget_does_not_hide_the_error() {
    let (hedge, world) = (build(Hedge::after(ms(10)).budget(&holds(0))), World::default());
    let begun = Instant::now();
    assert_eq!(hedge.call(world.attempts(&[Does::Fails(5), Does::Hangs])).await, Err(0));
    assert_eq!((begun.elapsed(), hedge.snapshot().suppressed), (ms(5), 1));
}

/// Elsewhere a budget that ran out ended all attempts that were under way.
#[tokio::test(start_paused = true)]
async fn g5_budget_that_runs_out_leaves_hedges_under_way_alone() {
    let budget = holds(1);
    let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(3).budget(&budget)), World::default());
    let does = [Does::Hangs, Does::Answers(50), Does::Hangs];
    assert_eq!(hedge.call(world.attempts(&does)).await, Ok(1));
    let seen = hedge.snapshot();
    assert_eq!((seen.launched, seen.won, seen.suppressed), (1, 1, 1));
    assert_eq!(budget.tokens(), 0, "spent, though it won");
}

#[tokio::test(start_paused = true)]
async fn g5_call_that_is_dropped_has_spent_what_it_launched_and_no_more() {
    let budget = holds(5);
    let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(4).budget(&budget)), World::default());
    for (dropped_after, spent) in [(5, 0), (15, 1), (25, 3)] {
        let call = hedge.call(world.attempts(&[Does::Hangs; 4]));
        assert!(tokio::time::timeout(ms(dropped_after), call).await.is_err());
        assert_eq!(budget.tokens(), 5 - spent);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_succeed_pay_in_and_those_that_fail_do_not() {
    let budget = RetryBudget::builder().share(0.5).reserve(0).no_trickle().build().unwrap();
    let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(1).budget(&budget)), World::default());
    for _ in 0..6 {
        hedge.call(world.attempts(&[Does::Answers(1)])).await.unwrap();
        hedge.call(world.attempts(&[Does::Fails(1)])).await.unwrap_err();
    }
    assert_eq!(budget.tokens(), 3);
}

#[tokio::test(start_paused = true)]
async fn token_of_the_share_comes_back_when_the_budget_is_empty() {
    let budget = RetryBudget::builder().share(1.0).reserve(0).no_trickle().build().unwrap();
    let hedge = Hedge::after(ms(10)).max_extra(0.1).budget(&budget).build().unwrap();
    let world = World::default();
    let hangs = || tokio::time::timeout(ms(30), hedge.call(world.attempts(&[Does::Hangs, Does::Hangs])));
    for _ in 0..10 {
        hangs().await.unwrap_err();
    }
    assert_eq!((hedge.snapshot().launched, hedge.snapshot().suppressed), (0, 10));
    hedge.call(world.attempts(&[Does::Answers(1)])).await.unwrap();
    hangs().await.unwrap_err();
    assert_eq!(hedge.snapshot().launched, 1, "what ten calls had saved up was still there");
}

// ## The share of the calls.

#[tokio::test(start_paused = true)]
async fn crowd_that_is_slow_as_a_whole_is_hedged_for_a_twentieth() {
    let hedge = Hedge::after(ms(10)).build().unwrap();
    let slow = |_: Attempt| async {
        tokio::time::sleep(ms(100)).await;
        Ok::<_, ()>(())
    };
    let answers = join_all((0..1_000).map(|_| hedge.call(Idempotent(slow)))).await;
    assert!(answers.iter().all(Result::is_ok));
    let seen = hedge.snapshot();
    assert_eq!((seen.calls, seen.launched, seen.suppressed), (1_000, 50, 950));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn extra_load_never_exceeds_its_share(share in 1_u64..=100, attempts in 2_u32..5, slow in prop::collection::vec(any::<bool>(), 1..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            #[expect(clippy::cast_precision_loss, reason = "up to a hundred")]
            let hedge = Hedge::after(ms(10)).max_attempts(attempts).max_extra(share as f64 / 100.0);
            let hedge = hedge.build().unwrap();
            for slow in slow {
                let takes = if slow { 35 } else { 1 };
                let call = hedge.call(Idempotent(|_| async move {
                    tokio::time::sleep(ms(takes)).await;
                    Ok::<_, ()>(())
                }));
                call.await.unwrap();
                let seen = hedge.snapshot();
                prop_assert!(seen.launched * 100 <= seen.calls * share);
                prop_assert_eq!(seen.launched, seen.won + seen.wasted);
            }
            Ok(())
        })?;
    }
}

// ## Settings.

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let after = || Hedge::after(ms(10));
    let refused = |hedge: HedgeBuilder| -> SettingError { hedge.build().unwrap_err() };
    let mut cases = vec![
        (refused(Hedge::after(Duration::ZERO)), "after"),
        (refused(after().max_attempts(0)), "max_attempts"),
        (refused(after().max_attempts(11)), "max_attempts"),
        (refused(after().max_attempts(u32::MAX)), "max_attempts"),
        (refused(after().warm_up(0)), "warm_up"),
        (refused(after().until_warm(Duration::ZERO)), "until_warm"),
        (refused(after().min_delay(Duration::ZERO)), "min_delay"),
        (refused(after().memory(Duration::ZERO)), "memory"),
    ];
    for share in [0.0, -0.1, 1.1, 1e-7, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
        cases.push((refused(after().max_extra(share)), "max_extra"));
    }
    for share in [0.0, -0.1, 1.1, 95.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        cases.push((refused(Hedge::at_quantile(share)), "at_quantile"));
    }
    for (error, setting) in cases {
        assert_eq!((error.policy, error.setting), ("hedge", setting), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_at_their_edges_build_and_work() {
    const MAX: Duration = Duration::MAX;
    let patient = Hedge::at_quantile(1.0).warm_up(u32::MAX).until_warm(MAX).min_delay(MAX).memory(MAX);
    for hedge in [
        patient.max_attempts(10),
        Hedge::at_quantile(f64::MIN_POSITIVE).warm_up(1).memory(Duration::from_nanos(1)),
        Hedge::after(Duration::from_nanos(1)).max_extra(1.0).max_attempts(10),
        Hedge::after(MAX).max_extra(1e-6).max_attempts(1),
    ] {
        let (hedge, world) = (hedge.build().unwrap(), World::default());
        for _ in 0..100 {
            hedge.call(world.attempts(&[Does::Answers(7); 10])).await.unwrap();
        }
        assert_eq!((hedge.snapshot().calls, world.live.get()), (100, 0));
    }
}
