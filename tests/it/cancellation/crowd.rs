//! A crowd of calls through the whole pipeline, each of them dropped after a random number of polls.

use std::ops::ControlFlow;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use recoup::{
    Backoff, Bulkhead, Category, CircuitBreaker, CircuitState, Classification, Cooldown, HalfOpen,
    MemoryQueue, Outcome, Recovery, RecoveryError, RetryBudget, RetryPolicy, WhenFull, execute_with_recovery,
};
use tokio_test::task::{self, Spawn};

use super::world::{Alive, MS, Oops, SlowQueue, pending_for};

const DROPPED: u32 = 100_000;
const AT_ONCE: usize = 24;
/// So much that it neither runs out nor is ever full: then what is in it can be told to the token.
const RESERVE: u32 = 1_000_000;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 32) % u64::from(n)).unwrap()
    }
}

struct Running<'w> {
    call: Spawn<LocalBoxFuture<'w, Result<(), RecoveryError<Oops>>>>,
    attempts: Alive,
    polls_left: u32,
}

/// What the budget must have gained and lost, by what the operations themselves saw.
#[derive(Debug, Default)]
struct Book {
    dropped: u32,
    dropped_while_running: u32,
    succeeded: u32,
    gave_up: u32,
    retries_failed: u32,
}

impl Book {
    /// Must come right before the call is dropped.
    fn close(&mut self, running: &Running<'_>, succeeded: bool) {
        let retries = running.attempts.ever().saturating_sub(1);
        let unpaid = retries > 0 && (succeeded || running.attempts.now() > 0);
        self.retries_failed += retries - u32::from(unpaid);
        self.succeeded += u32::from(succeeded);
    }
}

struct Crowd {
    recovery: Recovery<Oops>,
    breaker: CircuitBreaker,
    bulkhead: Bulkhead,
    budget: RetryBudget,
    queue: SlowQueue,
    hooks: Alive,
    operations: Alive,
}

impl Crowd {
    fn new() -> Self {
        let budget = RetryBudget::builder().reserve(RESERVE).capacity(2 * RESERVE).share(1.0).no_trickle();
        let budget = budget.build().unwrap();
        let breaker = CircuitBreaker::builder("crowd")
            .consecutive_failures(12)
            .open_for(Backoff::fixed(500 * MS))
            .half_open(HalfOpen::probes(3).successes(1))
            .build()
            .unwrap();
        let bulkhead = Bulkhead::builder(6).queue(12).build().unwrap();
        let stored = MemoryQueue::builder().capacity(50).when_full(WhenFull::DropOldest).build().unwrap();
        let queue = SlowQueue::on(stored);
        let (hooks, operations) = (Alive::default(), Alive::default());
        let living = hooks.clone();
        let recovery = Recovery::builder("crowd")
            .classifier(|error: &Oops| match error.0 {
                0 => Classification::of(Category::RateLimited).retry_after(100 * MS),
                _ => Classification::of(Category::Network),
            })
            .retry(RetryPolicy::exponential(50 * MS).max_attempts(4).budget(budget.clone()))
            .circuit_breaker(breaker.clone())
            .bulkhead(bulkhead.clone())
            .cooldown(Cooldown::builder().burst(100))
            .attempt_timeout(300 * MS)
            .deadline(3000 * MS)
            .dead_letters(queue.clone())
            .before_retry(move |_| {
                let living = living.clone();
                async move {
                    let _living = living.born();
                    pending_for(1).await;
                    ControlFlow::Continue(())
                }
            })
            .build()
            .unwrap();
        Self { recovery, breaker, bulkhead, budget, queue, hooks, operations }
    }

    fn call(&self, dice: &mut Dice) -> Running<'_> {
        let (seed, polls_left) = (dice.0, dice.below(16));
        let attempts = Alive::default();
        let mine = attempts.clone();
        let call = execute_with_recovery(&self.recovery, move |attempt| {
            let mut dice = Dice(seed.wrapping_add(u64::from(attempt.number()) << 40) | 1);
            dice.below(1);
            let (mine, all) = (mine.clone(), self.operations.clone());
            async move {
                let _living = (mine.born(), all.born());
                pending_for(dice.below(3)).await;
                match dice.below(8) {
                    0..=2 => Ok(()),
                    3 => std::future::pending().await,
                    _ => Err(Oops(dice.below(20))),
                }
            }
        });
        Running { call: task::spawn(call.boxed_local()), attempts, polls_left }
    }

    async fn drop_many(&self) -> Book {
        let (mut dice, mut book) = (Dice(0x5EED_1234_5678_9ABC), Book::default());
        let mut places: Vec<Option<Running<'_>>> = (0..AT_ONCE).map(|_| None).collect();
        while book.dropped < DROPPED {
            if dice.below(4) == 0 {
                tokio::time::advance(MS * dice.below(120)).await;
            }
            let place = &mut places[dice.below(24) as usize];
            let running = place.get_or_insert_with(|| self.call(&mut dice));
            if running.polls_left == 0 {
                book.close(running, false);
                book.dropped += 1;
                book.dropped_while_running += u32::from(running.attempts.now() > 0);
                *place = None;
                continue;
            }
            running.polls_left -= 1;
            if let std::task::Poll::Ready(result) = running.call.poll() {
                book.close(running, result.is_ok());
                book.gave_up += u32::from(result.is_err());
                *place = None;
            }
        }
        for running in places.into_iter().flatten() {
            book.close(&running, false);
        }
        book
    }
}

#[tokio::test(start_paused = true)]
async fn c2_everything_is_back_after_a_crowd_of_calls_dropped_at_a_random_poll() {
    let crowd = Crowd::new();
    let book = crowd.drop_many().await;
    // The run says something only if it has been everywhere.
    for seen in [book.dropped_while_running, book.succeeded, book.gave_up, book.retries_failed] {
        assert!(seen > DROPPED / 100, "{book:?}");
    }
    assert!(crowd.hooks.ever() > 100 && crowd.queue.pushes.ever() > 100, "{book:?}");

    assert_eq!((crowd.bulkhead.in_use(), crowd.bulkhead.queued()), (0, 0));
    assert_eq!((crowd.operations.now(), crowd.hooks.now(), crowd.queue.pushes.now()), (0, 0, 0));
    assert_eq!(crowd.budget.tokens(), RESERVE + book.succeeded - book.retries_failed, "{book:?}");

    // Whatever state it was left in: every place in a half-open circuit is free.
    crowd.breaker.reset();
    (0..12).for_each(|_| crowd.breaker.admit().unwrap().settle(Outcome::Failure));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(crowd.breaker.state(), CircuitState::HalfOpen);
    let permits: Vec<_> = std::iter::from_fn(|| crowd.breaker.admit().ok()).collect();
    assert_eq!(permits.len(), 3);
    for permit in permits {
        permit.settle(Outcome::Success);
    }
    tokio::time::advance(Duration::from_secs(5)).await;
    execute_with_recovery(&crowd.recovery, |_| async { Ok::<_, Oops>(()) }).await.unwrap();
}
