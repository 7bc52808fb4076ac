use std::io::Cursor;
use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio_test::block_on;

use super::*;
use crate::dead_letter::{
    Act, ByHand, DeadLetter, DeadLetterQueue, Deed, Failed, LetterFilter, LetterId, LetterState, MemoryQueue,
    Origin, Payload, PushErrorKind, QueueStats, Settlement, WhenFull,
};
use crate::envelope::arbitrary;

const LEASE: Duration = Duration::from_secs(30);

fn everything() -> LetterFilter {
    LetterFilter::new().any_state()
}

async fn archive_of(queue: &dyn DeadLetterQueue) -> Vec<u8> {
    let mut file = Vec::new();
    let contents = export(queue, &everything(), &mut file, |_| {}).await.unwrap();
    assert_eq!(verify(&file[..], |_| {}).unwrap(), contents);
    file
}

async fn bring(queue: &dyn DeadLetterQueue, file: &[u8]) -> Result<Imported, ImportError> {
    import(queue, Cursor::new(file), &ByHand::of("ana"), |_| {}).await
}

async fn held(queue: &dyn DeadLetterQueue) -> Vec<DeadLetter> {
    queue.peek(&everything(), usize::MAX).await.unwrap()
}

async fn acts(queue: &dyn DeadLetterQueue) -> Vec<Act> {
    queue.acts(usize::MAX).await.unwrap()
}

/// The letters as they are after they were brought from `queue`: nobody works on them, and they have numbers of
/// their own.
fn brought(letters: Vec<DeadLetter>, queue: u128) -> Vec<DeadLetter> {
    let mut number = 0;
    let change = |mut letter: DeadLetter| {
        letter.origin = letter.origin.or(Some(Origin::new(queue, letter.id)));
        if letter.state == LetterState::Leased {
            letter.state = LetterState::Ready;
        }
        number += 1;
        letter.id = LetterId::new(number);
        letter
    };
    letters.into_iter().map(change).collect()
}

