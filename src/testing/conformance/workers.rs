//! Many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};

use crate::dead_letter::{DeadLetterQueue, LetterFilter, LetterId, Settlement};
use crate::sync::Lock;
use crate::testing::conformance::world::{Bed, LEASE, Proof, Stop, World, broken, failure, nth, same};

const WORKERS: u64 = 16;
const EACH: u64 = 20;

/// What the workers saw.
#[derive(Default)]
struct Seen {
    stored: BTreeMap<LetterId, String>,
    /// Who works on it now.
    held: BTreeSet<LetterId>,
    delivered: BTreeMap<LetterId, u32>,
    wrong: Vec<String>,
}

/// What the worker of this number does.
type Work = fn(u64, Arc<dyn DeadLetterQueue>, Arc<Lock<Seen>>) -> BoxFuture<'static, Proof>;

/// Runs workers, and says what went wrong first.
async fn run(world: &World<'_>, bed: &Bed<'_>, work: Work) -> Proof<Arc<Lock<Seen>>> {
    let seen = Arc::new(Lock::new(Seen::default()));
    let workers = (0..WORKERS).map(|number| {
        let (work, told) = (work(number, Arc::clone(&bed.queue), Arc::clone(&seen)), Arc::clone(&seen));
        let work = async move {
            if let Err(Stop::Broken(how)) = work.await {
                told.lock().wrong.push(how);
            }
        };
        world.under_test.in_a_task(work.boxed())
    });
    join_all(workers).await;
    let first = seen.lock().wrong.first().cloned();
    first.map_or(Ok(seen), broken)
}

async fn push_some(number: u64, queue: &dyn DeadLetterQueue, seen: &Lock<Seen>) -> Proof {
    for nth_of in 0..EACH {
        let letter = nth(number * EACH + nth_of);
        let key = letter.idempotency_key.clone().unwrap_or_default();
        let id = queue.push(letter).await?.id;
        if let Some(other) = seen.lock().stored.insert(id, key.clone()) {
            return broken(format!("{key} and {other} are both stored as {id}"));
        }
    }
    Ok(())
}

async fn work_some(number: u64, queue: &dyn DeadLetterQueue, seen: &Lock<Seen>) -> Proof {
    let mut idle = 0;
    while idle < 3 {
        let leased = queue.lease(&LetterFilter::new(), 3, LEASE).await?;
        idle = if leased.is_empty() { idle + 1 } else { 0 };
        for (nth_of, leased) in leased.into_iter().enumerate() {
            let id = leased.letter.id;
            if !seen.lock().held.insert(id) {
                return broken(format!("two hold letter {id} at once"));
            }
            let fails = leased.letter.redrives == 0 && (number + nth_of as u64).is_multiple_of(3);
            // Before it is settled: afterwards it may be somebody else's.
            seen.lock().held.remove(&id);
            if fails {
                queue.settle(leased.token, Settlement::redrive_failed(failure(1))).await?;
            } else {
                queue.settle(leased.token, Settlement::Delivered).await?;
                *seen.lock().delivered.entry(id).or_default() += 1;
            }
        }
    }
    Ok(())
}

pub(super) async fn d4_pushes_at_once_get_ids_of_their_own_and_none_is_lost(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let seen = run(world, &bed, |number, queue, seen| {
        async move { push_some(number, &*queue, &seen).await }.boxed()
    })
    .await?;
    let held = bed.all().await?;
    let found: BTreeMap<_, _> =
        held.into_iter().map(|letter| (letter.id, letter.idempotency_key.unwrap_or_default())).collect();
    same("the letters, by their receipts", &found, &seen.lock().stored)?;
    same("pushed", bed.counts().await?.pushed, WORKERS * EACH)
}

pub(super) async fn d5_workers_at_once_deliver_each_letter_once(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let seen = run(world, &bed, |number, queue, seen| {
        async move {
            push_some(number, &*queue, &seen).await?;
            work_some(number, &*queue, &seen).await
        }
        .boxed()
    })
    .await?;
    // What was released to the last who looked.
    work_some(1, &*bed.queue, &seen).await?;
    let (stored, delivered) = {
        let seen = seen.lock();
        (seen.stored.keys().map(|&id| (id, 1)).collect::<BTreeMap<_, _>>(), seen.delivered.clone())
    };
    same("how often each was delivered", delivered, stored)?;
    let counts = bed.counts().await?;
    same("held, delivered", (counts.held(), counts.delivered), (0, WORKERS * EACH))
}

pub(super) async fn d12_caps_hold_whoever_pushes_at_once(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| is.capacity = 50).await;
    let seen = run(world, &bed, |number, queue, seen| {
        async move {
            for nth_of in 0..EACH {
                if let Ok(receipt) = queue.push(nth(number * EACH + nth_of)).await {
                    seen.lock().stored.insert(receipt.id, String::new());
                }
                let held = queue.stats().await?.held();
                if held > 50 {
                    return broken(format!("{held} letters where 50 are allowed"));
                }
            }
            Ok(())
        }
        .boxed()
    })
    .await?;
    same("stored", seen.lock().stored.len(), 50)?;
    same("held", bed.counts().await?.held(), 50)
}
