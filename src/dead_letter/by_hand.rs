//! What people do to letters, and who did it.

use std::fmt;
use std::time::SystemTime;

use crate::dead_letter::filter::LetterFilter;

/// So many of the latest deeds are remembered.
pub(crate) const MAX_ACTS: usize = 1000;

/// Who does something to letters by hand, and why. It is written down with what was done.
///
/// ```
/// use recoup::ByHand;
/// let by = ByHand::of("ana").because("fixed in 1.4");
/// assert_eq!(by.to_string(), "ana: fixed in 1.4");
/// assert_eq!(ByHand::default().to_string(), "nobody named");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ByHand {
    /// Who. Default: nobody named.
    pub who: Option<String>,
    /// Why. Default: no reason given.
    pub why: Option<String>,
}

impl ByHand {
    /// Done by this person or program.
    #[must_use]
    pub fn of(who: impl Into<String>) -> Self {
        Self { who: Some(who.into()), why: None }
    }

    /// The bytes of text it holds.
    pub(super) fn size(&self) -> usize {
        [&self.who, &self.why].into_iter().flatten().map(String::len).sum()
    }

    /// Why it is done.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }
}

impl fmt::Display for ByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.who.as_deref().unwrap_or("nobody named"))?;
        self.why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

/// What was done to letters by hand.
///
/// ```
/// use recoup::Deed;
/// assert_eq!(Deed::Reinstated.name(), "reinstated");
/// assert!(Deed::ALL.contains(&Deed::Edited));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Deed {
    /// Put into quarantine.
    Quarantined,
    /// Taken out of quarantine.
    Reinstated,
    /// Removed.
    Discarded,
    /// Replaced by an edited one.
    Edited,
    /// Ordered to be redriven.
    Redriven,
    /// Brought in from an archive.
    Imported,
}

impl Deed {
    /// Every deed, in the order in which they are declared.
    pub const ALL: [Self; 6] =
        [Self::Quarantined, Self::Reinstated, Self::Discarded, Self::Edited, Self::Redriven, Self::Imported];

    /// The name in snake case, as it stands in stores and on screens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quarantined => "quarantined",
            Self::Reinstated => "reinstated",
            Self::Discarded => "discarded",
            Self::Edited => "edited",
            Self::Redriven => "redriven",
            Self::Imported => "imported",
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing that was done by hand: who did what to which letters, and when.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{ByHand, DeadLetter, DeadLetterQueue, Deed, LetterFilter, MemoryQueue};
///
/// let queue = MemoryQueue::default();
/// queue.push(DeadLetter::new("charge")).await?;
/// queue.discard(&LetterFilter::new(), &ByHand::of("ana")).await?;
/// let act = queue.acts(10).await?.remove(0);
/// assert_eq!((act.deed, act.letters, act.by), (Deed::Discarded, 1, ByHand::of("ana")));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Act {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// Who and why.
    pub by: ByHand,
    /// What.
    pub deed: Deed,
    /// To which letters.
    pub filter: LetterFilter,
    /// To how many.
    pub letters: u64,
}

impl Act {
    /// This was done.
    #[must_use]
    pub const fn new(at: SystemTime, by: ByHand, deed: Deed, filter: LetterFilter, letters: u64) -> Self {
        Self { at, by, deed, filter, letters }
    }
}
