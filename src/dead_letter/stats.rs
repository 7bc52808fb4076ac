//! The numbers of a queue.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// The numbers of a queue at one moment.
///
/// They add up: every letter ever pushed is held, or was delivered, evicted, expired or discarded. Watch the
/// age of the oldest letter rather than their number: one letter that nobody looks at is the problem.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::{DeadLetter, DeadLetterQueue, MemoryQueue};
///
/// let queue = MemoryQueue::default();
/// queue.push(DeadLetter::new("charge").destination("payments")).await?;
/// let stats = queue.stats().await?;
/// assert_eq!((stats.held(), stats.ready, stats.pushed), (1, 1, 1));
/// assert_eq!(stats.by_destination["payments"], 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Letters that can be leased.
    pub ready: u64,
    /// Letters that somebody works on.
    pub leased: u64,
    /// Letters put aside.
    pub quarantined: u64,
    /// Those of the quarantined letters that cannot be read any more. They can only be discarded.
    pub damaged: u64,
    /// What the letters held carry, in bytes (see [`DeadLetter::size`](crate::DeadLetter::size)).
    pub bytes: u64,
    /// When the letter that has been dead longest died.
    pub oldest: Option<SystemTime>,
    /// Letters held for each destination. Those without one are not in here.
    pub by_destination: BTreeMap<String, u64>,
    /// Letters ever stored.
    pub pushed: u64,
    /// Letters removed because their destination has them.
    pub delivered: u64,
    /// Letters dropped to make room for newer ones.
    pub evicted: u64,
    /// Letters dropped because their time was over.
    pub expired: u64,
    /// Letters removed by hand.
    pub discarded: u64,
}

impl QueueStats {
    /// The letters held now: ready, leased and quarantined.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.ready.saturating_add(self.leased).saturating_add(self.quarantined)
    }
}
