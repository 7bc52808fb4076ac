//! Spans of time as protobuf's JSON writes them.

use std::time::Duration;

/// The most seconds that a duration of protobuf has: ten thousand years (`google/protobuf/duration.proto`).
const MOST: u64 = 315_576_000_000;

/// Digits, perhaps a point and up to nine more, and an `s`. Negative ones are durations too, but none that a
/// service config may have.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (seconds, fraction) = match number.split_once('.') {
        Some((seconds, fraction)) => (seconds, Some(fraction)),
        None => (number, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !fraction.is_none_or(|fraction| digits(fraction) && fraction.len() <= 9) {
        return None;
    }
    let seconds = seconds.parse().ok().filter(|seconds| *seconds <= MOST)?;
    let nanos = format!("{:0<9}", fraction.unwrap_or_default()).parse().ok()?;
    Some(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_to_the_nanosecond() {
        for (text, nanos) in [
            ("0s", 0),
            ("1s", 1_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.000000001s", 1),
            ("007.10s", 7_100_000_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(parse("315576000000s"), Some(Duration::from_secs(MOST)));
    }

    #[test]
    fn what_is_no_span_or_no_time_to_wait_is_none() {
        for text in [
            "",
            "s",
            "1",
            ".s",
            "1.s",
            ".5s",
            "-1s",
            "-0s",
            "+1s",
            "1 s",
            "1ms",
            "1.5.5s",
            "1e3s",
            "0.0000000001s",
            "315576000001s",
            "99999999999999999999s",
            "١s",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
