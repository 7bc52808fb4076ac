//! What was redacted is in no byte of the store.

use std::time::{Duration, SystemTime};

use recoup::{
    AttemptRecord, ByHand, DeadLetter, DeadLetterQueue, ErrorChain, Failed, LetterFilter, Payload, Redacted,
    RedbQueue, Settlement,
};

/// So many canaries are sent, one for each place of a letter where a secret may be.
const CANARIES: usize = 14;

fn canary(n: usize) -> String {
    format!("canary-{n:02}-yellow")
}

/// Takes every canary out of a letter.
fn catch(letter: &mut DeadLetter) {
    let clean =
        |text: &str| (0..CANARIES).fold(text.to_owned(), |text, n| text.replace(&canary(n), "[bird]"));
    letter.headers = letter.headers.iter().map(|(name, value)| (clean(name), clean(value))).collect();
    for field in [&mut letter.correlation_id, &mut letter.traceparent, &mut letter.tenant] {
        *field = field.as_deref().map(clean);
    }
    letter.operation = clean(&letter.operation);
    letter.destination = letter.destination.as_deref().map(clean);
    letter.idempotency_key = letter.idempotency_key.as_deref().map(clean);
    if let Some(payload) = &mut letter.payload {
        payload.bytes = clean(&String::from_utf8_lossy(&payload.bytes)).into_bytes();
        payload.content_type = clean(&payload.content_type);
    }
    letter.rewrite_texts(|text| clean(text));
}

fn letter() -> DeadLetter {
    let twice = format!("{} and {}", canary(5), canary(5));
    DeadLetter::new(canary(0))
        .destination(canary(1))
        .payload(Payload::new(canary(2), format!("{{\"card\": \"{}\"}}", canary(3))))
        .header(canary(4), twice)
        .error(ErrorChain::from_display(&format!("refused {}", canary(6))))
        .attempt(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, format!("no {}", canary(7))))
        .correlation_id(canary(8))
        .traceparent(canary(9))
        .tenant(canary(10))
        .idempotency_key(canary(11))
}

/// The canaries that are in these bytes.
fn found(bytes: &[u8]) -> Vec<usize> {
    let starts = (0..bytes.len()).filter(|at| bytes[*at] == b'c').map(|at| &bytes[at..]);
    let birds: Vec<&[u8]> = starts.filter(|rest| rest.starts_with(b"canary-")).collect();
    (0..CANARIES).filter(|n| birds.iter().any(|bird| bird.starts_with(canary(*n).as_bytes()))).collect()
}

/// Does all that writes down something that a caller said.
async fn use_all(queue: &dyn DeadLetterQueue) {
    let receipt = queue.push(letter()).await.unwrap();
    for answer in queue.push_all(vec![letter(), letter(), letter()]).await {
        answer.unwrap();
    }
    queue.replace(receipt.id, letter(), &ByHand::of("operator")).await.unwrap();
    for leased in queue.lease(&LetterFilter::new(), 3, Duration::from_secs(60)).await.unwrap() {
        let record = AttemptRecord::new(2, SystemTime::UNIX_EPOCH, format!("still no {}", canary(12)));
        let failed = Failed::from(record).error(ErrorChain::from_display(&canary(13)));
        queue.settle(leased.token, Settlement::redrive_failed(failed)).await.unwrap();
    }
    queue.close().await.unwrap();
}

/// Every byte of every file in the folder.
fn every_byte(folder: &std::path::Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.flat_map(|file| std::fs::read(file).unwrap()).collect()
}

#[tokio::test]
async fn d16_what_was_redacted_is_in_no_byte_of_any_file() {
    let folder = crate::folder("secrets");
    let store = RedbQueue::open(folder.join("letters.redb")).await.unwrap();
    use_all(&Redacted::new(store, catch)).await;
    let bytes = every_byte(&folder);
    assert!(bytes.windows(6).any(|window| window == b"[bird]"), "something was written");
    assert_eq!(found(&bytes), Vec::<usize>::new(), "these are in the file");
}

/// The control: without the redactor, each of them would be found.
#[tokio::test]
async fn d16_what_was_not_redacted_is_found_so_the_search_can_find_it() {
    let folder = crate::folder("secrets-told");
    use_all(&RedbQueue::open(folder.join("letters.redb")).await.unwrap()).await;
    assert_eq!(found(&every_byte(&folder)), (0..CANARIES).collect::<Vec<_>>());
}
