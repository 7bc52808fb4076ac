//! Where a store lies, and how it is opened there.

use std::fmt;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use redb::{Builder, Database, DatabaseError, StorageBackend, StorageError};

use super::gathered::Gathered;
use super::making;
use super::open_error::{OpenError, OpenErrorKind};

/// So much of the file is kept in memory: 64 MiB.
const CACHE: usize = 64 << 20;

/// Is told how far a repair has come, from 0.0 to 1.0.
pub(super) type OnRepair = Arc<dyn Fn(f64) + Send + Sync>;

/// Where a store lies.
#[derive(Clone, Debug)]
pub(super) enum Place {
    File(PathBuf),
    Backend(Arc<dyn StorageBackend>),
}

impl Place {
    /// Opens what is there, or makes it.
    pub(super) fn open(&self, on_repair: Option<&OnRepair>) -> Result<Database, OpenErrorKind> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE);
        if let Some(on_repair) = on_repair {
            let on_repair = Arc::clone(on_repair);
            builder.set_repair_callback(move |repair| on_repair(repair.progress()));
        }
        // Whatever a damaged file makes of it must end here.
        let opened = catch_unwind(AssertUnwindSafe(|| match self {
            Self::File(path) => making::open_or_make(&builder, path),
            Self::Backend(backend) => builder.create_with_backend(Gathered::new(Shared(Arc::clone(backend)))),
        }));
        let damaged = || OpenErrorKind::Damaged("it cannot be made sense of".to_owned());
        opened.map_or_else(|_| Err(damaged()), |opened| opened.map_err(kind))
    }

    pub(super) fn error(&self, kind: OpenErrorKind) -> OpenError {
        let path = match self {
            Self::File(path) => Some(path.clone()),
            Self::Backend(_) => None,
        };
        OpenError { path, kind }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Backend(_) => f.write_str("a storage backend"),
        }
    }
}

/// What an error of opening means.
pub(super) fn kind(error: DatabaseError) -> OpenErrorKind {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => OpenErrorKind::InUse,
        DatabaseError::RepairAborted => OpenErrorKind::NeedsRepair,
        DatabaseError::UpgradeRequired(_) => OpenErrorKind::Foreign,
        DatabaseError::Storage(StorageError::Corrupted(what)) => OpenErrorKind::Damaged(what),
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            ErrorKind::NotFound => OpenErrorKind::Missing,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OpenErrorKind::Denied,
            ErrorKind::InvalidData => OpenErrorKind::Foreign,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OpenErrorKind::NoSpace,
            ErrorKind::UnexpectedEof => OpenErrorKind::Damaged(error.to_string()),
            _ => OpenErrorKind::Storage(error.to_string()),
        },
        error => OpenErrorKind::Storage(error.to_string()),
    }
}

/// A backend that can be opened again after an error.
#[derive(Debug)]
struct Shared(Arc<dyn StorageBackend>);

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}
