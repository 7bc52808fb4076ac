//! When the next attempt of a hedged call is due. Pure.

use std::time::Duration;

use super::super::pushback::Pushback;
use crate::time::{Instant, later};

/// A server that wants the next attempt to come later than this is taken to want none: as long as
/// [`max_hint`](crate::RetryPolicyBuilder::max_hint) is unless it is said otherwise.
const LONGEST: Duration = Duration::from_secs(300);

/// How far a race has come.
#[derive(Debug)]
pub(super) struct Course {
    most: u32,
    delay: Duration,
    made: u32,
    due: Option<Instant>,
    stopped: bool,
}

impl Course {
    /// The first attempt begins.
    pub(super) fn new(most: u32, delay: Duration, now: Instant) -> Self {
        let mut course = Self { most, delay, made: 1, due: None, stopped: false };
        course.follow(delay, now);
        course
    }

    /// When the next one is due, if there is one.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A further attempt begins. Which one it is, from 1.
    pub(super) fn launched(&mut self, now: Instant) -> u32 {
        let number = self.made;
        self.made = self.made.saturating_add(1);
        self.follow(self.delay, now);
        number
    }

    /// An attempt has failed, and not fatally. The next one follows at once, or when the server says.
    pub(super) fn failed(&mut self, told: Option<Pushback>, now: Instant) {
        match told {
            None => self.follow(Duration::ZERO, now),
            Some(Pushback::After(wait)) if wait <= LONGEST => self.follow(wait, now),
            // A race holds its slot while it waits.
            Some(Pushback::After(_) | Pushback::Stop) => self.stop(),
        }
    }

    /// No more follow. Those under way go on.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.due = None;
    }

    fn follow(&mut self, wait: Duration, now: Instant) {
        let goes_on = !self.stopped && self.made < self.most;
        self.due = goes_on.then(|| later(now, wait)).flatten();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn each_attempt_follows_the_one_before_after_the_delay_until_there_are_enough() {
        let start = time::now();
        let mut course = Course::new(3, 50 * MS, start);
        assert_eq!(course.due(), Some(start + 50 * MS));
        assert_eq!(course.launched(start + 60 * MS), 1);
        assert_eq!(course.due(), Some(start + 110 * MS));
        assert_eq!(course.launched(start + 110 * MS), 2);
        assert_eq!(course.due(), None);
        course.failed(None, start + 120 * MS);
        assert_eq!(course.due(), None, "there were three");
    }

    #[test]
    fn failure_makes_the_next_one_due_at_once_or_when_the_server_says() {
        let start = time::now();
        let mut course = Course::new(9, 50 * MS, start);
        course.failed(None, start + 5 * MS);
        assert_eq!(course.due(), Some(start + 5 * MS));
        course.launched(start + 5 * MS);
        course.failed(Some(Pushback::After(400 * MS)), start + 10 * MS);
        assert_eq!(course.due(), Some(start + 410 * MS));
        course.launched(start + 410 * MS);
        assert_eq!(course.due(), Some(start + 460 * MS), "then as before");
        course.failed(Some(Pushback::Stop), start + 420 * MS);
        course.failed(None, start + 430 * MS);
        assert_eq!(course.due(), None, "a server that said no is not asked again");
    }

    #[test]
    fn server_that_is_away_for_longer_than_a_retry_would_wait_is_not_waited_for() {
        let start = time::now();
        for (wait, due) in [(LONGEST, Some(start + LONGEST)), (LONGEST + MS, None)] {
            let mut course = Course::new(3, 50 * MS, start);
            course.failed(Some(Pushback::After(wait)), start);
            assert_eq!(course.due(), due);
        }
    }

    #[test]
    fn delay_without_end_is_never() {
        assert_eq!(Course::new(2, Duration::MAX, time::now()).due(), None);
    }
}
