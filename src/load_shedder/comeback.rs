//! When those who were turned away should come back.

use std::time::Duration;

use crate::random::Dice;
use crate::time::Instant;

/// The longest that a queue is said to take, unless the target is longer. Times three it is a minute.
const LONGEST: Duration = Duration::from_secs(20);

/// How much a new gap weighs in the mean: as a new round trip in TCP's (RFC 6298, section 2).
const WEIGHT: u32 = 8;

/// The pace at which slots come free while somebody wants one, and how many were told to come back.
#[derive(Debug)]
pub(super) struct Comeback {
    shortest: Duration,
    dice: Dice,
    /// The mean time between two slots that come free while somebody wants one.
    gap: Option<Duration>,
    /// When the last one did, or since when somebody wants one.
    since: Option<Instant>,
    /// Those turned away, less those there has been time for since, and as of when. They come back and want to
    /// be served as well.
    turned_away: u64,
    as_of: Option<Instant>,
}

impl Comeback {
    pub(super) const fn new(target: Duration, dice: Dice) -> Self {
        Self { shortest: target, dice, gap: None, since: None, turned_away: 0, as_of: None }
    }

    /// Somebody wants a slot and there is none.
    pub(super) fn wanted(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Nobody waits.
    pub(super) fn idle(&mut self) {
        self.since = None;
    }

    /// A slot came free.
    pub(super) fn freed(&mut self, now: Instant) {
        if let Some(since) = self.since.replace(now) {
            let gap = now.saturating_duration_since(since);
            self.gap = Some(self.gap.map_or(gap, |mean| mean.saturating_sub(mean / WEIGHT) + gap / WEIGHT));
        }
    }

    /// Somebody is turned away while `waiting` are kept: how long they should stay away.
    ///
    /// With `d` the time in which those who wait and those turned away are served, evenly in `d` to `3 d`.
    pub(super) fn turn_away(&mut self, waiting: usize, now: Instant) -> Duration {
        self.wanted(now);
        let longest = LONGEST.max(self.shortest);
        let gap = self.gap(now).as_nanos().max(1);
        let passed = now.saturating_duration_since(self.as_of.replace(now).unwrap_or(now));
        let count = |span: Duration| u64::try_from(span.as_nanos() / gap).unwrap_or(u64::MAX);
        // No more than the longest time has room for, or one storm would be held against all to come.
        let most = count(longest).max(1);
        self.turned_away = self.turned_away.saturating_sub(count(passed)).saturating_add(1).min(most);
        let ahead = u128::from(self.turned_away).saturating_add(waiting as u128);
        let nanos = u64::try_from(gap.saturating_mul(ahead)).unwrap_or(u64::MAX);
        let drain = Duration::from_nanos(nanos).clamp(self.shortest, longest).as_secs_f64();
        let wait = drain * 2.0f64.mul_add(self.dice.draw(), 1.0);
        Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX).max(self.shortest)
    }

    /// A server that stands still gets slower with every moment, though no slot comes free to say so.
    fn gap(&self, now: Instant) -> Duration {
        let lately = self.since.map(|since| now.saturating_duration_since(since));
        self.gap.max(lately).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const MS: Duration = Duration::from_millis(1);

    fn comeback() -> (Comeback, Instant) {
        (Comeback::new(5 * MS, Dice::seeded(1)), time::now())
    }

    /// One slot comes free every 10 ms, from the first on.
    fn steady() -> (Comeback, Instant) {
        let (mut comeback, t) = comeback();
        comeback.wanted(t);
        (1..=8).for_each(|n| comeback.freed(t + 10 * n * MS));
        (comeback, t + 80 * MS)
    }

    fn waits(comeback: &mut Comeback, waiting: usize, at: Instant) -> Vec<Duration> {
        (0..1000).map(|_| comeback.turn_away(waiting, at)).collect()
    }

    #[test]
    fn a_crowd_turned_away_at_once_is_spread_over_the_time_that_it_takes_to_serve_it() {
        let (mut comeback, t) = steady();
        let waits = waits(&mut comeback, 100, t);
        for (nth, wait) in (1..).zip(&waits) {
            let drain = 10 * MS * (nth + 100);
            assert!((drain..drain * 3).contains(wait), "{nth}: {wait:?}");
        }
        let mut seconds = vec![0; 64];
        for wait in &waits {
            seconds[usize::try_from(wait.as_secs()).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|&n| n <= 100), "no second sees more than there is room for: {seconds:?}");
    }

    #[test]
    fn time_to_stay_away_has_both_ends() {
        let (mut fresh, t) = comeback();
        let short = waits(&mut fresh, 0, t);
        assert!(short.iter().all(|wait| (5 * MS..15 * MS).contains(wait)), "no pace is known: {short:?}");
        let (mut still, t) = steady();
        let far = waits(&mut still, usize::MAX, t + Duration::from_secs(3600));
        assert!(far.iter().all(|wait| (LONGEST..LONGEST * 3).contains(wait)), "{far:?}");
        let mut huge = Comeback::new(Duration::MAX, Dice::seeded(1));
        assert_eq!(huge.turn_away(usize::MAX, t), Duration::MAX);
    }

    #[test]
    fn storm_is_forgotten_in_the_time_that_it_takes_to_serve_it_and_no_storm_is_longer_than_20_s() {
        let (mut comeback, t) = steady();
        for _ in 0..10_000 {
            comeback.turn_away(0, t);
        }
        assert_eq!(comeback.turned_away, 2000, "20 s at 100 a second");
        comeback.idle();
        comeback.turn_away(0, t + 1000 * MS);
        assert_eq!(comeback.turned_away, 1901);
        comeback.idle();
        assert!(comeback.turn_away(0, t + LONGEST * 2) < 30 * MS);
    }

    #[test]
    fn time_in_which_nobody_wanted_a_slot_is_no_gap() {
        let (mut comeback, t) = steady();
        comeback.idle();
        comeback.freed(t + LONGEST);
        assert_eq!(comeback.gap(t + LONGEST), 10 * MS);
    }
}
