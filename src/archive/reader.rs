//! An archive, letter by letter.

use std::io::{BufRead, Read as _};

use sha2::{Digest as _, Sha256};

use crate::archive::error::{ArchiveError, ArchiveErrorKind};
use crate::archive::line::{END, Header, Line, MAGIC, MAX_LINE, Trailer, VERSION, hex, is_sealed, parsed};
use crate::archive::verify::Contents;
use crate::dead_letter::DeadLetter;

/// The first line is short: a file that is something else may have no other.
const MAX_HEADER: usize = 4096;

/// Gives out letters, each checked; the archive as a whole is known to be good only once it said so by `None`.
#[derive(Debug)]
pub(super) struct Reader<R> {
    from: R,
    /// The line read last, from 1.
    line: u64,
    text: Vec<u8>,
    sha: Sha256,
    contents: Contents,
    /// The last line was read.
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    pub(super) fn open(from: R) -> Result<Self, ArchiveError> {
        let contents = Contents::default();
        let (text, sha) = (Vec::new(), Sha256::new());
        let mut reader = Self { from, line: 0, text, sha, contents, ended: false };
        reader.contents.queue = reader.header().map_err(|kind| reader.here(kind))?;
        Ok(reader)
    }

    /// The next letter, or `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<DeadLetter>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        self.letter().map_err(|kind| self.here(kind))
    }

    /// The number of the line read last.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// What was read until now; after the last letter, what the archive holds.
    pub(super) fn contents(&self) -> Contents {
        self.contents
    }

    fn here(&self, kind: ArchiveErrorKind) -> ArchiveError {
        ArchiveError { line: self.line, kind }
    }

    fn header(&mut self) -> Result<Option<u128>, ArchiveErrorKind> {
        self.read(MAX_HEADER)?;
        if !self.text.starts_with(MAGIC) {
            let cut = !self.text.ends_with(b"\n") && MAGIC.starts_with(&self.text);
            return Err(if cut { ArchiveErrorKind::CutShort } else { ArchiveErrorKind::Foreign });
        }
        let line = whole(&self.text, MAX_HEADER)?;
        // First the version: a later one may have another way to seal.
        let header: Header = parsed(line).map_err(|why| unless_changed(line, why))?;
        match header.version {
            1..=VERSION => {}
            0 => return Err(unless_changed(line, "there is no version 0".to_owned())),
            version => return Err(ArchiveErrorKind::Newer(version)),
        }
        sealed(line)?;
        header.queue().map_err(ArchiveErrorKind::Unreadable)
    }

    fn letter(&mut self) -> Result<Option<DeadLetter>, ArchiveErrorKind> {
        // Of all lines before the last one: the line that was read before is one of them.
        self.sha.update(&self.text);
        self.read(MAX_LINE)?;
        let line = whole(&self.text, MAX_LINE)?;
        std::str::from_utf8(line).map_err(|_| ArchiveErrorKind::NotUtf8)?;
        sealed(line)?;
        if line.starts_with(END) {
            let trailer: Trailer = parsed(line).map_err(ArchiveErrorKind::Unreadable)?;
            self.end(&trailer)?;
            return Ok(None);
        }
        let letter = parsed(line).and_then(Line::read).map_err(ArchiveErrorKind::Unreadable)?;
        self.contents.letters += 1;
        Ok(Some(letter))
    }

    fn end(&mut self, trailer: &Trailer) -> Result<(), ArchiveErrorKind> {
        let sha256 = std::mem::take(&mut self.sha).finalize().into();
        if trailer.letters != self.contents.letters {
            return Err(ArchiveErrorKind::Count(self.contents.letters));
        }
        if trailer.sha256 != hex(sha256) {
            return Err(ArchiveErrorKind::Digest);
        }
        self.contents.sha256 = sha256;
        let bytes = self.contents.bytes;
        self.read(0)?;
        if !self.text.is_empty() {
            return Err(ArchiveErrorKind::NotTheEnd);
        }
        self.contents.bytes = bytes;
        self.line -= 1;
        self.ended = true;
        Ok(())
    }

    /// Reads a line of at most so many bytes and its end, or one byte more if it is longer.
    fn read(&mut self, most: usize) -> Result<(), ArchiveErrorKind> {
        self.text.clear();
        self.line += 1;
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let read = self.from.by_ref().take(limit).read_until(b'\n', &mut self.text);
        self.contents.bytes += read.map_err(ArchiveErrorKind::Io)? as u64;
        Ok(())
    }
}

/// The line without its end.
fn whole(text: &[u8], most: usize) -> Result<&[u8], ArchiveErrorKind> {
    match text.strip_suffix(b"\n") {
        Some(line) => Ok(line),
        None if text.len() > most => Err(ArchiveErrorKind::TooLong(most)),
        None => Err(ArchiveErrorKind::CutShort),
    }
}

fn sealed(line: &[u8]) -> Result<(), ArchiveErrorKind> {
    if is_sealed(line) { Ok(()) } else { Err(ArchiveErrorKind::Checksum) }
}

/// A line that says what cannot be was changed, if its sum says so.
fn unless_changed(line: &[u8], why: String) -> ArchiveErrorKind {
    if is_sealed(line) { ArchiveErrorKind::Unreadable(why) } else { ArchiveErrorKind::Checksum }
}
