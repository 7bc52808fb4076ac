//! D5 to D7: one holder, for a time.

use std::time::Duration;

use crate::dead_letter::{
    LeaseToken, LetterFilter, LetterState, QueueError, SettleError, Settled, Settlement,
};
use crate::testing::conformance::world::{
    ALL, LEASE, MOMENT, Proof, World, any, failure, full, holds, id, ids_of, just_before, nth, same,
    tokens_of,
};

pub(super) async fn d5_letter_has_one_holder(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    bed.lease_one().await?;
    for filter in [LetterFilter::new(), any(), LetterFilter::new().state(LetterState::Leased)] {
        same("letters leased while one holds them", bed.lease(&filter, ALL, LEASE).await?.len(), 0)?;
    }
    world.wait(just_before(LEASE)).await;
    same("letters leased just before the end", bed.lease_ready().await?.len(), 0)?;
    same("deliveries", bed.only().await?.deliveries, 1)
}

pub(super) async fn d5_letters_are_leased_in_order_up_to_the_limit(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    for number in 0..5 {
        bed.put(nth(number)).await?;
    }
    let ids = ids_of(&bed.all().await?);
    same("leased with a limit of zero", bed.lease(&LetterFilter::new(), 0, LEASE).await?.len(), 0)?;
    let mut leased = bed.lease(&LetterFilter::new(), 2, LEASE).await?;
    same("leased with a limit of two", leased.len(), 2)?;
    leased.extend(bed.lease_ready().await?);
    let found: Vec<_> = leased.iter().map(|leased| leased.letter.id).collect();
    same("the order of the leased", found, ids.clone())?;
    let of_tokens: Vec<_> = tokens_of(&leased).into_iter().map(LeaseToken::letter).collect();
    same("the letters that the tokens name", of_tokens, ids)
}

pub(super) async fn d6_token_of_an_old_lease_changes_nothing(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    let old = bed.lease_one().await?.token;
    world.wait(LEASE).await;
    for leased_again in [false, true] {
        if leased_again {
            let new = bed.lease_one().await?.token;
            holds("a later lease has a greater number", new.fence() > old.fence())?;
        }
        let before = (bed.only().await?, bed.counts().await?);
        for settlement in [
            Settlement::Delivered,
            Settlement::Quarantine,
            Settlement::untouched(),
            Settlement::redrive_failed(failure(3)),
            Settlement::Extend(LEASE * 9),
        ] {
            let what = format!("{settlement:?} with an old token");
            same(&what, bed.settle(old, settlement).await, Err(SettleError::Fenced))?;
            same(&what, (bed.only().await?, bed.counts().await?), before.clone())?;
        }
    }
    Ok(())
}

pub(super) async fn d6_settled_lease_cannot_be_settled_again(world: &World<'_>) -> Proof {
    for how in [Settlement::redrive_failed(failure(3)), Settlement::untouched(), Settlement::Quarantine] {
        let bed = world.queue().await;
        bed.put(full()).await?;
        let token = bed.lease_one().await?.token;
        bed.settle(token, how.clone()).await?;
        let before = bed.only().await?;
        same("the second time", bed.settle(token, how).await, Err(SettleError::Fenced))?;
        same("after the second time", bed.only().await?, before)?;
    }
    Ok(())
}

pub(super) async fn d6_invented_token_changes_nothing(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let stored = bed.put(full()).await?;
    let not_leased = bed.settle(LeaseToken::new(stored, 1), Settlement::Delivered).await;
    same("a letter that nobody leased", not_leased, Err(SettleError::Fenced))?;
    let token = bed.lease_one().await?.token;
    for fence in [token.fence() + 1, 0, u64::MAX] {
        let settled = bed.settle(LeaseToken::new(stored, fence), Settlement::Delivered).await;
        same("a lease that was not given", settled, Err(SettleError::Fenced))?;
    }
    let nobody = LeaseToken::new(id(stored.get() + 1000), token.fence());
    same(
        "a letter that is not there",
        bed.settle(nobody, Settlement::Delivered).await,
        Err(SettleError::Gone),
    )?;
    same("the right one", bed.settle(token, Settlement::Delivered).await, Ok(Settled::Removed))
}

pub(super) async fn d7_lease_runs_out_and_its_letter_comes_back(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    for delivery in 1..=2 {
        let leased = bed.lease_one().await?.letter;
        let counted = (leased.deliveries, leased.unsettled, leased.redrives);
        same("deliveries, unsettled, redrives", counted, (delivery, delivery - 1, 0))?;
        world.wait(LEASE).await;
        let back = bed.only().await?;
        same("where it stands", (back.state, back.unsettled), (LetterState::Ready, delivery))?;
        bed.counts().await?;
    }
    Ok(())
}

pub(super) async fn d7_delivery_is_counted_before_the_letter_is_given_out(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    let leased = bed.lease_one().await?;
    let seen = bed.only().await?;
    same("what others see", (seen.state, seen.deliveries), (LetterState::Leased, 1))?;
    same("what the holder sees", leased.letter.deliveries, 1)?;
    bed.settle(leased.token, Settlement::untouched()).await?;
    same("a release takes nothing back", bed.only().await?.deliveries, 1)
}

pub(super) async fn d7_extended_lease_lasts_from_the_extension_on(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    let token = bed.lease_one().await?.token;
    world.wait(LEASE / 2).await;
    same("the extension", bed.settle(token, Settlement::Extend(LEASE)).await, Ok(Settled::Extended))?;
    world.wait(just_before(LEASE)).await;
    same("leased before the end", bed.lease_ready().await?.len(), 0)?;
    let shorter = bed.settle(token, Settlement::Extend(2 * MOMENT)).await;
    same("the second extension, same token", shorter, Ok(Settled::Extended))?;
    world.wait(2 * MOMENT).await;
    let again = bed.lease_one().await?;
    same("deliveries: an extension is none", again.letter.deliveries, 2)
}

pub(super) async fn d7_lease_of_no_time_is_refused_and_the_longest_is_not(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    let none = bed.lease(&LetterFilter::new(), 1, Duration::ZERO).await;
    same("a lease of zero", none, Err(QueueError::ZeroLease))?;
    same("deliveries", bed.only().await?.deliveries, 0)?;
    let leased = bed.lease(&LetterFilter::new(), 1, Duration::MAX).await?;
    same("leased for ever", leased.len(), 1)?;
    let none = bed.settle(leased[0].token, Settlement::Extend(Duration::ZERO)).await;
    same("an extension of zero", none, Err(SettleError::ZeroLease))?;
    world.wait(LEASE * 1000).await;
    same("leased meanwhile", bed.lease_ready().await?.len(), 0)?;
    let extended = bed.settle(leased[0].token, Settlement::Extend(Duration::MAX)).await;
    same("an extension for ever", extended, Ok(Settled::Extended))?;
    same("the end", bed.settle(leased[0].token, Settlement::Delivered).await, Ok(Settled::Removed))
}
