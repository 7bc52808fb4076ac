//! What is left of a file that was being made.

use redb::{Builder, Database};

use super::*;
use crate::adapters::redb::OpenErrorKind;
use crate::sync::Lock;

/// Remembers what the file was after each write.
#[derive(Clone, Debug, Default)]
struct Watched(Arc<Lock<Vec<Vec<u8>>>>);

impl Watched {
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut states = self.0.lock();
        let mut next = states.last().cloned().unwrap_or_default();
        change(&mut next);
        states.push(next);
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().last().map_or(0, |bytes| bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.copy_from_slice(&self.0.lock().last().unwrap()[place(offset)..][..out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|bytes| bytes.resize(place(len), 0));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|bytes| bytes[place(offset)..][..data.len()].copy_from_slice(data));
        Ok(())
    }
}

fn making(folder: &Folder) -> PathBuf {
    folder.0.join("letters.redb.making")
}

async fn is_a_good_store(folder: &Folder) {
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    assert!(!making(folder).exists());
    let id = push(&queue, 1).await;
    queue.close().await.unwrap();
    let queue = RedbQueue::open(folder.file()).await.unwrap();
    assert_eq!(queue.peek(&all(), 9).await.unwrap().iter().map(|letter| letter.id).collect::<Vec<_>>(), [id]);
    queue.close().await.unwrap();
    fs::remove_file(folder.file()).unwrap();
}

#[tokio::test]
async fn d1_whatever_is_left_of_a_file_that_was_being_made_is_made_anew() {
    let (folder, watched) = (Folder::new("making"), Watched::default());
    drop(Builder::new().create_with_backend(watched.clone()).unwrap());
    let states = std::mem::take(&mut *watched.0.lock());
    let mut refused = 0;
    for state in states {
        // Under its own name, some of what a killed process leaves is no store for ever.
        fs::write(folder.file(), &state).unwrap();
        match RedbQueue::open(folder.file()).await {
            Ok(queue) => queue.close().await.unwrap(),
            Err(error) => {
                assert_eq!(error.kind, OpenErrorKind::Foreign, "{error}");
                refused += 1;
            }
        }
        fs::remove_file(folder.file()).unwrap();

        fs::write(making(&folder), &state).unwrap();
        is_a_good_store(&folder).await;
    }
    assert!(refused > 0, "there is something to be afraid of");
}

#[tokio::test]
async fn file_whose_maker_ended_before_it_took_the_other_name_away_is_a_store() {
    let folder = Folder::new("two-names");
    drop(Database::create(making(&folder)).unwrap());
    fs::hard_link(making(&folder), folder.file()).unwrap();
    is_a_good_store(&folder).await;
}

#[tokio::test]
async fn file_that_somebody_makes_now_is_in_use() {
    let folder = Folder::new("made-now");
    let other = Database::create(making(&folder)).unwrap();
    assert_eq!(RedbQueue::open(folder.file()).await.unwrap_err().kind, OpenErrorKind::InUse);
    assert!(fs::metadata(making(&folder)).unwrap().len() > 0, "it is left alone");
    drop(other);
    is_a_good_store(&folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_make_it_at_once_one_has_it_and_the_others_are_told() {
    let folder = Folder::new("makers");
    for _ in 0..20 {
        let makers: Vec<_> = (0..4).map(|_| tokio::spawn(RedbQueue::open(folder.file()))).collect();
        let mut owners = Vec::new();
        for maker in makers {
            match maker.await.unwrap() {
                Ok(queue) => owners.push(queue),
                Err(error) => assert_eq!(error.kind, OpenErrorKind::InUse),
            }
        }
        assert_eq!(owners.len(), 1);
        push(&owners[0], 1).await;
        owners.remove(0).close().await.unwrap();
        let queue = RedbQueue::open(folder.file()).await.unwrap();
        assert_eq!(stats(&queue).await.ready, 1);
        queue.close().await.unwrap();
        assert!(!making(&folder).exists());
        fs::remove_file(folder.file()).unwrap();
    }
}
