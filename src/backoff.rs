//! How long to wait before the next attempt: a pure function of the attempt that failed and of one draw.

mod jitter;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::jitter::{another, portion};
use crate::setting::{Check, SettingError};

pub use crate::backoff::jitter::Jitter;

/// The cap of a backoff that names none. Half a minute: long enough to take the load off a service that
/// restarts, short enough that a person who waits sees it come back.
const DEFAULT_MAX_DELAY: Duration = Duration::from_secs(30);

/// The growth of an exponential backoff that names none.
const DEFAULT_FACTOR: f64 = 2.0;

/// The most rows of a preview, so that a slip of the finger does not fill the memory.
const PREVIEW_LIMIT: usize = 10_000;

/// How long to wait after the n-th failed attempt: a schedule, a cap on it, and jitter below the cap.
///
/// It holds no state: clones are cheap, and one value serves any number of calls at once. No delay is ever
/// longer than [`max_delay`](Self::max_delay), whatever the schedule, the jitter and n are. Settings are
/// checked when the policy that takes the backoff is built.
///
/// Two backoffs are equal when they were made from the same settings; functions are equal only to their
/// own clones.
///
/// ```
/// use std::time::Duration;
/// use recoup::Backoff;
///
/// let backoff = Backoff::exponential(Duration::from_millis(50)).max_delay(Duration::from_millis(300));
/// let delays: Vec<u128> = backoff.preview(5).iter().map(|delay| delay.max.as_millis()).collect();
/// assert_eq!(delays, [50, 100, 200, 300, 300]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    schedule: Schedule,
    factor: Option<f64>,
    max_delay: Duration,
    jitter: Jitter,
}

#[derive(Clone, Debug, PartialEq)]
enum Schedule {
    Zero,
    Fixed(Duration),
    Linear(Duration),
    Exponential(Duration),
    Fibonacci(Duration),
    Decorrelated(Duration),
    Delays(Arc<[Duration]>),
    Own(Own),
}

#[derive(Clone)]
struct Own(Arc<dyn Fn(u32) -> Duration + Send + Sync>);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fn(u32) -> Duration")
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The least and the greatest delay that may follow one failed attempt, jitter and cap included.
///
/// ```
/// use std::time::Duration;
/// use recoup::{Backoff, Jitter};
///
/// let second = Duration::from_secs(1);
/// let after = Backoff::linear(second).jitter(Jitter::Equal).preview(2);
/// assert_eq!((after[1].min, after[1].max), (second, 2 * second));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DelayBounds {
    /// No delay is shorter.
    pub min: Duration,
    /// No delay is longer.
    pub max: Duration,
}

impl Backoff {
    const fn new(schedule: Schedule) -> Self {
        Self { schedule, factor: None, max_delay: DEFAULT_MAX_DELAY, jitter: Jitter::None }
    }

    /// For delays that were said one by one: whoever says an hour means an hour.
    const fn as_said(schedule: Schedule) -> Self {
        Self { schedule, factor: None, max_delay: Duration::MAX, jitter: Jitter::None }
    }

    /// No delay: the next attempt follows at once.
    #[must_use]
    pub const fn none() -> Self {
        Self::new(Schedule::Zero)
    }

