//! D10, and need D5: what fails or kills too often is put aside.

use crate::dead_letter::{LetterFilter, LetterState, MAX_UNSETTLED, Settled, Settlement};
use crate::testing::conformance::world::{ALL, LEASE, Proof, World, any, by, failure, full, id, nth, same};

fn quarantined() -> LetterFilter {
    LetterFilter::new().state(LetterState::Quarantined)
}

pub(super) async fn d10_letter_redriven_too_often_is_quarantined(world: &World<'_>) -> Proof {
    for allowed in [1, 3] {
        let bed = world.queue_with(|is| is.quarantine_after = allowed).await;
        bed.put(full()).await?;
        for redrive in 1..=allowed {
            let token = bed.lease_one().await?.token;
            bed.settle(token, Settlement::untouched()).await?; // which is no redrive
            let token = bed.lease_one().await?.token;
            let settled = bed.settle(token, Settlement::redrive_failed(failure(redrive))).await;
            let expected = if redrive < allowed { Settled::Released } else { Settled::Quarantined };
            same(format!("redrive {redrive} of {allowed}"), settled, Ok(expected))?;
        }
        let found = bed.only().await?;
        same("where it stands", (found.state, found.redrives), (LetterState::Quarantined, allowed))?;
        bed.counts().await?;
    }
    Ok(())
}

pub(super) async fn d10_letter_whose_leases_run_out_is_quarantined(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    for _ in 0..MAX_UNSETTLED {
        same("where it stands", bed.only().await?.state, LetterState::Ready)?;
        bed.lease_one().await?;
        world.wait(LEASE).await;
    }
    let found = bed.only().await?;
    let counts = (found.state, found.unsettled, found.deliveries, found.redrives);
    same("where it stands", counts, (LetterState::Quarantined, MAX_UNSETTLED, MAX_UNSETTLED, 0))?;
    bed.counts().await.map(drop)
}

pub(super) async fn d10_quarantined_letter_is_left_alone_unless_asked_for(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let (by_holder, by_hand) = (bed.put(nth(1)).await?, bed.put(nth(2)).await?);
    let token = bed.lease(&any().id(by_holder), 1, LEASE).await?[0].token;
    let settled = bed.settle(token, Settlement::Quarantine).await;
    same("put aside by its holder", settled, Ok(Settled::Quarantined))?;
    same("put aside by hand", bed.quarantine(&LetterFilter::new(), &by()).await?, 1)?;
    same("put aside again", bed.quarantine(&any(), &by()).await?, 0)?;
    same("leased", bed.lease_ready().await?.len(), 0)?;
    same("seen by a new filter", bed.peek(&LetterFilter::new(), ALL).await?.len(), 0)?;
    same("removed by a new filter", bed.discard(&LetterFilter::new(), &by()).await?, 0)?;
    let seen: Vec<_> = bed.peek(&quarantined(), ALL).await?.iter().map(|letter| letter.id).collect();
    same("seen when asked for", seen, vec![by_holder, by_hand])?;
    same("quarantined", bed.counts().await?.quarantined, 2)
}

pub(super) async fn d10_leased_letter_cannot_be_quarantined_by_others(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    let token = bed.lease_one().await?.token;
    same("put aside", bed.quarantine(&any(), &by()).await?, 0)?;
    same("what its holder says", bed.settle(token, Settlement::Delivered).await, Ok(Settled::Removed))
}

pub(super) async fn d10_reinstated_letter_starts_afresh(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| is.quarantine_after = 2).await;
    let stored = bed.put(full()).await?;
    for _ in 0..2 {
        let token = bed.lease_one().await?.token;
        bed.settle(token, Settlement::redrive_failed(failure(3))).await?;
    }
    same("a letter that is not there", bed.reinstate(&any().id(id(stored.get() + 9)), &by()).await?, 0)?;
    // Whatever the filter says of states.
    same("reinstated", bed.reinstate(&LetterFilter::new(), &by()).await?, 1)?;
    same("reinstated twice", bed.reinstate(&any(), &by()).await?, 0)?;
    let found = bed.only().await?;
    same("state", found.state, LetterState::Ready)?;
    same("deliveries, redrives, unsettled", (found.deliveries, found.redrives, found.unsettled), (2, 0, 0))?;
    same("the history stays", found.attempts_total(), 4)?;
    let token = bed.lease_one().await?.token;
    let settled = bed.settle(token, Settlement::redrive_failed(failure(4))).await;
    same("the allowance is fresh", settled, Ok(Settled::Released))?;
    for _ in 1..MAX_UNSETTLED {
        bed.lease_one().await?;
        world.wait(LEASE).await;
    }
    same("lost leases count afresh", bed.only().await?.state, LetterState::Ready)
}

pub(super) async fn d10_quarantined_letter_leased_on_request_goes_back_there(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    bed.quarantine(&any(), &by()).await?;
    for how in [Settlement::untouched(), Settlement::redrive_failed(failure(3)), Settlement::Quarantine] {
        let leased = bed.lease(&quarantined(), ALL, LEASE).await?;
        same("leased on request", leased.len(), 1)?;
        same("reinstated while somebody works on it", bed.reinstate(&any(), &by()).await?, 0)?;
        same("the settlement", bed.settle(leased[0].token, how).await, Ok(Settled::Quarantined))?;
    }
    bed.lease(&any(), ALL, LEASE).await?;
    world.wait(LEASE).await;
    same("after a lost lease", bed.only().await?.state, LetterState::Quarantined)?;
    let leased = bed.lease(&quarantined(), ALL, LEASE).await?;
    same("leased again", leased.len(), 1)?;
    same("delivered", bed.settle(leased[0].token, Settlement::Delivered).await, Ok(Settled::Removed))
}
