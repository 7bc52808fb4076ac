//! Where the queues live that are opened again, and what can be done to them there.
#![expect(clippy::disallowed_types, reason = "the crate's own lock is not public")]

mod memory;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use recoup::testing::conformance::{Place, QueueUnderTest};
use recoup::{DeadLetterQueue, LetterId, RedbQueue, RedbQueueBuilder};
use redb::{Builder, Database, TableDefinition};

use memory::Memory;

/// A queue with the settings that the kit asks for.
fn builder(place: &Place) -> RedbQueueBuilder {
    let is = place.settings;
    let queue = RedbQueue::builder()
        .capacity(u64::try_from(is.capacity).unwrap())
        .max_bytes(u64::try_from(is.max_bytes).unwrap())
        .max_payload(is.max_payload)
        .quarantine_after(is.quarantine_after)
        .when_full(is.when_full);
    match is.time_to_live {
        Some(time) => queue.time_to_live(time),
        None => queue.no_time_to_live(),
    }
}

/// Keeps a paused clock still while the queue's threads are at work: it runs on by itself only when no task of
/// this kind is alive. And lets it go on.
struct Still {
    _until_dropped: mpsc::Sender<()>,
    queues: Mutex<Vec<Weak<dyn DeadLetterQueue>>>,
}

impl Still {
    fn new() -> Self {
        let (until_dropped, waits) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || waits.recv().ok());
        Self { _until_dropped: until_dropped, queues: Mutex::default() }
    }

    fn watched(&self, queue: RedbQueue) -> Arc<dyn DeadLetterQueue> {
        let queue: Arc<dyn DeadLetterQueue> = Arc::new(queue);
        let mut queues = self.queues.lock().unwrap();
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(&queue));
        queue
    }

    /// Whatever was asked before this is answered, and whoever asked has gone on from there. Some ask again
    /// then, but nobody more often than this is done.
    async fn answered(&self) {
        for _ in 0..8 {
            let queues: Vec<_> = self.queues.lock().unwrap().iter().filter_map(Weak::upgrade).collect();
            for queue in queues {
                // The writer does one thing after the other: also this, which is nothing.
                assert!(queue.settle_all(Vec::new()).await.is_empty());
            }
            tokio::task::yield_now().await;
        }
    }

    async fn advance(&self, time: Duration) {
        self.answered().await;
        tokio::time::advance(time).await;
        self.answered().await;
    }
}

/// The content of letters by number, as the store keeps it.
const BODIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bodies");

fn spoil(database: &Database, letter: LetterId) {
    let transaction = database.begin_write().unwrap();
    let was = transaction.open_table(BODIES).unwrap().insert(letter.get(), &b"spoilt"[..]).unwrap().is_some();
    assert!(was, "there is a letter to spoil");
    transaction.commit().unwrap();
}

/// Queues whose files are in memory: much faster, and able to fail.
pub(super) struct InMemory {
    still: Still,
    files: Mutex<BTreeMap<String, Memory>>,
}

impl InMemory {
    pub(super) fn new() -> Self {
        Self { still: Still::new(), files: Mutex::default() }
    }

    fn file(&self, place: &Place) -> Memory {
        self.files.lock().unwrap().entry(place.to_string()).or_default().clone()
    }
}

impl QueueUnderTest for InMemory {
    fn open<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        async move { self.still.watched(builder(place).in_backend(self.file(place)).await.unwrap()) }.boxed()
    }

    /// The file as it is at this moment. What the threads of the old queue still write goes elsewhere.
    fn crash<'a>(
        &'a self,
        place: &'a Place,
        queue: Arc<dyn DeadLetterQueue>,
    ) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        let left = self.file(place).copy();
        self.files.lock().unwrap().insert(place.to_string(), left);
        drop(queue);
        self.open(place)
    }

    fn advance(&self, time: Duration) -> BoxFuture<'_, ()> {
        self.still.advance(time).boxed()
    }

    fn fail_next_write(&self, place: &Place) -> bool {
        self.file(place).fail();
        true
    }

    fn damage<'a>(
        &'a self,
        place: &'a Place,
        queue: Arc<dyn DeadLetterQueue>,
        letter: LetterId,
    ) -> BoxFuture<'a, Option<Arc<dyn DeadLetterQueue>>> {
        async move {
            queue.close().await.unwrap();
            spoil(&Builder::new().create_with_backend(self.file(place)).unwrap(), letter);
            Some(self.open(place).await)
        }
        .boxed()
    }

    fn in_a_task(&self, work: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        async move { tokio::spawn(work).await.unwrap() }.boxed()
    }
}

/// Queues in files of a folder that is gone afterwards.
pub(super) struct InFiles {
    still: Still,
    folder: PathBuf,
    /// How often each was copied.
    lives: Mutex<BTreeMap<String, u32>>,
    made: AtomicU32,
}

impl InFiles {
    pub(super) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _was_not_there = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { still: Still::new(), folder, lives: Mutex::default(), made: AtomicU32::new(0) }
    }

    fn file(&self, place: &Place) -> PathBuf {
        let life = self.lives.lock().unwrap().get(&place.to_string()).copied().unwrap_or(0);
        self.folder.join(format!("{place}-{life}.redb"))
    }
}

impl Drop for InFiles {
    fn drop(&mut self) {
        let _some_may_be_open_yet = fs::remove_dir_all(&self.folder);
    }
}

/// What stands in a file while others may write to it: twice the same.
fn content(path: &Path) -> Vec<u8> {
    let mut seen = fs::read(path).unwrap();
    loop {
        let again = fs::read(path).unwrap();
        if again == seen {
            return seen;
        }
        seen = again;
    }
}

impl QueueUnderTest for InFiles {
    fn open<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        async move { self.still.watched(builder(place).open(self.file(place)).await.unwrap()) }.boxed()
    }

    /// The file as it is at this moment, under another name. The threads of the old queue still have the old one.
    fn crash<'a>(
        &'a self,
        place: &'a Place,
        queue: Arc<dyn DeadLetterQueue>,
    ) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        let left = content(&self.file(place));
        let life = self.made.fetch_add(1, SeqCst) + 1;
        self.lives.lock().unwrap().insert(place.to_string(), life);
        fs::write(self.file(place), left).unwrap();
        drop(queue);
        self.open(place)
    }

    fn advance(&self, time: Duration) -> BoxFuture<'_, ()> {
        self.still.advance(time).boxed()
    }

    fn damage<'a>(
        &'a self,
        place: &'a Place,
        queue: Arc<dyn DeadLetterQueue>,
        letter: LetterId,
    ) -> BoxFuture<'a, Option<Arc<dyn DeadLetterQueue>>> {
        async move {
            queue.close().await.unwrap();
            spoil(&Database::open(self.file(place)).unwrap(), letter);
            Some(self.open(place).await)
        }
        .boxed()
    }
}
