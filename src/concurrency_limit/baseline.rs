//! How long a call takes when nothing waits, and how that is found out.
//!
//! Whoever holds a queue full can measure only the queue. A baseline that is taken from calls under load
//! follows the load, the limit follows the baseline, and both grow without end; a mere minimum is poisoned by
//! the first call that is not like the others. So the limit is lowered for two windows now and then, as BBR
//! lowers what it has in flight (draft-cardwell-iccrg-bbr-congestion-control, ProbeRTT): in the first one what
//! waits drains, in the second the latency is measured.
//!
//! If the latency followed the limit down, something was waiting, and may still be: the baseline can only fall,
//! and the limit is lowered once more to see whether that was all. If it did not follow, nothing waits, and this
//! is what a call takes now. One that takes longer than before is believed only after the limit was lowered
//! twice: the first time may have met a dependency that was just slowing down.

/// How far the limit is lowered to measure, as a share of what it was.
const LOWERED: f64 = 0.7;

/// A latency below this share of what it was before the limit was lowered has followed. Halfway between what a
/// full queue and an empty one would show.
const FOLLOWED: f64 = 0.85;

/// Nearer to the old baseline than this, the new one is the mean of both: that much is chance.
const CHANCE: f64 = 0.25;

/// The most by which one window moves the baseline. One stall or one burst of odd calls is not a new world;
/// windows that agree may be.
const FARTHEST: f64 = 2.0;

/// So many windows at least are between two measurements that nothing but the time asks for: of long calls it is
/// made less often, so that it takes no more than a few of a hundred places.
const BETWEEN: u32 = 40;

/// The most windows that one measurement takes, half of them to drain: enough to come down from a thousand calls
/// to one, or to go from a microsecond to a minute.
const LONGEST: u32 = 40;

#[derive(Debug)]
pub(super) struct Baseline {
    /// In nanoseconds. `None` until it was measured.
    latency: Option<f64>,
    stage: Stage,
    /// Windows that the measurement has taken, or that have passed since.
    windows: u32,
    /// The highest that the limit was since it was last measured.
    highest: f64,
    /// When to measure again, in nanoseconds.
    due: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Steady,
    /// The limit is back where it was, but what ends now was let in when nothing waited.
    Filling,
    /// The limit was lowered so many times, and what waits drains. Before the last time a call took this long.
    Draining {
        times: i32,
        before: f64,
    },
    /// What ends now was let in under the lowered limit.
    Measuring {
        times: i32,
        before: f64,
    },
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Learned {
    /// The formula may use this baseline.
    Steady(f64),
    /// What this window has shown is not what the limit does.
    Wait,
    /// It is measured: the limit goes back to where it was.
    Done,
}

impl Baseline {
    pub(super) const fn new() -> Self {
        Self { latency: None, stage: Stage::Steady, windows: 0, highest: 0.0, due: 0 }
    }

    pub(super) const fn latency(&self) -> Option<f64> {
        self.latency
    }

    /// The share of the limit that is in force while it measures.
    pub(super) fn lowered(&self) -> Option<f64> {
        match self.stage {
            Stage::Steady | Stage::Filling => None,
            Stage::Draining { times, .. } | Stage::Measuring { times, .. } => Some(LOWERED.powi(times)),
        }
    }

    /// A window is over in which the limit was in use, and a call took `latency`.
    pub(super) fn learn(&mut self, latency: f64) -> Learned {
        match (self.stage, self.latency) {
            // ## Steady => Draining, for the first time, or because the baseline cannot be true.
            (Stage::Steady, known) => match known.filter(|known| latency >= known / FARTHEST) {
                Some(known) => Learned::Steady(known),
                None => self.lower(1, latency),
            },
            // ## Filling => Steady.
            (Stage::Filling, _) => {
                self.stage = Stage::Steady;
                Learned::Wait
            }
            // ## Draining => Measuring.
            (Stage::Draining { times, before }, _) => {
                self.windows += 1;
                // Most of what ended now was let in before. While a queue builds up, that is nearer to what the
                // higher limit costs than the window before it.
                self.stage = Stage::Measuring { times, before: before.max(latency) };
                Learned::Wait
            }
            // ## Measuring => Draining, if that was not all; => Measuring, if it is too far off; => Steady.
            (Stage::Measuring { times, before }, known) => {
                self.windows += 1;
                self.measured(latency, times, before, known.unwrap_or(before))
            }
        }
    }

