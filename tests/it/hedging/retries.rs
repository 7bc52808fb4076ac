//! A race as one attempt of a retry, or of a recovery.

use recoup::{
    Bulkhead, CircuitBreaker, Jitter, Recovery, RetryBudget, RetryPolicy, execute_with_recovery, retry,
    retry_with,
};

use super::*;

fn three() -> RetryPolicy {
    RetryPolicy::fixed(ms(100)).jitter(Jitter::None).max_attempts(3).no_budget().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn c1_each_attempt_of_a_retry_is_a_race_of_its_own() {
    let (hedge, world) = (build(Hedge::after(ms(10))), World::default());
    let policy = three();
    let race = hedge.around(world.attempts(&[Does::Fails(30), Does::Fails(30)]));
    assert_eq!(retry_with(race).policy(&policy).await, Err(0));
    let expected = [0, 10, 140, 150, 280, 290].map(ms);
    assert_eq!(*world.made_at.borrow(), expected, "the wait begins when all have failed");
    assert_eq!((world.live.get(), hedge.snapshot().calls), (0, 3));
}

/// It would be a retry without a wait, and without the retry's budget.
#[tokio::test(start_paused = true)]
async fn failure_inside_a_retry_is_left_to_the_retry() {
    let (hedge, world) = (build(Hedge::after(ms(10))), World::default());
    let policy = three();
    let race = hedge.around(world.attempts(&[Does::Fails(1), Does::Answers(1)]));
    assert_eq!(retry_with(race).policy(&policy).await, Err(0));
    assert_eq!((world.made.get(), hedge.snapshot().launched), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn race_is_one_attempt_to_the_recovery_around_it() {
    let breaker = CircuitBreaker::builder("search").build().unwrap();
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let recovery = Recovery::<u32>::builder("search")
        .circuit_breaker(breaker.clone())
        .bulkhead(bulkhead.clone())
        .retry(RetryPolicy::fixed(ms(100)).jitter(Jitter::None).max_attempts(2).no_budget())
        .attempt_timeout(ms(50))
        .build()
        .unwrap();
    let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(3)), World::default());

    let race = hedge.around(world.attempts(&[Does::Hangs, Does::Hangs, Does::Answers(20)]));
    assert_eq!(execute_with_recovery(&recovery, race).await.unwrap(), 2);
    assert_eq!((world.made.get(), bulkhead.in_use()), (3, 0));

    let race = hedge.around(world.attempts(&[Does::Hangs; 3]));
    let error = execute_with_recovery(&recovery, race).await.unwrap_err();
    assert_eq!(error.attempts(), 2, "cut short as a whole, and repeated as a whole");
    assert_eq!((world.made.get(), world.live.get(), bulkhead.in_use()), (9, 0, 0));
    assert_eq!(breaker.snapshot().calls, 3, "one answer for each race");
}

#[tokio::test(start_paused = true)]
async fn attempts_of_a_race_are_told_apart_by_their_hedge_and_not_by_their_number() {
    let hedge = build(Hedge::after(ms(10)));
    let told = RefCell::new(Vec::new());
    let race = hedge.around(Idempotent(|attempt: Attempt| {
        told.borrow_mut().push((attempt.number(), attempt.hedge(), attempt.is_first()));
        async {
            tokio::time::sleep(ms(15)).await;
            Err::<(), _>("busy")
        }
    }));
    let policy = RetryPolicy::fixed(ms(1)).max_attempts(2).build().unwrap();
    retry_with(race).policy(&policy).await.unwrap_err();
    assert_eq!(*told.borrow(), [(1, 0, true), (1, 1, false), (2, 0, false), (2, 1, false)]);
}

#[tokio::test(start_paused = true)]
async fn hedges_and_retries_pay_from_one_budget_and_success_pays_in_once() {
    let budget = RetryBudget::builder().share(1.0).reserve(0).no_trickle().build().unwrap();
    let policy = RetryPolicy::fixed(ms(1)).budget(budget.clone()).build().unwrap();
    let (hedge, world) = (build(Hedge::after(ms(10)).budget(&budget)), World::default());
    let quick = hedge.around(world.attempts(&[Does::Answers(1)]));
    retry_with(quick).policy(&policy).await.unwrap();
    assert_eq!(budget.tokens(), 1, "by the retry, and not by the hedge too");
    let slow = hedge.around(world.attempts(&[Does::Hangs, Does::Fails(1)]));
    let cut = tokio::time::timeout(ms(50), retry_with(slow).policy(&policy)).await;
    assert!(cut.is_err());
    assert_eq!(budget.tokens(), 0);
    let failing = hedge.around(world.attempts(&[Does::Fails(1)]));
    let made = world.made.get();
    retry_with(failing).policy(&policy).await.unwrap_err();
    assert_eq!(world.made.get() - made, 1, "nothing is left for a retry");
}

/// The first attempt fails long before its hedge does, in another poll of the race.
#[tokio::test(start_paused = true)]
async fn retries_inside_of_a_race_do_not_multiply_with_those_around_it() {
    let (hedge, policy) = (build(Hedge::after(ms(10))), three());
    let made = Cell::new(0);
    let (hedge, policy, made) = (&hedge, &policy, &made);
    let inner = move |attempt: Attempt| async move {
        let each = ms(if attempt.hedge() == 0 { 1 } else { 50 });
        let inner = retry(|| async {
            made.set(made.get() + 1);
            tokio::time::sleep(each).await;
            Err::<(), _>("down")
        });
        inner.policy(policy).await
    };
    retry(|| hedge.call(Idempotent(inner))).policy(policy).await.unwrap_err();
    assert_eq!(made.get(), 2 * 3, "the outer one does not begin again what an inner one gave up");
}
