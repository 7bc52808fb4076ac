//! Letters that are brought back, with what was counted of them.

use std::time::Duration;

use crate::dead_letter::by_hand::{ByHand, Deed};
use crate::dead_letter::error::PushErrorKind;
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::letter::{DeadLetter, LetterId, LetterState, Origin};
use crate::dead_letter::memory::MemoryQueue;
use crate::dead_letter::queue::DeadLetterQueue;
use crate::dead_letter::restore::by_pushing;

const HOUR: Duration = Duration::from_secs(3600);

fn from(queue: u128, id: u64) -> DeadLetter {
    let mut letter = DeadLetter::new("op");
    letter.origin = Some(Origin::new(queue, LetterId::new(id)));
    letter
}

fn standing(mut letter: DeadLetter, state: LetterState) -> DeadLetter {
    (letter.deliveries, letter.redrives, letter.unsettled, letter.state) = (7, 2, 1, state);
    letter
}

async fn held(queue: &MemoryQueue) -> Vec<DeadLetter> {
    queue.peek(&LetterFilter::new().any_state(), 100).await.unwrap()
}

/// Whether each was stored (`Some(true)`), known or refused (`None`).
async fn restored(queue: &MemoryQueue, letters: Vec<DeadLetter>) -> Vec<Option<bool>> {
    let answers = queue.restore(letters, &ByHand::of("ana")).await;
    answers.into_iter().map(|answer| answer.ok().map(|receipt| receipt.is_some())).collect()
}

#[tokio::test]
async fn restored_letter_stands_as_it_says_and_is_counted_as_pushed() {
    let queue = MemoryQueue::default();
    let each = [LetterState::Ready, LetterState::Leased, LetterState::Quarantined];
    let letters = each.map(|state| standing(DeadLetter::new("op"), state));
    assert_eq!(restored(&queue, letters.to_vec()).await, [Some(true); 3]);
    let all = held(&queue).await;
    assert!(all.iter().all(|letter| (letter.deliveries, letter.redrives, letter.unsettled) == (7, 2, 1)));
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.pushed, stats.ready, stats.leased, stats.quarantined), (3, 2, 0, 1));
    assert_eq!(queue.lease(&LetterFilter::new(), 10, HOUR).await.unwrap().len(), 2);
}

#[tokio::test]
async fn origin_is_known_while_its_letter_is_held_and_after() {
    let queue = MemoryQueue::default();
    assert_eq!(
        restored(&queue, vec![from(1, 5), from(1, 5), from(2, 5)]).await,
        [Some(true), Some(false), Some(true)]
    );
    queue.push(from(1, 6)).await.unwrap();
    queue.discard(&LetterFilter::new(), &ByHand::default()).await.unwrap();
    assert_eq!(
        restored(&queue, vec![from(1, 5), from(1, 6), from(1, 7)]).await,
        [Some(false), Some(false), Some(true)]
    );
}

#[tokio::test]
async fn queue_knows_its_own_numbers_up_to_the_last() {
    let (queue, other) = (MemoryQueue::default(), MemoryQueue::default());
    let own = queue.identity().unwrap();
    assert_ne!(queue.identity(), other.identity());
    queue.push(DeadLetter::new("op")).await.unwrap();
    assert_eq!(restored(&queue, vec![from(own, 1), from(own, 9)]).await, [Some(false), Some(true)]);
    assert_eq!(restored(&other, vec![from(own, 1)]).await, [Some(true)]);
}

#[tokio::test]
async fn refused_letter_comes_back_as_it_was_and_may_come_again() {
    let queue = MemoryQueue::builder().capacity(1).build().unwrap();
    let letter = standing(from(1, 2), LetterState::Quarantined);
    let mut answers = queue.restore(vec![from(1, 1), letter.clone()], &ByHand::of("ana")).await;
    let error = answers.remove(1).unwrap_err();
    assert_eq!((*error.letter, error.kind), (letter.clone(), PushErrorKind::Full));
    assert_eq!(queue.acts(10).await.unwrap()[0].letters, 1);
    queue.discard(&LetterFilter::new(), &ByHand::default()).await.unwrap();
    assert_eq!(restored(&queue, vec![letter]).await, [Some(true)]);
}

#[tokio::test]
async fn nothing_restored_is_nothing_done() {
    let queue = MemoryQueue::default();
    restored(&queue, vec![]).await;
    assert_eq!(queue.acts(10).await, Ok(vec![]));
    restored(&queue, vec![from(1, 1)]).await;
    restored(&queue, vec![from(1, 1)]).await;
    let deeds: Vec<_> = queue.acts(10).await.unwrap().iter().map(|act| act.deed).collect();
    assert_eq!(deeds, [Deed::Imported]);
}

#[tokio::test(start_paused = true)]
async fn time_to_live_of_a_restored_letter_is_from_now_and_none_if_quarantined() {
    let queue = MemoryQueue::builder().time_to_live(HOUR).build().unwrap();
    tokio::time::advance(HOUR).await;
    let quarantined = standing(from(1, 2), LetterState::Quarantined);
    restored(&queue, vec![from(1, 1), quarantined]).await;
    tokio::time::advance(HOUR / 2).await;
    assert_eq!(held(&queue).await.len(), 2);
    tokio::time::advance(HOUR / 2).await;
    let left = held(&queue).await;
    assert_eq!((left.len(), left[0].state), (1, LetterState::Quarantined));
    assert_eq!(queue.stats().await.unwrap().expired, 1);
}

#[tokio::test]
async fn queue_without_an_account_pushes_what_it_does_not_hold() {
    let (queue, by) = (MemoryQueue::default(), ByHand::of("ana"));
    let letters = || vec![from(1, 1), standing(from(1, 2), LetterState::Quarantined), from(1, 2)];
    let stored = |answers: Vec<Result<Option<_>, _>>| -> Vec<bool> {
        answers
            .into_iter()
            .map(|answer: Result<Option<_>, crate::PushError>| answer.unwrap().is_some())
            .collect()
    };
    assert_eq!(stored(by_pushing(&queue, letters(), &by).await), [true, true, false]);
    assert_eq!(stored(by_pushing(&queue, letters(), &by).await), [false; 3]);
    let states: Vec<_> = held(&queue).await.iter().map(|letter| (letter.deliveries, letter.state)).collect();
    assert_eq!(states, [(0, LetterState::Ready), (0, LetterState::Quarantined)]);
}
