use std::sync::Arc;
use std::time::SystemTime;

use super::*;
use crate::dead_letter::chain::ErrorChain;
use crate::dead_letter::history::{AttemptRecord, History};
use crate::dead_letter::letter::Edited;
use crate::dead_letter::memory::MemoryQueue;
use crate::dead_letter::payload::Payload;
use crate::dead_letter::reason::DeadReason;

const CANARY: &str = "tweet-4711";
const LEASE: Duration = Duration::from_secs(30);

fn canary(what: &str) -> String {
    format!("{what} {CANARY}!")
}

/// A letter with the canary wherever a letter can hold text or bytes.
fn full() -> DeadLetter {
    let error = std::io::Error::other(canary("inner"));
    let error = anyhow::Error::new(error).context(canary("outer"));
    let mut letter = DeadLetter::new("op")
        .destination(canary("destination"))
        .payload(Payload::text(canary("payload")))
        .error(ErrorChain::of(error.as_ref()).type_name(canary("type")))
        .attempt(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, canary("attempt")))
        .correlation_id(canary("correlation"))
        .idempotency_key(canary("key"))
        .traceparent(canary("trace"))
        .tenant(canary("tenant"))
        .header(canary("name"), "value")
        .header("name", canary("value"));
    let by = ByHand::of(canary("who")).because(canary("why"));
    letter.edited = Some(Box::new(Edited::new(LetterId::new(1), [0; 32], by, SystemTime::UNIX_EPOCH)));
    letter
}

fn failed() -> Failed {
    let record = AttemptRecord::new(1, SystemTime::UNIX_EPOCH, canary("redrive"));
    Failed::from(record).error(ErrorChain::from_display(&canary("again"))).reason(DeadReason::Deadline)
}

/// Takes the canary out wherever it is.
fn catch(letter: &mut DeadLetter) {
    letter.rewrite_texts(|text| text.replace(CANARY, "…"));
    if let Some(payload) = &mut letter.payload {
        payload.bytes.clear();
    }
}

/// Everything that the queue can be made to say.
async fn seen(queue: &MemoryQueue) -> String {
    let letters = queue.peek(&LetterFilter::new().any_state(), 100).await.unwrap();
    let bytes: Vec<_> = letters.iter().filter_map(|letter| letter.payload.clone()).collect();
    let text: String = bytes.iter().map(|payload| String::from_utf8_lossy(&payload.bytes)).collect();
    let (acts, stats) = (queue.acts(100).await, queue.stats().await);
    format!("{letters:?} {text} {acts:?} {stats:?}")
}

#[tokio::test]
async fn d16_what_is_redacted_never_reaches_the_queue() {
    let inside = MemoryQueue::default();
    let by = ByHand::of("ana");
    inside.push(full()).await.unwrap();
    assert!(seen(&inside).await.matches(CANARY).count() > 12, "the canary is seen where it sings");
    inside.discard(&LetterFilter::new(), &by).await.unwrap();

    let queue = Redacted::new(inside.clone(), catch);
    let id = queue.push(full()).await.unwrap().id;
    queue.push_all(vec![full(), full()]).await;
    queue.restore(vec![full()], &by).await;
    queue.replace(id, full(), &by).await.unwrap();
    let leased = queue.lease(&LetterFilter::new(), 3, LEASE).await.unwrap();
    let [one, two, three] = &leased[..] else { panic!("{leased:?}") };
    queue.settle(one.token, Settlement::redrive_failed(failed())).await.unwrap();
    let failures = [two, three].map(|leased| (leased.token, Settlement::redrive_failed(failed())));
    assert!(queue.settle_all(failures.to_vec()).await.iter().all(Result::is_ok));

    assert_eq!(inside.stats().await.unwrap().ready, 4);
    let seen = seen(&inside).await;
    assert!(seen.contains("redrive …!") && seen.contains("again …!"), "{seen}");
    assert!(!seen.contains(CANARY), "{seen}");
}

#[tokio::test]
async fn refused_letter_comes_back_as_it_was_given() {
    let inside = MemoryQueue::builder().capacity(1).build().unwrap();
    let queue = Redacted::new(Arc::new(inside), catch);
    let given = full();
    let id = queue.push(given.clone()).await.unwrap().id;
    let by = ByHand::default();
    assert_eq!(*queue.push(given.clone()).await.unwrap_err().letter, given);
    assert_eq!(*queue.push_all(vec![given.clone()]).await.remove(0).unwrap_err().letter, given);
    assert_eq!(*queue.restore(vec![given.clone()], &by).await.remove(0).unwrap_err().letter, given);
    queue.lease(&LetterFilter::new(), 1, LEASE).await.unwrap();
    assert_eq!(*queue.replace(id, given.clone(), &by).await.unwrap_err().letter, given);
}

#[test]
fn failure_that_says_little_stays_as_it_is() {
    for failed in [
        Failed::default(),
        Failed::from(History::restored([], 7)),
        Failed::from(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "no")).reason(DeadReason::Budget),
    ] {
        let mut passed = failed.clone();
        catch.failed(&mut passed);
        assert_eq!(passed, failed);
    }
}

#[tokio::test]
async fn push_that_is_dropped_unpolled_redacts_and_stores_nothing() {
    let queue = Redacted::new(MemoryQueue::default(), |_: &mut DeadLetter| panic!("it was looked at"));
    drop(queue.push(full()));
    assert_eq!(queue.stats().await.unwrap().pushed, 0);
}
