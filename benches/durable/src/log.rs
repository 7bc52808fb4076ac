//! The limit: a bare log. It appends and calls `fdatasync`, and can do nothing else.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use tokio::sync::oneshot;

use crate::group::Group;

pub struct Log(Group<(Vec<u8>, oneshot::Sender<()>)>);

impl Log {
    pub fn open(path: &Path) -> Self {
        let mut file =
            File::options().create(true).append(true).open(path).expect("the folder can be written to");
        let mut buffer = Vec::new();
        Self(Group::start(move |batch: Vec<(Vec<u8>, oneshot::Sender<()>)>| {
            buffer.clear();
            for (record, _) in &batch {
                buffer.extend(u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
                buffer.extend(record);
            }
            file.write_all(&buffer).expect("the disk has room");
            file.sync_data().expect("the disk works");
            for (_, answer) in batch {
                // Whoever does not wait any more is not told.
                let _not_waiting = answer.send(());
            }
        }))
    }

    pub async fn push(&self, record: Vec<u8>) {
        let (answer, answered) = oneshot::channel();
        self.0.send((record, answer));
        answered.await.expect("the writer answers");
    }
}
