//! What the queue does beside the promises that have numbers.

use super::*;

#[tokio::test(start_paused = true)]
async fn peek_pages_in_order_of_id() {
    let queue = MemoryQueue::default();
    for _ in 0..25 {
        push(&queue).await;
    }
    let (mut seen, mut filter) = (Vec::new(), all());
    loop {
        let page = queue.peek(&filter, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        filter = filter.after(last.id);
        seen.extend(page.iter().map(|letter| letter.id.get()));
    }
    assert_eq!(seen, (1..=25).collect::<Vec<_>>());
    assert!(queue.peek(&all(), 0).await.unwrap().is_empty());
    assert!(queue.lease(&all(), 0, LEASE).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lease_takes_only_what_the_filter_means() {
    let queue = MemoryQueue::default();
    for destination in ["a", "b", "a", "a"] {
        queue.push(DeadLetter::new("op").destination(destination)).await.unwrap();
    }
    let filter = LetterFilter::new().destination("a").up_to(LetterId::new(3));
    let leased = queue.lease(&filter, 10, LEASE).await.unwrap();
    let ids: Vec<u64> = leased.iter().map(|leased| leased.letter.id.get()).collect();
    assert_eq!(ids, [1, 3]);
    assert_eq!(queue.discard(&LetterFilter::new().state(LetterState::Leased), &by()).await, Ok(2));
    assert_eq!(queue.settle(leased[0].token, Settlement::Delivered).await, Err(SettleError::Gone));
}

#[test]
fn debug_shows_no_letter() {
    let queue = MemoryQueue::default();
    for _ in 0..2 {
        queue.push(full_letter()).now_or_never().unwrap().unwrap();
    }
    assert_eq!(format!("{queue:?}"), "MemoryQueue { held: 2, .. }");
}

#[test]
fn futures_go_between_threads() {
    fn sent<T: Send>(_: T) {}
    let queue = MemoryQueue::default();
    let (filter, by) = (LetterFilter::new(), by());
    sent(queue.push(full_letter()));
    sent(queue.peek(&filter, 1));
    sent(queue.lease(&filter, 1, LEASE));
    sent(queue.settle(LeaseToken::new(LetterId::new(1), 1), Settlement::Quarantine));
    sent(queue.reinstate(&filter, &by));
    sent(queue.discard(&filter, &by));
    sent(queue.quarantine(&filter, &by));
    sent(queue.replace(LetterId::new(1), DeadLetter::new("op"), &by));
    sent(queue.acts(1));
    sent(queue.groups(&filter, 1));
    sent(queue.settle_all(Vec::new()));
    sent(queue.push_all(Vec::new()));
    sent(queue.close());
    sent(queue.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_holders_deliver_each_letter_once() {
    let queue = MemoryQueue::default();
    for _ in 0..200 {
        push(&queue).await;
    }
    let workers = (0..4).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut delivered = 0;
            loop {
                let leased = queue.lease(&LetterFilter::new(), 3, HOUR).await.unwrap();
                if leased.is_empty() {
                    return delivered;
                }
                for leased in leased {
                    queue.settle(leased.token, Settlement::Delivered).await.unwrap();
                    delivered += 1;
                }
            }
        })
    });
    let delivered: u32 = futures::future::join_all(workers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!((delivered, stats(&queue).await.delivered), (200, 200));
}
