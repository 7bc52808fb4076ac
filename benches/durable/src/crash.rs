//! How long a store takes to open after `kill -9`.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use recoup::DeadLetterQueue as _;
use rustix::fs::{Advice, fadvise};

use crate::child::{self, killed};
use crate::sqlite;

/// Until the queue has told its numbers; the file is not in the page cache.
pub async fn recoup(path: &Path, task: &str) -> Duration {
    killed(task, path);
    forget(path);
    let begun = Instant::now();
    let queue = child::queue(path).await;
    queue.stats().await.expect("the queue works");
    let took = begun.elapsed();
    queue.close().await.expect("the queue closes");
    took
}

/// Until SQLite has read one letter; the files are not in the page cache.
pub fn sqlite(path: &Path) -> Duration {
    killed("busy-sqlite", path);
    forget(path);
    forget(&path.with_extension("sqlite-wal"));
    sqlite::reopen(path).expect("SQLite opens its file")
}

/// Takes a file out of the page cache.
fn forget(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    file.sync_all().expect("the disk works");
    fadvise(&file, 0, None, Advice::DontNeed).expect("the file can be forgotten");
}

/// Copies a store, so that what happens to it leaves the other as it is.
pub fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).expect("the disk has room");
}
