//! The decision after a failed attempt. Pure.

use std::time::Duration;

use super::rules::{RetryRules, Schedule};
use crate::classification::{Advice, Category, Classification};
use crate::event::DelaySource;

/// What one call has used up so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    general: Used,
    /// Of the schedules that the policy keeps for some categories; empty until one of them is needed.
    by_category: Vec<(Category, Used)>,
}

/// What one schedule has given so far.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    failed: u32,
    /// How many had failed when the backoff last began anew.
    restarted: u32,
    previous: Option<Duration>,
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The same call would fail again.
    Permanent,
    /// The schedule has no attempt left.
    Attempts,
    /// The server asked for more patience than the policy has.
    Hint(Duration),
}

impl RetryRules {
    /// How long to wait before the next attempt, and who says so; or why there is none.
    pub(crate) fn decide(
        &self,
        progress: &mut Progress,
        answer: &Classification,
    ) -> Result<(Duration, DelaySource), Stop> {
        let hint = match answer.advice() {
            Advice::Stop => return Err(Stop::Permanent),
            Advice::Retry => None,
            Advice::RetryAfter(hint) => Some(hint),
        };
        let (schedule, used) = self.schedule_for(answer.category(), progress);
        used.failed = used.failed.saturating_add(1);
        if schedule.max_attempts.is_some_and(|most| used.failed >= most) {
            return Err(Stop::Attempts);
        }
        match hint {
            Some(hint) if hint > self.max_hint && !self.clamp_hints => Err(Stop::Hint(hint)),
            Some(hint) => {
                if self.restart_after_hint {
                    (used.restarted, used.previous) = (used.failed, None);
                }
                Ok((hint.min(self.max_hint), DelaySource::Server))
            }
            None => {
                let delay =
                    schedule.backoff.delay(used.failed - used.restarted, used.previous, self.dice.draw());
                used.previous = Some(delay);
                Ok((delay, DelaySource::Backoff))
            }
        }
    }

    /// Whether an attempt is left for waiting for an open circuit, which uses one up as a failed one would.
    pub(crate) fn may_wait_for_circuit(&self, progress: &mut Progress) -> bool {
        let used = &mut progress.general.failed;
        *used = used.saturating_add(1);
        self.schedule.max_attempts.is_none_or(|most| *used < most)
    }

    fn schedule_for<'p>(&self, category: Category, progress: &'p mut Progress) -> (&Schedule, &'p mut Used) {
        let Some((_, schedule)) = self.by_category.iter().find(|(of, _)| *of == category) else {
            return (&self.schedule, &mut progress.general);
        };
        let known = progress.by_category.iter().position(|(of, _)| *of == category);
        let index = known.unwrap_or_else(|| {
            progress.by_category.push((category, Used::default()));
            progress.by_category.len() - 1
        });
        (schedule, &mut progress.by_category[index].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::{Backoff, Jitter};
    use crate::retry::RetryPolicy;

    const MS: Duration = Duration::from_millis(1);

    fn waits(policy: &RetryPolicy, answers: &[Classification]) -> Vec<Result<Duration, Stop>> {
        let mut progress = Progress::default();
        let decide = |answer| policy.rules().decide(&mut progress, answer).map(|(delay, _)| delay);
        answers.iter().map(decide).collect()
    }

    #[test]
    fn each_category_with_a_schedule_of_its_own_has_attempts_of_its_own() {
        let throttled = RetryPolicy::fixed(5_000 * MS).jitter(Jitter::None).max_attempts(4);
        let policy = RetryPolicy::exponential(100 * MS)
            .jitter(Jitter::None)
            .max_attempts(3)
            .for_category(Category::RateLimited, throttled)
            .build()
            .unwrap();
        let network = Classification::of(Category::Network);
        let limited = Classification::of(Category::RateLimited);
        assert_eq!(
            waits(&policy, &[network, limited, limited, network, limited, limited]),
            [Ok(100 * MS), Ok(5_000 * MS), Ok(5_000 * MS), Ok(200 * MS), Ok(5_000 * MS), Err(Stop::Attempts),]
        );
    }

    #[test]
    fn last_word_about_a_category_counts_and_leaves_the_others_as_they_were() {
        let fixed = |wait: u32| RetryPolicy::fixed(wait * MS).jitter(Jitter::None);
        let policy = fixed(1)
            .for_category(Category::RateLimited, fixed(2))
            .for_category(Category::Timeout, fixed(3))
            .for_category(Category::Timeout, fixed(4))
            .build()
            .unwrap();
        let answers = [Category::Network, Category::RateLimited, Category::Timeout].map(Classification::of);
        assert_eq!(waits(&policy, &answers), [Ok(MS), Ok(2 * MS), Ok(4 * MS)]);
    }

    #[test]
    fn hint_wins_over_the_backoff_up_to_its_own_cap() {
        let policy = RetryPolicy::fixed(10 * MS).max_attempts(9).max_hint(30_000 * MS);
        let strict = policy.clone().build().unwrap();
        let clamping = policy.clamp_hints().build().unwrap();
        let after = |wait| Classification::of(Category::RateLimited).retry_after(wait);
        let hour = Duration::from_secs(3600);
        assert_eq!(
            waits(&strict, &[after(2_000 * MS), after(hour)]),
            [Ok(2_000 * MS), Err(Stop::Hint(hour))]
        );
        assert_eq!(waits(&clamping, &[after(hour)]), [Ok(30_000 * MS)]);
    }

    #[test]
    fn hint_may_begin_the_backoff_anew() {
        let policy = RetryPolicy::exponential(100 * MS).jitter(Jitter::None).max_attempts(9);
        let network = Classification::of(Category::Network);
        let told = Classification::of(Category::RateLimited).retry_after(7 * MS);
        let answers = [network, network, told, network, network];
        let goes_on = waits(&policy.clone().build().unwrap(), &answers);
        assert_eq!(goes_on, [100, 200, 7, 800, 1600].map(|wait| Ok(wait * MS)));
        let anew = waits(&policy.restart_after_hint().build().unwrap(), &answers);
        assert_eq!(anew, [100, 200, 7, 100, 200].map(|wait| Ok(wait * MS)));
    }

    #[test]
    fn permanent_errors_stop_at_once() {
        let policy = RetryPolicy::builder().backoff(Backoff::none()).max_attempts(9).build().unwrap();
        assert_eq!(waits(&policy, &[Classification::of(Category::Validation)]), [Err(Stop::Permanent)]);
    }
}
