//! Files that are not what they should be.

use redb::{Database, TableDefinition};

use super::*;
use crate::adapters::redb::{OpenError, OpenErrorKind};
use crate::dead_letter::{ByHand, LetterState, QueueError};

const HEADER: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("header");
const MARK: &str = "recoup dead letters";

async fn refusal(folder: &Folder) -> OpenErrorKind {
    let OpenError { path, kind } = RedbQueue::open(folder.file()).await.unwrap_err();
    assert_eq!(path, Some(folder.file()));
    kind
}

async fn closed(folder: &Folder) {
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    for nth in 0..20 {
        push(&queue, nth).await;
    }
    queue.close().await.unwrap();
}

#[tokio::test]
async fn file_of_something_else_is_refused_and_left_alone() {
    let folder = Folder::new("foreign");
    fs::write(folder.file(), "not a database, but long enough to be one. ".repeat(9000)).unwrap();
    let before = fs::read(folder.file()).unwrap();
    assert_eq!(refusal(&folder).await, OpenErrorKind::Foreign);
    assert_eq!(fs::read(folder.file()).unwrap(), before);
    fs::remove_file(folder.file()).unwrap();

    let other = Database::create(folder.file()).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("users")).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(other);
    assert_eq!(refusal(&folder).await, OpenErrorKind::Foreign, "a database, but not ours");
    let read_only = RedbQueue::open_read_only(folder.file()).await.unwrap_err();
    assert_eq!(read_only.kind, OpenErrorKind::Foreign);
}

#[tokio::test]
async fn d7_newer_format_is_refused_and_an_older_one_migrated() {
    let folder = Folder::new("format");
    closed(&folder).await;
    for (format, opens) in [(9_u32, false), (0, true)] {
        let database = Database::open(folder.file()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(HEADER).unwrap().insert(MARK, &format.to_le_bytes()[..]).unwrap();
        if format == 0 {
            // Such files had no table of runs.
            transaction.delete_table(TableDefinition::<u64, &[u8]>::new("runs")).unwrap();
        }
        transaction.commit().unwrap();
        drop(database);
        if opens {
            let queue = RedbQueue::open(folder.file()).await.unwrap();
            assert_eq!(stats(&queue).await.ready, 20);
            queue.close().await.unwrap();
        } else {
            assert_eq!(refusal(&folder).await, OpenErrorKind::Newer { found: 9, known: 1 });
        }
    }
    let queue = RedbQueue::open_read_only(folder.file()).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().ready, 20, "it is of today's format now");
}

#[tokio::test]
async fn missing_folder_and_folder_in_place_of_a_file_are_told_apart() {
    let folder = Folder::new("missing");
    let nowhere = folder.file().join("deeper").join("letters.redb");
    assert_eq!(RedbQueue::open(&nowhere).await.unwrap_err().kind, OpenErrorKind::Missing);
    assert_eq!(RedbQueue::open_read_only(folder.file()).await.unwrap_err().kind, OpenErrorKind::Missing);
    let error = RedbQueue::open(&folder.0).await.unwrap_err();
    assert!(matches!(error.kind, OpenErrorKind::Storage(_)), "{error}");
}

#[tokio::test]
async fn d14_file_cut_short_is_refused_or_whole_and_never_a_panic() {
    let folder = Folder::new("cut");
    closed(&folder).await;
    let whole = fs::read(folder.file()).unwrap();
    for part in 0..8 {
        fs::write(folder.file(), &whole[..whole.len() * part / 8]).unwrap();
        match RedbQueue::open(folder.file()).await {
            // An empty file is a new one.
            Ok(queue) => {
                assert_eq!((part, queue.stats().await.map(|stats| stats.held())), (0, Ok(0)));
                queue.close().await.unwrap();
            }
            Err(error) => {
                assert!(matches!(error.kind, OpenErrorKind::Damaged(_) | OpenErrorKind::Foreign), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn file_open_for_reading_only_is_shown_and_not_changed() {
    let folder = Folder::new("read-only");
    closed(&folder).await;
    let before = fs::read(folder.file()).unwrap();
    let queue = RedbQueue::open_read_only(folder.file()).await.unwrap();
    assert_eq!(stats(&queue).await.ready, 20);
    assert_eq!(queue.groups(&all(), 9).await.unwrap().len(), 3);
    assert!(queue.push(letter(1)).await.unwrap_err().to_string().contains("reading only"));
    assert!(matches!(queue.lease(&all(), 1, LEASE).await, Err(QueueError::Storage(_))));
    assert!(matches!(queue.discard(&all(), &ByHand::default()).await, Err(QueueError::Storage(_))));
    queue.close().await.unwrap();
    assert_eq!(queue.stats().await, Err(QueueError::Closed));
    assert_eq!(fs::read(folder.file()).unwrap(), before);
    closed(&folder).await;
}

#[tokio::test]
async fn last_clone_that_goes_closes_the_file() {
    let folder = Folder::new("dropped");
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    let id = push(&queue, 1).await;
    drop(queue.clone());
    drop(queue);
    let mut opened = RedbQueue::open(folder.file()).await;
    while opened.as_ref().is_err_and(|error| error.kind == OpenErrorKind::InUse) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        opened = RedbQueue::open(folder.file()).await;
    }
    let queue = opened.unwrap();
    let letters = queue.peek(&LetterFilter::new().state(LetterState::Ready), 9).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [id]);
    queue.close().await.unwrap();
}

#[tokio::test]
async fn ballast_lies_beside_the_file_and_is_thrown_and_taken_again() {
    use crate::adapters::redb::ballast::Ballast;
    use crate::adapters::redb::place::Place;

    let folder = Folder::new("ballast");
    closed(&folder).await;
    let path = folder.0.join("letters.redb.ballast");
    assert_eq!(fs::metadata(&path).unwrap().len(), 4 << 20);
    let mut ballast = Ballast::beside(&Place::File(folder.file()));
    assert!(!ballast.is_thrown());
    ballast.throw();
    assert!(ballast.is_thrown() && !path.exists());
    ballast.take_again();
    assert!(!ballast.is_thrown());
    assert_eq!(fs::metadata(&path).unwrap().len(), 4 << 20);
}

#[tokio::test]
async fn file_is_verified_and_made_smaller() {
    let folder = Folder::new("care");
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    let large = (0..50).map(|nth| letter(nth).payload(Payload::bytes(vec![7; 50_000])));
    assert!(queue.push_all(large.collect()).await.iter().all(Result::is_ok));
    queue.discard(&LetterFilter::new().up_to(LetterId::new(45)), &ByHand::default()).await.unwrap();
    assert_eq!(RedbQueue::verify(folder.file()).await.unwrap_err().kind, OpenErrorKind::InUse);
    queue.close().await.unwrap();

    let (before, after) = RedbQueue::compact(folder.file()).await.unwrap();
    assert!(after * 2 < before, "{before} {after}");
    let verified = RedbQueue::verify(folder.file()).await.unwrap();
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!(verified.letters, 5);

    let database = Database::open(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    let bodies = TableDefinition::<u64, &[u8]>::new("bodies");
    transaction.open_table(bodies).unwrap().insert(47, &b"bad"[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let verified = RedbQueue::verify(folder.file()).await.unwrap();
    assert_eq!((verified.letters, verified.damaged, verified.is_whole()), (5, 1, false));
    let missing = folder.0.join("missing.redb");
    assert_eq!(RedbQueue::verify(&missing).await.unwrap_err().kind, OpenErrorKind::Missing);
    assert!(!missing.exists());
}