    /// The same delay each time.
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        Self::as_said(Schedule::Fixed(delay))
    }

    /// `base`, then twice, three times, four times `base`.
    #[must_use]
    pub const fn linear(base: Duration) -> Self {
        Self::new(Schedule::Linear(base))
    }

    /// `base`, then each time [`factor`](Self::factor) times as long: doubled, unless it says otherwise.
    #[must_use]
    pub const fn exponential(base: Duration) -> Self {
        Self::new(Schedule::Exponential(base))
    }

    /// `base`, `base`, then each time the sum of the two before: 1, 1, 2, 3, 5, 8 times `base`.
    #[must_use]
    pub const fn fibonacci(base: Duration) -> Self {
        Self::new(Schedule::Fibonacci(base))
    }

    /// Anything from `base` to three times the delay before, by chance; before the first delay stands `base`.
    ///
    /// The cap is put on the range and not on the draw, so callers who have reached it stay apart. After a
    /// wait that somebody else chose, such as a server's hint, the range still ends at 3^n times `base`.
    /// Jitter, if set too, shortens what was drawn. `base` must be longer than zero.
    #[must_use]
    pub const fn decorrelated(base: Duration) -> Self {
        Self::new(Schedule::Decorrelated(base))
    }

    /// These delays in turn; the last repeats for ever. The list must end and hold at least one delay.
    #[must_use]
    pub fn delays(delays: impl IntoIterator<Item = Duration>) -> Self {
        Self::as_said(Schedule::Delays(delays.into_iter().collect()))
    }

    /// What `delay` says for the number of the attempt that failed, from 1.
    ///
    /// Cap and jitter apply to its answer. It may be asked about any attempt at any time, and by
    /// [`preview`](Self::preview) too, so it should answer the same each time and at once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recoup::Backoff;
    ///
    /// let squares = Backoff::from_fn(|n| Duration::from_millis(100).saturating_mul(n.saturating_mul(n)));
    /// assert_eq!(squares.preview(3)[2].max, Duration::from_millis(900));
    /// ```
    #[must_use]
    pub fn from_fn(delay: impl Fn(u32) -> Duration + Send + Sync + 'static) -> Self {
        Self::as_said(Schedule::Own(Own(Arc::new(delay))))
    }

    /// How many times longer each delay of an exponential backoff is than the one before: finite and at
    /// least 1.0. Refused for the other schedules. Default: 2.0.
    #[must_use]
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = Some(factor);
        self
    }

    /// No delay is longer than this. Must be at least the base, or the longest delay of a list;
    /// `Duration::MAX` is no cap. Default: 30 s for delays that grow, and no cap for those that are said one
    /// by one: [`fixed`](Self::fixed), [`delays`](Self::delays) and [`from_fn`](Self::from_fn).
    #[must_use]
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = max_delay;
        self
    }

    /// How much of each delay is left to chance. The cap comes first, and jitter only shortens.
    /// Default: [`Jitter::None`].
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// What may follow each of the first `n` failed attempts, in order: at most 10 000 of them.
    ///
    /// It answers for settings that would not build as well: a preview is not a check.
    #[must_use]
    pub fn preview(&self, n: usize) -> Vec<DelayBounds> {
        (1..=u32::MAX).take(n.min(PREVIEW_LIMIT)).map(|failed| self.bounds(failed)).collect()
    }

    /// # Errors
    ///
    /// Refuses, by the name of the setter, what cannot work: a `factor` that shrinks, is not finite or has
    /// no exponential schedule; a `jitter` outside of the whole; no `delays`; a zero base of `decorrelated`;
    /// and a `max_delay` below what the user asked to wait.
    pub(crate) fn check(&self, check: Check) -> Result<(), SettingError> {
        match (&self.schedule, self.factor) {
            (Schedule::Exponential(_), Some(factor)) if !(factor >= 1.0 && factor.is_finite()) => {
                return Err(check.refuse("factor", factor, "finite and at least 1.0"));
            }
            (Schedule::Exponential(_), _) | (_, None) => {}
            (_, Some(factor)) => {
                return Err(check.refuse("factor", factor, "left out unless the backoff is exponential"));
            }
        }
        self.jitter.check(check)?;
        let longest = match &self.schedule {
            Schedule::Zero | Schedule::Own(_) => Duration::ZERO,
            Schedule::Fixed(base)
            | Schedule::Linear(base)
            | Schedule::Exponential(base)
            | Schedule::Fibonacci(base) => *base,
            Schedule::Decorrelated(base) => {
                check.longer_than_zero("decorrelated", *base)?;
                *base
            }
            Schedule::Delays(delays) => match delays.iter().max() {
                Some(longest) => *longest,
                None => return Err(check.refuse("delays", delays, "a list of at least one delay")),
            },
        };
        if longest > self.max_delay {
            let allowed = "at least as long as the backoff's base and each listed delay";
            return Err(check.refuse("max_delay", self.max_delay, allowed));
        }
        Ok(())
    }

    /// The delay after attempt number `failed`, which is at least 1. `previous` is the delay before that
    /// attempt, if there was one, and `draw` is from 0.0 up to, but not including, 1.0. What lies outside is
    /// brought inside.
    pub(crate) fn delay(&self, failed: u32, previous: Option<Duration>, draw: f64) -> Duration {
        let (low, high) = self.range(failed);
        let (delay, draw) = match self.schedule {
            Schedule::Decorrelated(base) => {
                let reach = previous.unwrap_or(base).as_nanos().saturating_mul(3).clamp(low, high);
                (low + portion(reach - low, draw), another(draw))
            }
            _ => (high, draw),
        };
        from_nanos(self.jitter.shorten(delay, draw))
    }

    /// The least and the greatest delay that may follow attempt number `failed`.
    pub(crate) fn bounds(&self, failed: u32) -> DelayBounds {
        let (low, high) = self.range(failed);
        DelayBounds { min: from_nanos(self.jitter.least(low)), max: from_nanos(high) }
    }

    /// From where to where the delay may lie before jitter, in nanoseconds and capped. Only a decorrelated
    /// one has a choice.
    fn range(&self, failed: u32) -> (u128, u128) {
        let n = failed.max(1);
        let cap = self.max_delay.as_nanos();
        let (low, high) = match &self.schedule {
            Schedule::Zero => (0, 0),
            Schedule::Fixed(delay) => alike(*delay),
            Schedule::Linear(base) => alike(base.saturating_mul(n)),
            Schedule::Exponential(base) => {
                let delay = exponential(base.as_nanos(), self.factor.unwrap_or(DEFAULT_FACTOR), n);
                (delay, delay)
            }
            Schedule::Fibonacci(base) => {
                let delay = fibonacci(base.as_nanos(), n, cap);
                (delay, delay)
            }
            Schedule::Decorrelated(base) => {
                let base = base.as_nanos();
                (base, base.saturating_mul(3_u128.saturating_pow(n)))
            }
            Schedule::Delays(delays) => {
                let nth = usize::try_from(n - 1).unwrap_or(usize::MAX);
                alike(delays.get(nth).or(delays.last()).copied().unwrap_or(Duration::ZERO))
            }
            Schedule::Own(Own(delay)) => alike(delay(n)),
        };
        (low.min(cap), high.min(cap))
    }
}

