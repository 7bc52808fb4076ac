//! The wall clock steps between two runs of the process.

use std::path::Path;
use std::time::Duration;

use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, LetterState, RedbQueue, SettleError, Settlement};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A run of the process whose wall clock is ahead by this: the library's wall clock goes with tokio's, which is
/// paused and moved. Each run begins at the true time, so a run that is ahead by less than the one before it has
/// seen a step back.
fn run<Fut: Future<Output = T>, T>(ahead: Duration, work: impl FnOnce() -> Fut) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        tokio::time::advance(ahead).await;
        work().await
    })
}

async fn open(store: &Path) -> RedbQueue {
    RedbQueue::builder().time_to_live(7 * DAY).open(store).await.unwrap()
}

#[test]
fn d7_d11_clock_that_steps_back_between_runs_revives_nothing_and_loses_nothing() {
    let store = crate::folder("clock-back").join("letters.redb");
    // Leased for half an hour at one hour ahead of the true time.
    let token = run(HOUR, async || {
        let queue = open(&store).await;
        queue.push(DeadLetter::new("leased")).await.unwrap();
        let token = queue.lease(&LetterFilter::new(), 1, HOUR / 2).await.unwrap()[0].token;
        queue.push(DeadLetter::new("ready")).await.unwrap();
        queue.close().await.unwrap();
        token
    });
    // One hour back: the lease neither lasts an hour longer nor is it over.
    run(Duration::ZERO, async || {
        let queue = open(&store).await;
        let leased = queue.lease(&LetterFilter::new(), 10, HOUR / 2).await.unwrap();
        assert_eq!(leased.len(), 1, "one of two is free");
        assert_eq!(leased[0].letter.operation, "ready");
        queue.settle(leased[0].token, Settlement::untouched()).await.unwrap();
        tokio::time::advance(HOUR / 2 + Duration::from_secs(60)).await;
        let again = queue.lease(&LetterFilter::new(), 10, HOUR / 2).await.unwrap();
        assert_eq!(again.len(), 2, "half an hour later the lease has run out");
        assert_eq!(queue.settle(token, Settlement::Delivered).await, Err(SettleError::Fenced));
        assert!(again.iter().all(|leased| leased.token.fence() > token.fence()));
        queue.close().await.unwrap();
    });
}

#[test]
fn d11_letter_that_was_over_stays_over_when_the_clock_steps_back() {
    let store = crate::folder("clock-over").join("letters.redb");
    run(Duration::ZERO, async || {
        let queue = open(&store).await;
        queue.push(DeadLetter::new("old")).await.unwrap();
        queue.close().await.unwrap();
    });
    // Eight days later somebody else writes; the old letter is over then, whether that was written down or not.
    run(8 * DAY, async || {
        let queue = open(&store).await;
        queue.push(DeadLetter::new("new")).await.unwrap();
        queue.close().await.unwrap();
    });
    run(7 * DAY + 23 * HOUR, async || {
        let queue = open(&store).await;
        let seen = queue.peek(&LetterFilter::new().any_state(), 10).await.unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].operation, "new");
        assert_eq!(queue.lease(&LetterFilter::new(), 10, HOUR).await.unwrap().len(), 1);
        let stats = queue.stats().await.unwrap();
        assert_eq!((stats.expired, stats.held()), (1, 1));
        queue.close().await.unwrap();
    });
}

#[test]
fn d7_d11_clock_that_jumps_a_year_between_runs_expires_what_is_ready_and_counts_it() {
    let store = crate::folder("clock-year").join("letters.redb");
    run(Duration::ZERO, async || {
        let queue = open(&store).await;
        for operation in ["aside", "ready"] {
            queue.push(DeadLetter::new(operation)).await.unwrap();
        }
        let leased = queue.lease(&LetterFilter::new(), 1, HOUR).await.unwrap();
        queue.settle(leased[0].token, Settlement::Quarantine).await.unwrap();
        queue.close().await.unwrap();
    });
    run(YEAR, async || {
        let queue = open(&store).await;
        assert!(queue.lease(&LetterFilter::new(), 10, HOUR).await.unwrap().is_empty());
        let stats = queue.stats().await.unwrap();
        assert_eq!((stats.expired, stats.quarantined, stats.held()), (1, 1, 1));
        let left = queue.peek(&LetterFilter::new().any_state(), 10).await.unwrap();
        assert_eq!((left[0].operation.as_str(), left[0].state), ("aside", LetterState::Quarantined));
        queue.close().await.unwrap();
    });
    // And a year back: time stands still until it has caught up, and then goes on.
    run(Duration::ZERO, async || {
        let queue = open(&store).await;
        queue.push(DeadLetter::new("later")).await.unwrap();
        let leased = queue.lease(&LetterFilter::new(), 10, HOUR).await.unwrap();
        assert_eq!(leased.len(), 1);
        tokio::time::advance(HOUR + Duration::from_secs(60)).await;
        let again = queue.lease(&LetterFilter::new(), 10, HOUR).await.unwrap();
        assert_eq!(again[0].letter.deliveries, 2, "its lease ran out in an hour of this run");
        queue.settle(again[0].token, Settlement::untouched()).await.unwrap();
        tokio::time::advance(7 * DAY).await;
        assert!(queue.lease(&LetterFilter::new(), 10, HOUR).await.unwrap().is_empty());
        assert_eq!(queue.stats().await.unwrap().expired, 2);
        queue.close().await.unwrap();
    });
}

#[test]
fn d4_d6_numbers_and_fences_grow_whatever_the_clock_does() {
    let store = crate::folder("clock-numbers").join("letters.redb");
    let (mut last_id, mut last_fence) = (0, 0);
    for ahead in [HOUR, Duration::ZERO, YEAR, HOUR, 2 * YEAR, Duration::ZERO] {
        run(ahead, async || {
            let queue = open(&store).await;
            let id = queue.push(DeadLetter::new("one")).await.unwrap().id.get();
            let leased = queue.lease(&LetterFilter::new(), 10, HOUR).await.unwrap();
            for leased in leased {
                assert!(leased.token.fence() > last_fence);
                last_fence = leased.token.fence();
                queue.settle(leased.token, Settlement::Delivered).await.unwrap();
            }
            assert!(id > last_id, "{id} after {last_id}");
            last_id = id;
            queue.close().await.unwrap();
        });
    }
}
