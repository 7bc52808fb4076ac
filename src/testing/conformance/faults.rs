//! D13 and D14: storage that fails, or lies.

use crate::dead_letter::{LetterFilter, PushErrorKind, SettleError, Settlement};
use crate::testing::conformance::world::{
    ALL, Bed, LEASE, Proof, Stop, World, any, broken, by, full, holds, ids_of, nth, same,
};

fn arm(bed: &Bed<'_>) -> Proof {
    if bed.fail_next_write() {
        return Ok(());
    }
    Err(Stop::DoesNotApply("nobody says how its storage can be made to fail"))
}

pub(super) async fn d13_failed_push_is_not_reported_as_stored(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let first = bed.put(nth(1)).await?;
    arm(&bed)?;
    match bed.push(full()).await {
        Ok(receipt) => return broken(format!("stored as {} by a write that failed", receipt.id)),
        Err(error) => {
            holds(format!("`{}` tells of the storage", error.kind), {
                matches!(error.kind, PushErrorKind::Storage(_))
            })?;
            same("the letter handed back", *error.letter, full())?;
        }
    }
    let bed = bed.crashed().await;
    // Of what failed nobody knows whether it happened, but it happened in full or not at all.
    let held = bed.all().await?;
    holds("the letter from before is there", held.first().map(|letter| letter.id) == Some(first))?;
    for mut other in held.into_iter().skip(1) {
        other.id = full().id;
        same("a letter that is there is whole", other, full())?;
    }
    bed.counts().await?;
    let next = bed.put(nth(2)).await?;
    let bed = bed.crashed().await;
    same("what was stored afterwards is there", bed.peek(&any().id(next), ALL).await?.len(), 1)
}

pub(super) async fn d13_failed_settlement_is_not_reported_as_done(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let stored = bed.put(full()).await?;
    let token = bed.lease_one().await?.token;
    arm(&bed)?;
    match bed.settle(token, Settlement::Delivered).await {
        Err(SettleError::Storage(_)) => {}
        other => return broken(format!("a write that failed is told as {other:?}")),
    }
    let bed = bed.crashed().await;
    let counts = bed.counts().await?;
    same("what became of it", counts.held() + counts.delivered, 1)?;
    holds("nothing else is there", ids_of(&bed.all().await?).iter().all(|&id| id == stored))
}

pub(super) async fn d13_failed_lease_gives_nothing_out(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(full()).await?;
    arm(&bed)?;
    if let Ok(leased) = bed.lease(&LetterFilter::new(), ALL, LEASE).await {
        return broken(format!("gave out {leased:?} though that could not be written"));
    }
    let bed = bed.crashed().await;
    bed.counts().await?;
    world.wait(LEASE).await;
    same("it comes back", bed.lease_ready().await?.len(), 1)
}

pub(super) async fn d14_damaged_letter_hides_no_other_and_is_not_given_out(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let ids = [bed.put(nth(1)).await?, bed.put(full()).await?, bed.put(nth(3)).await?];
    let Some(bed) = bed.damaged(ids[1]).await else {
        return Err(Stop::DoesNotApply("nobody says how a letter of it can be damaged"));
    };
    let seen = bed.peek(&any(), ALL).await?;
    same("what is seen", ids_of(&seen), vec![ids[0], ids[2]])?;
    let leased: Vec<_> = bed.lease_ready().await?.into_iter().map(|leased| leased.letter.id).collect();
    same("what is given out", leased, vec![ids[0], ids[2]])?;
    let next = bed.put(nth(4)).await?;
    holds("it goes on", next > ids[2])?;
    bed.discard(&any(), &by()).await.map(drop).map_err(Stop::from)
}
