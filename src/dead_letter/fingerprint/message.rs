//! A message without what differs from call to call.

/// What stands for everything that differs.
const VARIES: &str = "#";

/// Words that go with the number before them.
const UNITS: &[&str] = &[
    "ns",
    "us",
    "\u{b5}s",
    "ms",
    "s",
    "m",
    "h",
    "d",
    "sec",
    "secs",
    "second",
    "seconds",
    "millisecond",
    "milliseconds",
    "min",
    "mins",
    "minute",
    "minutes",
    "hour",
    "hours",
    "day",
    "days",
    "byte",
    "bytes",
    "B",
    "kB",
    "KB",
    "MB",
    "GB",
    "KiB",
    "MiB",
    "GiB",
];

/// What begins a quotation, and what ends it.
const QUOTES: &[(char, char)] = &[
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('\u{201c}', '\u{201d}'),
    ('\u{201e}', '\u{201c}'),
    ('\u{2018}', '\u{2019}'),
    ('\u{ab}', '\u{bb}'),
];

#[derive(Clone, Copy)]
enum Kind {
    /// Says what happened.
    Word,
    /// Differs from call to call.
    Varies,
    /// May be there or not: what follows the `?` of an address.
    Query,
    /// Everything else.
    Between,
}

/// Says, piece by piece, what tells this message from others.
pub(super) fn distinct(text: &str, mut say: impl FnMut(&str)) {
    let mut at = 0;
    // Where that ends which varied last, while only what stands between words came after it: if a unit or
    // another of a list follows, nothing of that is said.
    let mut varied: Option<usize> = None;
    while let Some(first) = text[at..].chars().next() {
        let (kind, length) = part(text, at, first);
        let (part, end) = (&text[at..at + length], at + length);
        let since = varied.map(|from| &text[from..at]);
        match (kind, since) {
            (Kind::Varies, Some(since)) if since.chars().all(separates) => varied = Some(end),
            (Kind::Word, Some(since)) if since.trim().is_empty() && UNITS.contains(&part) => {
                varied = Some(end);
            }
            (Kind::Between, Some(_)) => {}
            (kind, since) => {
                say(since.unwrap_or_default());
                varied = varied.filter(|_| matches!(kind, Kind::Query)).map(|_| end);
                match kind {
                    Kind::Varies => {
                        say(VARIES);
                        varied = Some(end);
                    }
                    Kind::Query => {}
                    Kind::Word | Kind::Between => say(part),
                }
            }
        }
        at = end;
    }
    say(varied.map_or("", |from| &text[from..]));
}

/// What begins at this place with this character, and how long it is.
fn part(text: &str, at: usize, first: char) -> (Kind, usize) {
    let (rest, width) = (&text[at..], first.len_utf8());
    let before = text[..at].chars().next_back();
    let next = rest[width..].chars().next();
    // The mark in `can't` begins nothing.
    if !before.is_some_and(char::is_alphanumeric)
        && let Some(length) = quoted(rest, first)
    {
        return (Kind::Varies, length);
    }
    // As databases name the values of a key: `(name)=(Ana)`.
    if first == '(' && before == Some('=') {
        return rest.find(')').map_or((Kind::Between, width), |end| (Kind::Varies, end + 1));
    }
    if first == '?' && before.is_some_and(|c| is_word(c) || c == '/') && next.is_some_and(is_word) {
        let ends = |c: char| c.is_whitespace() || matches!(c, ')' | ']' | '>' | ',' | '"' | '\'' | '`');
        return (Kind::Query, rest.find(ends).unwrap_or(rest.len()));
    }
    let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
    // A full stop or colon at the end is none of the word.
    let word = word.trim_end_matches(['.', ':']);
    if word.is_empty() {
        return (Kind::Between, width);
    }
    let varies = word.contains(|c: char| c.is_numeric() || c == '@');
    (if varies { Kind::Varies } else { Kind::Word }, word.len())
}

/// The length of the quotation that begins here, with its marks. It ends where no letter follows: the mark in
/// `'O'Brien'` ends nothing.
fn quoted(rest: &str, first: char) -> Option<usize> {
    let (_, close) = QUOTES.iter().find(|(open, _)| *open == first)?;
    let inside = &rest[first.len_utf8()..];
    let mut ends = inside.match_indices(*close).map(|(at, mark)| at + mark.len());
    let end = ends.find(|&end| !inside[end..].starts_with(char::is_alphanumeric))?;
    Some(first.len_utf8() + end)
}

/// Numbers keep their points, times their colons, ids their hyphens and mail its `@`, so that each is one word.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '+' | '%')
}

/// What may stand between the things of a list.
fn separates(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';' | '/' | '|' | '&')
}
