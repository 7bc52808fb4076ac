//! The promises of a queue in a file, by their numbers.

#[cfg(test)]
mod damage;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod like_memory;
#[cfg(all(test, unix))]
mod links;
#[cfg(test)]
mod making;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod waiting;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::RedbQueue;
use crate::dead_letter::{
    DeadLetter, DeadLetterQueue as _, Leased, LetterFilter, LetterId, Payload, QueueStats,
};

const LEASE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

fn all() -> LetterFilter {
    LetterFilter::new().any_state()
}

fn letter(nth: usize) -> DeadLetter {
    DeadLetter::new("charge")
        .destination(format!("payments-{}", nth % 3))
        .payload(Payload::text(format!("letter {nth}")))
        .died_at(SystemTime::UNIX_EPOCH + Duration::from_secs(nth as u64))
}

async fn in_memory() -> RedbQueue {
    RedbQueue::builder().in_backend(InMemoryBackend::new()).await.unwrap()
}

async fn push(queue: &RedbQueue, nth: usize) -> LetterId {
    queue.push(letter(nth)).await.unwrap().id
}

async fn lease_one(queue: &RedbQueue) -> Leased {
    let mut leased = queue.lease(&LetterFilter::new(), 1, LEASE).await.unwrap();
    assert_eq!(leased.len(), 1);
    leased.remove(0)
}

/// The numbers, which must be those of a recount.
async fn stats(queue: &RedbQueue) -> QueueStats {
    let stats = queue.stats().await.unwrap();
    let gone = stats.delivered + stats.evicted + stats.expired + stats.discarded;
    assert_eq!(stats.pushed, stats.held() + gone, "D15: {stats:?}");
    let letters = queue.peek(&all(), usize::MAX).await.unwrap();
    assert_eq!(stats.held() - stats.damaged, letters.len() as u64);
    if stats.damaged == 0 {
        assert_eq!(stats.bytes, letters.iter().map(DeadLetter::size).sum::<u64>());
        assert_eq!(stats.oldest, letters.iter().map(|letter| letter.died_at).min());
    }
    stats
}

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("recoup-{name}-{}", std::process::id()));
        let _was_not_there = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("letters.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _may_be_gone = fs::remove_dir_all(&self.0);
    }
}

/// A backend that outlives the queue that is open in it.
#[derive(Clone, Debug)]
struct Lasting(Arc<InMemoryBackend>);

impl Lasting {
    fn new() -> Self {
        Self(Arc::new(InMemoryBackend::new()))
    }
}

impl StorageBackend for Lasting {
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
}
