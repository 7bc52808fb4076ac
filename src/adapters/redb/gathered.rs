//! Writes gathered until they have to be durable.
//!
//! The database writes each page by itself, in no order, though most pages of a transaction lie side by side. Here
//! they wait for the flush that follows, and go to the file as a few long writes. Nothing is lost by that: what is
//! not flushed may be lost anyway.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

use crate::sync::Lock;

/// So many bytes wait at most; a transaction that writes more is written in parts.
const WAITING: usize = 8 << 20;

/// A backend that is written to in long runs.
#[derive(Debug)]
pub(super) struct Gathered<B> {
    backend: B,
    waiting: Lock<Waiting>,
}

/// What is still to be written, by where. No two overlap.
#[derive(Debug, Default)]
struct Waiting {
    writes: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

impl<B: StorageBackend> Gathered<B> {
    pub(super) fn new(backend: B) -> Self {
        Self { backend, waiting: Lock::new(Waiting::default()) }
    }

    /// Writes what waits. One thread writes, and nobody reads what is not flushed yet but that thread, so nothing
    /// comes in between. What an error leaves out is not written later: the handle is not used any more.
    fn write_out(&self) -> io::Result<()> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let (mut begin, mut run) = (0, Vec::new());
        for (offset, data) in waiting.writes {
            if end(begin, run.len()) == offset && !run.is_empty() {
                run.extend(data);
                continue;
            }
            self.write_run(begin, &run)?;
            (begin, run) = (offset, data);
        }
        self.write_run(begin, &run)
    }

    fn write_run(&self, offset: u64, run: &[u8]) -> io::Result<()> {
        if run.is_empty() { Ok(()) } else { self.backend.write(offset, run) }
    }

    /// Writes what waits if some of it lies there.
    fn write_out_of(&self, offset: u64, length: usize) -> io::Result<()> {
        if self.waiting.lock().overlaps(offset, length) { self.write_out() } else { Ok(()) }
    }
}

impl Waiting {
    fn overlaps(&self, offset: u64, length: usize) -> bool {
        let before = self.writes.range(..end(offset, length)).next_back();
        before.is_some_and(|(&from, data)| end(from, data.len()) > offset)
    }

    /// Whether this is one of the writes that wait, with other bytes.
    fn is_again(&self, offset: u64, length: usize) -> bool {
        self.writes.get(&offset).is_some_and(|data| data.len() == length)
    }
}

fn end(offset: u64, length: usize) -> u64 {
    offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX))
}

impl<B: StorageBackend> StorageBackend for Gathered<B> {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.write_out_of(offset, out.len())?;
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write_out()?;
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.write_out()?;
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if !self.waiting.lock().is_again(offset, data.len()) {
            self.write_out_of(offset, data.len())?;
        }
        let full = {
            let mut waiting = self.waiting.lock();
            let again = waiting.writes.insert(offset, data.to_vec());
            waiting.bytes += data.len() - again.map_or(0, |again| again.len());
            waiting.bytes > WAITING
        };
        if full { self.write_out() } else { Ok(()) }
    }

    fn close(&self) -> io::Result<()> {
        let written = self.write_out();
        self.backend.close().and(written)
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    use super::*;

    /// Counts the writes that reach it.
    #[derive(Clone, Debug, Default)]
    struct Counted {
        memory: Arc<InMemoryBackend>,
        writes: Arc<Lock<Vec<(u64, usize)>>>,
    }

    impl StorageBackend for Counted {
        fn len(&self) -> io::Result<u64> {
            self.memory.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.memory.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.memory.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.memory.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.writes.lock().push((offset, data.len()));
            self.memory.write(offset, data)
        }
    }

    #[test]
    fn neighbours_are_written_together_when_they_are_flushed_and_not_before() {
        let inner = Counted::default();
        let gathered = Gathered::new(inner.clone());
        gathered.set_len(100).unwrap();
        for offset in [30, 10, 20, 0, 60] {
            gathered.write(offset, &[1; 10]).unwrap();
        }
        assert!(inner.writes.lock().is_empty(), "nothing has to be durable yet");
        gathered.sync_data().unwrap();
        assert_eq!(*inner.writes.lock(), [(0, 40), (60, 10)]);
    }

    #[test]
    fn no_more_waits_than_fits_in_memory() {
        let inner = Counted::default();
        let gathered = Gathered::new(inner.clone());
        let page = vec![1; 1 << 20];
        gathered.set_len(64 << 20).unwrap();
        for number in 0..10 {
            gathered.write(number << 21, &page).unwrap();
        }
        assert_eq!(inner.writes.lock().len(), 9);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        Read(u64, usize),
        Resize(u64),
        Sync,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..56_u64, prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, data)| Step::Write(at, data)),
            2 => (0..56_u64, 1..8_usize).prop_map(|(at, length)| Step::Read(at, length)),
            1 => (64..72_u64).prop_map(Step::Resize),
            1 => Just(Step::Sync),
        ]
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(steps in prop::collection::vec(step(), 0..60)) {
            let (inner, plain) = (Counted::default(), InMemoryBackend::new());
            let gathered = Gathered::new(inner.clone());
            gathered.set_len(64).unwrap();
            plain.set_len(64).unwrap();
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        gathered.write(at, &data).unwrap();
                        plain.write(at, &data).unwrap();
                    }
                    Step::Read(at, length) => {
                        let (mut ours, mut theirs) = (vec![0; length], vec![0; length]);
                        gathered.read(at, &mut ours).unwrap();
                        plain.read(at, &mut theirs).unwrap();
                        prop_assert_eq!(ours, theirs);
                    }
                    Step::Resize(len) => {
                        gathered.set_len(len).unwrap();
                        plain.set_len(len).unwrap();
                    }
                    Step::Sync => gathered.sync_data().unwrap(),
                }
            }
            gathered.sync_data().unwrap();
            let length = usize::try_from(plain.len().unwrap()).unwrap();
            let (mut ours, mut theirs) = (vec![0; length], vec![0; length]);
            inner.read(0, &mut ours).unwrap();
            plain.read(0, &mut theirs).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }
}
