//! How a delay is spread below its full length, in whole nanoseconds.

use crate::setting::{Check, SettingError};

/// Draws and shares are counted in parts of 2^53, which is all that an `f64` below 1.0 can tell apart.
const PARTS: u32 = 53;

/// How much of a delay is left to chance, so that callers who failed together do not come back together.
///
/// Jitter only ever shortens a delay: the full length `d` is capped first, and nothing is added to it.
///
/// ```
/// use std::time::Duration;
/// use recoup::{Backoff, Jitter};
///
/// let second = Duration::from_secs(1);
/// let least = |jitter| Backoff::fixed(second).jitter(jitter).preview(1)[0].min;
/// assert_eq!(least(Jitter::None), second);
/// assert_eq!(least(Jitter::Full), Duration::ZERO);
/// assert_eq!(least(Jitter::Equal), Duration::from_millis(500));
/// assert_eq!(least(Jitter::Proportional(0.1)), Duration::from_millis(900));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Jitter {
    /// The delay is always `d`. Only for a caller who is alone.
    #[default]
    None,
    /// Anything from nothing up to `d`: spreads a crowd best.
    Full,
    /// Half of `d`, and up to as much again by chance: never returns at once.
    Equal,
    /// At most this share of `d` is taken off: 0.1 is anything from 90 % to 100 % of `d`. Must be above 0.0
    /// and at most 1.0.
    Proportional(f64),
}

impl Jitter {
    /// # Errors
    ///
    /// Refuses a proportion outside of the whole.
    pub(super) fn check(self, check: Check) -> Result<(), SettingError> {
        match self {
            Self::Proportional(share) => check.share("jitter", share),
            Self::None | Self::Full | Self::Equal => Ok(()),
        }
    }

    /// The least that chance may leave of a delay. Never falls as the delay grows.
    pub(super) fn least(self, delay: u128) -> u128 {
        match self {
            Self::None => delay,
            Self::Full => 0,
            Self::Equal => delay / 2,
            // Rounded to the nearest, because 0.1 is not a whole number of parts: a tenth of 100 ms is 10 ms.
            Self::Proportional(share) => delay - scaled(delay, parts(share), 1 << (PARTS - 1)),
        }
    }

    /// What this draw leaves of a delay: from `least` to the whole.
    pub(super) fn shorten(self, delay: u128, draw: f64) -> u128 {
        let least = self.least(delay);
        least + portion(delay - least, draw)
    }
}

/// As much of a span as a draw says, below the whole span unless that is nothing. Exact, rounded down.
pub(super) fn portion(span: u128, draw: f64) -> u128 {
    scaled(span, parts(draw).min((1 << PARTS) - 1), 0)
}

/// Another draw, made from this one: as good as independent of it, and still the same for the same draw.
pub(super) fn another(draw: f64) -> f64 {
    // The finisher of `SplitMix64` turns neighbours into strangers; the constant keeps 0.0 from staying 0.0.
    let mut bits = parts(draw).wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let another = (bits >> (u64::BITS - PARTS)) as f64 / whole();
    another
}

/// A number from 0.0 to 1.0 in parts. What lies outside is brought inside, and NaN is 0.
fn parts(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
    let parts = (number.clamp(0.0, 1.0) * whole()) as u64;
    parts
}

#[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
const fn whole() -> f64 {
    (1_u64 << PARTS) as f64
}

/// `span * parts / 2^53`, where `parts` is at most 2^53. In two halves: the product may need 147 bits.
fn scaled(span: u128, parts: u64, round: u128) -> u128 {
    let parts = u128::from(parts);
    let (upper, lower) = (span >> PARTS, span & ((1 << PARTS) - 1));
    upper * parts + ((lower * parts + round) >> PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: u128 = std::time::Duration::MAX.as_nanos();

    #[test]
    fn portions_are_exact_and_below_the_whole() {
        assert_eq!(portion(1_000, 0.5), 500);
        assert_eq!(portion(LONGEST, 0.5), LONGEST / 2);
        for span in [1, 2, 1_000, 1 << 53, (1 << 53) + 1, LONGEST] {
            for draw in [1.0_f64.next_down(), 1.0, 7.0, f64::INFINITY] {
                assert!(portion(span, draw) < span, "{span} {draw}");
            }
            for draw in [0.0, -0.0, -1.0, f64::NEG_INFINITY, f64::NAN] {
                assert_eq!(portion(span, draw), 0, "{span} {draw}");
            }
        }
    }

    #[test]
    fn each_kind_leaves_what_it_promises() {
        let ms = |ms: u128| ms * 1_000_000;
        for (jitter, least) in [
            (Jitter::None, ms(100)),
            (Jitter::Full, 0),
            (Jitter::Equal, ms(50)),
            (Jitter::Proportional(0.1), ms(90)),
            (Jitter::Proportional(1.0), 0),
        ] {
            assert_eq!(jitter.least(ms(100)), least, "{jitter:?}");
            assert_eq!(jitter.shorten(ms(100), 0.0), least, "{jitter:?}");
            assert_eq!(jitter.shorten(ms(100), 0.5), least + (ms(100) - least) / 2, "{jitter:?}");
        }
    }

    #[test]
    fn second_draw_is_even_and_does_not_follow_the_first() {
        let n = 10_000;
        let (mut sum, mut product) = (0.0, 0.0);
        for i in 0..n {
            let first = f64::from(i) / f64::from(n);
            let second = another(first);
            assert!((0.0..1.0).contains(&second));
            sum += second;
            product += (first - 0.5) * (second - 0.5);
        }
        assert!((sum / f64::from(n) - 0.5).abs() < 0.02, "{sum}");
        assert!((product / f64::from(n) * 12.0).abs() < 0.05, "correlation of {product}");
    }

    /// Waits drawn from a seed may be written down, so the mixing must not change: these are the first numbers
    /// that `SplitMix64` is published to give for these seeds.
    #[test]
    #[expect(
        clippy::float_cmp,
        clippy::cast_precision_loss,
        reason = "53 bits, which an `f64` holds exactly"
    )]
    fn second_draw_is_mixed_as_splitmix64_mixes() {
        let numbers: [(u32, u64); 3] =
            [(0, 0xE220_A839_7B1D_CDAF), (1, 0x910A_2DEC_8902_5CC1), (1_234_567, 6_457_827_717_110_365_317)];
        for (seed, first) in numbers {
            assert_eq!(another(f64::from(seed) / whole()), (first >> 11) as f64 / whole(), "{seed}");
        }
    }
}
