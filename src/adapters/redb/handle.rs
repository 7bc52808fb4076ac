//! An open file, to read and write or only to read.

use redb::{Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase as _, WriteTransaction};

use super::fault::{Fault, Io};

/// An open file.
pub(super) enum Handle {
    Writes(Database),
    Reads(ReadOnlyDatabase),
}

impl Handle {
    pub(super) fn begin_read(&self) -> Io<ReadTransaction> {
        Ok(match self {
            Self::Writes(database) => database.begin_read()?,
            Self::Reads(database) => database.begin_read()?,
        })
    }

    pub(super) fn begin_write(&self) -> Io<WriteTransaction> {
        match self {
            Self::Writes(database) => Ok(database.begin_write()?),
            Self::Reads(_) => Err(Fault::new("the file is open for reading only")),
        }
    }

    pub(super) fn close(self) -> Io<()> {
        match self {
            Self::Writes(database) => database.close()?,
            Self::Reads(database) => database.close()?,
        }
        Ok(())
    }
}
