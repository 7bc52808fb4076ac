//! How letters are brought into a queue that knows nothing but to store new ones.

use std::collections::BTreeSet;

use crate::dead_letter::by_hand::ByHand;
use crate::dead_letter::error::{PushError, PushErrorKind, QueueError};
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::letter::{DeadLetter, LetterState, Origin};
use crate::dead_letter::queue::{DeadLetterQueue, PAGE, Receipt};

/// Pushes the letters whose origins are not held, and quarantines those that were quarantined.
pub(super) async fn by_pushing<Q: DeadLetterQueue + ?Sized>(
    queue: &Q,
    letters: Vec<DeadLetter>,
    by: &ByHand,
) -> Vec<Result<Option<Receipt>, PushError>> {
    let mut held = match origins(queue).await {
        Ok(held) => held,
        Err(error) => {
            let refused = |letter| Err(PushError::new(letter, kind(&error)));
            return letters.into_iter().map(refused).collect();
        }
    };
    let mut answers = Vec::with_capacity(letters.len());
    for letter in letters {
        answers.push(if letter.origin.is_some_and(|origin| held.contains(&origin)) {
            Ok(None)
        } else {
            let origin = letter.origin;
            let answer = store(queue, letter, by).await;
            held.extend(origin.filter(|_| answer.is_ok()));
            answer.map(Some)
        });
    }
    answers
}

/// The origins of the letters held.
async fn origins<Q: DeadLetterQueue + ?Sized>(queue: &Q) -> Result<BTreeSet<Origin>, QueueError> {
    let (mut filter, mut held) = (LetterFilter::new().any_state(), BTreeSet::new());
    loop {
        let page = queue.peek(&filter, PAGE).await?;
        let Some(last) = page.last() else { return Ok(held) };
        filter = filter.after(last.id);
        held.extend(page.iter().filter_map(|letter| letter.origin));
    }
}

async fn store<Q: DeadLetterQueue + ?Sized>(
    queue: &Q,
    letter: DeadLetter,
    by: &ByHand,
) -> Result<Receipt, PushError> {
    let original = (letter.state == LetterState::Quarantined).then(|| letter.clone());
    let receipt = queue.push(letter).await?;
    if let Some(original) = original {
        let filter = LetterFilter::new().id(receipt.id);
        let quarantined = queue.quarantine(&filter, by).await;
        quarantined.map_err(|error| PushError::new(original, kind(&error)))?;
    }
    Ok(receipt)
}

fn kind(error: &QueueError) -> PushErrorKind {
    match error {
        QueueError::Closed => PushErrorKind::Closed,
        other => PushErrorKind::Storage(other.to_string()),
    }
}
