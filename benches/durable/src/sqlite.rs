//! SQLite with a write-ahead log, each commit flushed, behind one thread with group commit.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::oneshot;

use crate::group::Group;
use crate::letter;

/// One table with what a queue needs; indexes for what is ready, destination and expiry. A lease moves the
/// moment at which a letter is ready, so one index serves both.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        ready_at INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        fence INTEGER NOT NULL DEFAULT 0,
        deliveries INTEGER NOT NULL DEFAULT 0,
        died INTEGER NOT NULL,
        destination TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS ready ON letters (ready_at, id);
    CREATE INDEX IF NOT EXISTS destination ON letters (destination, id);
    CREATE INDEX IF NOT EXISTS expires ON letters (expires, id);
";

const PUSH: &str = "INSERT INTO letters (ready_at, expires, died, destination, fingerprint, body)
    VALUES (?1, ?1 + 1209600000, ?2, ?3, ?4, ?5)";

const LEASE: &str = "UPDATE letters SET ready_at = ?1 + 30000, fence = fence + 1, deliveries = deliveries + 1
    WHERE id = (SELECT id FROM letters WHERE ready_at <= ?1 ORDER BY ready_at, id LIMIT 1)
    RETURNING id, fence, body";

const SETTLE: &str = "DELETE FROM letters WHERE id = ?1 AND fence = ?2";

enum Command {
    Push { n: u64, answer: oneshot::Sender<()> },
    Lease { answer: oneshot::Sender<Option<(i64, i64, Vec<u8>)>> },
    Settle { id: i64, fence: i64, answer: oneshot::Sender<()> },
}

/// What waits for its commit.
enum Answer {
    Done(oneshot::Sender<()>),
    Lent(oneshot::Sender<Option<(i64, i64, Vec<u8>)>>, Option<(i64, i64, Vec<u8>)>),
}

pub struct Sqlite(Group<Command>);

/// Opens the file with the settings of the comparison.
pub fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -65_536)?; // 64 MiB, as recoup's
    connection.execute_batch(TABLES)?;
    Ok(connection)
}

impl Sqlite {
    pub fn open(path: &Path) -> Self {
        let mut connection = connect(path).expect("SQLite opens its file");
        let start = Instant::now();
        Self(Group::start(move |batch| commit(&mut connection, start, batch).expect("SQLite commits")))
    }

    pub async fn push(&self, n: u64) {
        let (answer, answered) = oneshot::channel();
        self.0.send(Command::Push { n, answer });
        answered.await.expect("the writer answers");
    }

    /// Gives out a letter and takes it away. Says whether there was one.
    pub async fn lease_and_settle(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.0.send(Command::Lease { answer });
        let Some((id, fence, _body)) = answered.await.expect("the writer answers") else { return false };
        let (answer, answered) = oneshot::channel();
        self.0.send(Command::Settle { id, fence, answer });
        answered.await.expect("the writer answers");
        true
    }
}

fn insert(connection: &Connection, now: i64, n: u64) -> rusqlite::Result<()> {
    let (destination, error) = (letter::destination(n), letter::error(n));
    let fingerprint = format!("{destination} {error}");
    let died = i64::try_from(n).unwrap_or(i64::MAX);
    let values = params![now, died, destination, fingerprint, letter::record(n)];
    connection.prepare_cached(PUSH)?.execute(values).map(drop)
}

fn commit(connection: &mut Connection, start: Instant, batch: Vec<Command>) -> rusqlite::Result<()> {
    let now = i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
    let transaction = connection.transaction()?;
    let mut answers = Vec::with_capacity(batch.len());
    for command in batch {
        answers.push(match command {
            Command::Push { n, answer } => {
                insert(&transaction, now, n)?;
                Answer::Done(answer)
            }
            Command::Lease { answer } => {
                let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
                Answer::Lent(answer, transaction.prepare_cached(LEASE)?.query_row([now], read).optional()?)
            }
            Command::Settle { id, fence, answer } => {
                transaction.prepare_cached(SETTLE)?.execute([id, fence])?;
                Answer::Done(answer)
            }
        });
    }
    transaction.commit()?;
    for answer in answers {
        match answer {
            Answer::Done(answer) => {
                let _not_waiting = answer.send(());
            }
            Answer::Lent(answer, lent) => drop(answer.send(lent)),
        }
    }
    Ok(())
}

/// Fills a store, in large transactions.
pub fn fill(path: &Path, letters: u64) -> rusqlite::Result<()> {
    let mut connection = connect(path)?;
    for from in (0..letters).step_by(10_000) {
        let transaction = connection.transaction()?;
        for n in from..letters.min(from + 10_000) {
            insert(&transaction, 0, n)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// Opens the file after a crash and reads one letter: how long that took.
pub fn reopen(path: &Path) -> rusqlite::Result<Duration> {
    let begun = Instant::now();
    let connection = connect(path)?;
    let _id: i64 =
        connection.query_row("SELECT id FROM letters ORDER BY id LIMIT 1", [], |row| row.get(0))?;
    Ok(begun.elapsed())
}

/// How long a page of a hundred takes, one of a destination that is frequent and rare, and the groups.
pub fn look(path: &Path) -> rusqlite::Result<[Duration; 4]> {
    let connection = connect(path)?;
    let count = |question: &str| -> rusqlite::Result<Duration> {
        let begun = Instant::now();
        let mut statement = connection.prepare(question)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let _first: rusqlite::types::Value = row.get(0)?;
        }
        Ok(begun.elapsed())
    };
    let of =
        |name: &str| format!("SELECT body FROM letters WHERE destination = '{name}' ORDER BY id LIMIT 100");
    Ok([
        count("SELECT body FROM letters ORDER BY id LIMIT 100")?,
        count(&of(letter::OFTEN))?,
        count(&of(letter::RARELY))?,
        count("SELECT fingerprint, count(*), min(died), max(died) FROM letters GROUP BY fingerprint")?,
    ])
}
