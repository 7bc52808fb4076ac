//! What is promised of a store in particular.

use futures::FutureExt as _;

use super::*;
use crate::adapters::redb::OpenErrorKind;
use crate::dead_letter::{
    ByHand, Deed, LeaseToken, LetterState, Loss, Origin, PushErrorKind, QueueError, Receipt, SettleError,
    Settled, Settlement, WhenFull,
};

#[tokio::test]
async fn d1_d4_d8_restart_keeps_every_letter_and_number() {
    let folder = Folder::new("restart");
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    let first = push(&queue, 1).await;
    let second = push(&queue, 2).await;
    let leased = lease_one(&queue).await;
    assert_eq!((leased.letter.id, leased.letter.deliveries), (first, 1));
    queue.settle(leased.token, Settlement::Delivered).await.unwrap();
    let (before, id) = (stats(&queue).await, queue.identity());
    let letters = queue.peek(&all(), 9).await.unwrap();
    queue.close().await.unwrap();
    assert_eq!(queue.stats().await, Err(QueueError::Closed));

    let queue = RedbQueue::open(folder.file()).await.unwrap();
    assert_eq!((queue.identity(), stats(&queue).await), (id, before));
    assert_eq!(queue.peek(&all(), 9).await.unwrap(), letters);
    assert_eq!(letters[0].id, second);
    assert!(push(&queue, 3).await > second);
    assert_eq!(queue.settle(leased.token, Settlement::Delivered).await, Err(SettleError::Gone));
    queue.close().await.unwrap();
}

