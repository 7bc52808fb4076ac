//! A new file is made under another name and gets its own when it is whole: what a process leaves that ends
//! meanwhile, or a loss of power, is no store that cannot be opened.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{BackendError, Builder, Database, DatabaseError, StorageBackend as _};

use super::gathered::Gathered;

/// The file of this name beside the store is one that is being made, or was when its maker ended.
const ENDING: &str = ".making";

/// Opens the file, or makes it. A link that leads nowhere and an empty file are made into one where they are.
pub(super) fn open_or_make(builder: &Builder, path: &Path) -> Result<Database, DatabaseError> {
    if !is_free(path) {
        return open(builder, path);
    }
    let making = beside(path);
    clear(&making, path)?;
    let database = create(builder, &making)?;
    // From here on nobody else has that name: it goes away only when there is a file of the other one.
    match give_name(&making, path) {
        Ok(()) => {
            sync_folder(path)?;
            let _whoever_opens_it_next_does_it = fs::remove_file(making);
            Ok(database)
        }
        // Somebody else was faster, or put a file there.
        Err(_) if !is_free(path) => {
            drop(database);
            open(builder, path)
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens what is there, and does what is left to do if its maker ended before it was done.
fn open(builder: &Builder, path: &Path) -> Result<Database, DatabaseError> {
    let database = create(builder, path)?;
    let making = beside(path);
    if !is_free(&making) {
        sync_folder(path)?;
        let _whoever_opens_it_next_does_it = fs::remove_file(making);
    }
    Ok(database)
}

/// Opens what is there, or begins it.
fn create(builder: &Builder, path: &Path) -> Result<Database, DatabaseError> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    builder.create_with_backend(Gathered::new(FileBackend::new(file)?))
}

fn is_free(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ENDING);
    name.into()
}

/// Empties what is left of a file whose maker ended. Refuses one whose maker is at work.
fn clear(making: &Path, path: &Path) -> Result<(), DatabaseError> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(making)?;
    let file = FileBackend::new(file)?;
    // As the database locks it; the lock ends when this is dropped.
    match file.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
        Ok(true) | Err(BackendError::Unsupported) => {}
        Ok(false) => return Err(DatabaseError::DatabaseAlreadyOpen),
        Err(error) => return Err(io::Error::other(error).into()),
    }
    // If its maker has just come to the end, it is the store.
    if is_free(path) { Ok(file.set_len(0)?) } else { Ok(()) }
}

/// Gives the file its own name, unless there is another of that name.
fn give_name(making: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(making, path) {
        // Not every file system knows a second name.
        Err(error) if error.kind() != ErrorKind::AlreadyExists && is_free(path) => fs::rename(making, path),
        linked => linked,
    }
}

/// Makes the name of a new file survive a loss of power, as its content does.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Where folders cannot be opened like files, names need no help.
    if cfg!(unix) { File::open(fs::canonicalize(folder)?)?.sync_all() } else { Ok(()) }
}
