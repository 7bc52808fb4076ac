//! What letters have in common that died of the same thing.

mod message;

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use crate::dead_letter::letter::DeadLetter;
use crate::dead_letter::reason::DeadReason;

/// Tells letters that died of the same thing from all others: a hash of the error's type, code, status and
/// message, the destination and the operation.
///
/// What differs from call to call in a message does not count. Every word with a digit or an `@` in it is the
/// same as every other, with its unit, and so is a list of such words; so is everything between quotation
/// marks, and what follows the `?` of an address or stands in parentheses after a `=`. The hash is FNV-1a with 64 bits, which is the
/// same on every machine and in every version. It groups; it proves nothing.
///
/// ```
/// use recoup::{DeadLetter, ErrorChain, Fingerprint};
///
/// let letter = |text: &str| DeadLetter::new("charge").error(ErrorChain::from_display(&text));
/// let first = letter("order 17 of \"Ana\" timed out after 3.5s").fingerprint();
/// assert_eq!(first, letter("order 4711 of \"Bo\" timed out after 12s").fingerprint());
/// assert_ne!(first, letter("order 17 was refused").fingerprint());
/// assert_eq!(first.to_string().parse::<Fingerprint>().unwrap(), first);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint with this value, as it was stored.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The value.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(super) fn of(letter: &DeadLetter) -> Self {
        let mut hash = Fnv::new();
        let frame = letter.error.frames().first();
        hash.field(frame.and_then(|frame| frame.type_name.as_deref()));
        hash.field(frame.and_then(|frame| frame.code.as_deref()));
        // An open circuit is the error itself; the status is that of an attempt before it, if there was one.
        let status = letter.status.filter(|_| letter.reason != DeadReason::CircuitOpen);
        hash.field(status.map(|code| code.to_string()).as_deref());
        hash.message(frame.map_or("", |frame| &frame.message));
        hash.field(letter.destination.as_deref());
        hash.field(Some(&letter.operation));
        Self(hash.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:016x}", self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// FNV-1a (Fowler, Noll, Vo), 64 bits.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    /// A field, told apart from its neighbours and from none.
    fn field(&mut self, text: Option<&str>) {
        self.byte(u8::from(text.is_some()));
        text.unwrap_or_default().bytes().for_each(|byte| self.byte(byte));
        self.byte(0xff); // in no UTF-8 text
    }

    /// A message without what differs from call to call.
    fn message(&mut self, text: &str) {
        message::distinct(text, |part| part.bytes().for_each(|byte| self.byte(byte)));
        self.byte(0xff);
    }
}

#[cfg(test)]
mod tests;