impl From<Duration> for Backoff {
    fn from(delay: Duration) -> Self {
        Self::fixed(delay)
    }
}

const fn alike(delay: Duration) -> (u128, u128) {
    (delay.as_nanos(), delay.as_nanos())
}

/// `base * factor^(n - 1)`: exact while the factor is whole, to the nearest that an `f64` can tell otherwise.
fn exponential(base: u128, factor: f64, n: u32) -> u128 {
    if n == 1 {
        return base; // which an `f64` might round
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "these casts saturate, and turn the NaN of an infinite power of nothing into nothing"
    )]
    let delay = if factor.fract() == 0.0 {
        (factor as u128).saturating_pow(n - 1).saturating_mul(base)
    } else {
        (factor.powf(f64::from(n - 1)) * base as f64).round() as u128
    };
    delay
}

/// `base` times the n-th Fibonacci number, or something above the cap as soon as that is certain: with the
/// longest cap and the shortest base that takes fewer than 140 steps, however large n is.
fn fibonacci(base: u128, n: u32, cap: u128) -> u128 {
    if base == 0 {
        return 0;
    }
    let (mut delay, mut next) = (base, base);
    for _ in 1..n {
        if delay > cap {
            break;
        }
        (delay, next) = (next, delay.saturating_add(next));
    }
    delay
}

