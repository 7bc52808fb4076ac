//! The delay that is learned from what calls take.

use super::*;

async fn takes(hedge: &Hedge, time: u64) -> u32 {
    let made = Cell::new(0);
    let call = hedge.call(Idempotent(|attempt: Attempt| {
        made.set(made.get() + 1);
        async move {
            tokio::time::sleep(ms(if attempt.hedge() == 0 { time } else { 5 })).await;
            Ok::<_, ()>(())
        }
    }));
    call.await.unwrap();
    made.get()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_by_time_until_there_is_enough_to_tell() {
    let hedge = build(Hedge::at_quantile(0.9).warm_up(50));
    for _ in 0..50 {
        assert_eq!(hedge.snapshot().delay, None);
        assert_eq!(takes(&hedge, 10).await, 1);
    }
    let delay = hedge.snapshot().delay.unwrap();
    assert!(delay >= ms(10) && delay < ms(11), "{delay:?}");
    assert_eq!(takes(&hedge, 1_000).await, 2);
    assert_eq!(takes(&hedge, 10).await, 1);
}

#[tokio::test(start_paused = true)]
async fn fixed_delay_is_taken_until_there_is_enough_to_tell() {
    let hedge = build(Hedge::at_quantile(0.9).warm_up(3).until_warm(ms(40)));
    assert_eq!(hedge.snapshot().delay, Some(ms(40)));
    assert_eq!(takes(&hedge, 39).await, 1);
    assert_eq!(takes(&hedge, 41).await, 2);
    assert_eq!(takes(&hedge, 10).await, 1);
    assert!(
        hedge.snapshot().delay.is_some_and(|delay| delay > ms(40) && delay < ms(44)),
        "the slowest of three"
    );
}

#[tokio::test(start_paused = true)]
async fn quick_service_is_not_hedged_before_the_shortest_delay() {
    for (builder, least) in [
        (Hedge::at_quantile(0.9).warm_up(10), ms(1)),
        (Hedge::at_quantile(0.9).warm_up(10).min_delay(ms(20)), ms(20)),
    ] {
        let hedge = build(builder);
        for _ in 0..10 {
            hedge.call(Idempotent(|_| async { Ok::<_, ()>(()) })).await.unwrap();
        }
        assert_eq!(hedge.snapshot().delay, Some(least));
    }
}

/// Were an attempt forgotten because its hedge was faster, only quick ones would be known, and each hedge
/// would bring the next one forward until everything is hedged.
#[tokio::test(start_paused = true)]
async fn slow_attempts_that_were_overtaken_count_so_that_hedges_do_not_feed_on_themselves() {
    let hedge = build(Hedge::at_quantile(0.9).memory(ms(500)));
    for call in 0_u64..3_000 {
        takes(&hedge, 10 + call * 37 % 100).await;
    }
    let seen = hedge.snapshot();
    let delay = seen.delay.unwrap();
    assert!(delay >= ms(95) && delay <= ms(110), "{delay:?}");
    let share = seen.launched * 100 / seen.calls;
    assert!((4..=11).contains(&share), "{share} % hedged at the 90th percentile");
}

#[tokio::test(start_paused = true)]
async fn slow_phase_that_is_over_is_forgotten() {
    let hedge = build(Hedge::at_quantile(0.95).max_attempts(1).memory(ms(10_000)));
    for _ in 0..500 {
        takes(&hedge, 900).await;
    }
    assert!(hedge.snapshot().delay.is_some_and(|delay| delay >= ms(900)));
    let over = Instant::now();
    while hedge.snapshot().delay.is_some_and(|delay| delay > ms(11)) {
        takes(&hedge, 10).await;
        assert!(over.elapsed() <= ms(21_000), "after twice its time: {:?}", hedge.snapshot().delay);
    }
}

#[tokio::test(start_paused = true)]
async fn quick_failures_and_early_drops_say_nothing_of_how_long_an_answer_takes() {
    let hedge = build(Hedge::at_quantile(0.5).warm_up(10).max_attempts(1));
    for _ in 0..40 {
        hedge.call(Idempotent(|_| async { Err::<(), _>("refused") })).await.unwrap_err();
        let dropped = hedge.call(Idempotent(|_| pending::<Result<(), ()>>()));
        assert!(tokio::time::timeout(ms(2), dropped).await.is_err());
    }
    assert_eq!(hedge.snapshot().delay, None);
    for _ in 0..32 {
        takes(&hedge, 30).await;
    }
    assert!(hedge.snapshot().delay.unwrap() >= ms(30));
}

/// It is the share of all calls that is hedged, and they are hedged before it is known how they end.
#[tokio::test(start_paused = true)]
async fn failures_that_took_long_count_as_slow() {
    let hedge = build(Hedge::at_quantile(0.5).warm_up(10).max_attempts(1));
    for _ in 0..32 {
        takes(&hedge, 10).await;
    }
    for _ in 0..64 {
        let failing = hedge.call(Idempotent(|_| async {
            tokio::time::sleep(ms(40)).await;
            Err::<(), _>("gave up")
        }));
        failing.await.unwrap_err();
    }
    assert!(hedge.snapshot().delay.unwrap() >= ms(40));
}

#[tokio::test(start_paused = true)]
async fn time_of_a_hedge_that_mends_a_quick_failure_is_not_the_first_attempts() {
    let hedge = build(Hedge::at_quantile(0.5).warm_up(10));
    for _ in 0..32 {
        takes(&hedge, 10).await;
    }
    for _ in 0..64 {
        let world = World::default();
        assert_eq!(hedge.call(world.attempts(&[Does::Fails(2), Does::Answers(50)])).await, Ok(1));
    }
    assert!(hedge.snapshot().delay.unwrap() < ms(11));
}
