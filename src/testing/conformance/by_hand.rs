//! What people do to letters, batches, and the end of a queue.

use crate::dead_letter::{
    Deed, LetterFilter, Payload, PushErrorKind, QueueError, SettleError, Settled, Settlement,
};
use crate::testing::conformance::world::{
    LEASE, Proof, World, any, broken, by, full, holds, id, ids_of, nth, of_size, same,
};

pub(super) async fn discarded_letter_is_gone_and_its_holder_is_told(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(nth(1)).await?;
    bed.put(nth(2)).await?;
    let leased = bed.lease(&LetterFilter::new(), 1, LEASE).await?;
    same("removed", bed.discard(&LetterFilter::new(), &by()).await?, 2)?;
    same("removed again", bed.discard(&any(), &by()).await?, 0)?;
    for how in [Settlement::Delivered, Settlement::untouched(), Settlement::Extend(LEASE)] {
        same("its holder", bed.settle(leased[0].token, how).await, Err(SettleError::Gone))?;
    }
    let counts = bed.counts().await?;
    same("held, discarded, delivered", (counts.held(), counts.discarded, counts.delivered), (0, 2, 0))
}

pub(super) async fn replacing_is_one_change(world: &World<'_>) -> Proof {
    // There is no room for both at once.
    let bed = world.queue_with(|is| is.capacity = 1).await;
    let old = bed.put(full()).await?;
    let mended = full().payload(Payload::text("mended"));
    let receipt = bed.replace(old, mended.clone(), &by()).await?;
    holds("the new one has an id of its own", receipt.id > old)?;
    same("letters dropped", receipt.evicted, vec![])?;
    let found = bed.only().await?;
    same("the letter", (found.id, found.payload), (receipt.id, mended.payload))?;
    let counts = bed.counts().await?;
    same("pushed, discarded, evicted", (counts.pushed, counts.discarded, counts.evicted), (2, 1, 0))?;
    bed.quarantine(&any(), &by()).await?;
    let again = bed.replace(receipt.id, nth(1), &by()).await?;
    same("one that was quarantined", ids_of(&bed.all().await?), vec![again.id])?;
    same("the new one is ready", bed.counts().await?.ready, 1)
}

pub(super) async fn replacing_what_is_not_free_hands_the_letter_back(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| (is.max_bytes, is.max_payload) = (1000, 500)).await;
    let old = bed.put(of_size(500)).await?;
    bed.put(of_size(400)).await?;
    let token = bed.lease(&any().id(old), 1, LEASE).await?[0].token;
    let missing = id(old.get() + 99);
    let refused = async |target, letter: crate::dead_letter::DeadLetter, why| {
        let before = (bed.all().await?, bed.counts().await?);
        match bed.replace(target, letter.clone(), &by()).await {
            Ok(receipt) => return broken(format!("replaced by {}: {why}", receipt.id)),
            Err(error) => same("what came back", (*error.letter, error.kind), (letter, why))?,
        }
        same("what it changed", (bed.all().await?, bed.counts().await?), before)
    };
    refused(old, nth(1), PushErrorKind::NotAvailable(old)).await?;
    refused(missing, nth(1), PushErrorKind::NotAvailable(missing)).await?;
    bed.settle(token, Settlement::untouched()).await?;
    refused(old, of_size(501), PushErrorKind::TooLarge).await?;
    let too_much = of_size(500).tenant("x".repeat(101));
    refused(old, too_much, PushErrorKind::Full).await
}

pub(super) async fn deeds_are_written_down_newest_first(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let ids = [bed.put(nth(1)).await?, bed.put(nth(2)).await?, bed.put(nth(3)).await?];
    let some = any().up_to(ids[1]);
    bed.quarantine(&some, &by()).await?;
    bed.reinstate(&any().id(ids[0]), &by()).await?;
    bed.discard(&any().id(ids[0]), &crate::dead_letter::ByHand::default()).await?;
    bed.replace(ids[2], nth(4), &by()).await?;
    let acts = bed.acts(usize::MAX).await?;
    let told: Vec<_> = acts.iter().map(|act| (act.deed, act.letters, act.by.clone())).collect();
    let expected = vec![
        (Deed::Edited, 1, by()),
        (Deed::Discarded, 1, crate::dead_letter::ByHand::default()),
        (Deed::Reinstated, 1, by()),
        (Deed::Quarantined, 2, by()),
    ];
    same("the deeds", told, expected)?;
    same("what was meant", acts[3].filter.clone(), some)?;
    same("the latest alone", bed.acts(1).await?, acts[..1].to_vec())?;
    same("none", bed.acts(0).await?.len(), 0)
}

