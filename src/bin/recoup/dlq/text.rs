//! Numbers, times and words of others, as they may be shown to people.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The end of the year 9999, where the calendar of RFC 3339 ends.
const LAST_SECOND: u64 = 253_402_300_799;

/// What others wrote, with nothing in it that a terminal obeys: control characters, and marks that turn the
/// direction of a line around, are written as Rust writes them.
pub(crate) fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => safe.push(' '),
            _ if c.is_control() || turns(c) => safe.extend(c.escape_default()),
            _ => safe.push(c),
        }
    }
    safe
}

/// As [`harmless`], but lines stay lines.
pub(crate) fn harmless_lines(text: &str) -> String {
    let lines: Vec<String> =
        text.split('\n').map(|line| harmless(line.strip_suffix('\r').unwrap_or(line))).collect();
    lines.join("\n")
}

/// Invisible marks of direction, separators of lines and paragraphs, and the mark of byte order.
const fn turns(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// At most so many characters, with a mark where some are missing.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// `1 letter`, `2 letters`, `100,000 letters`.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{} {what}{}", number_of(number), if number == 1 { "" } else { "s" })
}

/// With a comma after each three digits.
pub(crate) fn number_of(number: u64) -> String {
    let digits = number.to_string();
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// The two largest units: `3d 4h`, `12m 5s`, `840ms`.
pub(crate) fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, 0) => format!("{}ms", time.subsec_millis()),
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m {s}s"),
        (0, h, m, _) => format!("{h}h {m}m"),
        (d, h, ..) => format!("{d}d {h}h"),
    }
}

/// How long ago, or how far ahead where a clock was wrong.
pub(crate) fn ago(then: SystemTime, now: SystemTime) -> String {
    match now.duration_since(then) {
        Ok(age) if age < Duration::from_secs(1) => "now".to_owned(),
        Ok(age) => format!("{} ago", lasting(age)),
        Err(ahead) if ahead.duration() < Duration::from_secs(1) => "now".to_owned(),
        Err(ahead) => format!("in {}", lasting(ahead.duration())),
    }
}

/// As RFC 3339 in UTC, with milliseconds; seconds since 1970 for what no calendar names.
pub(crate) fn moment(at: SystemTime) -> String {
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) if since.as_secs() <= LAST_SECOND => humantime::format_rfc3339_millis(at).to_string(),
        Ok(since) => format!("@{}", since.as_secs()),
        Err(before) => format!("@-{}", before.duration().as_secs()),
    }
}

/// In units of 1024.
pub(crate) fn bytes(number: u64) -> String {
    let (mut whole, mut rest, mut unit) = (number, 0, 0);
    while whole >= 1024 && unit < 4 {
        (rest, whole, unit) = (whole % 1024, whole / 1024, unit + 1);
    }
    let name = ["B", "KiB", "MiB", "GiB", "TiB"][unit];
    if unit == 0 { format!("{whole} {name}") } else { format!("{whole}.{} {name}", rest * 10 / 1024) }
}

/// So many of so many, in whole hundredths; over a limit of nothing, all of it.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

/// Sixteen bytes a line: where, as numbers, as characters.
pub(crate) fn hex_dump(bytes: &[u8]) -> String {
    let mut dump = String::new();
    for (line, sixteen) in bytes.chunks(16).enumerate() {
        let mut numbers = String::new();
        for (at, byte) in sixteen.iter().enumerate() {
            let gap = if at == 8 { " " } else { "" };
            // Writing into a string cannot fail.
            let _ = write!(numbers, "{gap}{byte:02x} ");
        }
        let shown =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let characters: String = sixteen.iter().map(shown).collect();
        let _ = writeln!(dump, "{:08x}  {numbers:49} {characters}", line * 16);
    }
    dump
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(
            harmless("a\x1b[31mb\r\n\u{7}\u{202e}\u{9b}c\tä 語"),
            "a\\u{1b}[31mb\\r\\n\\u{7}\\u{202e}\\u{9b}c ä 語"
        );
        assert_eq!(harmless_lines("a\r\nb\x1b\n"), "a\nb\\u{1b}\n");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            ["1 letter", "0 letters"],
            [count(1, "letter"), count(0, "letter")].map(|it| it).as_slice()
        );
        assert_eq!(
            [number_of(999), number_of(1_000), number_of(u64::MAX)],
            ["999", "1,000", "18,446,744,073,709,551,615"]
        );
        assert_eq!([bytes(1023), bytes(1536), bytes(u64::MAX)], ["1023 B", "1.5 KiB", "16777215.9 TiB"]);
        assert_eq!([percent(1, 3), percent(5, 0), percent(u64::MAX, 1)], [33, 500, u64::MAX]);
    }

    #[test]
    fn times_that_no_calendar_names_are_told_all_the_same() {
        let far = UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1);
        assert_eq!(moment(far), "@253402300800");
        assert_eq!(moment(far - Duration::from_millis(1)), "9999-12-31T23:59:59.999Z");
        assert_eq!(moment(UNIX_EPOCH - Duration::from_secs(5)), "@-5");
        let now = UNIX_EPOCH + Duration::from_secs(100_000);
        assert_eq!(ago(UNIX_EPOCH, now), "1d 3h ago");
        assert_eq!(ago(now + Duration::from_secs(61), now), "in 1m 1s");
        assert_eq!(lasting(Duration::MAX).split(' ').count(), 2);
    }

    #[test]
    fn text_is_cut_at_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("ä", 0), "…");
    }

    #[test]
    fn dump_shows_numbers_and_characters() {
        let dump = hex_dump(b"0123456789abcdef\x00\xff");
        let lines: Vec<&str> = dump.lines().collect();
        assert_eq!(lines[0], "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  0123456789abcdef");
        assert!(lines[1].starts_with("00000010  00 ff ") && lines[1].ends_with(" .."), "{dump}");
        assert_eq!(lines[0].find("0123456789abcdef"), lines[1].find(".."));
    }
}