fn from_nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    match (u64::try_from(nanos / SECOND), u32::try_from(nanos % SECOND)) {
        (Ok(secs), Ok(nanos)) => Duration::new(secs, nanos),
        _ => Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Dice;

    const MS: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3600);
    const BELOW_ONE: f64 = 1.0_f64.next_down();
    const NS: [u32; 11] = [0, 1, 2, 3, 63, 64, 1023, 1024, 1025, 1_000_000, u32::MAX];
    const JITTERS: [Jitter; 5] =
        [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Proportional(0.3), Jitter::Proportional(1.0)];

    /// Every schedule on this base. All but the last two never get shorter as n grows.
    fn every(base: Duration) -> Vec<Backoff> {
        vec![
            Backoff::none(),
            Backoff::fixed(base),
            Backoff::linear(base),
            Backoff::exponential(base),
            Backoff::exponential(base).factor(1.0),
            Backoff::exponential(base).factor(1.0_f64.next_up()),
            Backoff::exponential(base).factor(1.5),
            Backoff::exponential(base).factor(3.0),
            Backoff::exponential(base).factor(f64::MAX),
            Backoff::fibonacci(base),
            Backoff::decorrelated(base),
            Backoff::delays([base, Duration::ZERO]),
            Backoff::from_fn(move |n| if n % 2 == 0 { Duration::MAX } else { base }),
        ]
    }

    fn millis(backoff: &Backoff, n: u32) -> Vec<u128> {
        (1..=n).map(|failed| backoff.delay(failed, None, 0.5).as_micros()).map(|us| us / 1_000).collect()
    }

    fn refused(backoff: &Backoff) -> &'static str {
        backoff.check(Check("test")).unwrap_err().setting
    }

    #[test]
    fn schedules_are_what_their_names_say() {
        let exponential = Backoff::exponential(50 * MS);
        for (n, ms) in (1..).zip([50, 100, 200, 400, 800]) {
            assert_eq!(exponential.delay(n, None, 0.9), ms * MS, "to the nanosecond");
        }
        assert_eq!(millis(&Backoff::none(), 3), [0, 0, 0]);
        assert_eq!(millis(&Backoff::fixed(50 * MS), 3), [50, 50, 50]);
        assert_eq!(millis(&Backoff::from(50 * MS), 3), [50, 50, 50]);
        assert_eq!(millis(&Backoff::linear(50 * MS), 4), [50, 100, 150, 200]);
        assert_eq!(millis(&Backoff::fibonacci(10 * MS), 7), [10, 10, 20, 30, 50, 80, 130]);
        assert_eq!(millis(&exponential.clone().factor(3.0), 4), [50, 150, 450, 1350]);
        assert_eq!(millis(&Backoff::exponential(8 * MS).factor(1.5), 4), [8, 12, 18, 27]);
        assert_eq!(millis(&Backoff::delays([5 * MS, 7 * MS]), 4), [5, 7, 7, 7]);
        assert_eq!(millis(&Backoff::from_fn(|n| n * n * MS), 4), [1, 4, 9, 16]);
    }

    #[test]
    fn a_factor_with_a_fraction_is_exact_to_the_nanosecond_where_it_can_be() {
        let backoff = Backoff::exponential(50 * MS).factor(1.1);
        assert_eq!(backoff.delay(2, None, 0.0), Duration::from_millis(55));
        assert_eq!(backoff.delay(3, None, 0.0), Duration::from_micros(60_500));
    }

    #[test]
    fn durations_beyond_the_precision_of_floats_are_not_rounded() {
        let odd = Duration::new((1 << 60) + 1, 1);
        for backoff in every(odd) {
            let backoff = backoff.max_delay(odd);
            if backoff.schedule != Schedule::Zero {
                assert_eq!(backoff.bounds(1).max, odd, "{backoff:?}");
            }
        }
        let uncapped = Backoff::exponential(odd).max_delay(Duration::MAX);
        assert_eq!(uncapped.delay(3, None, 0.0), odd * 4);
    }

    #[test]
    fn every_schedule_jitter_and_extreme_stays_within_its_cap_and_bounds() {
        let mut checked = 0;
        for base in [Duration::ZERO, Duration::from_nanos(1), 50 * MS, HOUR, Duration::MAX] {
            for (schedule, jitter) in every(base).iter().flat_map(|s| JITTERS.map(|jitter| (s, jitter))) {
                for cap in [Duration::ZERO, base, DEFAULT_MAX_DELAY, Duration::MAX] {
                    let backoff = schedule.clone().jitter(jitter).max_delay(cap);
                    if let Err(error) = backoff.check(Check("test")) {
                        let excused = if error.setting == "max_delay" { base > cap } else { base.is_zero() };
                        assert!(excused, "{error}");
                        continue;
                    }
                    for n in NS {
                        let bounds = backoff.bounds(n);
                        assert!(bounds.min <= bounds.max && bounds.max <= cap, "{backoff:?} {n} {bounds:?}");
                        for draw in [0.0, 0.5, 0.999, BELOW_ONE, 1.0, -1.0, f64::NAN, f64::INFINITY] {
                            for previous in [None, Some(Duration::ZERO), Some(base), Some(Duration::MAX)] {
                                let delay = backoff.delay(n, previous, draw);
                                assert!(delay <= cap, "{backoff:?} {n} {previous:?} {draw}");
                                assert!(
                                    (bounds.min..=bounds.max).contains(&delay),
                                    "{backoff:?} {n} {previous:?} {draw}: {delay:?} not in {bounds:?}"
                                );
                                checked += 1;
                            }
                        }
                    }
                }
            }
        }
        assert!(checked > 100_000, "{checked}");
    }

    #[test]
    fn growing_schedules_never_get_shorter() {
        for base in [Duration::from_nanos(1), 50 * MS, HOUR, Duration::MAX] {
            let all = every(base);
            for backoff in &all[..all.len() - 2] {
                let backoff = backoff.clone().max_delay(Duration::MAX);
                let steps = backoff.preview(1_500);
                assert!(steps.is_sorted_by_key(|delay| delay.max), "{backoff:?}");
                assert!(NS.map(|n| backoff.bounds(n).max).is_sorted(), "{backoff:?}");
            }
        }
    }

    #[test]
    fn zero_base_is_no_delay_for_ever_and_the_smallest_one_grows_up_to_the_cap() {
        for backoff in &every(Duration::ZERO)[..10] {
            assert!(NS.iter().all(|&n| backoff.delay(n, None, BELOW_ONE).is_zero()), "{backoff:?}");
        }
        for backoff in [Backoff::exponential, Backoff::fibonacci, Backoff::linear] {
            let backoff = backoff(Duration::from_nanos(1)).max_delay(Duration::from_secs(4));
            assert_eq!(backoff.delay(u32::MAX, None, 0.0), Duration::from_secs(4));
        }
    }

    #[test]
    fn failed_attempt_zero_is_taken_for_the_first() {
        for backoff in every(50 * MS) {
            assert_eq!(backoff.bounds(0), backoff.bounds(1), "{backoff:?}");
        }
    }

    #[test]
    fn callers_at_the_cap_stay_apart() {
        let cap = Duration::from_secs(30);
        let exponential = Backoff::exponential(50 * MS);
        let dice = Dice::seeded(42);
        for backoff in [
            exponential.clone().jitter(Jitter::Full),
            exponential.clone().jitter(Jitter::Equal),
            exponential.jitter(Jitter::Proportional(0.2)),
            Backoff::decorrelated(50 * MS),
            Backoff::decorrelated(50 * MS).jitter(Jitter::Full),
        ] {
            let mut delays: Vec<_> =
                (0..10_000).map(|_| backoff.delay(1_000, Some(cap), dice.draw())).collect();
            assert!(delays.iter().all(|delay| *delay <= cap));
            assert!(delays.iter().filter(|delay| **delay == cap).count() < 100, "{backoff:?}");
            delays.sort_unstable();
            delays.dedup();
            assert!(delays.len() > 9_900, "{backoff:?}");
        }
    }

    #[test]
    fn full_jitter_covers_the_whole_cap() {
        let backoff = Backoff::exponential(MS).jitter(Jitter::Full).max_delay(Duration::from_secs(10));
        let dice = Dice::seeded(7);
        let mut delays: Vec<_> = (0..10_000).map(|_| backoff.delay(99, None, dice.draw())).collect();
        delays.sort_unstable();
        let (p5, p95) = (delays[500], delays[9_500]);
        assert!(p95 >= p5 + Duration::from_secs(5));
        assert!(p5 < Duration::from_secs(1) && p95 > Duration::from_secs(9));
    }

    #[test]
    fn decorrelated_reaches_from_the_base_to_three_times_the_delay_before() {
        let backoff = Backoff::decorrelated(100 * MS).max_delay(2_000 * MS);
        let (least, most) = (0.0, BELOW_ONE);
        let near = |delay: Duration, ms: u32| delay < ms * MS && delay + MS / 1_000 > ms * MS;
        assert_eq!(backoff.delay(1, None, least), 100 * MS);
        assert!(near(backoff.delay(1, None, most), 300));
        assert!(near(backoff.delay(2, Some(200 * MS), most), 600));
        assert!(near(backoff.delay(5, Some(1_999 * MS), most), 2_000), "the range is capped, not the draw");
        assert_eq!(backoff.delay(2, Some(MS), most), 100 * MS, "never below the base");
        assert!(near(backoff.delay(2, Some(HOUR), most), 900), "a foreign delay does not carry it away");
        let maxima: Vec<_> = backoff.preview(4).iter().map(|delay| delay.max.as_millis()).collect();
        assert_eq!(maxima, [300, 900, 2_000, 2_000]);
        assert_eq!(backoff.preview(4)[3].min, 100 * MS);
    }

    #[test]
    fn jitter_of_a_decorrelated_delay_does_not_follow_its_draw() {
        let backoff = Backoff::decorrelated(MS).jitter(Jitter::Full);
        let dice = Dice::seeded(3);
        let cap = Some(DEFAULT_MAX_DELAY);
        let mean = (0..10_000).map(|_| backoff.delay(99, cap, dice.draw()).as_secs_f64()).sum::<f64>() / 1e4;
        assert!((mean - 7.5).abs() < 0.5, "half of a half of the cap, not a third of it: {mean}");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let exponential = Backoff::exponential(MS);
        for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -2.0, 1.0_f64.next_down()] {
            assert_eq!(refused(&exponential.clone().factor(factor)), "factor");
        }
        for backoff in [Backoff::none(), Backoff::fixed(MS), Backoff::delays([MS]), Backoff::decorrelated(MS)]
        {
            assert_eq!(refused(&backoff.factor(2.0)), "factor");
        }
        for share in [f64::NAN, f64::INFINITY, 0.0, -0.5, 1.0_f64.next_up()] {
            assert_eq!(refused(&exponential.clone().jitter(Jitter::Proportional(share))), "jitter");
        }
        assert_eq!(refused(&Backoff::delays([])), "delays");
        assert_eq!(refused(&Backoff::decorrelated(Duration::ZERO)), "decorrelated");
        for backoff in [Backoff::linear, Backoff::exponential, Backoff::fibonacci] {
            assert_eq!(refused(&backoff(HOUR)), "max_delay", "the default cap is no licence to cut");
            assert!(backoff(HOUR).max_delay(HOUR).check(Check("test")).is_ok());
        }
        assert_eq!(refused(&Backoff::decorrelated(HOUR)), "max_delay");
        assert_eq!(refused(&Backoff::delays([MS, HOUR, MS]).max_delay(MS)), "max_delay");
        assert!(Backoff::delays([MS, HOUR]).check(Check("test")).is_ok(), "who says an hour means an hour");
        assert!(Backoff::from_fn(|_| HOUR).check(Check("test")).is_ok(), "a function is capped, not asked");
        let error = Backoff::linear(HOUR).check(Check("retry policy")).unwrap_err();
        assert!(error.to_string().starts_with("retry policy: `max_delay` is 30s, but must be"), "{error}");
    }

    #[test]
    fn previews_of_nonsense_neither_panic_nor_exceed_the_cap() {
        for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -2.0, -0.5, 0.0, 0.5] {
            for share in [f64::NAN, f64::INFINITY, -1.0, 2.0] {
                let backoff = Backoff::exponential(HOUR).factor(factor).jitter(Jitter::Proportional(share));
                for delay in backoff.preview(100) {
                    assert!(delay.min <= delay.max && delay.max <= DEFAULT_MAX_DELAY);
                }
            }
        }
        assert!(Backoff::delays([]).preview(2).iter().all(|delay| delay.max.is_zero()));
        assert_eq!(Backoff::none().preview(usize::MAX).len(), PREVIEW_LIMIT);
    }

    #[test]
    fn equal_settings_are_equal_and_functions_only_as_clones() {
        assert_eq!(Backoff::fixed(MS), Backoff::from(MS));
        assert_ne!(Backoff::fixed(MS), Backoff::linear(MS));
        let own = Backoff::from_fn(|_| MS);
        assert_eq!(own, own.clone());
        assert_ne!(own, Backoff::from_fn(|_| MS));
    }

    proptest! {
        #[test]
        fn no_delay_leaves_its_bounds(
            kind in 0_usize..13,
            jitter in 0_usize..5,
            base in any::<Duration>(),
            cap in any::<Duration>(),
            factor in 1.0_f64..100.0,
            n in any::<u32>(),
            small in 0_u32..100,
            draw in 0.0_f64..1.0,
            previous in any::<Option<Duration>>(),
        ) {
            let mut backoff = every(base)[kind].clone().jitter(JITTERS[jitter]).max_delay(cap);
            if backoff.factor.is_some() {
                backoff = backoff.factor(factor);
            }
            for n in [n, small] {
                let (bounds, delay) = (backoff.bounds(n), backoff.delay(n, previous, draw));
                prop_assert!(delay <= cap);
                prop_assert!(bounds.min <= delay && delay <= bounds.max, "{delay:?} {bounds:?}");
                prop_assert_eq!(delay, backoff.delay(n, previous, draw), "pure");
            }
        }

        #[test]
        fn jitter_never_lengthens(base in any::<Duration>(), draw in 0.0_f64..1.0, share in 1e-9_f64..=1.0) {
            let fixed = Backoff::fixed(base).max_delay(Duration::MAX);
            for jitter in [Jitter::Full, Jitter::Equal, Jitter::Proportional(share)] {
                prop_assert!(fixed.clone().jitter(jitter).delay(1, None, draw) <= base);
            }
        }
    }
}