pub(super) async fn push_all_answers_in_order(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| (is.capacity, is.max_payload) = (3, 100)).await;
    same("an empty batch", bed.push_all(Vec::new()).await.len(), 0)?;
    let answers = bed.push_all(vec![nth(1), of_size(101), nth(2), nth(3), nth(4)]).await;
    same("answers", answers.len(), 5)?;
    let mut stored = Vec::new();
    for (number, answer) in answers.into_iter().enumerate() {
        match (number, answer) {
            (0 | 2 | 3, Ok(receipt)) => stored.push(receipt.id),
            (1, Err(error)) => {
                same("the second", (*error.letter, error.kind), (of_size(101), PushErrorKind::TooLarge))?;
            }
            (4, Err(error)) => {
                same("the fifth", (*error.letter, error.kind), (nth(4), PushErrorKind::Full))?;
            }
            (number, answer) => return broken(format!("answer {number} of five is {answer:?}")),
        }
    }
    let held = bed.all().await?;
    same("the ids", ids_of(&held), stored)?;
    let keys: Vec<_> = held.iter().filter_map(|letter| letter.idempotency_key.as_deref()).collect();
    same("the order", keys, vec!["key-1", "key-2", "key-3"])?;
    bed.counts().await.map(drop)
}

pub(super) async fn settle_all_answers_in_order(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    for number in 0..4 {
        bed.put(nth(number)).await?;
    }
    same("an empty batch", bed.settle_all(Vec::new()).await.len(), 0)?;
    let tokens = super::world::tokens_of(&bed.lease_ready().await?);
    holds("all are leased", tokens.len() == 4)?;
    let answers = bed
        .settle_all(vec![
            (tokens[2], Settlement::Delivered),
            (tokens[0], Settlement::Quarantine),
            (tokens[2], Settlement::Delivered),
            (tokens[1], Settlement::untouched()),
            (tokens[1], Settlement::Delivered),
            (tokens[3], Settlement::Extend(LEASE)),
        ])
        .await;
    let expected = vec![
        Ok(Settled::Removed),
        Ok(Settled::Quarantined),
        Err(SettleError::Gone),
        Ok(Settled::Released),
        Err(SettleError::Fenced),
        Ok(Settled::Extended),
    ];
    same("the answers", answers, expected)?;
    bed.counts().await.map(drop)
}

pub(super) async fn close_can_be_said_twice_and_means_one_thing(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(nth(1)).await?;
    let token = bed.lease_one().await?.token;
    same("closing", bed.close().await, Ok(()))?;
    same("closing again", bed.close().await, Ok(()))?;
    let closed = match bed.stats().await {
        Err(QueueError::Closed) => true,
        Err(error) => return broken(format!("a closed queue says: {error}")),
        Ok(_) => false,
    };
    match bed.push(nth(2)).await {
        Ok(_) => holds("a push that is stored in a closed queue", !closed)?,
        Err(error) => {
            same("what came back", (error.kind, *error.letter), (PushErrorKind::Closed, nth(2)))?;
            holds("a push that is refused by a queue which goes on", closed)?;
        }
    }
    let settled = bed.settle(token, Settlement::Delivered).await;
    same("a settlement", settled, if closed { Err(SettleError::Closed) } else { Ok(Settled::Removed) })?;
    let leased = bed.lease(&LetterFilter::new(), 9, LEASE).await.map(|leased| leased.len());
    same("a lease", leased, if closed { Err(QueueError::Closed) } else { Ok(1) })
}
