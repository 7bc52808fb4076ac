//! What a server needs to know of a request.

use crate::priority::Priority;
use crate::time::Instant;

/// What a [`LoadShedder`](crate::LoadShedder) needs to know of a request: until when somebody waits for the
/// answer, and how much it matters.
///
/// ```
/// use std::time::Duration;
/// use recoup::{Instant, Priority, Work};
///
/// let until = Instant::now() + Duration::from_millis(300);
/// let work = Work::new().deadline(until).priority(Priority::High);
/// assert_eq!(work, Work::new().priority(Priority::High).deadline(until));
/// assert_ne!(work, Work::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "it only describes the work"]
pub struct Work {
    pub(super) deadline: Option<Instant>,
    pub(super) priority: Priority,
}

impl Work {
    /// Work of normal priority with the usual deadline.
    pub const fn new() -> Self {
        Self { deadline: None, priority: Priority::Normal }
    }

    /// The moment from which nobody waits for the answer any more: the work is not begun at it or after it.
    /// Default: the shedder's usual [deadline](crate::LoadShedderBuilder::deadline), from when it is asked.
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How much it matters. Default: [`Priority::Normal`].
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}
