//! A file that is thrown overboard when the disk is full: without a little room not even a delivered letter can be
//! removed from a store.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::place::Place;

/// So large is the ballast: 4 MiB.
const BALLAST: usize = 4 << 20;

/// The file of this name beside the store.
const ENDING: &str = ".ballast";

#[derive(Debug)]
pub(super) struct Ballast {
    path: Option<PathBuf>,
    thrown: bool,
}

impl Ballast {
    /// The ballast of a store, where it was left. What is no file has none.
    pub(super) fn beside(place: &Place) -> Self {
        let path = match place {
            Place::File(path) => {
                let mut name = OsString::from(path);
                name.push(ENDING);
                Some(PathBuf::from(name))
            }
            Place::Backend(_) => None,
        };
        Self { path, thrown: false }
    }

    /// Takes ballast in, if there is none and there is room for it.
    pub(super) fn take(&self) {
        if !self.thrown {
            // A store works without it, but not on a full disk.
            let _may_be_missing = self.fill(BALLAST);
        }
    }

    pub(super) const fn is_thrown(&self) -> bool {
        self.thrown
    }

    /// Makes room.
    pub(super) fn throw(&mut self) {
        if let Some(path) = &self.path {
            self.thrown = fs::remove_file(path).is_ok() || self.thrown;
        }
    }

    /// Goes on without: the store itself has room to spare.
    pub(super) const fn forget(&mut self) {
        self.thrown = false;
    }

    /// Takes new ballast in, if twice as much would fit: else it would be thrown again at once.
    pub(super) fn take_again(&mut self) {
        if self.thrown && self.fill(2 * BALLAST).is_ok() {
            self.thrown = false;
        }
    }

    fn fill(&self, needed: usize) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let large_enough = fs::metadata(path).is_ok_and(|it| it.len() == BALLAST as u64);
        if large_enough {
            return Ok(());
        }
        let filled = File::create(path).and_then(|mut file| {
            // Written, not only reserved: a hole takes no room.
            let block = vec![0x5a; 64 << 10];
            for _ in 0..needed / block.len() {
                file.write_all(&block)?;
            }
            file.sync_all()?;
            file.set_len(BALLAST as u64)
        });
        filled.inspect_err(|_| drop(fs::remove_file(path)))
    }
}
