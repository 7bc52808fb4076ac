//! What an operator looks at.

use std::time::{Duration, Instant};

use recoup::{DeadLetterQueue, LetterFilter};

use crate::letter::{OFTEN, RARELY};

/// The questions, in the order of their answers.
pub const QUESTIONS: [&str; 4] = [
    "list: the first 100",
    "filter: 100 of a frequent destination",
    "filter: 100 of a rare destination",
    "groups",
];

/// How long each takes.
pub async fn look(queue: &impl DeadLetterQueue) -> [Duration; 4] {
    let peek = async |filter: LetterFilter| {
        let begun = Instant::now();
        let letters = queue.peek(&filter, 100).await.expect("the queue works");
        assert!(!letters.is_empty(), "there is something to see");
        begun.elapsed()
    };
    let new = LetterFilter::new;
    let pages =
        [peek(new()).await, peek(new().destination(OFTEN)).await, peek(new().destination(RARELY)).await];
    let begun = Instant::now();
    let groups = queue.groups(&new(), 20).await.expect("the queue works");
    assert_eq!(groups.len(), 20, "there are more groups than are asked for");
    [pages[0], pages[1], pages[2], begun.elapsed()]
}