    fn measured(&mut self, latency: f64, times: i32, before: f64, known: f64) -> Learned {
        let waited = latency < before * FOLLOWED;
        let slower = latency > known * (1.0 + CHANCE);
        let (found, again) = match (waited, slower) {
            // Still waits, for longer than the baseline says that a call takes: no word against that.
            (true, true) => (known, false),
            // Something waited, be it only a little. What is left of it, the next step down shows.
            (true, false) => (known.min(latency), true),
            // Slower than it was, if that is still so after another step down.
            (false, true) if times == 1 => (known, true),
            // As it was, but for chance.
            (false, false) if times == 1 && latency >= known * (1.0 - CHANCE) => {
                (f64::midpoint(known, latency), false)
            }
            (false, _) => (latency, false),
        };
        let (least, most) = (known / FARTHEST, known * FARTHEST);
        self.latency = Some(found.clamp(least, most));
        if self.windows >= LONGEST {
            Learned::Done
        } else if again {
            self.lower(times + 1, latency)
        } else if (least..=most).contains(&found) {
            Learned::Done
        } else {
            Learned::Wait
        }
    }

    /// The formula has moved the limit. Whether to measure now: because it is time, or because the limit fell
    /// so far that it has to be asked whether the latency is one of waiting at all.
    pub(super) fn moved(&mut self, limit: f64, latency: f64, at: u64) {
        self.highest = self.highest.max(limit);
        self.windows = self.windows.saturating_add(1);
        if at >= self.due && self.windows >= BETWEEN || limit < self.highest * LOWERED {
            self.lower(1, latency);
        }
    }

    fn lower(&mut self, times: i32, before: f64) -> Learned {
        if times == 1 {
            self.windows = 0;
        }
        self.stage = Stage::Draining { times, before };
        Learned::Wait
    }

    /// A measurement ended, or is of no use any more.
    pub(super) fn rest(&mut self, limit: f64, due: u64) {
        self.stage = Stage::Filling;
        self.windows = 0;
        self.highest = limit;
        self.due = due;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What calls take with so many in flight at a dependency that serves so many at once.
    fn over(capacity: f64, service: f64) -> impl Fn(f64) -> f64 {
        move |in_flight: f64| service * (in_flight / capacity).max(1.0)
    }

    fn known(latency: f64) -> Baseline {
        Baseline { latency: Some(latency), ..Baseline::new() }
    }

    /// Measures once under a limit, and gives the baseline and how far the limit was lowered.
    fn measure(baseline: &mut Baseline, limit: f64, latency: impl Fn(f64) -> f64) -> (Option<f64>, f64) {
        let _ = baseline.lower(1, latency(limit));
        let mut lowest = limit;
        loop {
            let now = limit * baseline.lowered().unwrap();
            lowest = lowest.min(now);
            if baseline.learn(latency(now)) == Learned::Done {
                baseline.rest(limit, 0);
                return (baseline.latency(), lowest / limit);
            }
        }
    }

    #[test]
    fn latency_of_a_full_queue_never_becomes_the_baseline() {
        for limit in [55.0, 100.0, 1000.0] {
            assert_eq!(measure(&mut known(100.0), limit, over(10.0, 100.0)).0, Some(100.0));
        }
    }

    #[test]
    fn baseline_of_waiting_is_found_out_at_once() {
        for wrong in [150.0, 200.0, 1000.0] {
            let limit = 4.0 * wrong / 100.0 + 3.0;
            assert_eq!(measure(&mut known(wrong), limit, over(4.0, 100.0)).0, Some(100.0));
        }
        let mut first = Baseline::new();
        assert_eq!(measure(&mut first, 20.0, over(4.0, 100.0)).0, Some(100.0));
    }

    #[test]
    fn calls_that_became_slower_or_faster_are_believed() {
        for service in [1e9, 500.0, 200.0, 130.0, 60.0, 1.0] {
            let (found, lowest) = measure(&mut known(100.0), 50.0, over(50.0, service));
            assert_eq!(found, Some(service));
            assert!(lowest > 0.48, "{service}: lowered to {lowest}");
        }
    }

    #[test]
    fn dependency_that_slows_down_while_it_is_measured_is_not_believed() {
        for fell in 0..4 {
            let windows = std::cell::Cell::new(0);
            let latency = |in_flight: f64| {
                windows.set(windows.get() + 1);
                over(if windows.get() > fell { 10.0 } else { 50.0 }, 100.0)(in_flight)
            };
            assert_eq!(measure(&mut known(100.0), 55.0, latency).0, Some(100.0), "{fell}");
        }
    }

    #[test]
    fn one_stall_while_it_measures_is_taken_back() {
        let mut baseline = known(100.0);
        let _ = baseline.lower(1, 100.0);
        let latencies = [100.0, 9000.0, 100.0, 100.0, 100.0, 100.0];
        let ends = latencies.map(|latency| baseline.learn(latency) == Learned::Done);
        assert_eq!((baseline.latency(), ends.last()), (Some(100.0), Some(&true)));
    }

    #[test]
    fn measuring_ends_however_the_latency_jumps() {
        for (high, low) in [(3.6e12, 1.0), (1.0, 3.6e12), (1.0, 1.0)] {
            let mut baseline = known(1000.0);
            let _ = baseline.lower(1, high);
            let mut windows = 0;
            while baseline.learn(if windows % 2 == 0 { high } else { low }) == Learned::Wait {
                windows += 1;
                assert!(windows <= LONGEST);
            }
        }
    }
}
