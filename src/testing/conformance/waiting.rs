//! D12: a push that waits for room.

use std::time::Duration;

use futures::future::{Either, join, select};

use crate::dead_letter::{PushErrorKind, Settlement, WhenFull};
use crate::testing::conformance::world::{LEASE, Proof, World, broken, full, nth, same};
use crate::time;

const WAIT: Duration = Duration::from_secs(20);

pub(super) async fn d12_wait_for_room_is_bounded(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| (is.capacity, is.when_full) = (1, WhenFull::Wait(WAIT))).await;
    bed.put(nth(1)).await?;
    let (before, begun) = (bed.counts().await?, time::now());
    // Ten times as long is for ever.
    let answer = match select(bed.push(full()), world.under_test.advance(WAIT * 10)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), push)) => match select(push, world.under_test.advance(WAIT)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => return broken("it waited much longer than it was to"),
        },
    };
    match answer {
        Ok(receipt) => return broken(format!("stored as {} in a full queue", receipt.id)),
        Err(error) => same("what came back", (error.kind, *error.letter), (PushErrorKind::Full, full()))?,
    }
    if time::now() - begun < WAIT {
        return broken("it did not wait");
    }
    same("what the wait changed", bed.counts().await?, before)
}

pub(super) async fn d12_waiting_push_takes_the_room_that_comes(world: &World<'_>) -> Proof {
    let bed = world.queue_with(|is| (is.capacity, is.when_full) = (2, WhenFull::Wait(WAIT * 1000))).await;
    bed.put(nth(1)).await?;
    bed.put(nth(2)).await?;
    let leased = bed.lease(&crate::dead_letter::LetterFilter::new(), 2, LEASE).await?;
    let room = async {
        world.wait(Duration::from_secs(1)).await;
        bed.settle(leased[0].token, Settlement::Delivered).await?;
        world.wait(Duration::from_secs(1)).await;
        bed.settle(leased[1].token, Settlement::Delivered).await
    };
    let (pushed, room) = join(join(bed.push(nth(3)), bed.push(nth(4))), room).await;
    room?;
    let ids = vec![pushed.0?.id, pushed.1?.id];
    let held = bed.all().await?;
    same("the letters held", super::world::ids_of(&held), ids)?;
    let keys: Vec<_> = held.iter().filter_map(|letter| letter.idempotency_key.as_deref()).collect();
    same("first come, first served", keys, vec!["key-3", "key-4"])?;
    bed.counts().await.map(drop)
}
