//! What is promised of a store in particular.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::adapters::redb::OpenErrorKind;
use crate::dead_letter::{QueueError, SettleError, Settlement};

/// A folder that is gone after the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("recoup-{name}-{}", std::process::id()));
        let _was_not_there = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("letters.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _may_be_gone = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn d1_d4_d8_restart_keeps_every_letter_and_number() {
    let folder = Folder::new("restart");
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    let first = push(&queue, 1).await;
    let second = push(&queue, 2).await;
    let leased = lease_one(&queue).await;
    assert_eq!((leased.letter.id, leased.letter.deliveries), (first, 1));
    queue.settle(leased.token, Settlement::Delivered).await.unwrap();
    let (before, id) = (stats(&queue).await, queue.queue_id());
    let letters = queue.peek(&all(), 9).await.unwrap();
    queue.close().await.unwrap();
    assert_eq!(queue.stats().await, Err(QueueError::Closed));

    let queue = RedbQueue::open(folder.file()).await.unwrap();
    assert_eq!((queue.queue_id(), stats(&queue).await), (id, before));
    assert_eq!(queue.peek(&all(), 9).await.unwrap(), letters);
    assert_eq!(letters[0].id, second);
    assert!(push(&queue, 3).await > second);
    assert_eq!(queue.settle(leased.token, Settlement::Delivered).await, Err(SettleError::Gone));
    queue.close().await.unwrap();
}

#[tokio::test]
async fn second_owner_is_refused_at_once_and_told_the_path() {
    let folder = Folder::new("owners");
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    for refused in
        [RedbQueue::open(folder.file()).await, RedbQueue::builder().open_read_only(folder.file()).await]
    {
        let error = refused.unwrap_err();
        assert_eq!(error.kind, OpenErrorKind::InUse);
        assert!(error.to_string().contains("letters.redb"), "{error}");
    }
    queue.close().await.unwrap();
    RedbQueue::open(folder.file()).await.unwrap().close().await.unwrap();
}
