//! A disk in memory that remembers what was written since it was last told to keep it, and can fail.

#![expect(clippy::disallowed_types, reason = "the library's own lock is not public")]

use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::dice::Dice;

/// What a disk writes as one.
const SECTOR: usize = 512;

/// What was asked of the disk.
#[derive(Clone, Debug)]
enum Step {
    Write { at: usize, bytes: Vec<u8> },
    SetLen(usize),
    Sync,
}

/// What is left of the writes since the last sync when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// None of them.
    Nothing,
    /// All of them.
    Everything,
    /// The first few, the last of these torn in the middle.
    Torn,
    /// Any of them, whole, whatever their order was.
    Some,
    /// Any sector of any of them.
    Sectors,
}

impl Left {
    pub(crate) const ALL: [Self; 5] =
        [Self::Nothing, Self::Everything, Self::Torn, Self::Some, Self::Sectors];
}

/// What goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The k-th sync fails; what it should have kept may be kept by a later one.
    Sync(usize),
    /// The k-th sync fails, and what it should have kept is never written: a later one says that all is well.
    SyncForgets(usize),
    /// The k-th write finds no room.
    Write(usize),
    /// The k-th write stops in the middle.
    Short(usize),
    /// The k-th growth of the file finds no room.
    Grow(usize),
}

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    seen: Vec<u8>,
    /// What the log starts from; it would survive anything.
    kept: Vec<u8>,
    log: Vec<Step>,
    /// How many steps stood in the log before it was shortened.
    before: usize,
    /// Every so many syncs, it says that it keeps what it is told to keep, and does not.
    lies: Option<usize>,
    trouble: Option<Trouble>,
    struck: bool,
    counts: Counts,
}

/// What was asked of a disk, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) syncs: usize,
    pub(crate) writes: usize,
    pub(crate) growths: usize,
}

impl Disk {
    /// A disk that holds this.
    pub(crate) fn of(image: Vec<u8>) -> Self {
        let state = State { seen: image.clone(), kept: image, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The same, with something that goes wrong.
    pub(crate) fn with(self, trouble: Trouble) -> Self {
        self.state().trouble = Some(trouble);
        self
    }

    /// An empty disk that lies about every n-th sync.
    pub(crate) fn lying(nth: usize) -> Self {
        let disk = Self::default();
        disk.state().lies = Some(nth);
        disk
    }

    /// Whether a store still holds it.
    pub(crate) fn in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// A disk of the same kind that holds this.
    pub(crate) fn another(&self, image: Vec<u8>) -> Self {
        let another = Self::of(image);
        another.state().lies = self.state().lies;
        another
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Whether what should go wrong went wrong.
    pub(crate) fn struck(&self) -> bool {
        self.state().struck
    }

    /// How much was asked of it so far. A cut of the power is named by this.
    pub(crate) fn steps(&self) -> usize {
        let state = self.state();
        state.before + state.log.len()
    }

    /// What a reader sees.
    pub(crate) fn seen(&self) -> Vec<u8> {
        self.state().seen.clone()
    }

    /// Forgets how everything up to `step` came to be, but for what is not safe then. No cut before it can be
    /// looked at any more.
    pub(crate) fn shorten(&self, step: usize) {
        let mut state = self.state();
        let upto = step - state.before;
        let safe = state.safe(upto);
        let State { kept, log, before, .. } = &mut *state;
        for step in log.drain(..safe) {
            step.apply(kept);
        }
        *before += safe;
    }

    /// What is on the disk if the power goes after `step`.
    pub(crate) fn cut(&self, step: usize, left: Left, dice: &mut Dice) -> Vec<u8> {
        let state = self.state();
        let upto = step - state.before;
        let safe = state.safe(upto);
        let mut image = state.kept.clone();
        for step in &state.log[..safe] {
            step.apply(&mut image);
        }
        let pending = &state.log[safe..upto];
        let first = dice.index(pending.len() + 1);
        for (n, step) in pending.iter().enumerate() {
            match left {
                Left::Everything => step.apply(&mut image),
                Left::Torn if n < first => step.apply(&mut image),
                Left::Torn if n == first => step.tear(&mut image, dice),
                Left::Some if dice.one_in(2) => step.apply(&mut image),
                Left::Sectors => step.apply_some_sectors(&mut image, dice),
                Left::Nothing | Left::Torn | Left::Some => {}
            }
        }
        image
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => put(image, *at, bytes),
            Self::SetLen(length) => image.resize(*length, 0),
            Self::Sync => {}
        }
    }

    /// The first few sectors of a write.
    fn tear(&self, image: &mut Vec<u8>, dice: &mut Dice) {
        match self {
            Self::Write { at, bytes } => {
                let whole = dice.index(bytes.len() / SECTOR + 1) * SECTOR;
                put(image, *at, &bytes[..whole.min(bytes.len())]);
            }
            _ => self.apply(image),
        }
    }

    fn apply_some_sectors(&self, image: &mut Vec<u8>, dice: &mut Dice) {
        match self {
            Self::Write { at, bytes } => {
                for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                    if dice.one_in(2) {
                        put(image, at + n * SECTOR, sector);
                    }
                }
            }
            _ if dice.one_in(2) => self.apply(image),
            _ => {}
        }
    }
}

/// Writes what lies within the file: beyond its end there is nothing to write to.
fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    let end = image.len().min(at + bytes.len());
    if at < end {
        image[at..end].copy_from_slice(&bytes[..end - at]);
    }
}

