//! What a queue that survives its process must find again.

use crate::dead_letter::{LetterFilter, LetterState, MAX_UNSETTLED, SettleError, Settled, Settlement};
use crate::testing::conformance::world::{
    Bed, LEASE, Proof, World, any, by, failure, full, holds, nth, same, tokens_of,
};

/// Ends the queue and opens it again: closed first, or not.
async fn again(bed: Bed<'_>, closed: bool) -> Proof<Bed<'_>> {
    if closed { bed.restarted().await } else { Ok(bed.crashed().await) }
}

pub(super) async fn d1_stored_letters_survive_restart_and_crash(world: &World<'_>) -> Proof {
    let mut bed = world.durable(|_| ()).await?;
    for closed in [true, false, false, true] {
        bed.put(full()).await?;
        for answer in bed.push_all(vec![nth(1), nth(2)]).await {
            answer?;
        }
        let before = (bed.all().await?, bed.counts().await?);
        bed = again(bed, closed).await?;
        same(format!("opened again, closed: {closed}"), (bed.all().await?, bed.counts().await?), before)?;
    }
    Ok(())
}

pub(super) async fn d4_ids_are_not_used_again_after_a_restart(world: &World<'_>) -> Proof {
    let mut bed = world.durable(|_| ()).await?;
    let mut last = bed.put(nth(0)).await?;
    for closed in [true, false] {
        bed.discard(&any(), &by()).await?;
        bed = again(bed, closed).await?;
        let id = bed.put(nth(1)).await?;
        holds(format!("{id} is greater than {last}, closed: {closed}"), id > last)?;
        last = id;
    }
    Ok(())
}

pub(super) async fn d6_leases_of_before_hold_after_a_restart_or_are_fenced(world: &World<'_>) -> Proof {
    let mut bed = world.durable(|_| ()).await?;
    bed.put(full()).await?;
    let mut fence = 0;
    for closed in [true, false] {
        let old = bed.lease_one().await?.token;
        holds("later leases have greater numbers", old.fence() > fence)?;
        fence = old.fence();
        bed = again(bed, closed).await?;
        same("leased meanwhile by others", bed.lease_ready().await?.len(), 0)?;
        world.wait(LEASE).await;
        let new = bed.lease_one().await?.token;
        holds("later leases have greater numbers", new.fence() > fence)?;
        fence = new.fence();
        let late = bed.settle(old, Settlement::Delivered).await;
        same("the token of before", late, Err(SettleError::Fenced))?;
        bed.settle(new, Settlement::untouched()).await?;
        bed.reinstate(&any(), &by()).await?;
        bed.quarantine(&any(), &by()).await?;
        bed.reinstate(&any(), &by()).await?;
    }
    Ok(())
}

pub(super) async fn d7_delivery_count_survives_a_crash(world: &World<'_>) -> Proof {
    let mut bed = world.durable(|_| ()).await?;
    bed.put(full()).await?;
    for crash in 1..=MAX_UNSETTLED {
        // A letter that kills the process which works on it.
        same("deliveries", bed.lease_one().await?.letter.deliveries, crash)?;
        bed = bed.crashed().await;
        same("deliveries after the crash", bed.only().await?.deliveries, crash)?;
        world.wait(LEASE).await;
        same("unsettled", bed.only().await?.unsettled, crash)?;
    }
    let found = bed.only().await?;
    same("where it stands", found.state, LetterState::Quarantined)?;
    same("leased", bed.lease_ready().await?.len(), 0)
}

pub(super) async fn d8_delivered_letter_stays_gone_after_restart_and_crash(world: &World<'_>) -> Proof {
    for closed in [true, false] {
        let bed = world.durable(|_| ()).await?;
        for number in 0..6 {
            bed.put(nth(number)).await?;
        }
        let tokens = tokens_of(&bed.lease_ready().await?);
        same("delivered", bed.settle(tokens[0], Settlement::Delivered).await, Ok(Settled::Removed))?;
        let batch = tokens[1..5].iter().map(|&token| (token, Settlement::Delivered)).collect();
        for answer in bed.settle_all(batch).await {
            same("delivered in a batch", answer, Ok(Settled::Removed))?;
        }
        let bed = again(bed, closed).await?;
        same("what is left", bed.only().await?.id, tokens[5].letter())?;
        same("delivered", bed.counts().await?.delivered, 5)?;
        let late = bed.settle(tokens[0], Settlement::Delivered).await;
        same("the token of one that is gone", late, Err(SettleError::Gone))?;
        let held = bed.settle(tokens[5], Settlement::Delivered).await;
        holds(
            format!("the token of one that is held: {held:?}"),
            matches!(held, Ok(Settled::Removed) | Err(SettleError::Fenced)),
        )?;
    }
    Ok(())
}

pub(super) async fn d10_quarantine_survives_restart_and_crash(world: &World<'_>) -> Proof {
    for closed in [true, false] {
        let bed = world.durable(|is| is.quarantine_after = 2).await?;
        bed.put(nth(1)).await?;
        let aside = bed.put(nth(2)).await?;
        bed.quarantine(&any().id(aside), &by()).await?;
        let token = bed.lease_one().await?.token;
        bed.settle(token, Settlement::redrive_failed(failure(1))).await?;
        let bed = again(bed, closed).await?;
        same("quarantined", bed.counts().await?.quarantined, 1)?;
        let leased = bed.lease_one().await?;
        same("redrives", leased.letter.redrives, 1)?;
        let settled = bed.settle(leased.token, Settlement::redrive_failed(failure(2))).await;
        same("the last redrive allowed", settled, Ok(Settled::Quarantined))?;
    }
    Ok(())
}

pub(super) async fn d11_time_goes_on_over_a_restart(world: &World<'_>) -> Proof {
    for closed in [true, false] {
        let bed = world.durable(|is| is.time_to_live = Some(LEASE * 10)).await?;
        bed.put(full()).await?;
        world.wait(LEASE * 5).await;
        let bed = again(bed, closed).await?;
        same("held before its time", bed.counts().await?.held(), 1)?;
        // Two clocks take part, so not to the millisecond.
        world.wait(LEASE * 6).await;
        let counts = bed.counts().await?;
        same("held, expired", (counts.held(), counts.expired), (0, 1))?;
    }
    Ok(())
}

pub(super) async fn deeds_survive_restart_and_crash(world: &World<'_>) -> Proof {
    for closed in [true, false] {
        let bed = world.durable(|_| ()).await?;
        bed.put(full()).await?;
        bed.quarantine(&any(), &by()).await?;
        bed.discard(&LetterFilter::new().any_state().destination("payments/é"), &by()).await?;
        let before = bed.acts(9).await?;
        same("deeds", before.len(), 2)?;
        let bed = again(bed, closed).await?;
        same("deeds afterwards", bed.acts(9).await?, before)?;
    }
    Ok(())
}
