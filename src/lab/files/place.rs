//! Where in a file a setting stands.

/// A place in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1.
    pub(super) line: usize,
    /// The key whose value stands there, or the key itself.
    pub(super) key: Option<String>,
}

const fn is_of_a_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

impl Place {
    /// The place of this byte.
    pub(super) fn at(text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let here = text.get(byte..).unwrap_or_default();
        let on_line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        let itself: String =
            here.trim_start_matches(['[', ' ']).chars().take_while(|c| is_of_a_key(*c)).collect();
        let is_header = on_line.trim().is_empty() && here.starts_with('[');
        let is_key =
            here.strip_prefix(itself.as_str()).is_some_and(|rest| rest.trim_start().starts_with('='));
        let key = if is_header || is_key { itself } else { last_key(before) };
        Self { line, key: (!key.is_empty()).then_some(key) }
    }
}

/// The key whose value was being written when the text broke off.
fn last_key(before: &str) -> String {
    let up_to = before.rfind('=').map_or("", |at| before[..at].trim_end());
    up_to[up_to.trim_end_matches(is_of_a_key).len()..].to_owned()
}

/// The line on which this key is given a value, if there is one such line: in the `nth` of the tables with this
/// header, or anywhere.
pub(super) fn line_of(text: &str, table: Option<(&str, usize)>, key: &str) -> Option<usize> {
    let mut seen = 0;
    let mut inside = table.is_none();
    let mut found = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        if line.trim_start().starts_with('[')
            && let Some((header, nth)) = table
        {
            let is_so = line.trim().trim_matches(['[', ']', ' ']) == header;
            inside = is_so && seen == nth;
            seen += usize::from(is_so);
        }
        if inside && sets(line, key) {
            if found.is_some() {
                return None; // it could be either
            }
            found = Some(at + 1);
        }
    }
    found
}

/// Whether a line gives the key a value, or opens its table.
fn sets(line: &str, key: &str) -> bool {
    line.match_indices(key).any(|(at, _)| {
        let (before, after) = (&line[..at], line[at + key.len()..].trim_start());
        !before.ends_with(is_of_a_key) && (after.starts_with('=') || after.starts_with(']'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "timeout = 1 # not rate\n[fleet]\nrate = 2\n[[faults]]\nshare = 1\n[[faults]]\nshare = 2\n\
                        [budget]\nkind = { share = 3 }\n";

    #[test]
    fn a_place_knows_its_line_and_its_key() {
        let at = |what: &str| Place::at(TEXT, TEXT.find(what).unwrap());
        assert_eq!(at("2\n"), Place { line: 3, key: Some("rate".to_owned()) });
        assert_eq!(at("rate ="), Place { line: 3, key: Some("rate".to_owned()) });
        assert_eq!(at("3 }"), Place { line: 9, key: Some("share".to_owned()) });
        assert_eq!(at("kind ="), Place { line: 9, key: Some("kind".to_owned()) });
        let list = "delays = [1,\n  2]";
        assert_eq!(Place::at(list, list.len() - 2), Place { line: 2, key: Some("delays".to_owned()) });
        assert_eq!(at("[fleet]"), Place { line: 2, key: Some("fleet".to_owned()) });
        assert_eq!(Place::at("", 7), Place { line: 1, key: None });
        assert_eq!(Place::at("ü=1", 3), Place { line: 1, key: None }, "letters of no key, and of two bytes");
        assert_eq!(Place::at("ü = 1", 1), Place { line: 1, key: None });
    }

    #[test]
    fn a_key_is_found_where_it_can_only_be_it() {
        assert_eq!(line_of(TEXT, None, "timeout"), Some(1));
        assert_eq!(line_of(TEXT, None, "time"), None);
        assert_eq!(line_of(TEXT, None, "share"), None);
        assert_eq!(line_of(TEXT, Some(("faults", 1)), "share"), Some(7));
        assert_eq!(line_of(TEXT, Some(("faults", 2)), "share"), None);
        assert_eq!(line_of(TEXT, Some(("budget", 0)), "share"), Some(9));
    }
}
