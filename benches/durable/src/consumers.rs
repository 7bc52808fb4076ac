//! Letters leased and settled as delivered.

use std::sync::Arc;
use std::time::Duration;

use recoup::{DeadLetterQueue as _, LetterFilter, RedbQueue, Settlement};

use crate::producers::rate;
use crate::sqlite::Sqlite;

/// So many workers take letters at once.
pub const WORKERS: u64 = 64;

/// So many letters share a lease and a settlement where they are taken in batches.
pub const BATCH: usize = 64;

const LEASE: Duration = Duration::from_secs(30);

/// Pairs per second, a letter for each worker.
pub async fn sqlite(store: Arc<Sqlite>, time: Duration) -> f64 {
    rate(WORKERS, time, move |_| {
        let store = Arc::clone(&store);
        async move { u64::from(store.lease_and_settle().await) }
    })
    .await
}

/// Pairs per second, a letter for each worker.
pub async fn one_by_one(queue: RedbQueue, time: Duration) -> f64 {
    rate(WORKERS, time, move |_| {
        let queue = queue.clone();
        async move {
            let leased = queue.lease(&LetterFilter::new(), 1, LEASE).await.expect("the queue works");
            let mut pairs = 0;
            for letter in leased {
                queue.settle(letter.token, Settlement::Delivered).await.expect("the lease is held");
                pairs += 1;
            }
            pairs
        }
    })
    .await
}

/// Pairs per second, many letters in each lease and each settlement.
pub async fn in_batches(queue: RedbQueue, workers: u64, time: Duration) -> f64 {
    rate(workers, time, move |_| {
        let queue = queue.clone();
        async move {
            let leased = queue.lease(&LetterFilter::new(), BATCH, LEASE).await.expect("the queue works");
            let settlements = leased.iter().map(|letter| (letter.token, Settlement::Delivered)).collect();
            let settled = queue.settle_all(settlements).await;
            settled.into_iter().map(|settled| u64::from(settled.is_ok())).sum()
        }
    })
    .await
}
