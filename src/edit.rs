//! Letters that have to be mended before they can be delivered.

use std::error::Error;
use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::dead_letter::{
    ByHand, DeadLetter, DeadLetterQueue, Edited, LetterFilter, LetterId, PushError, QueueError,
};
use crate::random::Dice;
use crate::time;

/// Puts a changed copy of a letter in its place, in one step, and gives the copy's number. It can be redriven
/// then, with [`redrive_one`](crate::redrive_one) or with others.
///
/// `change` may set the payload, the destination, the operation, headers and the tenant. What the letter went through
/// stays as it was, whatever `change` does to it: its history, error and time of death, its correlation id and trace,
/// and where it came from. [`DeadLetter::edited`] says who edited it, and has the SHA-256 of the payload that it
/// replaces; one that was edited before has that of the last time, and [`acts`](DeadLetterQueue::acts) tells of all.
///
/// # A new call
///
/// The copy has a new idempotency key, unless `change` gives it one of its own. Under the old key, a server that
/// compares what it is sent refuses another payload as a mismatch, as Stripe's API does and as the draft of the IETF
/// on the `Idempotency-Key` header (draft 07, section 2.7) says it should; and one that does not compare answers with
/// what the old payload did. So make sure that the old one had no effect: the server cannot know that the two belong
/// together.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::edit::edit;
/// use recoup::{ByHand, DeadLetter, DeadLetterQueue, MemoryQueue, Payload, Recovery, redrive_one};
///
/// let queue = MemoryQueue::default();
/// let letter = DeadLetter::new("charge").idempotency_key("order-7").payload(Payload::text("3 EURO"));
/// let id = queue.push(letter).await?.id;
///
/// let by = ByHand::of("ana").because("no such currency");
/// let edited = edit(&queue, id, |letter| letter.payload = Some(Payload::text("3 EUR")), &by).await?;
///
/// let recovery = Recovery::<std::io::Error>::builder("payments").dead_letters(queue).build()?;
/// let redriven = redrive_one(&recovery, edited, |letter, _attempt| async move {
///     assert_eq!(letter.payload, Some(Payload::text("3 EUR")));
///     assert_ne!(letter.idempotency_key.as_deref(), Some("order-7"));
///     Ok(letter.edited.as_ref().map(|edited| edited.from))
/// });
/// assert_eq!(redriven.await?.result?, Some(id));
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`EditError::NotAvailable`] if the letter is not in the queue or somebody works on it, and others if the queue
/// cannot be used or the copy does not fit. The letter is as it was then.
///
/// # Cancel safety
///
/// Dropped, the copy has taken the letter's place or not, and nobody knows which.
pub async fn edit<Q, F>(queue: &Q, id: LetterId, change: F, by: &ByHand) -> Result<LetterId, EditError>
where
    Q: DeadLetterQueue + ?Sized,
    F: FnOnce(&mut DeadLetter),
{
    let found = queue.peek(&LetterFilter::new().any_state().id(id), 1).await?;
    let Some(old) = found.into_iter().next() else { return Err(EditError::NotAvailable(id)) };
    let copy = edited(old, change, by);
    let receipt = queue.replace(id, copy, by).await.map_err(EditError::Refused)?;
    Ok(receipt.id)
}

/// The changed copy.
fn edited(old: DeadLetter, change: impl FnOnce(&mut DeadLetter), by: &ByHand) -> DeadLetter {
    let mut new = old.clone();
    change(&mut new);
    if new.idempotency_key == old.idempotency_key {
        new.idempotency_key = Some(format!("{:032x}", Dice::Fresh.bits()));
    }
    let sent = old.payload.as_ref().map_or(&[][..], |payload| &payload.bytes);
    let sha256 = Sha256::digest(sent).into();
    new.edited = Some(Box::new(Edited::new(old.id, sha256, by.clone(), time::wall(time::now()))));
    DeadLetter {
        id: old.id,
        state: old.state,
        reason: old.reason,
        error: old.error,
        category: old.category,
        status: old.status,
        attempts: old.attempts,
        died_at: old.died_at,
        correlation_id: old.correlation_id,
        traceparent: old.traceparent,
        origin: old.origin,
        ..new
    }
}

