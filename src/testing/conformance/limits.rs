//! D12: caps, and what a full queue does.

use crate::dead_letter::{LetterId, LetterState, PushErrorKind, WhenFull};
use crate::testing::conformance::world::{
    Bed, LEASE, Proof, World, any, broken, by, full, ids_of, nth, of_size, same,
};

/// What the queue said to a letter that it must not take.
async fn refused(bed: &Bed<'_>, letter: crate::dead_letter::DeadLetter, why: PushErrorKind) -> Proof {
    let before = (bed.all().await?, bed.counts().await?);
    match bed.push(letter.clone()).await {
        Ok(receipt) => return broken(format!("stored as {} what should be refused: {why}", receipt.id)),
        Err(error) => {
            same("why it was refused", error.kind, why)?;
            same("the letter handed back", *error.letter, letter)?;
        }
    }
    same("what a refusal changed", (bed.all().await?, bed.counts().await?), before)
}

pub(super) async fn d12_full_queue_hands_the_letter_back_and_changes_nothing(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| is.capacity = 10).await;
    for number in 0..15 {
        if number < 10 {
            bed.put(nth(number)).await?;
        } else {
            refused(&bed, full(), PushErrorKind::Full).await?;
        }
    }
    let counts = bed.counts().await?;
    same("pushed, ready, evicted", (counts.pushed, counts.ready, counts.evicted), (10, 10, 0))?;
    let leased = bed.lease_ready().await?;
    refused(&bed, full(), PushErrorKind::Full).await?;
    bed.settle(leased[0].token, crate::dead_letter::Settlement::Delivered).await?;
    bed.put(full()).await.map(drop)
}

pub(super) async fn d12_bytes_are_capped_too(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| (is.max_bytes, is.max_payload) = (1000, 1000)).await;
    let first = bed.put(of_size(600)).await?;
    refused(&bed, of_size(401), PushErrorKind::Full).await?;
    bed.put(of_size(400)).await?;
    same("bytes", bed.counts().await?.bytes, 1000)?;
    bed.discard(&any().id(first), &by()).await?;
    same("bytes", bed.counts().await?.bytes, 400)?;
    bed.put(of_size(600)).await.map(drop)
}

pub(super) async fn d12_letter_that_never_fits_is_told_apart(world: &World<'_>) -> Proof {
    for rule in [WhenFull::Refuse, WhenFull::DropOldest, WhenFull::Wait(LEASE)] {
        let bed =
            world.queue_with(|is| (is.max_bytes, is.max_payload, is.when_full) = (500, 100, rule)).await;
        bed.put(of_size(100)).await?;
        refused(&bed, of_size(101), PushErrorKind::TooLarge).await?;
        refused(&bed, of_size(100).tenant("x".repeat(401)), PushErrorKind::TooLarge).await?;
        bed.put(of_size(100).tenant("x".repeat(300))).await?;
    }
    Ok(())
}

pub(super) async fn d12_oldest_ready_letters_are_dropped_and_named(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| (is.capacity, is.when_full) = (5, WhenFull::DropOldest)).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(bed.put(nth(number)).await?);
    }
    bed.lease(&any().id(ids[0]), 1, LEASE).await?;
    bed.quarantine(&any().id(ids[1]), &by()).await?;
    for victim in [ids[2], ids[3]] {
        let receipt = bed.push(full()).await?;
        same("the letters named", receipt.evicted, vec![victim])?;
        ids.push(receipt.id);
        let counts = bed.counts().await?;
        same("held", counts.held(), 5)?;
    }
    let left: Vec<LetterId> = [0, 1, 4, 5, 6].map(|nth| ids[nth]).to_vec();
    same("the letters left", ids_of(&bed.all().await?), left)?;
    same("evicted", bed.counts().await?.evicted, 2)
}

pub(super) async fn d12_large_letter_pushes_out_as_many_as_it_takes(world: &World<'_>) -> Proof {
    let bed = world
        .queue_with(|is| (is.max_bytes, is.max_payload, is.when_full) = (1000, 1000, WhenFull::DropOldest))
        .await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(bed.put(of_size(250)).await?);
    }
    let receipt = bed.push(of_size(400)).await?;
    same("the letters named", receipt.evicted, ids[..2].to_vec())?;
    let counts = bed.counts().await?;
    same("bytes, evicted", (counts.bytes, counts.evicted), (900, 2))
}

pub(super) async fn d12_nothing_is_dropped_where_that_would_not_do(world: &World<'_>) -> Proof {
    let bed = world
        .queue_with(|is| (is.max_bytes, is.max_payload, is.when_full) = (1000, 1000, WhenFull::DropOldest))
        .await;
    let (leased, aside) = (bed.put(of_size(300)).await?, bed.put(of_size(300)).await?);
    bed.put(of_size(400)).await?;
    bed.lease(&any().id(leased), 1, LEASE).await?;
    bed.quarantine(&any().id(aside), &by()).await?;
    refused(&bed, of_size(401), PushErrorKind::Full).await?;
    same("dropping the ready one is enough for this", bed.push(of_size(400)).await?.evicted.len(), 1)?;
    let ready = bed.peek(&any().state(LetterState::Ready), 9).await?;
    same("ready", ready.len(), 1)
}
