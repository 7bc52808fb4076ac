//! What went wrong with the file, in words.

use std::io::ErrorKind;

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

use super::open_error::OpenErrorKind;

/// The file failed. What was in the transaction is not in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) text: String,
    /// There was no room on the disk.
    pub(super) no_space: bool,
}

pub(super) type Io<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), no_space: false }
    }

    /// The disk is full, and stays so until somebody makes room.
    pub(super) fn full() -> Self {
        let text = "no space: the disk is full, letters can be taken out but not put in";
        Self { text: text.into(), no_space: true }
    }
}

impl From<Fault> for OpenErrorKind {
    fn from(fault: Fault) -> Self {
        if fault.no_space { Self::NoSpace } else { Self::Storage(fault.text) }
    }
}

impl From<OpenErrorKind> for Fault {
    fn from(kind: OpenErrorKind) -> Self {
        let no_space = kind == OpenErrorKind::NoSpace;
        Self { text: if no_space { format!("no space: {kind}") } else { kind.to_string() }, no_space }
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        let no_space = matches!(
            &error,
            StorageError::Io(io) if matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        );
        Self { text: if no_space { format!("no space: {error}") } else { error.to_string() }, no_space }
    }
}

impl From<TableError> for Fault {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<TransactionError> for Fault {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<CommitError> for Fault {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Storage(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}
