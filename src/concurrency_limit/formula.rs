//! What the limit is next: additive increase, Vegas, Gradient2.
//!
//! The formulas are those of Netflix's concurrency-limits. Each of them moves the limit once in a window of
//! calls and not at each call: what many calls say together, one of them cannot turn round.

use std::time::Duration;

/// How a window of calls that met no overload moves the limit. Overload lowers it alike for all, see
/// [`Control`](super::control::Control).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Formula {
    /// `L + 1`. A call that took longer than `slow_after` counts as one that met overload.
    Aimd { slow_after: Duration },
    /// With the queue that we fill, `q = n * (1 - baseline / latency)` for `n` calls in flight, and
    /// `g = log10 L`, at least 1.0:
    ///
    /// ```text
    /// q <= g          L + low * g
    /// q <  low * g    L + g
    /// q >  high * g   L - max(g, (q - high * g) / 2), but no more than a fifth of L
    /// ```
    ///
    /// Published with bands of 3 and 6, `n` the limit even if it is not used up, steps of `+ high * g` and `- g`.
    /// Bands that wide let a capacity of ten be passed by two thirds, and steps that small take a minute to come
    /// down from fifty to ten.
    Vegas { low: f64, high: f64 },
    /// `(1 - s) * L + s * (L * gradient + room)`, where `s` is the smoothing and
    /// `gradient = tolerance * baseline / latency`, held between 0.5 and 1.0.
    ///
    /// Published with a `room` of 4. Where no queue is seen it is a quarter of the limit here, at least 4, so that
    /// the way up does not take ten times as long for ten times the capacity; else half the root of the limit, at
    /// least 1, because 4 are nothing to a thousand and much to ten. The published tolerance of 1.5 asks for a queue
    /// of half the capacity.
    Gradient2 { tolerance: f64, smoothing: f64 },
}

/// No gradient is steeper, so that one bad window cannot take more than half. As published.
const STEEPEST: f64 = 0.5;

impl Formula {
    /// Whether it compares with the latency of an idle dependency.
    pub(super) const fn asks_baseline(self) -> bool {
        !matches!(self, Self::Aimd { .. })
    }

    /// Whether a call that took `latency` says that there is too much in flight.
    #[inline]
    pub(super) fn is_slow(self, latency: Duration) -> bool {
        matches!(self, Self::Aimd { slow_after } if latency > slow_after)
    }

    /// The limit after one of `limit` with so many `in_flight` at most. `slowdown` is the baseline over the
    /// latency: 1.0 where nothing waits.
    pub(super) fn next(self, limit: f64, in_flight: f64, slowdown: f64) -> f64 {
        match self {
            Self::Aimd { .. } => limit + 1.0,
            Self::Vegas { low, high } => {
                let queue = in_flight.min(limit) * (1.0 - slowdown);
                let step = limit.log10().max(1.0);
                if queue <= step {
                    limit + low * step
                } else if queue < low * step {
                    limit + step
                } else if queue > high * step {
                    limit - step.max((queue - high * step) / 2.0).min(limit / 5.0)
                } else {
                    limit
                }
            }
            Self::Gradient2 { tolerance, smoothing } => {
                let gradient = tolerance * slowdown;
                let room =
                    if gradient >= 1.0 { (limit / 4.0).max(4.0) } else { (limit.sqrt() / 2.0).max(1.0) };
                let wanted = limit * gradient.clamp(STEEPEST, 1.0) + room;
                limit + smoothing * (wanted - limit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VEGAS: Formula = Formula::Vegas { low: 1.5, high: 3.0 };
    const GRADIENT2: Formula = Formula::Gradient2 { tolerance: 1.05, smoothing: 0.2 };

    /// Where a formula comes to rest over a server of so much capacity that never refuses.
    fn rests(formula: Formula, from: f64, capacity: f64) -> (f64, f64) {
        let mut limit = from;
        let mut range = (f64::MAX, 0.0_f64);
        for round in 0..400 {
            limit = formula.next(limit, limit.floor(), (capacity / limit.floor()).min(1.0)).max(1.0);
            if round > 300 {
                range = (range.0.min(limit.floor()), range.1.max(limit.floor()));
            }
        }
        range
    }

    #[test]
    fn formulas_by_latency_rest_a_little_above_the_capacity_from_above_and_below() {
        for formula in [VEGAS, GRADIENT2] {
            for (capacity, most) in [(1.0, 6.0), (10.0, 15.0), (50.0, 60.0), (1000.0, 1090.0)] {
                for from in [1.0, 20.0, 2000.0] {
                    let (low, high) = rests(formula, from, capacity);
                    assert!(low >= capacity && high <= most, "{formula:?} {capacity}: {low}..{high}");
                }
            }
        }
    }

    #[test]
    fn one_window_never_takes_more_than_a_fifth_whatever_the_latency() {
        for limit in [1.0, 2.0, 10.0, 1e3, 4e9] {
            for formula in [VEGAS, GRADIENT2] {
                let next = formula.next(limit, limit, 1e-13);
                assert!(next >= limit * 0.8 && next.is_finite(), "{formula:?} {limit}: {next}");
            }
        }
    }

    #[test]
    fn only_additive_increase_knows_a_slow_call() {
        let aimd = Formula::Aimd { slow_after: Duration::from_secs(1) };
        assert!(!aimd.is_slow(Duration::from_secs(1)) && aimd.is_slow(Duration::from_millis(1001)));
        assert!(!VEGAS.is_slow(Duration::MAX) && !GRADIENT2.is_slow(Duration::MAX));
        assert_eq!(Some(aimd.next(7.0, 0.0, 1.0)), Some(8.0));
    }
}
