//! What stands on each line of an archive. Fields may be added; none is ever renamed or given another meaning.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::dead_letter::{DeadLetter, LetterId, LetterState, Payload};
use crate::envelope::written::{WrittenBody, WrittenStory};

/// The version that this release writes. It reads this one and all before.
pub const VERSION: u64 = 1;

/// The most bytes of one line: 64 MiB. No longer one is written, or held in memory to be read.
pub const MAX_LINE: usize = 64 << 20;

/// What every archive begins with.
pub(super) const MAGIC: &[u8] = br#"{"recoup":"dead letters""#;

/// What its last line begins with, and no other does.
pub(super) const END: &[u8] = br#"{"end":"#;

/// The length of `,"crc":"01234567"}`.
const SEAL: usize = 18;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    recoup: String,
    pub(super) version: u64,
    /// In hexadecimal: JSON's numbers are not that wide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
}

impl Header {
    pub(super) fn of(queue: Option<u128>) -> Self {
        let queue = queue.map(|queue| format!("{queue:032x}"));
        Self { recoup: "dead letters".to_owned(), version: VERSION, queue }
    }

    pub(super) fn queue(&self) -> Result<Option<u128>, String> {
        let Some(text) = &self.queue else { return Ok(None) };
        u128::from_str_radix(text, 16).map(Some).map_err(|_| format!("`{text}` is no queue"))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Trailer {
    end: bool,
    pub(super) letters: u64,
    /// Of every byte before this line, in hexadecimal.
    pub(super) sha256: String,
}

impl Trailer {
    pub(super) fn of(letters: u64, sha256: [u8; 32]) -> Self {
        Self { end: true, letters, sha256: hex(sha256) }
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: [u8; 32]) -> String {
    let digits = bytes.into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// A letter with all that its queue says of it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    id: u64,
    state: String,
    deliveries: u32,
    redrives: u32,
    unsettled: u32,
    #[serde(flatten)]
    body: WrittenBody,
    #[serde(flatten)]
    story: WrittenStory,
    /// The payload, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The payload, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Line {
    pub(super) fn of(letter: &DeadLetter) -> Self {
        let bytes = letter.payload.as_ref().map(|payload| &payload.bytes[..]);
        let text = bytes.and_then(readable);
        Self {
            id: letter.id.get(),
            state: name(letter.state).to_owned(),
            deliveries: letter.deliveries,
            redrives: letter.redrives,
            unsettled: letter.unsettled,
            body: WrittenBody::of(letter),
            story: WrittenStory::of(letter),
            base64: bytes.filter(|_| text.is_none()).map(|bytes| STANDARD.encode(bytes)),
            text: text.map(str::to_owned),
        }
    }

    /// The letter, with the number that it had.
    pub(super) fn read(self) -> Result<DeadLetter, String> {
        let mut letter = DeadLetter::new(String::new());
        letter.id = LetterId::new(self.id);
        letter.state = state(&self.state)?;
        (letter.deliveries, letter.redrives, letter.unsettled) =
            (self.deliveries, self.redrives, self.unsettled);
        let (content_type, schema_version) = (self.body.content_type.clone(), self.body.schema_version);
        self.body.fill(&mut letter).map_err(|damaged| damaged.to_string())?;
        self.story.fill(&mut letter).map_err(|damaged| damaged.to_string())?;
        let bytes = match (self.text, self.base64) {
            (None, None) => None,
            (Some(text), None) => Some(text.into_bytes()),
            (None, Some(code)) => {
                Some(STANDARD.decode(code).map_err(|error| format!("its payload is no base64: {error}"))?)
            }
            (Some(_), Some(_)) => return Err("it has two payloads".to_owned()),
        };
        letter.payload = match (content_type, bytes) {
            (None, None) => None,
            (Some(content_type), Some(bytes)) => {
                let mut payload = Payload::new(content_type, bytes);
                payload.schema_version = schema_version;
                Some(payload)
            }
            (Some(_), None) => return Err("it has the type of a payload and no payload".to_owned()),
            (None, Some(_)) => return Err("it has a payload of no type".to_owned()),
        };
        Ok(letter)
    }
}

/// The bytes, if a person can read them, and JSON can say them in little more space.
fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    (!text.contains(odd)).then_some(text)
}

fn name(state: LetterState) -> &'static str {
    match state {
        LetterState::Ready => "ready",
        LetterState::Leased => "leased",
        LetterState::Quarantined => "quarantined",
    }
}

fn state(name: &str) -> Result<LetterState, String> {
    match name {
        // A letter that says nothing of it.
        "" | "ready" => Ok(LetterState::Ready),
        "leased" => Ok(LetterState::Leased),
        "quarantined" => Ok(LetterState::Quarantined),
        other => Err(format!("`{other}` is no state")),
    }
}

/// The line with its sum and its end.
pub(super) fn sealed(written: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and lists of them: there is nothing in it that JSON cannot say.
    let mut line = serde_json::to_vec(written).unwrap_or_default();
    line.pop(); // the closing brace
    let seal = seal(&line);
    line.extend(seal.as_bytes());
    line.push(b'\n');
    line
}

/// Whether the line, without its end, has the sum that it says. The sum is compared letter by letter: there is
/// one way to write it.
pub(super) fn is_sealed(line: &[u8]) -> bool {
    let content = line.len().checked_sub(SEAL).map(|end| line.split_at(end));
    content.is_some_and(|(content, said)| said == seal(content).as_bytes())
}

fn seal(content: &[u8]) -> String {
    format!(r#","crc":"{:08x}"}}"#, crc32fast::hash(content))
}

/// What the JSON says, or why it cannot be read.
pub(super) fn parsed<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    // The parser sees one line and calls it the first.
    let why = |error: serde_json::Error| error.to_string().replace(" at line 1 column ", " at column ");
    serde_json::from_slice(line).map_err(why)
}
