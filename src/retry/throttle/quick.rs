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
