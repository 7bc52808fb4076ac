//! A disk that fails.

use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use crate::dead_letter::{PushErrorKind, QueueError, Settlement};

/// A disk that fails for as long as it is told to.
#[derive(Clone, Debug)]
struct Failing {
    disk: Lasting,
    how: Arc<AtomicU8>,
}

const WELL: u8 = 0;
const NO_SYNC: u8 = 1;
const NO_SPACE: u8 = 2;
const NOTHING: u8 = 3;

impl Failing {
    fn new() -> Self {
        Self { disk: Lasting::new(), how: Arc::default() }
    }

    fn is(&self, how: u8) {
        self.how.store(how, Ordering::SeqCst);
    }

    fn fails(&self, at: &[u8]) -> io::Result<()> {
        match self.how.load(Ordering::SeqCst) {
            how if !at.contains(&how) => Ok(()),
            NO_SPACE => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Err(io::Error::other("disk on fire")),
        }
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.fails(&[NOTHING])?;
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.fails(&[NOTHING])?;
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fails(&[NO_SPACE, NOTHING])?;
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fails(&[NO_SYNC, NOTHING])?;
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fails(&[NO_SPACE, NOTHING])?;
        self.disk.write(offset, data)
    }
}

#[tokio::test]
async fn d13_disk_that_fails_is_told_of_and_opened_again() {
    for how in [NO_SYNC, NO_SPACE, NOTHING] {
        let disk = Failing::new();
        let queue = RedbQueue::builder().in_backend(disk.clone()).await.unwrap();
        let kept = push(&queue, 1).await;
        disk.is(how);
        for _ in 0..3 {
            let error = queue.push(letter(2)).await.unwrap_err();
            assert_eq!(*error.letter, letter(2), "handed back");
            let PushErrorKind::Storage(text) = error.kind else { panic!("{:?}", error.kind) };
            let says = if how == NO_SPACE { "no space" } else { "" };
            assert!(text.contains(says), "{text}");
        }
        for failed in [queue.lease(&all(), 1, LEASE).await.map(drop), queue.stats().await.map(drop)] {
            assert!(matches!(failed, Err(QueueError::Storage(_))), "{failed:?}");
        }
        disk.is(WELL);
        // It is not opened again at once after it has failed that often.
        let mut pushed = queue.push(letter(3)).await;
        while pushed.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            pushed = queue.push(letter(3)).await;
        }
        let letters = queue.peek(&all(), 9).await.unwrap();
        assert_eq!((letters[0].id, letters[0].payload.clone()), (kept, letter(1).payload));
        let last = letters.last().unwrap();
        assert_eq!((last.id, last.payload.clone()), (pushed.unwrap().id, letter(3).payload));
        assert!(letters[1..letters.len() - 1].iter().all(|between| between.payload == letter(2).payload));
        assert_eq!(stats(&queue).await.ready, letters.len() as u64);
        let leased = lease_one(&queue).await;
        queue.settle(leased.token, Settlement::Delivered).await.unwrap();
        queue.close().await.unwrap();
    }
}

#[tokio::test]
async fn d13_looking_opens_the_file_again_too() {
    let disk = Failing::new();
    let queue = RedbQueue::builder().in_backend(disk.clone()).await.unwrap();
    push(&queue, 1).await;
    disk.is(NO_SYNC);
    queue.push(letter(2)).await.unwrap_err();
    disk.is(WELL);
    let mut seen = queue.peek(&all(), 1).await;
    while seen.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        seen = queue.peek(&all(), 1).await;
    }
    assert_eq!(seen.unwrap()[0].payload, letter(1).payload);
}

#[tokio::test]
async fn closing_what_failed_says_so_and_frees_everyone() {
    let disk = Failing::new();
    let queue = RedbQueue::builder().in_backend(disk.clone()).await.unwrap();
    push(&queue, 1).await;
    disk.is(NO_SYNC);
    assert!(matches!(queue.close().await, Err(QueueError::Storage(_))));
    assert_eq!(queue.push(letter(2)).await.unwrap_err().kind, PushErrorKind::Closed);
    assert_eq!(queue.close().await, Ok(()));
    disk.is(WELL);
    let queue = RedbQueue::builder().in_backend(disk).await.unwrap();
    assert_eq!(stats(&queue).await.ready, 1);
}
