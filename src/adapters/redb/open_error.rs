//! Why a store could not be opened.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use crate::setting::SettingError;

/// The file of a [`RedbQueue`](crate::RedbQueue) could not be opened. Nothing was changed in it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use recoup::{OpenErrorKind, RedbQueue};
///
/// let error = RedbQueue::open("/no/such/folder/letters.redb").await.unwrap_err();
/// assert_eq!(error.kind, OpenErrorKind::Missing);
/// assert_eq!(
///     error.to_string(),
///     "dead letters at `/no/such/folder/letters.redb`: there is no such file or folder"
/// );
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenError {
    /// The file; `None` for a backend that is none.
    pub path: Option<PathBuf>,
    /// Why.
    pub kind: OpenErrorKind,
}

/// Why a store could not be opened.
///
/// ```
/// use recoup::OpenErrorKind;
/// assert_eq!(OpenErrorKind::Newer { found: 9, known: 1 }.to_string(),
///     "it is of format 9, written by a later release; this one knows up to 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// A setting cannot work.
    Setting(SettingError),
    /// Another process, or another handle in this one, has it open.
    InUse,
    /// The folder is not there; or the file, if it was to be read only.
    Missing,
    /// The operating system does not allow it.
    Denied,
    /// It is a file, but not of dead letters.
    Foreign,
    /// A later release wrote it.
    Newer {
        /// The format that it has.
        found: u32,
        /// The latest that this release knows.
        known: u32,
    },
    /// It is damaged, so.
    Damaged(String),
    /// It was not closed, or an older release wrote it: it must be opened for writing once.
    NeedsRepair,
    /// The disk is full.
    NoSpace,
    /// What it lies on failed, saying this.
    Storage(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "dead letters at `{}`: {}", path.display(), self.kind),
            None => write!(f, "dead letters: {}", self.kind),
        }
    }
}

impl fmt::Display for OpenErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(error) => fmt::Display::fmt(error, f),
            Self::InUse => f.write_str("somebody else has it open"),
            Self::Missing => f.write_str("there is no such file or folder"),
            Self::Denied => f.write_str("it may not be opened"),
            Self::Foreign => f.write_str("it is no file of dead letters"),
            Self::Newer { found, known } => {
                write!(f, "it is of format {found}, written by a later release; this one knows up to {known}")
            }
            Self::Damaged(what) => write!(f, "it is damaged: {what}"),
            Self::NeedsRepair => {
                f.write_str("it was not closed or is of an older format, and must be opened for writing once")
            }
            Self::NoSpace => f.write_str("there is no space on the disk"),
            Self::Storage(what) => f.write_str(what),
        }
    }
}

impl Error for OpenError {}