impl State {
    /// How many steps of the first `upto` would survive anything.
    fn safe(&self, upto: usize) -> usize {
        self.log[..upto].iter().rposition(|step| matches!(step, Step::Sync)).map_or(0, |last| last + 1)
    }

    fn strikes(&mut self, trouble: Trouble) -> bool {
        let strikes = self.trouble == Some(trouble);
        self.struck |= strikes;
        strikes
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        let step = Step::Write { at: usize::try_from(at).unwrap(), bytes: bytes.to_vec() };
        step.apply(&mut self.seen);
        self.log.push(step);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        Ok(u64::try_from(self.state().seen.len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let state = self.state();
        let at = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        let end = at.checked_add(out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(state.seen.get(at..end).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<()> {
        let mut state = self.state();
        let length = usize::try_from(length).map_err(|_| ErrorKind::InvalidInput)?;
        if length > state.seen.len() {
            state.counts.growths += 1;
            let count = state.counts.growths;
            if state.strikes(Trouble::Grow(count)) {
                return Err(ErrorKind::StorageFull.into());
            }
        }
        state.seen.resize(length, 0);
        state.log.push(Step::SetLen(length));
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.state();
        state.counts.syncs += 1;
        let count = state.counts.syncs;
        if state.strikes(Trouble::Sync(count)) {
            return Err(Error::other("the disk did not answer"));
        }
        if state.strikes(Trouble::SyncForgets(count)) {
            let length = state.log.len();
            let safe = state.safe(length);
            state.log.truncate(safe);
            let mut seen = state.kept.clone();
            for step in &state.log {
                step.apply(&mut seen);
            }
            state.seen = seen;
            return Err(Error::other("the disk did not answer"));
        }
        if state.lies.is_none_or(|nth| !count.is_multiple_of(nth)) {
            state.log.push(Step::Sync);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut state = self.state();
        state.counts.writes += 1;
        let count = state.counts.writes;
        if state.strikes(Trouble::Write(count)) {
            return Err(ErrorKind::StorageFull.into());
        }
        if state.strikes(Trouble::Short(count)) {
            state.put(offset, &data[..data.len() / 2]);
            return Err(ErrorKind::WriteZero.into());
        }
        state.put(offset, data);
        Ok(())
    }
}

#[test]
fn cut_leaves_what_was_synced_and_of_the_rest_what_the_mode_says() {
    let disk = Disk::default();
    disk.set_len(4096).unwrap();
    disk.write(0, &[1; 1024]).unwrap();
    disk.sync_data().unwrap();
    disk.write(0, &[2; 1024]).unwrap();
    disk.write(2048, &[3; 1024]).unwrap();
    let mut dice = Dice::new(1);
    let nothing = disk.cut(5, Left::Nothing, &mut dice);
    assert_eq!((nothing[0], nothing[2048]), (1, 0));
    assert_eq!(disk.cut(5, Left::Everything, &mut dice), disk.seen());
    assert_eq!(disk.cut(2, Left::Nothing, &mut dice), Vec::<u8>::new(), "before the sync nothing is safe");
    let mut torn = 0;
    for _ in 0..100 {
        let image = disk.cut(5, Left::Sectors, &mut dice);
        assert!(image.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        torn += u32::from(image[0] != image[SECTOR]);
    }
    assert!(torn > 20, "half of the writes of two sectors are torn: {torn}");
    disk.shorten(4);
    assert_eq!(disk.cut(5, Left::Nothing, &mut dice), nothing);
}

#[test]
fn lying_disk_keeps_nothing() {
    let disk = Disk::lying(1);
    disk.set_len(512).unwrap();
    disk.write(0, &[1; 512]).unwrap();
    disk.sync_data().unwrap();
    assert!(disk.cut(disk.steps(), Left::Nothing, &mut Dice::new(1)).is_empty());
    assert_eq!(disk.seen(), [1; 512]);
}
