//! The two parts of a letter, as bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::damaged::Damaged;
use super::written::{WrittenBody, WrittenStory};
use crate::dead_letter::{DeadLetter, Payload};

/// The version that this release writes. It reads this one and all before.
const VERSION: u8 = 1;

const CRC: usize = 4;

/// What the letter carries.
pub(crate) fn body(letter: &DeadLetter) -> Vec<u8> {
    let head = json(&WrittenBody::of(letter));
    let payload = letter.payload.as_ref().map_or(&[][..], |payload| &payload.bytes);
    let mut part = Vec::with_capacity(1 + 4 + head.len() + payload.len() + CRC);
    part.push(VERSION);
    part.extend(u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    part.extend(head);
    part.extend(payload);
    sealed(part)
}

/// How its call failed.
pub(crate) fn story(letter: &DeadLetter) -> Vec<u8> {
    text(&WrittenStory::of(letter))
}

/// The letter of which these are the parts. Its number and where it stands are for the queue to fill in.
pub(crate) fn open(body: &[u8], story: &[u8]) -> Result<DeadLetter, Damaged> {
    let rest = unsealed(body)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(Damaged::Short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Damaged::Short)?;
    let (head, payload) = rest.split_at_checked(length).ok_or(Damaged::Short)?;
    let head: WrittenBody = parsed(head)?;
    let mut letter = DeadLetter::new(String::new());
    let content_type = head.content_type.clone();
    let schema_version = head.schema_version;
    head.fill(&mut letter)?;
    letter.payload = content_type.map(|content_type| {
        let mut payload = Payload::new(content_type, payload);
        payload.schema_version = schema_version;
        payload
    });
    parsed::<WrittenStory>(unsealed(story)?)?.fill(&mut letter)?;
    Ok(letter)
}

/// Version, JSON and checksum.
pub(super) fn text(written: &impl Serialize) -> Vec<u8> {
    let mut part = vec![VERSION];
    part.extend(json(written));
    sealed(part)
}

fn json(written: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and lists of them: there is nothing in it that JSON cannot say.
    serde_json::to_vec(written).unwrap_or_default()
}

pub(super) fn parsed<T: DeserializeOwned>(json: &[u8]) -> Result<T, Damaged> {
    serde_json::from_slice(json).map_err(|error| Damaged::Unreadable(error.to_string()))
}

fn sealed(mut part: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&part);
    part.extend(crc.to_le_bytes());
    part
}

/// What stands between version and checksum.
pub(super) fn unsealed(part: &[u8]) -> Result<&[u8], Damaged> {
    let (content, crc) = part.split_last_chunk::<CRC>().ok_or(Damaged::Short)?;
    if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
        return Err(Damaged::Checksum);
    }
    match content.split_first().ok_or(Damaged::Short)? {
        (&(1..=VERSION), rest) => Ok(rest),
        (&0, _) => Err(Damaged::Unreadable("there is no version 0".to_owned())),
        (&version, _) => Err(Damaged::Newer(version)),
    }
}
