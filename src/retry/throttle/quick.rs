//! Quick successes, for which the clock is not read.

use std::time::Duration;

use super::{Learned, Throttle};
use crate::time::Instant;

impl Throttle {
    /// From when on an attempt with this limit is a slow one, if there is such a time.
    pub(crate) fn slow_after(&self, limit: Duration) -> Option<Duration> {
        let Learned::Adaptive(rules) = &self.0.learned else { return None };
        let after = Duration::try_from_secs_f64(limit.as_secs_f64() * rules.settings.slow_from).ok()?;
        Some(after).filter(|after| *after < limit)
    }

    /// Whether all is well, and it knows already that the client has called since an attempt began to wait
    /// `then`: if that was not slow, its success is no news. May say no where it is none.
    #[inline(always)]
    pub(crate) fn has_noted(&self, then: Instant) -> bool {
        let Learned::Adaptive(rules) = &self.0.learned else { return false };
        self.0.cell.has_noted(rules, then)
    }

    /// While all was well, an attempt that began to wait `then` gave a value, and was not slow.
    pub(crate) fn was_well(&self, then: Instant) {
        if let Learned::Adaptive(rules) = &self.0.learned {
            self.0.cell.was_well(rules, then);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Attempted;
    use crate::time;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn while_all_is_well_a_success_that_is_older_than_the_last_is_no_news() {
        let throttle = Throttle::builder().history(1).build().unwrap();
        tokio::time::advance(120 * SECOND).await;
        throttle.succeeded(&Attempted::default(), &time::now().into());
        assert!(throttle.is_calm());
        let now = time::now();
        throttle.was_well(now + SECOND);
        let before = throttle.snapshot();
        for earlier in [Duration::ZERO, 990 * MS, 1_050 * MS, 60 * SECOND] {
            throttle.was_well(now + SECOND - earlier);
            let is_news = throttle.snapshot().history > before.history;
            assert!(!is_news, "{earlier:?}");
        }
        throttle.was_well(now + 2 * SECOND);
        let seen = throttle.snapshot();
        assert_eq!((seen.history, seen.gap), (before.history + 1, Some(SECOND)));
        assert!(throttle.is_calm());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_to_be_noted_teaches_nothing() {
        let throttle = Throttle::builder().history(1).build().unwrap();
        let start = time::now();
        assert!(!throttle.has_noted(start), "it knows of nothing yet");
        throttle.succeeded(&Attempted::default(), &(start + 5 * SECOND).into());
        for (offset, noted) in [(0, true), (4_990, true), (5_009, true), (5_010, false), (90_000, false)] {
            let then = start + offset * MS;
            assert_eq!(throttle.has_noted(then), noted, "{offset} ms");
            let before = throttle.snapshot();
            if noted {
                throttle.was_well(then);
                assert_eq!(throttle.snapshot().history, before.history, "{offset} ms");
            }
        }
        throttle.failed(&Attempted::default(), &(start + 6 * SECOND).into());
        assert!(!throttle.has_noted(start), "all is not well");
        assert!(!Throttle::aws_adaptive().has_noted(start));
    }

    /// Ticks go round after seven weeks. From then on everything may be news, and is looked at more closely.
    #[tokio::test(start_paused = true)]
    async fn success_is_noted_a_hundred_times_a_second_after_years_too() {
        let throttle = Throttle::builder().history(1).build().unwrap();
        for weeks in [1, 6, 7, 8, 100, 1_000] {
            let now = time::now() + weeks * 7 * 24 * 3600 * SECOND;
            throttle.succeeded(&Attempted::default(), &now.into());
            throttle.was_well(now + SECOND);
            let before = throttle.snapshot().history;
            for then in [now, now + 990 * MS, now + SECOND] {
                if !throttle.has_noted(then) {
                    throttle.was_well(then);
                }
                assert_eq!(throttle.snapshot().history, before, "{weeks} weeks");
            }
            assert!(!throttle.has_noted(now + SECOND + 10 * MS), "{weeks} weeks");
        }
    }

    #[test]
    fn attempt_is_slow_before_its_limit_or_never() {
        let slow_after =
            |from: f64, limit| Throttle::builder().slow_from(from).build().unwrap().slow_after(limit);
        assert_eq!(slow_after(0.3, SECOND), Some(300 * MS));
        assert_eq!(slow_after(1.0, SECOND), None);
        assert_eq!(slow_after(1.0, Duration::MAX), None);
        assert_eq!(slow_after(0.5, Duration::ZERO), None);
        assert_eq!(Throttle::aws_adaptive().slow_after(SECOND), None);
    }
}
