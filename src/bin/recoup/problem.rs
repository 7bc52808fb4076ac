//! Why the command could not do what it was told.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use recoup::lab::files::FileError;
use recoup::{QueueError, SettingError};

#[derive(Debug)]
pub(crate) enum Problem {
    /// What was asked for makes no sense. Names the option or the setting.
    Bad(String),
    /// A file that should be written cannot be.
    Write(PathBuf, io::Error),
    /// What should be told cannot be.
    Output(io::Error),
    /// It made sense, and could not be done, or not for all.
    Failed(String),
}

impl Problem {
    pub(crate) fn bad(option: &str, what: impl fmt::Display) -> Self {
        Self::Bad(format!("`{option}`: {what}"))
    }

    pub(crate) fn in_file(path: &Path, error: &FileError) -> Self {
        Self::Bad(format!("{}: {error}", path.display()))
    }

    /// 2 for what the user can put right by asking for something else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Self::Bad(_)) { 2 } else { 1 })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(what) | Self::Failed(what) => f.write_str(what),
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Output(error) => write!(f, "cannot write what came of it: {error}"),
        }
    }
}

impl From<SettingError> for Problem {
    fn from(error: SettingError) -> Self {
        Self::Bad(error.to_string())
    }
}

impl From<lexopt::Error> for Problem {
    fn from(error: lexopt::Error) -> Self {
        Self::Bad(error.to_string())
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        Self::Failed(error.to_string())
    }
}
