//! D11: the time of a letter.

use std::time::Duration;

use crate::dead_letter::{LetterFilter, LetterState, SettleError, Settled, Settlement};
use crate::testing::conformance::world::{
    ALL, LEASE, MOMENT, Proof, World, any, at, by, full, just_before, letter, nth, same,
};

const LIVES: Duration = Duration::from_secs(100);

pub(super) async fn d11_letter_expires_at_its_time_and_is_counted(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| is.time_to_live = Some(LIVES)).await;
    // Dead for years by the wall clock, which decides nothing.
    bed.put(letter().died_at(at(0))).await?;
    world.wait(just_before(LIVES)).await;
    same("held just before its time", bed.counts().await?.held(), 1)?;
    world.wait(MOMENT).await;
    same("leased after its time", bed.lease(&any(), ALL, LEASE).await?.len(), 0)?;
    same("seen after its time", bed.all().await?.len(), 0)?;
    let counts = bed.counts().await?;
    same("held, expired", (counts.held(), counts.expired), (0, 1))
}

pub(super) async fn d11_letter_without_a_time_does_not_expire(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    world.wait(LIVES * 10_000).await;
    same("leased", bed.lease_ready().await?.len(), 1)
}

pub(super) async fn d11_live_lease_puts_expiry_off(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| is.time_to_live = Some(LIVES)).await;
    bed.put(nth(1)).await?;
    bed.put(nth(2)).await?;
    let leased = bed.lease(&LetterFilter::new(), ALL, LIVES * 2).await?;
    same("leased", leased.len(), 2)?;
    world.wait(just_before(LIVES * 2)).await;
    same("leased beyond their time", bed.counts().await?.leased, 2)?;
    let settled = bed.settle(leased[0].token, Settlement::Delivered).await;
    same("delivered beyond its time", settled, Ok(Settled::Removed))?;
    world.wait(MOMENT).await;
    same("expired", bed.counts().await?.expired, 1)?;
    let late = bed.settle(leased[1].token, Settlement::Delivered).await;
    same("settled after it expired", late, Err(SettleError::Gone))
}

pub(super) async fn d11_released_letter_that_outlived_its_time_expires(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| is.time_to_live = Some(LIVES)).await;
    bed.put(full()).await?;
    let leased = bed.lease(&LetterFilter::new(), ALL, LIVES * 2).await?;
    world.wait(LIVES).await;
    bed.settle(leased[0].token, Settlement::untouched()).await?;
    same("leased", bed.lease_ready().await?.len(), 0)?;
    same("expired", bed.counts().await?.expired, 1)
}

pub(super) async fn d11_quarantined_letter_does_not_expire_and_lives_anew(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| is.time_to_live = Some(LIVES)).await;
    bed.put(full()).await?;
    bed.quarantine(&any(), &by()).await?;
    world.wait(LIVES * 5).await;
    same("where it stands", bed.only().await?.state, LetterState::Quarantined)?;
    same("reinstated", bed.reinstate(&any(), &by()).await?, 1)?;
    world.wait(just_before(LIVES)).await;
    same("ready", bed.counts().await?.ready, 1)?;
    world.wait(MOMENT).await;
    same("expired", bed.counts().await?.expired, 1)
}