#[tokio::test]
async fn second_owner_is_refused_at_once_and_told_the_path() {
    let folder = Folder::new("owners");
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    for refused in
        [RedbQueue::open(folder.file()).await, RedbQueue::builder().open_read_only(folder.file()).await]
    {
        let error = refused.unwrap_err();
        assert_eq!(error.kind, OpenErrorKind::InUse);
        assert!(error.to_string().contains("letters.redb"), "{error}");
    }
    queue.close().await.unwrap();
    RedbQueue::open(folder.file()).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn d3_what_is_refused_in_a_batch_is_refused_alone() {
    let queue =
        RedbQueue::builder().capacity(3).max_payload(20).in_backend(InMemoryBackend::new()).await.unwrap();
    let large = letter(9).payload(Payload::bytes([0; 21]));
    let long = DeadLetter::new("charge").destination("d".repeat(1 << 20));
    let pushed =
        queue.push_all(vec![letter(1), large.clone(), long.clone(), letter(2), letter(3), letter(4)]).await;
    let kinds: Vec<_> =
        pushed.iter().map(|answer| answer.as_ref().map_err(|error| error.kind.clone())).collect();
    let too_large = || Err(PushErrorKind::TooLarge);
    let id = |number| Ok(Receipt::new(LetterId::new(number)));
    let expected = [id(1), too_large(), too_large(), id(2), id(3), Err(PushErrorKind::Full)];
    assert_eq!(kinds, expected.each_ref().map(|answer| answer.as_ref().map_err(Clone::clone)));
    assert_eq!(*pushed[1].as_ref().unwrap_err().letter, large, "handed back as it was");
    let answers = futures::future::join_all((0..50).map(|nth| queue.push(letter(nth)))).await;
    assert!(
        answers.iter().all(|answer| answer.as_ref().is_err_and(|error| error.kind == PushErrorKind::Full))
    );
    assert_eq!(stats(&queue).await.ready, 3);

    let leased = queue.lease(&all(), 3, LEASE).await.unwrap();
    let stale = LeaseToken::new(leased[1].letter.id, 99);
    let settled = queue
        .settle_all(vec![
            (leased[0].token, Settlement::Delivered),
            (stale, Settlement::Delivered),
            (leased[2].token, Settlement::Delivered),
        ])
        .await;
    assert_eq!(settled, [Ok(Settled::Removed), Err(SettleError::Fenced), Ok(Settled::Removed)]);
    assert_eq!(stats(&queue).await.held(), 1);
}

#[tokio::test]
async fn d1_many_producers_at_once_are_each_told_their_own() {
    let queue = in_memory().await;
    let producers = (0..200).map(|nth| {
        let queue = queue.clone();
        tokio::spawn(async move { (nth, queue.push(letter(nth)).await.unwrap().id) })
    });
    let told = futures::future::join_all(producers).await;
    for (nth, id) in told.into_iter().map(Result::unwrap) {
        let found = queue.peek(&LetterFilter::new().id(id), 1).await.unwrap().remove(0);
        assert_eq!(found.payload, letter(nth).payload);
    }
    assert_eq!(stats(&queue).await.pushed, 200);
}

#[tokio::test]
async fn d3_orders_for_many_letters_are_done_in_parts_and_noted_once() {
    let queue = in_memory().await;
    let pushed = queue.push_all((0..5000).map(letter).collect()).await;
    assert!(pushed.iter().all(Result::is_ok));
    let by = ByHand::of("ana").because("fixed");
    assert_eq!(queue.quarantine(&LetterFilter::new(), &by).await, Ok(5000));
    assert_eq!(queue.reinstate(&LetterFilter::new().destination("payments-1"), &by).await, Ok(1667));
    let left = LetterFilter::new().state(LetterState::Quarantined).up_to(LetterId::new(4000));
    assert_eq!(queue.discard(&left, &by).await, Ok(2667));
    let acts = queue.acts(9).await.unwrap();
    let told: Vec<_> = acts.iter().map(|act| (act.deed, act.letters)).collect();
    assert_eq!(told, [(Deed::Discarded, 2667), (Deed::Reinstated, 1667), (Deed::Quarantined, 5000)]);
    assert_eq!((acts[0].by.clone(), acts[0].filter.clone()), (by, left));
    let stats = stats(&queue).await;
    assert_eq!((stats.ready, stats.quarantined, stats.discarded), (1667, 666, 2667));
}

#[tokio::test]
async fn acts_are_kept_over_a_restart_and_the_last_thousand_of_them() {
    let backend = Lasting::new();
    let queue = RedbQueue::builder().in_backend(backend.clone()).await.unwrap();
    for _ in 0..1005 {
        queue.discard(&all(), &ByHand::of("ana")).await.unwrap();
    }
    queue.close().await.unwrap();
    let queue = RedbQueue::builder().in_backend(backend).await.unwrap();
    assert_eq!(queue.acts(9999).await.unwrap().len(), 1000);
    assert_eq!(queue.acts(3).await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn d11_time_goes_on_over_a_restart_and_never_back() {
    let minute = Duration::from_secs(60);
    let backend = Lasting::new();
    let open = || RedbQueue::builder().time_to_live(minute).in_backend(backend.clone());
    let queue = open().await.unwrap();
    push(&queue, 1).await;
    tokio::time::advance(minute * 10 / 15).await;
    push(&queue, 2).await;
    queue.close().await.unwrap();
    drop(queue);

    // The clock of another runtime starts where the machine's is: 40 seconds back.
    let later = std::thread::spawn(move || {
        let paused = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        paused.unwrap().block_on(async {
            let queue = RedbQueue::builder().time_to_live(minute).in_backend(backend).await.unwrap();
            tokio::time::advance(Duration::from_secs(19)).await;
            assert_eq!(stats(&queue).await.ready, 2, "one second is left");
            tokio::time::advance(Duration::from_secs(1)).await;
            let now = stats(&queue).await;
            assert_eq!((now.ready, now.expired), (1, 1), "a step back gives no letter a longer life");
            tokio::time::advance(minute).await;
            assert_eq!(stats(&queue).await.expired, 2);
        });
    });
    later.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn d5_d6_d7_leases_end_over_a_restart_and_fences_grow() {
    let backend = Lasting::new();
    let queue = RedbQueue::builder().in_backend(backend.clone()).await.unwrap();
    push(&queue, 1).await;
    let first = lease_one(&queue).await;
    queue.close().await.unwrap();
    let queue = RedbQueue::builder().in_backend(backend).await.unwrap();
    assert!(queue.lease(&all(), 9, LEASE).await.unwrap().is_empty(), "the lease lives on");
    assert_eq!(queue.peek(&all(), 1).await.unwrap()[0].deliveries, 1, "and was counted");
    tokio::time::advance(LEASE).await;
    assert_eq!(queue.settle(first.token, Settlement::Delivered).await, Err(SettleError::Fenced));
    let second = lease_one(&queue).await;
    assert!(second.token.fence() > first.token.fence());
    assert_eq!((second.letter.deliveries, second.letter.unsettled), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn d17_letter_from_elsewhere_is_taken_in_once() {
    let queue = RedbQueue::builder().time_to_live(HOUR).in_backend(InMemoryBackend::new()).await.unwrap();
    let (origin, by) = (Origin::new(u128::MAX - 7, LetterId::new(9)), ByHand::default());
    let mut from_elsewhere = letter(1);
    from_elsewhere.origin = Some(origin);
    let is_known = || async {
        let [answer] = &queue.restore(vec![from_elsewhere.clone()], &by).await[..] else { panic!() };
        answer.as_ref().unwrap().is_none()
    };
    assert_eq!(queue.find_origin(origin).await, Ok(None));
    assert!(!is_known().await);
    let id = queue.find_origin(origin).await.unwrap();
    assert!(id.is_some() && is_known().await && stats(&queue).await.pushed == 1);
    let leased = lease_one(&queue).await;
    assert_eq!((leased.letter.origin, Some(leased.letter.id)), (Some(origin), id));
    queue.settle(leased.token, Settlement::Delivered).await.unwrap();
    assert!(is_known().await, "delivered is final");
    assert_eq!(stats(&queue).await.held(), 0);
    tokio::time::advance(HOUR).await;
    push(&queue, 2).await;
    tokio::time::advance(HOUR).await;
    assert_eq!(stats(&queue).await.expired, 1);
    assert_eq!(queue.find_origin(origin).await, Ok(None), "it is not remembered for ever");
    assert!(!is_known().await);
}

#[tokio::test(start_paused = true)]
async fn letter_from_elsewhere_is_edited_and_is_known_as_long_as_its_copy_is() {
    let queue = RedbQueue::builder().time_to_live(HOUR).in_backend(InMemoryBackend::new()).await.unwrap();
    let origin = Origin::new(7, LetterId::new(9));
    let mut original = letter(1);
    original.origin = Some(origin);
    let old = queue.push(original.clone()).await.unwrap().id;
    let copy = original.payload(Payload::text("mended"));
    let new = queue.replace(old, copy, &ByHand::default()).await.unwrap().id;
    assert!(new > old);
    let held = queue.peek(&all(), 9).await.unwrap();
    assert_eq!((held.len(), held[0].id, held[0].payload.clone()), (1, new, Some(Payload::text("mended"))));
    queue.quarantine(&all(), &ByHand::default()).await.unwrap();
    tokio::time::advance(HOUR).await;
    push(&queue, 2).await;
    assert_eq!(queue.find_origin(origin).await, Ok(Some(new)), "the old one was forgotten, the copy was not");
}

#[tokio::test]
async fn d2_one_is_told_at_eighty_percent_and_again_only_after_seventy() {
    let (tell, told) = std::sync::mpsc::channel();
    let queue = RedbQueue::builder()
        .capacity(10)
        .on_filling(move |stats| tell.send(stats.held()).unwrap())
        .in_backend(InMemoryBackend::new())
        .await
        .unwrap();
    let fill = async || {
        while queue.push(letter(1)).await.is_ok() {}
    };
    let empty_to = async |left: u64| {
        let ids: Vec<_> = queue.peek(&all(), 99).await.unwrap().iter().map(|letter| letter.id).collect();
        let gone = ids[ids.len() - 1 - usize::try_from(left).unwrap()];
        queue.discard(&LetterFilter::new().up_to(gone), &ByHand::default()).await.unwrap();
    };
    fill().await;
    empty_to(7).await;
    fill().await;
    empty_to(6).await;
    fill().await;
    queue.close().await.unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [8, 8]);
}

#[tokio::test]
async fn losses_are_told_and_a_panic_of_the_hook_breaks_nothing() {
    let (tell, told) = std::sync::mpsc::channel();
    let queue = RedbQueue::builder()
        .capacity(1)
        .when_full(WhenFull::DropOldest)
        .on_loss(move |letter, loss| {
            tell.send((letter.id.get(), loss)).unwrap();
            assert_ne!(letter.id.get(), 1, "told");
        })
        .in_backend(InMemoryBackend::new())
        .await
        .unwrap();
    for nth in 0..3 {
        push(&queue, nth).await;
    }
    assert_eq!(stats(&queue).await.evicted, 2);
    queue.close().await.unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(1, Loss::Evicted), (2, Loss::Evicted)]);
}

#[tokio::test]
async fn d18_dropping_any_future_at_any_poll_leaves_all_of_it_true() {
    let queue = in_memory().await;
    let by = ByHand::default();
    for polls in 0..4 {
        for _ in 0..3 {
            push(&queue, polls).await;
        }
        drop_after(polls, queue.push(letter(7))).await;
        drop_after(polls, queue.push_all(vec![letter(8), letter(9)])).await;
        drop_after(polls, queue.lease(&all(), 2, LEASE)).await;
        let leased = lease_one(&queue).await;
        drop_after(polls, queue.settle(leased.token, Settlement::Quarantine)).await;
        drop_after(polls, queue.replace(leased.letter.id, letter(1), &by)).await;
        drop_after(polls, queue.peek(&all(), 9)).await;
        drop_after(polls, queue.groups(&all(), 9)).await;
        drop_after(polls, queue.quarantine(&LetterFilter::new().destination("payments-1"), &by)).await;
        drop_after(polls, queue.reinstate(&all(), &by)).await;
        drop_after(polls, queue.discard(&LetterFilter::new().destination("payments-2"), &by)).await;
        // What was asked before is answered before.
        assert_eq!(queue.lease(&all(), 0, LEASE).await.unwrap(), []);
        stats(&queue).await;
    }
    drop_after(1, queue.close()).await;
    // Closed or not, closing again is safe.
    queue.close().await.unwrap();
    assert_eq!(queue.push(letter(1)).await.unwrap_err().kind, PushErrorKind::Closed);
}

async fn drop_after<T>(polls: usize, future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        if future.as_mut().now_or_never().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