/// A letter was not edited. It is as it was.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use recoup::edit::{EditError, edit};
/// use recoup::{ByHand, LetterId, MemoryQueue};
/// let id = LetterId::new(7);
/// let error = edit(&MemoryQueue::default(), id, |_| {}, &ByHand::of("ana")).await.unwrap_err();
/// assert_eq!(error, EditError::NotAvailable(id));
/// assert_eq!(error.to_string(), "letter 7 is not in the queue, or leased");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditError {
    /// The letter is not in the queue.
    NotAvailable(LetterId),
    /// The queue could not be read.
    Queue(QueueError),
    /// The queue would not take the copy, which is in here: it does not fit, or somebody works on the letter.
    Refused(PushError),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAvailable(id) => write!(f, "letter {id} is not in the queue, or leased"),
            Self::Queue(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

// What is inside is shown as it is, so it is not its own source.
impl Error for EditError {}

impl From<QueueError> for EditError {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::classification::Category;
    use crate::dead_letter::{AttemptRecord, Deed, LetterState, MemoryQueue, Origin, Payload, PushErrorKind};

    fn letter() -> DeadLetter {
        let mut letter = DeadLetter::new("charge")
            .destination("bank")
            .payload(Payload::text("abc"))
            .idempotency_key("order-7")
            .correlation_id("trace-me")
            .traceparent("00-1-2-01")
            .category(Category::Validation)
            .attempt(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "no such currency"))
            .died_at(SystemTime::UNIX_EPOCH);
        letter.origin = Some(Origin::new(9, LetterId::new(4)));
        letter
    }

    async fn only(queue: &MemoryQueue) -> DeadLetter {
        let mut letters = queue.peek(&LetterFilter::new().any_state(), 9).await.unwrap();
        assert_eq!(letters.len(), 1);
        letters.remove(0)
    }

    fn sha256(hex: &str) -> [u8; 32] {
        let byte = |at: usize| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    #[tokio::test(start_paused = true)]
    async fn copy_keeps_what_the_letter_went_through_and_says_what_it_was() {
        let queue = MemoryQueue::default();
        let id = queue.push(letter()).await.unwrap().id;
        let by = ByHand::of("ana");
        let change = |letter: &mut DeadLetter| {
            let made_up = DeadLetter::new("refund").payload(Payload::text("abcd")).header("fixed", "yes");
            *letter = made_up;
        };
        let new = edit(&queue, id, change, &by).await.unwrap();
        let copy = only(&queue).await;
        assert_eq!(
            (copy.id, copy.operation.as_str(), copy.headers["fixed"].as_str()),
            (new, "refund", "yes")
        );
        assert_eq!(copy.payload, Some(Payload::text("abcd")));
        let edited = copy.edited.as_deref().unwrap();
        assert_eq!((edited.from, &edited.by), (id, &by));
        // The first test vector of FIPS 180-2.
        let abc = sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(edited.sha256, abc);
        let old = letter();
        assert_eq!((copy.attempts, copy.category, copy.error), (old.attempts, old.category, old.error));
        assert_eq!((copy.died_at, copy.origin, copy.reason), (old.died_at, old.origin, old.reason));
        assert_eq!((copy.correlation_id, copy.traceparent), (old.correlation_id, old.traceparent));
        assert_eq!(queue.acts(1).await.unwrap()[0].deed, Deed::Edited);
    }

    #[tokio::test(start_paused = true)]
    async fn copy_has_a_new_key_unless_it_is_given_one() {
        let queue = MemoryQueue::default();
        let first = queue.push(letter()).await.unwrap().id;
        let second = edit(&queue, first, |_| {}, &ByHand::default()).await.unwrap();
        let made_up = only(&queue).await.idempotency_key.unwrap();
        assert!(made_up != "order-7" && made_up.len() == 32, "{made_up}");
        let own = |letter: &mut DeadLetter| letter.idempotency_key = Some("order-7b".to_owned());
        edit(&queue, second, own, &ByHand::default()).await.unwrap();
        let copy = only(&queue).await;
        assert_eq!(copy.idempotency_key.as_deref(), Some("order-7b"));
        assert_eq!(copy.edited.unwrap().from, second);
    }

    #[tokio::test(start_paused = true)]
    async fn letter_without_a_payload_has_the_hash_of_nothing() {
        let queue = MemoryQueue::default();
        let id = queue.push(DeadLetter::new("charge")).await.unwrap().id;
        edit(&queue, id, |_| {}, &ByHand::default()).await.unwrap();
        let nothing = sha256("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(only(&queue).await.edited.unwrap().sha256, nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn edit_that_is_refused_leaves_the_letter_as_it_was() {
        let queue = MemoryQueue::builder().max_payload(10).build().unwrap();
        let id = queue.push(letter()).await.unwrap().id;
        let large = |letter: &mut DeadLetter| letter.payload = Some(Payload::text("eleven bytes"));
        let before = only(&queue).await;
        let Err(EditError::Refused(error)) = edit(&queue, id, large, &ByHand::default()).await else {
            panic!()
        };
        assert_eq!(error.kind, PushErrorKind::TooLarge);
        assert_eq!(only(&queue).await, before);
        queue.lease(&LetterFilter::new(), 1, Duration::from_secs(9)).await.unwrap();
        let Err(EditError::Refused(error)) = edit(&queue, id, |_| {}, &ByHand::default()).await else {
            panic!()
        };
        assert_eq!(error.kind, PushErrorKind::NotAvailable(id), "somebody works on it");
    }

    #[tokio::test(start_paused = true)]
    async fn quarantined_letter_is_ready_once_it_is_edited() {
        let queue = MemoryQueue::default();
        let id = queue.push(letter()).await.unwrap().id;
        queue.quarantine(&LetterFilter::new(), &ByHand::default()).await.unwrap();
        edit(&queue, id, |_| {}, &ByHand::default()).await.unwrap();
        let copy = only(&queue).await;
        assert_eq!((copy.state, copy.redrives), (LetterState::Ready, 0));
    }
}
