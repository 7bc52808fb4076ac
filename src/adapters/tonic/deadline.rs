//! How much time a call has left, as `grpc-timeout` says it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// At most so many digits may stand before the unit (gRPC over HTTP/2, "Requests").
const MOST: u128 = 99_999_999;

/// What each unit is in nanoseconds, the finest first.
const UNITS: [(char, u128); 6] = [
    ('n', 1),
    ('u', 1_000),
    ('m', 1_000_000),
    ('S', 1_000_000_000),
    ('M', 60 * 1_000_000_000),
    ('H', 3_600 * 1_000_000_000),
];

/// The time that a request gives its server. None if it says nothing, or nothing that can be read: then there is
/// no limit.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(&TIMEOUT)?.as_bytes();
    let (unit, digits) = value.split_last()?;
    let (_, nanos) = UNITS.into_iter().find(|(name, _)| *name == char::from(*unit))?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u128::from(digit - b'0'));
    let nanos = count * nanos;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    u32::try_from(nanos % 1_000_000_000).ok().map(|rest| Duration::new(seconds, rest))
}

/// The same in the finest unit for which there are digits enough, rounded down: the server never believes that it
/// has more time than it has. But for no time at all, which nobody can write: that is a nanosecond.
pub(super) fn write(left: Duration) -> HeaderValue {
    let nanos = left.as_nanos().max(1);
    let fits = UNITS.into_iter().find(|(_, unit)| nanos / unit <= MOST);
    let text = match fits {
        Some((name, unit)) => format!("{}{name}", nanos / unit),
        None => format!("{MOST}H"),
    };
    HeaderValue::try_from(text).expect("digits and a letter are a header's value")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from(text: &str) -> Option<Duration> {
        read(&HeaderMap::from_iter([(TIMEOUT, HeaderValue::from_str(text).unwrap())]))
    }

    #[test]
    fn every_unit_is_read() {
        for (text, span) in [
            ("1n", Duration::from_nanos(1)),
            ("2u", Duration::from_micros(2)),
            ("3m", Duration::from_millis(3)),
            ("4S", Duration::from_secs(4)),
            ("5M", Duration::from_secs(300)),
            ("6H", Duration::from_secs(6 * 3_600)),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
            ("00000001S", Duration::from_secs(1)),
            ("0m", Duration::ZERO),
        ] {
            assert_eq!(from(text), Some(span), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_limit() {
        for text in ["", "S", "5", "5s", "5 S", "-5S", "+5S", "1.5S", "100000000n", "5SS", "½S", "5h"] {
            assert_eq!(from(text), None, "{text:?}");
        }
        assert_eq!(read(&HeaderMap::new()), None);
    }

    #[test]
    fn finest_unit_that_fits_is_written() {
        for (span, text) in [
            (Duration::ZERO, "1n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_001), "100000u"),
            (Duration::from_secs(1), "1000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(100_000_000), "1666666M"),
            (Duration::from_secs(u64::MAX), "99999999H"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(write(span), text, "{span:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_ignored(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let read = read(&HeaderMap::from_iter([(TIMEOUT, value)]));
                prop_assert!(read.is_none() || bytes.iter().filter(|byte| byte.is_ascii_digit()).count() + 1 == bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read_as_no_more_and_not_much_less(seconds in 0..u64::MAX, nanos in 1..1_000_000_000_u32) {
            let span = Duration::new(seconds, nanos);
            let read = from(write(span).to_str().unwrap()).unwrap();
            prop_assert!(read <= span);
            let most = Duration::from_secs(99_999_999 * 3_600);
            prop_assert!(read >= span.min(most).mul_f64(0.999), "{:?} of {:?}", read, span);
        }
    }
}
