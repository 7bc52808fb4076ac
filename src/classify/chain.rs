//! One classifier after the other.

use crate::classification::{Category, Classification};
use crate::classify::ErrorClassifier;

/// Asks one classifier, and another where the first answers [`Category::Unknown`]. Made by
/// [`ErrorClassifier::or`].
///
/// An answer of `Unknown` counts as "cannot say" even if it was bent: where the second is asked, its answer
/// stands whole.
///
/// ```
/// use recoup::{Category, ErrorClassifier};
///
/// let low = |code: &u16| (*code < 500).then_some(Category::Validation);
/// let classifier = low.or(|_: &u16| Category::ExternalService);
/// assert_eq!(classifier.classify(&404).category(), Category::Validation);
/// assert_eq!(classifier.classify(&500).category(), Category::ExternalService);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Or<A, B> {
    first: A,
    next: B,
}

impl<A, B> Or<A, B> {
    pub(super) const fn new(first: A, next: B) -> Self {
        Self { first, next }
    }

    /// As [`ErrorClassifier::or`], without having to know yet what error it will be asked about.
    #[must_use]
    pub fn or<C>(self, next: C) -> Or<Self, C> {
        Or::new(self, next)
    }
}

impl<E, A, B> ErrorClassifier<E> for Or<A, B>
where
    E: ?Sized,
    A: ErrorClassifier<E>,
    B: ErrorClassifier<E>,
{
    fn classify(&self, error: &E) -> Classification {
        let answer = self.first.classify(error);
        match answer.category() {
            Category::Unknown => self.next.classify(error),
            _ => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::classification::Advice;
    use crate::classify::{Permanent, Transient};

    #[test]
    fn first_answer_that_knows_wins_and_nobody_after_it_is_asked() {
        let asked = Cell::new(0);
        let counted = |answer: Category| {
            let asked = &asked;
            move |_: &u8| {
                asked.set(asked.get() + 1);
                answer
            }
        };
        let chain = counted(Category::Unknown)
            .or(counted(Category::Conflict))
            .or(counted(Category::Timeout))
            .or(counted(Category::Network));
        assert_eq!(chain.classify(&0).category(), Category::Conflict);
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn last_answer_stands_when_nobody_knows() {
        let stopped = |_: &u8| Classification::of(Category::Unknown).stop();
        let retried = |_: &u8| Category::Unknown;
        assert_eq!(stopped.or(retried).classify(&0).advice(), Advice::Retry);
        assert_eq!(retried.or(stopped).classify(&0).advice(), Advice::Stop);
        assert_eq!(retried.or(Permanent).classify(&0).advice(), Advice::Stop);
        assert_eq!(stopped.or(Transient).classify(&0).advice(), Advice::Retry);
    }

    #[test]
    fn grouping_does_not_change_the_answer() {
        let odd = |n: &u8| (n % 2 == 1).then_some(Category::Conflict);
        let big = |n: &u8| (*n > 100).then_some(Category::Database);
        let left = odd.or(big).or(Permanent);
        let right = odd.or(big.or(Permanent));
        for n in 0..=u8::MAX {
            assert_eq!(left.classify(&n), right.classify(&n), "{n}");
        }
    }
}
