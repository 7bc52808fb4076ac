//! A file in memory, that can be copied and can fail.

use std::io::{Error, Result};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

/// Clones are the same file. It outlives the queue that has it open.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<Content>>);

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    fails: bool,
}

impl Memory {
    /// Another file of the same content, which works.
    pub(super) fn copy(&self) -> Self {
        let mut content = self.0.lock().unwrap().clone();
        content.fails = false;
        Self(Arc::new(Mutex::new(content)))
    }

    /// Lets writes fail from now on, not only the next one: that may be one of the queue's own, in an idle moment.
    pub(super) fn fail(&self) {
        self.0.lock().unwrap().fails = true;
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut content = self.0.lock().unwrap();
        if content.fails {
            return Err(Error::other("the disk fails"));
        }
        change(&mut content.bytes);
        Ok(())
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Memory {
    fn len(&self) -> Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let content = self.0.lock().unwrap();
        out.copy_from_slice(&content.bytes[at(offset)..at(offset) + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change(|bytes| bytes.resize(at(len), 0))
    }

    fn sync_data(&self) -> Result<()> {
        self.change(|_| ())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.change(|bytes| bytes[at(offset)..at(offset) + data.len()].copy_from_slice(data))
    }
}
