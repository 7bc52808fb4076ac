//! D1 to D4, D8, D9, D19: what becomes of a letter.

use crate::classification::Category;
use crate::dead_letter::{
    DeadLetter, DeadReason, Failed, LetterFilter, LetterState, Payload, SettleError, Settled, Settlement,
};
use crate::testing::conformance::world::{
    ALL, LEASE, Proof, World, any, at, failure, full, holds, id, ids_of, letter, nth, of_size, same, says,
};

pub(super) async fn d1_pushed_letter_is_held(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let id = bed.put(full()).await?;
    holds("an id that a letter can have", id != crate::dead_letter::LetterId::UNASSIGNED)?;
    same("the id under which it is found", bed.only().await?.id, id)?;
    world.wait(LEASE * 1000).await;
    same("the id under which it is found later", bed.only().await?.id, id)?;
    bed.counts().await.map(drop)
}

/// What it had, apart from what the queue counts.
fn as_given(mut letter: DeadLetter, given: &DeadLetter) -> DeadLetter {
    letter.id = given.id;
    letter
}

pub(super) async fn d2_letter_comes_out_as_it_went_in(world: &World<'_>) -> Proof {
    for given in [full(), letter(), of_size(0), DeadLetter::new("").destination("").died_at(at(0))] {
        let bed = world.queue().await;
        bed.put(given.clone()).await?;
        same("the letter seen", as_given(bed.only().await?, &given), given.clone())?;
        let mut leased = as_given(bed.lease_one().await?.letter, &given);
        same("where it stands", (leased.deliveries, leased.state), (1, LetterState::Leased))?;
        (leased.deliveries, leased.state) = (0, LetterState::Ready);
        same("the letter leased", leased, given)?;
    }
    Ok(())
}

pub(super) async fn d2_largest_payload_is_kept_byte_for_byte(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let bytes: Vec<u8> =
        (0..bed.place.settings.max_payload).map(|nth| (nth * 31 % 251).to_le_bytes()[0]).collect();
    bed.put(letter().payload(Payload::bytes(bytes.clone()))).await?;
    let found = bed.only().await?.payload.map(|payload| payload.bytes);
    holds("the very bytes", found == Some(bytes))
}

pub(super) async fn d2_push_starts_the_counts_of_the_queue_anew(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let mut used = full();
    (used.deliveries, used.redrives, used.unsettled) = (5, 2, 2);
    (used.id, used.state) = (id(u64::MAX), LetterState::Quarantined);
    let id = bed.put(used).await?;
    let found = bed.only().await?;
    let counts = (found.id, found.deliveries, found.redrives, found.unsettled, found.state);
    same("its counts", counts, (id, 0, 0, 0, LetterState::Ready))
}

pub(super) async fn d3_numbers_change_with_the_letters(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    for number in 0..6 {
        bed.put(nth(number).destination(if number < 2 { "a" } else { "b" }).died_at(at(9 - number))).await?;
        same("pushed", bed.counts().await?.pushed, number + 1)?;
    }
    let leased = bed.lease(&LetterFilter::new(), 4, LEASE).await?;
    bed.counts().await?;
    let failed =
        Settlement::redrive_failed(Failed::from(failure(1)).error(says("a longer text than before")));
    let settlements = [Settlement::Delivered, Settlement::Quarantine, failed, Settlement::Extend(LEASE)];
    for (leased, settlement) in leased.iter().zip(settlements) {
        bed.settle(leased.token, settlement).await?;
        bed.counts().await?;
    }
    let counts = bed.counts().await?;
    let stand = (counts.ready, counts.leased, counts.quarantined, counts.delivered);
    same("ready, leased, quarantined, delivered", stand, (3, 1, 1, 1))
}

pub(super) async fn d4_ids_only_grow(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let mut last = crate::dead_letter::LetterId::UNASSIGNED;
    for number in 0..20 {
        let id = bed.put(nth(number)).await?;
        holds(format!("{id} is greater than {last}"), id > last)?;
        last = id;
        if number % 2 == 0 {
            // The greatest number is free again, and must not be taken again.
            let token = bed.lease_one().await?.token;
            bed.settle(token, Settlement::Delivered).await?;
        } else {
            bed.discard(&any(), &super::world::by()).await?;
        }
    }
    Ok(())
}

pub(super) async fn d8_delivered_letter_is_never_seen_again(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| is.quarantine_after = 1).await;
    bed.put(full()).await?;
    let token = bed.lease_one().await?.token;
    same("the settlement", bed.settle(token, Settlement::Delivered).await, Ok(Settled::Removed))?;
    for _ in 0..2 {
        same("letters seen", bed.all().await?.len(), 0)?;
        same("letters leased", bed.lease(&any(), ALL, LEASE).await?.len(), 0)?;
        let counts = bed.counts().await?;
        same("held, delivered", (counts.held(), counts.delivered), (0, 1))?;
        same("a second settlement", bed.settle(token, Settlement::Delivered).await, Err(SettleError::Gone))?;
        world.wait(LEASE * 10).await;
    }
    Ok(())
}

pub(super) async fn d9_only_a_delivered_letter_is_removed(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    let others = [
        (Settlement::untouched(), Settled::Released),
        (Settlement::redrive_failed(failure(1)), Settled::Released),
        (Settlement::Extend(LEASE), Settled::Extended),
        (Settlement::Quarantine, Settled::Quarantined),
    ];
    let mut token = bed.lease_one().await?.token;
    for (settlement, settled) in others {
        same("the settlement", bed.settle(token, settlement).await, Ok(settled))?;
        same("letters held", bed.counts().await?.held(), 1)?;
        if settled == Settled::Released {
            token = bed.lease_one().await?.token;
        }
    }
    Ok(())
}

pub(super) async fn d9_every_delivery_carries_the_same_key(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    for how in [Settlement::redrive_failed(failure(1)), Settlement::untouched()] {
        let leased = bed.lease_one().await?;
        same("the key", leased.letter.idempotency_key.as_deref(), Some("order-7"))?;
        bed.settle(leased.token, how).await?;
    }
    bed.lease_one().await?;
    world.wait(LEASE).await;
    same("the key", bed.lease_one().await?.letter.idempotency_key.as_deref(), Some("order-7"))
}

pub(super) async fn d19_failed_redrive_changes_its_letter_and_makes_no_second(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| is.quarantine_after = 99).await;
    let id = bed.put(full()).await?;
    for redrive in 1..=12 {
        let token = bed.lease_one().await?.token;
        let failed = Failed::from(failure(redrive + 2))
            .error(says(&format!("still down {redrive}")))
            .reason(DeadReason::Deadline)
            .classified(&Category::ServiceUnavailable.into());
        bed.settle(token, Settlement::redrive_failed(failed)).await?;
        bed.counts().await?;
    }
    same("the letters", ids_of(&bed.all().await?), vec![id])?;
    let found = bed.only().await?;
    same("redrives, deliveries", (found.redrives, found.deliveries), (12, 12))?;
    same("attempts in all", found.attempts_total(), 14)?;
    let kept: Vec<u32> = found.attempts.records().iter().map(|record| record.number).collect();
    same("attempts kept", kept, vec![1, 6, 7, 8, 9, 10, 11, 12, 13, 14])?;
    same("the error", found.error.to_string().as_str(), "still down 12")?;
    let why = (found.reason, found.category, found.status);
    same("why", why, (DeadReason::Deadline, Some(Category::ServiceUnavailable), None))?;
    same("what it carries", found.payload, full().payload)
}
