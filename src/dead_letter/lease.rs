//! What a queue gives out: receipts, letters and the tokens of their leases.

use crate::dead_letter::letter::{DeadLetter, LetterId};

/// A letter was stored.
///
/// ```
/// use recoup::{LetterId, Receipt};
/// let receipt = Receipt::new(LetterId::new(7));
/// assert!(receipt.evicted.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The number that the letter has in the queue.
    pub id: LetterId,
    /// The letters that were dropped to make room, oldest first. A large letter may push out several.
    pub evicted: Vec<LetterId>,
    /// Whether it is in the local queue of a [`SpillQueue`](crate::SpillQueue), because the remote one is away: the
    /// number is one of the local queue.
    pub spilled: bool,
}

impl Receipt {
    /// Stored under this number, with nothing pushed out.
    #[must_use]
    pub const fn new(id: LetterId) -> Self {
        Self { id, evicted: Vec::new(), spilled: false }
    }
}

/// A letter given out for a time. Dropped unsettled, the lease runs out and the letter can be leased again.
///
/// ```
/// use recoup::{DeadLetter, LeaseToken, Leased, LetterId};
/// let leased = Leased::new(DeadLetter::new("charge"), LeaseToken::new(LetterId::new(7), 1));
/// assert_eq!(leased.token.letter(), LetterId::new(7));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leased {
    /// The letter, this delivery counted.
    pub letter: DeadLetter,
    /// What [`settle`](crate::DeadLetterQueue::settle) asks for.
    pub token: LeaseToken,
}

impl Leased {
    /// This letter, under this token.
    #[must_use]
    pub const fn new(letter: DeadLetter, token: LeaseToken) -> Self {
        Self { letter, token }
    }
}

/// Tells one lease of a letter from every other. Good only in the queue that gave it out.
///
/// ```
/// use recoup::{LeaseToken, LetterId};
/// let letter = LetterId::new(7);
/// assert_ne!(LeaseToken::new(letter, 1), LeaseToken::new(letter, 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    letter: LetterId,
    fence: u64,
}

impl LeaseToken {
    /// The lease of `letter` with this number. A queue uses greater numbers for later leases.
    #[must_use]
    pub const fn new(letter: LetterId, fence: u64) -> Self {
        Self { letter, fence }
    }

    /// The letter that is leased.
    #[must_use]
    pub const fn letter(self) -> LetterId {
        self.letter
    }

    /// The number of the lease.
    #[must_use]
    pub const fn fence(self) -> u64 {
        self.fence
    }
}
