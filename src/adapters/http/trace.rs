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
