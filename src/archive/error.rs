//! What can go wrong with an archive.

use std::error::Error;
use std::fmt;
use std::io;

use crate::archive::{Imported, VERSION};
use crate::dead_letter::{LetterId, PushErrorKind, QueueError};

/// An archive cannot be read. It names the line, from 1.
///
/// ```
/// use recoup::archive::verify;
/// let error = verify(&b"GIF89a"[..], |_| {}).unwrap_err();
/// assert_eq!(error.to_string(), "line 1: this is no archive of dead letters");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ArchiveError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub kind: ArchiveErrorKind,
}

/// What is wrong with a line of an archive.
///
/// ```
/// use recoup::archive::{ArchiveErrorKind, verify};
/// let error = verify(&b""[..], |_| {}).unwrap_err();
/// assert!(matches!(error.kind, ArchiveErrorKind::CutShort));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ArchiveErrorKind {
    /// The file could not be read.
    Io(io::Error),
    /// The file is something else.
    Foreign,
    /// The file was written by a later release, in this version.
    Newer(u64),
    /// The file ends before its last line does.
    CutShort,
    /// There is more after the last line.
    NotTheEnd,
    /// The line is longer than it may be, in bytes: [`MAX_LINE`](crate::archive::MAX_LINE), and less for the first.
    TooLong(usize),
    /// The line is no UTF-8.
    NotUtf8,
    /// The line is not the one that was written: its sum is not that of its bytes.
    Checksum,
    /// The line is whole, and says what cannot be.
    Unreadable(String),
    /// So many letters were read, and the last line tells of another number.
    Count(u64),
    /// The lines before the last one are not those that were written.
    Digest,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.kind {
            ArchiveErrorKind::Io(_) => f.write_str("the archive could not be read"),
            ArchiveErrorKind::Foreign => f.write_str("this is no archive of dead letters"),
            ArchiveErrorKind::Newer(version) => {
                write!(f, "the archive is of version {version}, and this release reads up to {VERSION}")
            }
            ArchiveErrorKind::CutShort => f.write_str("the archive is cut short"),
            ArchiveErrorKind::NotTheEnd => f.write_str("there is more after the end of the archive"),
            ArchiveErrorKind::TooLong(most) => write!(f, "the line is longer than {most} bytes"),
            ArchiveErrorKind::NotUtf8 => f.write_str("the line is not UTF-8"),
            ArchiveErrorKind::Checksum => f.write_str("the line was changed: its checksum is wrong"),
            ArchiveErrorKind::Unreadable(why) => write!(f, "the line cannot be understood: {why}"),
            ArchiveErrorKind::Count(read) => {
                write!(
                    f,
                    "lines are missing or too many: {read} letters were read, and another number written"
                )
            }
            ArchiveErrorKind::Digest => f.write_str("lines before were changed: the SHA-256 is wrong"),
        }
    }
}

impl Error for ArchiveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            ArchiveErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// An archive could not be written. What was written until then is no whole archive, and none that can be read.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use recoup::archive::{ExportError, export};
/// use recoup::{LetterFilter, MemoryQueue};
///
/// let no_room = &mut [0_u8; 10][..];
/// let error = export(&MemoryQueue::default(), &LetterFilter::new(), no_room, |_| {}).await.unwrap_err();
/// assert!(matches!(error, ExportError::Io(_)));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ExportError {
    /// The queue could not be read.
    Queue(QueueError),
    /// The file could not be written.
    Io(io::Error),
    /// This letter would take a line longer than [`MAX_LINE`](crate::archive::MAX_LINE).
    TooLarge(LetterId),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(_) => f.write_str("dead letters could not be read for the archive"),
            Self::Io(_) => f.write_str("the archive could not be written"),
            Self::TooLarge(id) => write!(f, "dead letter {id} is too large for an archive"),
        }
    }
}

impl Error for ExportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Queue(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::TooLarge(_) => None,
        }
    }
}

impl From<QueueError> for ExportError {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An import ended early. It says what was stored until then; importing the same archive again goes on with
/// the rest.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::io::Cursor;
/// use recoup::archive::import;
/// use recoup::{ByHand, MemoryQueue};
///
/// let foreign = Cursor::new("Dear Sir or Madam");
/// let error = import(&MemoryQueue::default(), foreign, &ByHand::default(), |_| {}).await.unwrap_err();
/// assert_eq!(error.to_string(), "nothing was imported: line 1: this is no archive of dead letters");
/// assert_eq!(error.done.stored, 0);
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ImportError {
    /// What was done until then.
    pub done: Imported,
    /// Why it ended.
    pub kind: ImportErrorKind,
}

/// Why an import ended early.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::Cursor;
/// use recoup::archive::{ImportErrorKind, export, import};
/// use recoup::{ByHand, DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, PushErrorKind};
///
/// let (queue, mut file) = (MemoryQueue::default(), Vec::new());
/// queue.push(DeadLetter::new("charge")).await?;
/// queue.push(DeadLetter::new("refund")).await?;
/// export(&queue, &LetterFilter::new(), &mut file, |_| {}).await?;
///
/// let small = MemoryQueue::builder().capacity(1).build()?;
/// let error = import(&small, Cursor::new(file), &ByHand::default(), |_| {}).await.unwrap_err();
/// assert_eq!(error.done.stored, 1);
/// assert!(matches!(error.kind, ImportErrorKind::Refused { line: 3, why: PushErrorKind::Full }));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportErrorKind {
    /// The archive cannot be read. If it could not from the beginning, nothing was imported.
    Archive(ArchiveError),
    /// The queue did not take the letter on this line.
    Refused {
        /// The line, from 1.
        line: u64,
        /// Why not.
        why: PushErrorKind,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.done.stored {
            0 => f.write_str("nothing was imported: ")?,
            1 => f.write_str("one letter was imported, then: ")?,
            letters => write!(f, "{letters} letters were imported, then: ")?,
        }
        match &self.kind {
            ImportErrorKind::Archive(error) => fmt::Display::fmt(error, f),
            ImportErrorKind::Refused { line, why } => write!(f, "line {line}: {why}"),
        }
    }
}

impl Error for ImportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            // What it says itself has been said.
            ImportErrorKind::Archive(error) => error.source(),
            ImportErrorKind::Refused { .. } => None,
        }
    }
}
