//! Files that are links to others.

use super::*;

#[tokio::test]
async fn link_that_leads_nowhere_is_made_a_store_where_it_leads() {
    let folder = Folder::new("link");
    let elsewhere = folder.0.join("elsewhere.redb");
    std::os::unix::fs::symlink(&elsewhere, folder.file()).unwrap();
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    let id = push(&queue, 1).await;
    queue.close().await.unwrap();
    let queue = RedbQueue::open(&elsewhere).await.unwrap();
    assert_eq!(queue.peek(&all(), 9).await.unwrap()[0].id, id);
    queue.close().await.unwrap();
}
