//! Which attempt of a call this is.

use std::time::Duration;

use crate::time::{self, Instant};

/// One attempt of a call, told to the operation by value.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let answer = recoup::retry_with(|attempt| async move {
///     if attempt.is_first() { Err("not yet") } else { Ok(attempt.number()) }
/// })
/// .await;
/// assert_eq!(answer, Ok(2));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    number: u32,
    hedge: u32,
    deadline: Option<Instant>,
}

impl Attempt {
    /// The first one of a call without a deadline, as far as is known yet.
    pub(crate) const FIRST: Self = Self::new(1, None);

    pub(crate) const fn new(number: u32, deadline: Option<Instant>) -> Self {
        Self { number, hedge: 0, deadline }
    }

    /// The same attempt, made once more while it is under way.
    pub(crate) const fn hedged(self, hedge: u32) -> Self {
        Self { hedge, ..self }
    }

    /// The number of this attempt, from 1. Those that race each other have the same: see
    /// [`hedge`](Self::hedge).
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// Which of those that race each other it is: 0 for the one that was begun first, 1 for the first
    /// [hedge](crate::hedge::Hedge), and so on. Always 0 where nothing is hedged.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Attempt, Hedge, Idempotent};
    ///
    /// let hedge = Hedge::after(Duration::from_millis(20)).no_max_extra().build().unwrap();
    /// let replicas = ["slow", "fast"];
    /// let answer = hedge.call(Idempotent(|attempt: Attempt| async move {
    ///     if attempt.hedge() == 0 { std::future::pending::<()>().await }
    ///     Ok::<_, &str>(replicas[attempt.hedge() as usize])
    /// }));
    /// assert_eq!(answer.await, Ok("fast"));
    /// # }
    /// ```
    #[must_use]
    pub const fn hedge(self) -> u32 {
        self.hedge
    }

    /// Whether this is the first attempt of its call: none was begun before it.
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.number == 1 && self.hedge == 0
    }

    /// When the whole call must have ended, if that is limited and known yet. A first attempt knows it only
    /// when the limit was given as a moment: the clock of a limit in time starts when the call first waits.
    #[must_use]
    pub const fn deadline(self) -> Option<Instant> {
        self.deadline
    }

    /// How much time the call has left, if that is limited and known yet (see [`deadline`](Self::deadline)).
    /// Zero once the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(time::now()))
    }
}
