//! JSON made readable without reading anything into it: numbers, names and their order stay as they are.

use serde::de::IgnoredAny;

/// Deeper than this nothing becomes readable, and the indentation alone could fill the memory.
const DEEPEST: usize = 64;

/// The same document with a line for each member; `None` if it is no JSON, or too deep.
pub(crate) fn json(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    // A word or a number by itself looks no better for it.
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let (mut pretty, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let mut characters = text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\t')).peekable();
    while let Some(c) = characters.next() {
        if in_string {
            pretty.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            ' ' => {}
            '{' | '[' => {
                pretty.push(c);
                while characters.next_if_eq(&' ').is_some() {}
                if let Some(end) = characters.next_if(|end| matches!(end, '}' | ']')) {
                    pretty.push(end);
                } else {
                    depth += 1;
                    if depth > DEEPEST {
                        return None;
                    }
                    new_line(&mut pretty, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut pretty, depth);
                pretty.push(c);
            }
            ',' => {
                pretty.push(c);
                new_line(&mut pretty, depth);
            }
            ':' => pretty.push_str(": "),
            _ => {
                in_string = c == '"';
                pretty.push(c);
            }
        }
    }
    Some(pretty)
}

fn new_line(pretty: &mut String, depth: usize) {
    pretty.push('\n');
    pretty.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_nothing_is_changed() {
        let document =
            "{ \"b\" :[1, 2.50,{}, [ ]],\n\"a\":\"x, {\\\"y\\\": \\\\\", \"n\":12345678901234567890123}";
        let pretty = json(document.as_bytes());
        let expected = "{\n  \"b\": [\n    1,\n    2.50,\n    {},\n    []\n  ],\n  \"a\": \"x, {\\\"y\\\": \\\\\",\n  \"n\": 12345678901234567890123\n}";
        assert_eq!(pretty.as_deref(), Some(expected));
        assert_eq!(json(expected.as_bytes()).as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_document_is_left_alone() {
        for text in ["", "7", "\"word\"", "{", "{\"a\":1} {\"b\":2}", "hello", "\u{feff}{}"] {
            assert_eq!(json(text.as_bytes()), None, "{text}");
        }
        assert_eq!(json(b"[\"\xff\"]"), None);
        let deep = |deep| "[".repeat(deep) + "1" + &"]".repeat(deep);
        assert!(json(deep(DEEPEST).as_bytes()).is_some());
        assert_eq!(json(deep(DEEPEST + 1).as_bytes()), None);
        assert_eq!(json(deep(100_000).as_bytes()), None);
    }
}
