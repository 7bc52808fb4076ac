//! Redrives that are written down in the file, and letters that are brought back.

use super::*;
use crate::dead_letter::{
    ByHand, Deed, LetterState, Origin, QueueError, RedriveOrder, RunBook as _, RunError, RunId, RunOwner,
    RunState,
};

fn order() -> RedriveOrder {
    let filter = LetterFilter::new().destination("payments-1");
    RedriveOrder::builder(filter).by(ByHand::of("ana")).rate(500.0).build().unwrap()
}

#[tokio::test]
async fn run_is_there_after_a_restart_as_it_was_saved_last() {
    let backend = Lasting::new();
    let queue = RedbQueue::builder().in_backend(backend.clone()).await.unwrap();
    for nth in 0..7 {
        push(&queue, nth).await;
    }
    let mut run = queue.begin(order(), Some(RunOwner::new("me", LEASE))).await.unwrap();
    assert_eq!((run.id, run.up_to, run.progress.meant), (RunId::new(1), LetterId::new(7), 2));
    assert_eq!(run.state, RunState::Running);
    let act = queue.acts(9).await.unwrap().remove(0);
    assert_eq!((act.deed, act.letters, act.by), (Deed::Redriven, 2, ByHand::of("ana")));
    run.progress.delivered = 1;
    run.progress.open = vec![LetterId::new(5)];
    run.revision = queue.save(run.clone()).await.unwrap();
    queue.close().await.unwrap();

    let queue = RedbQueue::builder().in_backend(backend).await.unwrap();
    assert_eq!(queue.runs().unwrap().run(run.id).await.unwrap(), Some(run.clone()));
    assert_eq!(queue.unfinished().await.unwrap(), [run]);
    assert_eq!(queue.begin(order(), None).await.unwrap().id, RunId::new(2), "numbers are not used again");
}

#[tokio::test]
async fn stale_copy_does_not_overwrite_and_a_cancelled_run_is_not_brought_back() {
    let queue = in_memory().await;
    let mut mine = queue.begin(order(), None).await.unwrap();
    let stale = mine.clone();
    mine.revision = queue.save(mine.clone()).await.unwrap();
    assert_eq!(queue.save(stale).await, Err(RunError::Changed));
    let by = ByHand::of("bo");
    let cancelled = queue.cancel(mine.id, &by).await.unwrap();
    assert_eq!(cancelled.state, RunState::Cancelled { by: by.clone() });
    assert_eq!(queue.save(mine.clone()).await, Err(RunError::Changed));
    assert_eq!(queue.cancel(mine.id, &ByHand::of("cy")).await, Ok(cancelled), "the first one counts");
    let none = RunId::new(77);
    mine.id = none;
    assert_eq!(queue.save(mine).await, Err(RunError::NoSuchRun(none)));
    assert_eq!(queue.cancel(none, &by).await, Err(RunError::NoSuchRun(none)));
}

#[tokio::test]
async fn runs_that_are_over_make_room_and_others_never_do() {
    let queue = in_memory().await;
    let begun = (0..1000).map(|_| queue.begin(order(), None));
    futures::future::try_join_all(begun).await.unwrap();
    assert_eq!(queue.begin(order(), None).await, Err(QueueError::TooManyRuns));
    queue.cancel(RunId::new(8), &ByHand::default()).await.unwrap();
    assert_eq!(queue.begin(order(), None).await.unwrap().id, RunId::new(1001));
    assert_eq!(queue.run(RunId::new(8)).await, Ok(None));
    assert_eq!(
        queue.latest(2).await.unwrap().iter().map(|run| run.id.get()).collect::<Vec<_>>(),
        [1001, 1000]
    );
    queue.cancel(RunId::new(9), &ByHand::default()).await.unwrap();
    let gone = RunOwner::new("gone", Duration::from_nanos(1));
    assert_eq!(queue.begin(order(), Some(gone)).await.unwrap().id, RunId::new(1002));
    assert_eq!(queue.begin(order(), None).await.unwrap().id, RunId::new(1003), "left behind by its owner");
    assert_eq!(queue.run(RunId::new(1002)).await, Ok(None));
}

#[tokio::test]
async fn d17_letter_is_brought_back_as_it_stood_once_and_never_twice() {
    let backend = Lasting::new();
    let queue = RedbQueue::builder().in_backend(backend.clone()).await.unwrap();
    let back = |id, state| {
        let mut back = letter(1);
        back.origin = Some(Origin::new(7, LetterId::new(id)));
        (back.deliveries, back.redrives, back.unsettled, back.state) = (5, 2, 1, state);
        back
    };
    let by = ByHand::of("ana");
    let letters = || {
        vec![
            back(1, LetterState::Ready),
            back(2, LetterState::Quarantined),
            back(3, LetterState::Leased),
            back(1, LetterState::Ready),
        ]
    };
    let answers = queue.restore(letters(), &by).await;
    let stored: Vec<bool> = answers.into_iter().map(|answer| answer.unwrap().is_some()).collect();
    assert_eq!(stored, [true, true, true, false]);
    let held = queue.peek(&all(), 9).await.unwrap();
    assert!(held.iter().all(|letter| (letter.deliveries, letter.redrives, letter.unsettled) == (5, 2, 1)));
    let numbers = stats(&queue).await;
    assert_eq!((numbers.pushed, numbers.ready, numbers.quarantined), (3, 2, 1));
    let act = queue.acts(9).await.unwrap().remove(0);
    assert_eq!((act.deed, act.letters), (Deed::Imported, 3));

    queue.discard(&all(), &by).await.unwrap();
    queue.close().await.unwrap();
    let queue = RedbQueue::builder().in_backend(backend).await.unwrap();
    let again = queue.restore(letters(), &by).await;
    assert!(again.into_iter().all(|answer| answer.unwrap().is_none()), "what is gone is known, too");
    let mut own = letter(9);
    own.origin = Some(Origin::new(queue.identity().unwrap(), LetterId::new(2)));
    assert_eq!(queue.restore(vec![own], &by).await, [Ok(None)], "its own letters were here");
    queue.close().await.unwrap();
    let closed = queue.restore(letters(), &by).await;
    assert_eq!(closed.len(), 4);
    assert!(closed.into_iter().all(|answer| answer.is_err_and(|error| error.letter.deliveries == 5)));
}
