//! What letters have in common that died of the same thing.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use crate::dead_letter::letter::DeadLetter;

/// Tells letters that died of the same thing from all others: a hash of the error's type, code, status and
/// message, the destination and the operation.
///
/// What differs from call to call in a message does not count: every word with a digit in it is the same as
/// every other, and so is everything between quotation marks. The hash is FNV-1a with 64 bits, which is the
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
        hash.field(letter.status.map(|code| code.to_string()).as_deref());
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
        let mut rest = text;
        let mut before_is_word = false;
        while let Some(first) = rest.chars().next() {
            let end = match first {
                '"' | '\'' | '`' if !before_is_word => Some(quoted(rest, first)),
                _ if is_word(first) => rest.find(|c| !is_word(c)),
                _ => Some(first.len_utf8()),
            };
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            let varies = part.contains(|c: char| c.is_ascii_digit())
                || (part.len() > 1 && part.starts_with(['"', '\'', '`']));
            if varies {
                self.byte(b'#');
            } else {
                part.bytes().for_each(|byte| self.byte(byte));
            }
            before_is_word = is_word(first);
            rest = after;
        }
        self.byte(0xff);
    }
}

/// Where the quotation ends that `text` begins with; after its mark alone if it never does.
fn quoted(text: &str, mark: char) -> usize {
    let end = text[mark.len_utf8()..].find(mark).map(|at| at + 2 * mark.len_utf8());
    end.unwrap_or(mark.len_utf8())
}

/// Numbers keep their points and times their colons, so that each counts as one word.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::chain::{ErrorChain, ErrorFrame};

    fn says(text: &str) -> Fingerprint {
        DeadLetter::new("op").error(ErrorChain::from_display(&text)).fingerprint()
    }

    #[test]
    fn numbers_ids_addresses_and_quotations_do_not_count() {
        let pairs = [
            ("took 31ms", "took 4.5s"),
            ("no route to 10.0.0.7:8080", "no route to 192.168.1.1:80"),
            ("job 6f1e-aa02 lost", "job 0c9b-17ff lost"),
            ("user 'ana' unknown", "user 'Müller, Bo' unknown"),
            ("at 2026-11-22T10:00:00Z", "at 2027-01-01T00:00:01Z"),
        ];
        for (one, other) in pairs {
            assert_eq!(says(one), says(other), "{one} | {other}");
        }
    }

    #[test]
    fn words_and_fields_do_count() {
        let all = [
            says("can't connect"),
            says("can't read"),
            says("it isn't 'so"),
            DeadLetter::new("op").fingerprint(),
            DeadLetter::new("op").destination("").fingerprint(),
            DeadLetter::new("op").status(7).fingerprint(),
            DeadLetter::new("other").fingerprint(),
            DeadLetter::new("op").error(ErrorChain::from_display(&"x").type_name("T")).fingerprint(),
            DeadLetter::new("op").error([ErrorFrame::new("x").code("T")].into_iter().collect()).fingerprint(),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn hash_is_fnv_1a() {
        // Test vectors of the authors: the empty input and "foobar".
        let mut hash = Fnv::new();
        assert_eq!(hash.0, 0xcbf2_9ce4_8422_2325);
        b"foobar".iter().for_each(|&byte| hash.byte(byte));
        assert_eq!(hash.0, 0x8594_4171_f739_67e8);
    }
}
