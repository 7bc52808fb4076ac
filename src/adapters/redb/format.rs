//! What makes a file one of dead letters, and how an older one becomes one of today.

use redb::{Database, ReadTransaction, ReadableTable as _, TableHandle as _, WriteTransaction};

use super::fault::{Fault, Io};
use super::numbers::Numbers;
use super::open_error::OpenErrorKind;
use super::rules::Rules;
use super::tables::{self, Access, HEADER, Tables};
use crate::random::Dice;

/// The format that this release writes. It reads this one and all before.
pub(super) const FORMAT: u32 = 1;

/// Under these names, the header says what the file is and which one.
const MARK: &str = "recoup dead letters";
const QUEUE: &str = "queue";

/// What makes a file of a format one of the next: the first is for format 0.
const STEPS: [fn(&WriteTransaction) -> Io<()>; FORMAT as usize] = [
    // 0 => 1: tables were made by whoever needed them first.
    tables::make,
];

/// What an open file is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    /// The random number of the queue.
    pub(super) queue: u128,
    pub(super) numbers: Numbers,
}

/// Makes an empty file one of dead letters, and an older one one of today.
///
/// Says who it is, which rules hold, and when there is first something to do in it.
pub(super) fn prepare(database: &Database, rules: &Rules) -> Result<(Identity, Rules, u64), OpenErrorKind> {
    let broken = OpenErrorKind::from;
    let mut transaction = database.begin_write().map_err(Fault::from).map_err(broken)?;
    let is_empty = transaction.list_tables().map_err(Fault::from).map_err(broken)?.next().is_none()
        && transaction.list_multimap_tables().map_err(Fault::from).map_err(broken)?.next().is_none();
    if is_empty {
        transaction.set_quick_repair(true);
        make(&transaction).map_err(broken)?;
    } else {
        let found = version(&transaction)?;
        let steps = usize::try_from(found).ok().and_then(|found| STEPS.get(found..));
        let steps = steps.ok_or(OpenErrorKind::Newer { found, known: FORMAT })?;
        for step in steps {
            step(&transaction).map_err(broken)?;
        }
        if !steps.is_empty() {
            mark(&transaction).map_err(broken)?;
        }
    }
    let mut tables = Tables::open(&transaction).map_err(broken)?;
    let identity = identity(&tables)?;
    let rules = rules.agreed(&mut tables).map_err(broken)?;
    let due = tables.due(&rules).map_err(broken)?;
    drop(tables);
    transaction.commit().map_err(Fault::from).map_err(broken)?;
    Ok((identity, rules, due))
}

/// Who the queue is, and its numbers.
pub(super) fn identity<A: Access>(tables: &Tables<A>) -> Result<Identity, OpenErrorKind> {
    let damaged = |fault: Fault| OpenErrorKind::Damaged(fault.text);
    let queue = tables.header.get(QUEUE).map_err(Fault::from).map_err(damaged)?;
    let queue = queue.and_then(|queue| queue.value().try_into().ok().map(u128::from_le_bytes));
    let queue = queue.ok_or_else(|| OpenErrorKind::Damaged("its header has no identity".to_owned()))?;
    Ok(Identity { queue, numbers: Numbers::read(tables).map_err(damaged)? })
}

/// Whether a file that is open for reading only is one of today.
pub(super) fn known(transaction: &ReadTransaction) -> Result<(), OpenErrorKind> {
    let header = transaction.open_table(HEADER).map_err(|_| OpenErrorKind::Foreign)?;
    let mark = header.get(MARK).map_err(|error| OpenErrorKind::Storage(error.to_string()))?;
    match mark.and_then(|mark| mark.value().try_into().ok().map(u32::from_le_bytes)) {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(OpenErrorKind::Newer { found, known: FORMAT }),
        Some(_) => Err(OpenErrorKind::NeedsRepair),
        None => Err(OpenErrorKind::Foreign),
    }
}

fn version(transaction: &WriteTransaction) -> Result<u32, OpenErrorKind> {
    let broken = OpenErrorKind::from;
    let mut names = transaction.list_tables().map_err(Fault::from).map_err(broken)?;
    if !names.any(|table| table.name() == HEADER.name()) {
        return Err(OpenErrorKind::Foreign);
    }
    let header = transaction.open_table(HEADER).map_err(|_| OpenErrorKind::Foreign)?;
    let mark = header.get(MARK).map_err(Fault::from).map_err(broken)?;
    let mark = mark.ok_or(OpenErrorKind::Foreign)?;
    let version = mark.value().try_into().map_err(|_| OpenErrorKind::Foreign)?;
    Ok(u32::from_le_bytes(version))
}

fn mark(transaction: &WriteTransaction) -> Io<()> {
    transaction.open_table(HEADER)?.insert(MARK, &FORMAT.to_le_bytes()[..])?;
    Ok(())
}

fn make(transaction: &WriteTransaction) -> Io<()> {
    tables::make(transaction)?;
    mark(transaction)?;
    let queue = Dice::default().bits();
    let mut tables = Tables::open(transaction)?;
    tables.header.insert(QUEUE, &queue.to_le_bytes()[..])?;
    Numbers::default().write(&mut tables)
}
