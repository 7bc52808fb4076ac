//! Whether a queue stands, or will drain by itself.

use std::time::Duration;

use crate::time::{Instant, later};

/// Watches the age of the one who waits longest. It grows by itself and falls only when that one goes, so it is
/// enough to be told after each change, and what holds at any later moment is known.
///
/// A queue stands once that age has been above the target for a whole interval: then so was its minimum, which
/// is `CoDel`'s signal. From then on it stands until nobody waits. The age cannot end it: where those who waited
/// longer than the target are refused, nobody who is left ever has.
#[derive(Debug)]
pub(super) struct Standing {
    target: Duration,
    interval: Duration,
    /// Since when the age is above the target, or from when it will be if nobody goes. `None`: nobody waits, or
    /// that moment is beyond what the clock can count.
    above: Option<Instant>,
    since: Option<Instant>,
    oldest: Option<Instant>,
    lowest: Lowest,
}

/// The lowest age in two spans of one interval each, the last of which is under way.
#[derive(Debug, Default)]
struct Lowest {
    began: Option<Instant>,
    before: Option<Duration>,
    now: Option<Duration>,
}

impl Standing {
    pub(super) const fn new(target: Duration, interval: Duration) -> Self {
        let lowest = Lowest { began: None, before: None, now: None };
        Self { target, interval, above: None, since: None, oldest: None, lowest }
    }

    /// Since when a queue stands, if it does at `now`.
    pub(super) fn since(&self, now: Instant) -> Option<Instant> {
        let stood = || later(self.above?, self.interval).filter(|&stood| stood <= now);
        self.since.or_else(stood)
    }

    /// Somebody came or went, and the longest waits since `oldest` now.
    pub(super) fn changed(&mut self, oldest: Option<Instant>, now: Instant) {
        self.since = self.since(now);
        self.oldest = oldest;
        self.lowest.see(self.age(now), now, self.interval);
        let Some(oldest) = oldest else {
            (self.above, self.since) = (None, None);
            return;
        };
        let above = later(oldest, self.target);
        // Who comes next has waited longer than the target as well: the age was above it all the while.
        let went_on = self.above.filter(|&was| was <= now && above.is_some_and(|above| above <= now));
        self.above = went_on.or(above);
    }

    /// The lowest age since one to two intervals ago.
    pub(super) fn minimum(&self, now: Instant) -> Duration {
        self.lowest.of(now, self.interval).map_or(self.age(now), |lowest| lowest.min(self.age(now)))
    }

    fn age(&self, now: Instant) -> Duration {
        self.oldest.map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest))
    }
}

impl Lowest {
    fn see(&mut self, age: Duration, now: Instant, interval: Duration) {
        let passed = self.began.map(|began| now.saturating_duration_since(began));
        if passed.is_none_or(|passed| passed >= interval) {
            self.before = passed.filter(|&passed| passed < interval.saturating_mul(2)).and(self.now);
            (self.began, self.now) = (Some(now), None);
        }
        self.now = Some(self.now.map_or(age, |lowest| lowest.min(age)));
    }

    fn of(&self, now: Instant, interval: Duration) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.began?);
        let spans = [
            self.now.filter(|_| passed < interval.saturating_mul(2)),
            self.before.filter(|_| passed < interval),
        ];
        spans.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const MS: Duration = Duration::from_millis(1);

    fn standing() -> (Standing, Instant) {
        (Standing::new(5 * MS, 100 * MS), time::now())
    }

    #[test]
    fn queue_stands_once_the_longest_wait_was_above_the_target_for_an_interval() {
        let (mut queue, t) = standing();
        queue.changed(Some(t), t);
        assert_eq!(queue.since(t + 104 * MS), None);
        assert_eq!(queue.since(t + 105 * MS), Some(t + 105 * MS));
        // The next has waited for 10 ms when the first goes: above the target all along.
        queue.changed(Some(t + 40 * MS), t + 50 * MS);
        assert_eq!(queue.since(t + 105 * MS), Some(t + 105 * MS));
        assert_eq!(queue.minimum(t + 60 * MS), Duration::ZERO, "when the first came");
        // The next has not: it begins anew.
        queue.changed(Some(t + 88 * MS), t + 90 * MS);
        assert_eq!(queue.since(t + 192 * MS), None);
        assert_eq!(queue.since(t + 193 * MS), Some(t + 193 * MS));
    }

    #[test]
    fn queue_that_stands_does_so_until_nobody_waits() {
        let (mut queue, t) = standing();
        queue.changed(Some(t), t);
        queue.changed(Some(t + 200 * MS), t + 200 * MS);
        assert_eq!(queue.since(t + 200 * MS), Some(t + 105 * MS), "young as they are");
        queue.changed(None, t + 201 * MS);
        assert_eq!(queue.since(t + 900 * MS), None);
    }

    #[test]
    fn minimum_is_that_of_the_last_one_to_two_intervals() {
        let (mut queue, t) = standing();
        queue.changed(Some(t), t);
        queue.changed(Some(t), t + 100 * MS);
        assert_eq!(queue.minimum(t + 150 * MS), Duration::ZERO, "still within two intervals");
        queue.changed(Some(t + 160 * MS), t + 200 * MS);
        assert_eq!(queue.minimum(t + 200 * MS), 40 * MS);
        assert_eq!(queue.minimum(t + 900 * MS), 740 * MS, "nobody went since");
    }

    #[test]
    fn target_beyond_the_clock_is_never_passed() {
        let t = time::now();
        let mut queue = Standing::new(Duration::MAX, Duration::MAX);
        queue.changed(Some(t), t);
        queue.changed(Some(t), t + 1000 * MS);
        assert_eq!(queue.since(t + Duration::from_secs(1 << 30)), None);
    }
}
