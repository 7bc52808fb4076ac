//! A letter made ready to be stored, in the task of whoever pushes it: the writer has little left to do.

use super::row::Row;
use super::rules::MAX_NAME;
use crate::dead_letter::{DeadLetter, PushError, PushErrorKind};
use crate::envelope::part;

#[derive(Debug)]
pub(super) struct Prepared {
    /// Kept until it is stored: a refusal hands it back.
    pub(super) letter: Box<DeadLetter>,
    pub(super) row: Row,
    pub(super) body: Vec<u8>,
    pub(super) story: Vec<u8>,
}

impl Prepared {
    pub(super) fn of(letter: DeadLetter) -> Self {
        let (body, story) = (part::body(&letter), part::story(&letter));
        Self { row: Row::of(&letter), body, story, letter: Box::new(letter) }
    }

    pub(super) fn payload(&self) -> usize {
        self.letter.payload.as_ref().map_or(0, |payload| payload.bytes.len())
    }

    /// Whether a name is longer than any that means something. Indexes hold names.
    pub(super) fn name_is_too_long(&self) -> bool {
        let letter = &self.letter;
        [&letter.destination, &letter.tenant, &letter.idempotency_key]
            .into_iter()
            .flatten()
            .chain([&letter.operation])
            .any(|name| name.len() > MAX_NAME)
    }

    pub(super) fn written(&self) -> usize {
        self.body.len() + self.story.len()
    }

    pub(super) fn refused(self, kind: PushErrorKind) -> PushError {
        PushError::new(*self.letter, kind)
    }
}
