//! D18: futures that are dropped before they end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::dead_letter::{DeadLetter, LetterFilter, LetterState, Settlement};
use crate::testing::conformance::world::{
    ALL, Bed, LEASE, Proof, World, any, by, full, holds, id, nth, same,
};

/// So many polls are tried; a future that needs more is finished.
const POLLS: u32 = 6;

/// Polls so often and drops it. Whether it ended.
fn drop_after<T>(polls: u32, mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    (0..polls).any(|_| matches!(future.as_mut().poll(&mut cx), Poll::Ready(_)))
}

/// After this the queue has done with what was dropped: it does one thing after the other.
async fn settled(bed: &Bed<'_>) -> Proof {
    let marker = bed.put(DeadLetter::new("marker")).await?;
    same("the marker is found", bed.discard(&any().id(marker), &by()).await?, 1)?;
    bed.counts().await.map(drop)
}

pub(super) async fn d18_dropped_push_stores_the_whole_letter_or_nothing(world: &World<'_>) -> Proof {
    for polls in 0..=POLLS {
        let bed = world.queue().await;
        let ended = drop_after(polls, bed.push(full()));
        settled(&bed).await?;
        let found = bed.all().await?;
        holds("what ended is there", !ended || found.len() == 1)?;
        holds("what was never polled is not", polls > 0 || found.is_empty())?;
        for mut letter in found {
            letter.id = full().id;
            same("the letter is whole", letter, full())?;
        }
        let old = bed.put(nth(1)).await?;
        drop_after(polls, bed.replace(old, nth(2), &by()));
        settled(&bed).await?;
        let left = bed.peek(&any().operation("charge"), ALL).await?;
        let keys: Vec<_> = left.iter().filter_map(|letter| letter.idempotency_key.as_deref()).collect();
        let one = keys.iter().filter(|key| ["key-1", "key-2"].contains(key)).count();
        same(format!("the old one or the new one of {keys:?}"), one, 1)?;
    }
    Ok(())
}

pub(super) async fn d18_dropped_lease_comes_back_when_it_runs_out(world: &World<'_>) -> Proof {
    for polls in 0..=POLLS {
        let bed = world.queue().await;
        bed.put(full()).await?;
        let filter = LetterFilter::new();
        drop_after(polls, bed.lease(&filter, ALL, LEASE));
        settled(&bed).await?;
        world.wait(LEASE).await;
        let found = bed.only().await?;
        same("a lease that was taken is a lost one", found.unsettled, found.deliveries)?;
        holds("what was never polled took none", polls > 0 || found.deliveries == 0)?;
        bed.lease_one().await?;
    }
    Ok(())
}

pub(super) async fn d18_dropped_settlement_has_happened_or_not(world: &World<'_>) -> Proof {
    for polls in 0..=POLLS {
        for (how, after) in [
            (Settlement::Delivered, None),
            (Settlement::untouched(), Some(LetterState::Ready)),
            (Settlement::Quarantine, Some(LetterState::Quarantined)),
        ] {
            let bed = world.queue().await;
            let stored = bed.put(full()).await?;
            let token = bed.lease_one().await?.token;
            let ended = drop_after(polls, bed.settle(token, how.clone()));
            settled(&bed).await?;
            let left = bed.all().await?;
            holds("no other letter is there", left.iter().all(|letter| letter.id == stored))?;
            let state = left.first().map(|letter| letter.state);
            let happened = state != Some(LetterState::Leased);
            holds("what ended has happened", happened || !ended)?;
            holds("what was never polled has not", polls > 0 || !happened)?;
            if happened {
                same(format!("where it stands after {how:?}"), state, after)?;
            }
            let again = bed.settle(token, how).await;
            same(format!("it counts once, and then {again:?}"), again.is_err(), happened)?;
            bed.counts().await?;
        }
    }
    Ok(())
}

pub(super) async fn d18_dropped_deeds_and_looks_leave_the_numbers_right(world: &World<'_>) -> Proof {
    for polls in 0..=POLLS {
        let bed = world.queue().await;
        for number in 0..5 {
            bed.put(nth(number)).await?;
        }
        let (all, some, by) = (any(), any().up_to(id(3)), by());
        drop_after(polls, bed.quarantine(&some, &by));
        settled(&bed).await?;
        drop_after(polls, bed.reinstate(&some, &by));
        settled(&bed).await?;
        let before = bed.counts().await?;
        drop_after(polls, bed.peek(&all, ALL));
        drop_after(polls, bed.stats());
        drop_after(polls, bed.acts(ALL));
        drop_after(polls, bed.groups(&all, ALL));
        same("what looking changed", bed.counts().await?, before)?;
        drop_after(polls, bed.push_all(vec![nth(6), nth(7)]));
        settled(&bed).await?;
        let leased = super::world::tokens_of(&bed.lease_ready().await?);
        let batch = leased.into_iter().map(|token| (token, Settlement::Delivered)).collect();
        drop_after(polls, bed.settle_all(batch));
        settled(&bed).await?;
        drop_after(polls, bed.discard(&all, &by));
        settled(&bed).await?;
    }
    Ok(())
}
