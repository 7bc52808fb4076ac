//! A set of status codes.

use std::fmt;

use tonic::Code;

/// Some of the seventeen codes, one bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::adapters::tonic) struct Codes(u32);

impl Codes {
    pub(in crate::adapters::tonic) const fn contains(self, code: Code) -> bool {
        self.0 & bit(code) != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Code> {
        (0..=16).map(Code::from_i32).filter(move |code| self.contains(*code))
    }
}

const fn bit(code: Code) -> u32 {
    1 << (code as u32)
}

impl FromIterator<Code> for Codes {
    fn from_iter<I: IntoIterator<Item = Code>>(codes: I) -> Self {
        Self(codes.into_iter().fold(0, |bits, code| bits | bit(code)))
    }
}

impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_in_it_and_nothing_else() {
        let codes: Codes =
            [Code::Unavailable, Code::Unauthenticated, Code::Unavailable].into_iter().collect();
        assert_eq!(codes.iter().collect::<Vec<_>>(), [Code::Unavailable, Code::Unauthenticated]);
        assert_eq!((0..=16).filter(|code| codes.contains(Code::from_i32(*code))).count(), 2);
        assert!(Codes::default().is_empty() && !codes.is_empty());
    }
}
