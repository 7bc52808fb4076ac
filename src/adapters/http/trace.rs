//! The trace that a request is part of.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::random::Dice;

/// The name of the header.
pub(super) const TRACEPARENT: http::HeaderName = http::HeaderName::from_static("traceparent");

/// The trace that a request is part of, and who in it made the request: the header `traceparent` of the W3C
/// recommendation "Trace Context".
///
/// Each attempt is a [child](Self::child) of its own, so that whoever looks at the trace can tell them apart.
///
/// ```
/// use recoup::http::TraceParent;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let parent: TraceParent = text.parse().unwrap();
/// assert!(parent.is_sampled());
/// let child = parent.child();
/// assert_eq!(child.trace_id(), parent.trace_id());
/// assert_ne!(child.parent_id(), parent.parent_id());
/// assert_eq!(parent.to_string(), text);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: u128,
    parent: u64,
    flags: u8,
}

/// A `traceparent` that is not one.
///
/// ```
/// let error = "00-0-0-0".parse::<recoup::http::TraceParent>().unwrap_err();
/// assert_eq!(error.to_string(), "not a traceparent of W3C Trace Context");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a traceparent of W3C Trace Context")]
#[non_exhaustive]
pub struct InvalidTraceParent;

impl TraceParent {
    /// Version, two ids, flags, and three dashes.
    const LENGTH: usize = 55;
    const SAMPLED: u8 = 1;
    /// `sampled`, and `random-trace-id` of level 2. What the others mean is not defined: they are not passed on.
    const KNOWN_FLAGS: u8 = 0b11;

    /// The trace, the same in all that belongs to it. Never zero.
    #[must_use]
    pub const fn trace_id(&self) -> u128 {
        self.trace
    }

    /// Who made the request. Never zero.
    #[must_use]
    pub const fn parent_id(&self) -> u64 {
        self.parent
    }

    /// Whether somebody records the trace.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// The same trace, with a new parent: 64 random bits.
    #[must_use]
    pub fn child(&self) -> Self {
        let bits = Dice::Fresh.bits();
        #[expect(clippy::cast_possible_truncation, reason = "the lower half, and the upper if that is zero")]
        let (low, high) = (bits as u64, (bits >> 64) as u64);
        let parent = [low, high].into_iter().find(|&id| id != 0).unwrap_or(1);
        Self { parent, ..*self }
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(Self::LENGTH)?;
        let version = hex(&known[..2])?;
        // 255 is forbidden. A later version may go on after a dash, and is else read as this one.
        if version == 255 || (version == 0 && !rest.is_empty()) || rest.first().is_some_and(|&b| b != b'-') {
            return None;
        }
        if [2, 35, 52].into_iter().any(|dash| known[dash] != b'-') {
            return None;
        }
        let (trace, parent, flags) = (hex(&known[3..35])?, hex(&known[36..52])?, hex(&known[53..])?);
        let (parent, flags) = (u64::try_from(parent).ok()?, u8::try_from(flags).ok()?);
        if trace == 0 || parent == 0 {
            return None;
        }
        Some(Self { trace, parent, flags: flags & Self::KNOWN_FLAGS })
    }
}

/// The number that these digits say: up to 32 of them, lower case only.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text.as_bytes()).ok_or(InvalidTraceParent)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(text: &str) -> Option<String> {
        text.parse::<TraceParent>().ok().map(|parent| parent.to_string())
    }

    #[test]
    fn examples_of_the_recommendation_are_read() {
        let parent: TraceParent = TEXT.parse().unwrap();
        assert_eq!(parent.trace_id(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(parent.parent_id(), 0xb7ad_6b71_6920_3331);
        assert!(parent.is_sampled());
        let unsampled: TraceParent = TEXT.replace("-01", "-00").parse().unwrap();
        assert!(!unsampled.is_sampled());
    }

    #[test]
    fn later_versions_are_read_as_this_one_and_may_go_on_after_a_dash() {
        let later = TEXT.replacen("00", "cc", 1);
        assert_eq!(read(&later).as_deref(), Some(TEXT));
        assert_eq!(read(&format!("{later}-what-the-future-holds")).as_deref(), Some(TEXT));
        assert_eq!(read(&format!("{later}.what")), None);
        assert_eq!(read(&format!("{TEXT}-what")), None, "this version ends there");
        assert_eq!(read(&TEXT.replacen("00", "ff", 1)), None);
    }

    #[test]
    fn flags_that_mean_nothing_yet_are_not_passed_on() {
        assert_eq!(read(&TEXT.replace("-01", "-ff")), Some(TEXT.replace("-01", "-03")));
    }

    #[test]
    fn malformed_ones_are_refused() {
        let garbage = [
            String::new(),
            TEXT[..54].to_owned(),
            format!("{TEXT}0"),
            format!(" {TEXT}"),
            TEXT.to_uppercase(),
            TEXT.replace('-', "_"),
            TEXT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            TEXT.replace("b7ad6b7169203331", &"0".repeat(16)),
            TEXT.replace("0a", "0g"),
            TEXT.replace("0a", "+a"),
            "é".repeat(28),
        ];
        for text in garbage {
            assert_eq!(read(&text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_one_is_read_as_it_is_written(trace in 1_u128.., parent in 1_u64.., flags in 0_u8..4) {
            let whole = TraceParent { trace, parent, flags };
            prop_assert_eq!(whole.to_string().parse(), Ok(whole));
            let child = whole.child();
            prop_assert!(child.parent != 0 && child.parent != parent);
            prop_assert_eq!(TraceParent { parent, ..child }, whole);
        }

        #[test]
        fn nothing_panics(text in ".{0,70}") {
            let _ = text.parse::<TraceParent>();
        }
    }
}