/// Letters that were redriven, lost their holders, wait, are worked on and were put aside.
async fn lived_in() -> MemoryQueue {
    let queue = MemoryQueue::default();
    for nth in 0..6_u32 {
        let letter = DeadLetter::new(format!("op {nth}")).payload(Payload::text("3 EUR"));
        queue.push(letter.died_at(SystemTime::UNIX_EPOCH + LEASE * nth)).await.unwrap();
    }
    for number in 1..=2 {
        for _ in 0..number {
            let one = LetterFilter::new().id(LetterId::new(number));
            let leased = queue.lease(&one, 1, LEASE).await.unwrap().remove(0);
            let failed = Settlement::redrive_failed(Failed::default());
            queue.settle(leased.token, failed).await.unwrap();
        }
    }
    queue.lease(&LetterFilter::new().id(LetterId::new(3)), 1, LEASE).await.unwrap();
    tokio::time::advance(LEASE).await;
    queue.lease(&LetterFilter::new().id(LetterId::new(4)), 1, LEASE).await.unwrap();
    queue.quarantine(&LetterFilter::new().id(LetterId::new(5)), &ByHand::of("bo")).await.unwrap();
    queue
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn d17_what_is_exported_and_imported_is_the_same_and_twice_changes_nothing(
        letters in vec(arbitrary::letter(), 0..5),
    ) {
        block_on(async {
            let (old, new) = (MemoryQueue::default(), MemoryQueue::default());
            let pushed = letters.len() as u64;
            assert!(old.restore(letters, &ByHand::default()).await.iter().all(Result::is_ok));
            let file = archive_of(&old).await;

            let imported = bring(&new, &file).await.unwrap();
            assert_eq!((imported.stored, imported.known), (pushed, 0));
            assert_eq!(held(&new).await, brought(held(&old).await, old.identity().unwrap()));
            let (letters, stats, done) = (held(&new).await, new.stats().await, acts(&new).await);

            let again = bring(&new, &file).await.unwrap();
            assert_eq!((again.stored, again.known), (0, pushed));
            let home = bring(&old, &archive_of(&new).await).await.unwrap();
            assert_eq!((home.stored, home.known), (0, pushed), "the old queue knows its own");
            assert_eq!((held(&new).await, new.stats().await, acts(&new).await), (letters, stats, done));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn d17_counts_and_quarantine_come_along() {
    let (old, new) = (lived_in().await, MemoryQueue::default());
    bring(&new, &archive_of(&old).await).await.unwrap();
    let counts = |letter: &DeadLetter| (letter.deliveries, letter.redrives, letter.unsettled, letter.state);
    let ready = LetterState::Ready;
    assert_eq!(
        held(&new).await.iter().map(counts).collect::<Vec<_>>(),
        [
            (1, 1, 0, ready),
            (2, 2, 0, ready),
            (1, 0, 1, ready),
            (1, 0, 0, ready),
            (0, 0, 0, LetterState::Quarantined),
            (0, 0, 0, ready),
        ]
    );
    let QueueStats { ready, leased, quarantined, pushed, .. } = new.stats().await.unwrap();
    assert_eq!((ready, leased, quarantined, pushed), (5, 0, 1, 6));
    let leased = new.lease(&LetterFilter::new().id(LetterId::new(2)), 1, LEASE).await.unwrap().remove(0);
    let failed = Settlement::redrive_failed(Failed::default());
    new.settle(leased.token, failed).await.unwrap();
    assert_eq!(new.stats().await.unwrap().quarantined, 2, "its third redrive that failed");
}

#[tokio::test]
async fn d17_what_was_delivered_or_discarded_since_does_not_come_back() {
    let (old, new) = (MemoryQueue::default(), MemoryQueue::default());
    for _ in 0..3 {
        old.push(DeadLetter::new("op")).await.unwrap();
    }
    let file = archive_of(&old).await;
    bring(&new, &file).await.unwrap();
    for queue in [&old, &new] {
        let leased = queue.lease(&everything(), 1, LEASE).await.unwrap().remove(0);
        queue.settle(leased.token, Settlement::Delivered).await.unwrap();
        queue.discard(&LetterFilter::new().id(LetterId::new(2)), &ByHand::of("ana")).await.unwrap();
        let imported = bring(queue, &file).await.unwrap();
        assert_eq!((imported.stored, imported.known), (0, 3));
        assert_eq!(held(queue).await.len(), 1);
    }
}

#[tokio::test]
async fn letters_keep_where_they_were_first_over_many_moves() {
    let (first, second, third) = (MemoryQueue::default(), MemoryQueue::default(), MemoryQueue::default());
    first.push(DeadLetter::new("op")).await.unwrap();
    second.push(DeadLetter::new("elsewhere")).await.unwrap();
    bring(&second, &archive_of(&first).await).await.unwrap();
    bring(&third, &archive_of(&second).await).await.unwrap();
    let origins: Vec<_> = held(&third).await.iter().map(|letter| letter.origin.unwrap()).collect();
    let one = LetterId::new(1);
    assert_eq!(
        origins,
        [Origin::new(second.identity().unwrap(), one), Origin::new(first.identity().unwrap(), one)]
    );
    assert_eq!(bring(&third, &archive_of(&first).await).await.unwrap().known, 1, "by another way");
}

#[tokio::test]
async fn import_is_written_down_with_who_did_it_and_which_letters() {
    let (old, new) = (MemoryQueue::default(), MemoryQueue::default());
    new.push(DeadLetter::new("here before")).await.unwrap();
    for _ in 0..3 {
        old.push(DeadLetter::new("op")).await.unwrap();
    }
    bring(&new, &archive_of(&old).await).await.unwrap();
    let act = acts(&new).await.remove(0);
    assert_eq!((act.deed, act.letters, act.by), (Deed::Imported, 3, ByHand::of("ana")));
    let meant = new.peek(&act.filter, 10).await.unwrap();
    assert_eq!(meant.iter().map(|letter| letter.id.get()).collect::<Vec<_>>(), [2, 3, 4]);
}

#[tokio::test]
async fn full_queue_ends_an_import_that_goes_on_once_there_is_room() {
    let old = MemoryQueue::default();
    for _ in 0..5 {
        old.push(DeadLetter::new("op")).await.unwrap();
    }
    let file = archive_of(&old).await;
    let small = MemoryQueue::builder().capacity(3).build().unwrap();
    let error = bring(&small, &file).await.unwrap_err();
    assert_eq!(error.done.stored, 3);
    assert_eq!(error.to_string(), "3 letters were imported, then: line 5: dead letter queue is full");
    assert_eq!(small.discard(&everything(), &ByHand::of("ana")).await, Ok(3));
    let rest = bring(&small, &file).await.unwrap();
    assert_eq!((rest.stored, rest.known), (2, 3));

    let drops = MemoryQueue::builder().capacity(3).when_full(WhenFull::DropOldest).build().unwrap();
    let imported = bring(&drops, &file).await.unwrap();
    assert_eq!((imported.stored, imported.evicted), (5, vec![LetterId::new(1), LetterId::new(2)]));
}

#[tokio::test]
async fn letter_too_large_for_the_queue_is_named_by_its_line() {
    let old = MemoryQueue::default();
    old.push(DeadLetter::new("op").payload(Payload::bytes(vec![0; 100]))).await.unwrap();
    let small = MemoryQueue::builder().max_payload(99).build().unwrap();
    let error = bring(&small, &archive_of(&old).await).await.unwrap_err();
    assert!(matches!(error.kind, ImportErrorKind::Refused { line: 2, why: PushErrorKind::TooLarge }));
    assert_eq!(error.to_string(), "nothing was imported: line 2: dead letter is too large for its queue");
}

#[tokio::test]
async fn text_is_kept_readable_and_everything_else_exact() {
    let queue = MemoryQueue::default();
    let payloads = [
        &b""[..],
        b"{\"amount\": 3}\r\n\t",
        "gr\u{fc}n \u{1f389}".as_bytes(),
        b"\0\x1b[31m",
        b"\xff\xfe",
        "\u{85}".as_bytes(),
    ];
    for bytes in payloads {
        queue.push(DeadLetter::new("op").payload(Payload::bytes(bytes))).await.unwrap();
    }
    queue.push(DeadLetter::new("nothing")).await.unwrap();
    let file = archive_of(&queue).await;
    let lines: Vec<_> = std::str::from_utf8(&file).unwrap().lines().collect();
    let is_text: Vec<_> = lines[1..7].iter().map(|line| line.contains(r#""text":"#)).collect();
    assert_eq!(is_text, [true, true, true, false, false, false]);
    assert!(lines[1..7].iter().all(|line| line.contains(r#""text":"#) != line.contains(r#""base64":"#)));
    let new = MemoryQueue::default();
    bring(&new, &file).await.unwrap();
    let back: Vec<_> = held(&new).await.into_iter().map(|letter| letter.payload.map(|it| it.bytes)).collect();
    let expected = payloads.iter().map(|bytes| Some(bytes.to_vec())).chain([None]);
    assert_eq!(back, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn more_letters_than_one_page_and_one_batch_come_in_their_order() {
    let (old, new) = (MemoryQueue::default(), MemoryQueue::default());
    for nth in 0..2500 {
        old.push(DeadLetter::new(format!("op {nth}"))).await.unwrap();
    }
    let (mut file, mut told) = (Vec::new(), Vec::new());
    export(&old, &everything(), &mut file, |progress| told.push(progress)).await.unwrap();
    import(&new, Cursor::new(&file), &ByHand::default(), |progress| told.push(progress)).await.unwrap();
    assert_eq!(held(&new).await, brought(held(&old).await, old.identity().unwrap()));
    let last = |step| {
        let mut of_step = told.iter().filter(|progress| progress.step == step);
        of_step.next_back().map(|progress| progress.letters)
    };
    for step in [Step::Exporting, Step::Verifying, Step::Importing] {
        assert_eq!(last(step), Some(2500), "{step:?}");
    }
    assert!(told.windows(2).all(|two| two[0].step != two[1].step || two[0].bytes < two[1].bytes));
}

#[tokio::test]
async fn archive_in_the_middle_of_a_file_is_read_from_there() {
    let old = MemoryQueue::default();
    old.push(DeadLetter::new("op")).await.unwrap();
    let mut file = b"preface ".to_vec();
    file.extend(archive_of(&old).await);
    let mut reader = Cursor::new(file);
    reader.set_position(8);
    let new = MemoryQueue::default();
    assert_eq!(import(&new, reader, &ByHand::default(), |_| {}).await.unwrap().stored, 1);
}

#[test]
fn futures_may_move_between_threads() {
    fn send<T: Send>(_: &T) {}
    let (queue, all, by) = (MemoryQueue::default(), everything(), ByHand::default());
    send(&export(&queue, &all, Vec::new(), |_| {}));
    send(&import(&queue, Cursor::new(Vec::new()), &by, |_| {}));
}

#[test]
fn import_dropped_at_any_point_can_be_done_again() {
    let (old, new) = (MemoryQueue::default(), MemoryQueue::default());
    block_on(async { old.push(DeadLetter::new("op")).await }).unwrap();
    let file = block_on(archive_of(&old));
    drop(bring(&new, &file));
    assert_eq!(block_on(held(&new)), []);
    assert_eq!(block_on(bring(&new, &file)).unwrap().stored, 1);
}
