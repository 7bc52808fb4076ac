//! Durable pushes by so many producers at once.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use recoup::{DeadLetterQueue as _, RedbQueue};

use crate::letter;
use crate::log::Log;
use crate::sqlite::Sqlite;

/// Who stores letters.
pub enum Store {
    Log(Log),
    Sqlite(Sqlite),
    Recoup(RedbQueue),
}

impl Store {
    async fn push(&self, n: u64) {
        match self {
            Self::Log(log) => log.push(letter::record(n)).await,
            Self::Sqlite(sqlite) => sqlite.push(n).await,
            Self::Recoup(queue) => drop(queue.push(letter::letter(n)).await.expect("the queue has room")),
        }
    }
}

/// Pushes per second, each one acknowledged when it is on the disk.
pub async fn pushes(store: Arc<Store>, producers: u64, time: Duration) -> f64 {
    rate(producers, time, move |n| {
        let store = Arc::clone(&store);
        async move {
            store.push(n).await;
            1
        }
    })
    .await
}

/// How often per second `work` is done by so many tasks at once; it says how much it did. Each call has a number
/// of its own.
pub async fn rate<Fut>(tasks: u64, time: Duration, work: impl Fn(u64) -> Fut + Clone + Send + 'static) -> f64
where
    Fut: Future<Output = u64> + Send,
{
    let begun = Instant::now();
    let each = |task: u64| {
        let work = work.clone();
        async move {
            let mut done = 0;
            for n in (task..).step_by(usize::try_from(tasks).unwrap_or(1)) {
                if begun.elapsed() >= time {
                    break;
                }
                done += work(n).await;
            }
            done
        }
    };
    let tasks: Vec<_> = (0..tasks).map(|task| tokio::spawn(each(task))).collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.expect("a producer does not panic");
    }
    // A part that is whole to 2^53; the rounding is far below the noise.
    u32::try_from(done).map_or(f64::INFINITY, f64::from) / begun.elapsed().as_secs_f64()
}
