//! Looking after the file of an application that has stopped: whether it is whole, and making it smaller.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use redb::{Database, DatabaseError, ReadableDatabase as _};

use super::fault::Fault;
use super::find::Wanted;
use super::numbers::Numbers;
use super::open_error::{OpenError, OpenErrorKind};
use super::opening;
use super::place::{Place, kind};
use super::queue::RedbQueue;
use super::row::State;
use super::tables::Tables;
use super::{destinations, format};
use crate::dead_letter::LetterFilter;

/// What a look at every byte of a file has found.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("recoup-verify-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("letters.redb");
/// use recoup::{DeadLetter, DeadLetterQueue, RedbQueue};
///
/// let queue = RedbQueue::open(&path).await?;
/// queue.push(DeadLetter::new("charge")).await?;
/// queue.close().await?;
/// let verified = RedbQueue::verify(&path).await?;
/// assert_eq!((verified.letters, verified.damaged, verified.is_whole()), (1, 0, true));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Letters held.
    pub letters: u64,
    /// Those of them that cannot be read.
    pub damaged: u64,
    /// The database was damaged and could be repaired.
    pub repaired: bool,
    /// The numbers of the queue are those of a recount.
    pub counts_right: bool,
}

impl Verified {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.damaged == 0 && !self.repaired && self.counts_right
    }
}

impl RedbQueue {
    /// Looks at every byte of a file that nobody has open: checksums of the database and of the letters, and
    /// whether the numbers are those of a recount. Takes seconds for each gigabyte, on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if it cannot be opened, or is damaged beyond repair.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the look goes on to its end in the background and holds the file until then.
    pub async fn verify(path: impl Into<PathBuf>) -> Result<Verified, OpenError> {
        let place = Place::File(path.into());
        opening::apart(&place.clone(), move || with(&place, verified)).await
    }

    /// Makes a file that nobody has open as small as it can be. Says how large it was, and is, in bytes. It takes
    /// about as long as copying it twice, on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if it cannot be opened, or the disk fails.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it goes on to its end in the background and holds the file until then.
    pub async fn compact(path: impl Into<PathBuf>) -> Result<(u64, u64), OpenError> {
        let path = path.into();
        let place = Place::File(path.clone());
        let named = place.clone();
        let size = move || fs::metadata(&path).map_or(0, |file| file.len());
        let compacted = move || {
            let before = size();
            with(&place, |database| {
                // Each round frees what the one before could not.
                while database.compact().map_err(|error| OpenErrorKind::Storage(error.to_string()))? {}
                Ok(())
            })?;
            Ok((before, size()))
        };
        opening::apart(&named, compacted).await
    }
}

/// Does something with a file of dead letters that is there.
fn with<T>(
    place: &Place,
    work: impl FnOnce(&mut Database) -> Result<T, OpenErrorKind>,
) -> Result<T, OpenError> {
    let done = catch_unwind(AssertUnwindSafe(|| {
        let Place::File(path) = place else { return Err(OpenErrorKind::Missing) };
        let mut database = Database::open(path).map_err(kind)?;
        let transaction = database.begin_read().map_err(Fault::from).map_err(OpenErrorKind::from)?;
        format::known(&transaction)?;
        drop(transaction);
        let done = work(&mut database)?;
        database.close().map_err(kind)?;
        Ok(done)
    }));
    let damaged = || Err(OpenErrorKind::Damaged("it cannot be made sense of".to_owned()));
    done.unwrap_or_else(|_| damaged()).map_err(|kind| place.error(kind))
}

fn verified(database: &mut Database) -> Result<Verified, OpenErrorKind> {
    let whole = database.check_integrity().map_err(|error: DatabaseError| kind(error))?;
    let transaction = database.begin_read().map_err(Fault::from).map_err(OpenErrorKind::from)?;
    let tables = Tables::look(&transaction).map_err(OpenErrorKind::from)?;
    let numbers = format::identity(&tables)?.numbers;
    let mut counted = Numbers::default();
    let mut unreadable = 0;
    for entry in tables.all(0, u64::MAX).map_err(OpenErrorKind::from)? {
        let (id, row) = entry.map_err(OpenErrorKind::from)?;
        counted.count(row.state, true);
        counted.bytes = counted.bytes.saturating_add(row.size);
        let readable = tables.found(id, row).map_err(OpenErrorKind::from)?.open().is_some();
        unreadable += u64::from(!readable && (row.unreadable || row.state != State::Damaged));
    }
    let by_destination = destinations::counts(&tables).map_err(OpenErrorKind::from)?;
    let counts_right = (counted.ready, counted.leased, counted.quarantined, counted.bytes)
        == (numbers.ready, numbers.leased, numbers.quarantined, numbers.bytes)
        && by_destination == recount(&tables)?;
    let damaged = numbers.damaged + unreadable;
    Ok(Verified { letters: counted.held(), damaged, repaired: !whole, counts_right })
}

/// Letters for each destination, counted one by one.
fn recount(tables: &Tables<super::tables::Reading>) -> Result<BTreeMap<String, u64>, OpenErrorKind> {
    let (mut counts, filter) = (BTreeMap::new(), LetterFilter::new().any_state());
    let wanted = Wanted { filter: &filter, free: false, limit: usize::MAX, whole: true };
    tables
        .visit(wanted, |found| {
            if let Some(name) = found.open().and_then(|letter| letter.destination) {
                *counts.entry(name).or_default() += 1;
            }
            true
        })
        .map_err(OpenErrorKind::from)?;
    Ok(counts)
}
