//! What people do to letters, and groups of them.

use super::promises::{by, full_letter, lease_one, one, only, push, stats};
use super::*;
use crate::dead_letter::chain::ErrorChain;
use crate::dead_letter::error::PushErrorKind;
use crate::dead_letter::payload::Payload;

#[tokio::test(start_paused = true)]
async fn deeds_are_written_down_newest_first_with_who_and_why() {
    let queue = MemoryQueue::default();
    let (first, second) = (push(&queue).await, push(&queue).await);
    let why = by().because("poison");
    assert_eq!(queue.quarantine(&one(first), &why).await, Ok(1));
    assert_eq!(queue.quarantine(&one(first), &why).await, Ok(0), "it is there already");
    assert_eq!(
        queue.reinstate(&LetterFilter::new(), &by()).await,
        Ok(1),
        "whatever the filter says of states"
    );
    assert_eq!(queue.discard(&one(second), &ByHand::default()).await, Ok(1));
    let acts = queue.acts(usize::MAX).await.unwrap();
    let told: Vec<_> = acts.iter().map(|act| (act.deed.name(), act.letters, act.by.to_string())).collect();
    assert_eq!(
        told,
        [
            ("discarded", 1, "nobody named".to_owned()),
            ("reinstated", 1, "ana".to_owned()),
            ("quarantined", 0, "ana: poison".to_owned()),
            ("quarantined", 1, "ana: poison".to_owned()),
        ]
    );
    assert_eq!(acts[3].filter, one(first));
    for _ in 0..1000 {
        queue.discard(&one(second), &by()).await.unwrap();
    }
    assert_eq!(queue.acts(usize::MAX).await.unwrap().len(), 1000, "bounded");
}

#[tokio::test(start_paused = true)]
async fn edited_letter_takes_the_place_of_the_old_one_in_one_step() {
    let queue = MemoryQueue::builder().capacity(1).build().unwrap();
    let id = push(&queue).await;
    let edited = || full_letter().payload(Payload::text("mended"));
    let receipt = queue.replace(id, edited(), &by()).await.unwrap();
    assert!(receipt.id > id);
    assert_eq!(only(&queue).await.payload, Some(Payload::text("mended")));
    assert_eq!(stats(&queue).await.discarded, 1);
    let gone = queue.replace(id, edited(), &by()).await.unwrap_err();
    assert_eq!(gone.kind, PushErrorKind::NotAvailable(id));
    lease_one(&queue).await;
    let leased = queue.replace(receipt.id, edited(), &by()).await.unwrap_err();
    assert_eq!(leased.kind, PushErrorKind::NotAvailable(receipt.id));
}

#[tokio::test(start_paused = true)]
async fn groups_are_counted_over_pages_and_the_largest_come_first() {
    let queue = MemoryQueue::default();
    for nth in 0..300 {
        let text = if nth % 3 == 0 { "refused" } else { "timed out" };
        let error = ErrorChain::from_display(&format!("order {nth} {text}"));
        queue.push(full_letter().error(error)).await.unwrap();
    }
    let groups = queue.groups(&LetterFilter::new(), 9).await.unwrap();
    let told: Vec<_> = groups.iter().map(|group| (group.letters, group.sample.id.get())).collect();
    assert_eq!(told, [(200, 300), (100, 298)]);
    let filter = LetterFilter::new().fingerprint(groups[1].fingerprint);
    assert_eq!(queue.peek(&filter, 999).await.unwrap().len(), 100);
    assert_eq!(queue.groups(&LetterFilter::new(), 1).await.unwrap().len(), 1);
}
