//! What a call was made with, as bytes.

use std::fmt;

/// What a call was made with: bytes, kept exactly as given, and what they are.
///
/// `Debug` shows the length and not the bytes: payloads hold what does not belong in a log.
///
/// ```
/// use recoup::Payload;
/// let payload = Payload::json(r#"{"card":"4711"}"#);
/// assert_eq!(payload.content_type, "application/json");
/// assert_eq!(payload.bytes, br#"{"card":"4711"}"#);
/// assert!(!format!("{payload:?}").contains("4711"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Payload {
    /// What the bytes are, as a media type.
    pub content_type: String,
    /// The version of what they are written in, if the caller counts versions: so that a later release knows
    /// how to read what an older one wrote.
    pub schema_version: Option<u32>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Payload {
    /// Bytes of a type that the caller names.
    #[must_use]
    pub fn new(content_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), schema_version: None, bytes: bytes.into() }
    }

    /// The version of what the bytes are written in. Default: none.
    #[must_use]
    pub const fn schema_version(mut self, version: u32) -> Self {
        self.schema_version = Some(version);
        self
    }

    /// Bytes of any kind: `application/octet-stream`.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new("application/octet-stream", bytes)
    }

    /// Text: `text/plain; charset=utf-8`.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new("text/plain; charset=utf-8", text.into())
    }

    /// JSON that was serialised already: `application/json`. Not checked.
    #[must_use]
    pub fn json(json: impl Into<Vec<u8>>) -> Self {
        Self::new("application/json", json)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("content_type", &self.content_type)
            .field("schema_version", &self.schema_version)
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constructors_name_what_the_bytes_are() {
        assert_eq!(Payload::text("é").content_type, "text/plain; charset=utf-8");
        assert_eq!(Payload::text("é").bytes, "é".as_bytes());
        assert_eq!(Payload::bytes([0, 255]).content_type, "application/octet-stream");
        assert_eq!(Payload::bytes([0, 255]).bytes, [0, 255]);
    }
}
