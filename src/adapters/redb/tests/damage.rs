//! Letters that storage has let go bad.

use redb::{Builder, ReadableTable as _, TableDefinition};

use super::*;
use crate::dead_letter::{
    ByHand, LetterState, QueueError, RedriveOrder, RunBook as _, RunError, RunId, Settlement,
};

const BODIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bodies");
const ROWS: TableDefinition<'_, u64, &[u8; 100]> = TableDefinition::new("rows");

/// Five letters, the first of which is leased if asked for, and then a bit is wrong.
async fn with_a_wrong_bit(
    backend: &Lasting,
    leased: bool,
    harm: impl FnOnce(&redb::WriteTransaction),
) -> RedbQueue {
    let queue = RedbQueue::builder().in_backend(backend.clone()).await.unwrap();
    for nth in 0..5 {
        push(&queue, nth).await;
    }
    if leased {
        lease_one(&queue).await;
    }
    queue.close().await.unwrap();
    let database = Builder::new().create_with_backend(backend.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    harm(&transaction);
    transaction.commit().unwrap();
    drop(database);
    RedbQueue::builder().in_backend(backend.clone()).await.unwrap()
}

fn harm_body(transaction: &redb::WriteTransaction) {
    let mut bodies = transaction.open_table(BODIES).unwrap();
    let mut body = bodies.get(1).unwrap().unwrap().value().to_vec();
    body[9] ^= 1;
    bodies.insert(1, &*body).unwrap();
}

fn harm_row(transaction: &redb::WriteTransaction) {
    let mut rows = transaction.open_table(ROWS).unwrap();
    let mut row = *rows.get(1).unwrap().unwrap().value();
    row[9] ^= 1;
    rows.insert(1, &row).unwrap();
}

fn ids(letters: &[DeadLetter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.id.get()).collect()
}

#[tokio::test]
async fn d14_damaged_letter_is_put_aside_and_hides_no_other() {
    for first_seen_by_lease in [false, true] {
        let backend = Lasting::new();
        let queue = with_a_wrong_bit(&backend, false, harm_body).await;
        if first_seen_by_lease {
            let leased = lease_one(&queue).await;
            assert_eq!(leased.letter.id.get(), 2);
            queue.settle(leased.token, Settlement::untouched()).await.unwrap();
        }
        assert_eq!(ids(&queue.peek(&all(), 9).await.unwrap()), [2, 3, 4, 5]);
        // What a look has found is put aside by the writer, after the answer.
        queue.lease(&all(), 0, LEASE).await.unwrap();
        let now = stats(&queue).await;
        assert_eq!((now.ready, now.quarantined, now.damaged, now.pushed), (4, 1, 1, 5));
        assert_eq!(queue.groups(&all(), 9).await.unwrap().iter().map(|group| group.letters).sum::<u64>(), 5);
        let by = ByHand::default();
        assert_eq!(queue.reinstate(&all(), &by).await, Ok(0), "nothing makes it ready");
        assert_eq!(queue.discard(&LetterFilter::new().id(LetterId::new(1)).any_state(), &by).await, Ok(1));
        let now = stats(&queue).await;
        assert_eq!((now.held(), now.damaged, now.discarded), (4, 0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn d14_letter_whose_row_is_damaged_is_quarantined_for_somebody_to_look_at() {
    for leased in [false, true] {
        let backend = Lasting::new();
        let queue = with_a_wrong_bit(&backend, leased, harm_row).await;
        assert_eq!(ids(&queue.peek(&all(), 9).await.unwrap()), [2, 3, 4, 5]);
        queue.lease(&all(), 0, LEASE).await.unwrap();
        let now = stats(&queue).await;
        assert_eq!((now.ready, now.leased, now.quarantined, now.damaged), (4, 0, 1, 0), "{leased}");
        let quarantined = queue.peek(&LetterFilter::new().state(LetterState::Quarantined), 9).await.unwrap();
        assert_eq!((ids(&quarantined), quarantined[0].payload.clone()), (vec![1], letter(0).payload));
        assert_eq!(queue.reinstate(&all(), &ByHand::default()).await, Ok(1));
        assert_eq!(lease_one(&queue).await.letter.id.get(), 1);
    }
}

#[tokio::test]
async fn d14_redrive_that_cannot_be_read_is_not_believed_and_hides_no_other() {
    let backend = Lasting::new();
    let queue = RedbQueue::builder().in_backend(backend.clone()).await.unwrap();
    let order = || RedriveOrder::builder(all()).build().unwrap();
    let damaged = queue.begin(order(), None).await.unwrap().id;
    let whole = queue.begin(order(), None).await.unwrap();
    queue.close().await.unwrap();
    let database = Builder::new().create_with_backend(backend.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut runs = transaction.open_table(TableDefinition::<u64, (u64, &[u8])>::new("runs")).unwrap();
        let mut run = runs.get(1).unwrap().unwrap().value().1.to_vec();
        run[9] ^= 1;
        runs.insert(1, (0, &*run)).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);

    let queue = RedbQueue::builder().in_backend(backend).await.unwrap();
    assert!(matches!(queue.run(damaged).await, Err(QueueError::Storage(_))));
    let cancelled = queue.cancel(damaged, &ByHand::default()).await;
    assert!(matches!(cancelled, Err(RunError::Queue(QueueError::Storage(_)))));
    assert_eq!(queue.unfinished().await.as_ref(), Ok(&vec![whole.clone()]));
    assert_eq!(queue.latest(1).await.as_ref(), Ok(&vec![whole.clone()]));
    let next = queue.begin(order(), None).await.unwrap();
    assert_eq!((next.id, queue.latest(9).await), (RunId::new(3), Ok(vec![next.clone(), whole])));
}
