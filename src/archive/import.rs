//! Letters from an archive.

use std::io::{BufRead, Seek, SeekFrom};

use crate::archive::error::{ArchiveError, ArchiveErrorKind, ImportError, ImportErrorKind};
use crate::archive::progress::{Progress, Step};
use crate::archive::reader::Reader;
use crate::archive::verify::{Contents, verify};
use crate::dead_letter::{ByHand, DeadLetter, DeadLetterQueue, LetterId, Origin};

/// So many letters are stored together at most: a queue on a disk makes them durable at once.
const BATCH: usize = 1024;

/// So many bytes of letters, about, are held in memory before they are stored.
const BATCH_BYTES: u64 = 4 << 20;

/// What became of the letters of an archive.
///
/// ```
/// use recoup::archive::Imported;
/// assert_eq!(Imported::default().stored, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Letters that the queue has now, and had not before.
    pub stored: u64,
    /// Letters that the queue knew, and that were left out.
    pub known: u64,
    /// Letters that the queue dropped to make room, as it may with
    /// [`WhenFull::DropOldest`](crate::WhenFull::DropOldest).
    pub evicted: Vec<LetterId>,
}

/// Stores the letters of an archive, in their order and with all that was counted of them, and says what became
/// of them. It is written down as done by `by`.
///
/// The archive is read twice: first to the end, to [verify] it, so that a broken one changes nothing. Letters
/// get new numbers, and as their [`origin`](DeadLetter::origin) the queue they were exported from and their
/// number there, unless they have one. What the queue [knows](DeadLetterQueue::restore) by its origin is left
/// out, also when it was delivered or discarded since: importing twice changes nothing. A letter that was
/// leased when it was exported is ready; times to live begin anew.
///
/// # Errors
///
/// [`ImportError`] says what was stored until then. Nothing was, if the archive is not whole. A queue that
/// refuses a letter, because it is full, ends the import after the batch that the letter was in. Importing
/// again, with room made, stores the rest.
///
/// # Cancel safety
///
/// Dropped, it has stored some of the letters, each whole. Importing the archive again stores the rest.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::Cursor;
/// use recoup::archive::{export, import};
/// use recoup::{ByHand, DeadLetter, DeadLetterQueue, LetterFilter, LetterState, MemoryQueue};
///
/// let (old, mut file) = (MemoryQueue::default(), Vec::new());
/// old.push(DeadLetter::new("charge")).await?;
/// old.quarantine(&LetterFilter::new(), &ByHand::of("ana")).await?;
/// export(&old, &LetterFilter::new().any_state(), &mut file, |_| {}).await?;
///
/// let new = MemoryQueue::default();
/// let imported = import(&new, Cursor::new(file), &ByHand::of("ana"), |_| {}).await?;
/// assert_eq!((imported.stored, imported.known), (1, 0));
/// assert_eq!(new.stats().await?.quarantined, 1);
/// # Ok(()) }
/// ```
pub async fn import(
    queue: &dyn DeadLetterQueue,
    mut from: impl BufRead + Seek,
    by: &ByHand,
    mut progress: impl FnMut(Progress),
) -> Result<Imported, ImportError> {
    let mut done = Imported::default();
    let start = from.stream_position().map_err(|error| unread(&done, error))?;
    let contents = verify(&mut from, &mut progress).map_err(|error| broken(&done, error))?;
    from.seek(SeekFrom::Start(start)).map_err(|error| unread(&done, error))?;

    let source = source(&contents);
    let mut reader = Reader::open(&mut from).map_err(|error| broken(&done, error))?;
    loop {
        let (letters, lines) = batch(&mut reader, source).map_err(|error| broken(&done, error))?;
        if letters.is_empty() {
            return Ok(done);
        }
        let answers = queue.restore(letters, by).await;
        let mut refused = None;
        for (answer, line) in answers.into_iter().zip(lines) {
            match answer {
                Ok(Some(receipt)) => {
                    done.stored += 1;
                    done.evicted.extend(receipt.evicted);
                }
                Ok(None) => done.known += 1,
                Err(error) => {
                    refused.get_or_insert(ImportErrorKind::Refused { line, why: error.kind });
                }
            }
        }
        if let Some(kind) = refused {
            return Err(ImportError { done, kind });
        }
        let Contents { letters, bytes, .. } = reader.contents();
        progress(Progress { step: Step::Importing, letters, bytes });
    }
}

/// The next letters, and the lines that they stand on.
fn batch<R: BufRead>(
    reader: &mut Reader<R>,
    source: u128,
) -> Result<(Vec<DeadLetter>, Vec<u64>), ArchiveError> {
    let (mut letters, mut lines) = (Vec::new(), Vec::new());
    let before = reader.contents().bytes;
    while letters.len() < BATCH && reader.contents().bytes - before < BATCH_BYTES {
        let Some(mut letter) = reader.next()? else { break };
        letter.origin = letter.origin.or(Some(Origin::new(source, letter.id)));
        letters.push(letter);
        lines.push(reader.line());
    }
    Ok((letters, lines))
}

/// The queue that the letters came from. For one without a number of its own, the archive stands: half of its
/// SHA-256, so that the same archive is known the second time.
fn source(contents: &Contents) -> u128 {
    let digest = contents.sha256.first_chunk::<16>().map_or(0, |half| u128::from_be_bytes(*half));
    contents.queue.unwrap_or(digest)
}

fn broken(done: &Imported, error: ArchiveError) -> ImportError {
    ImportError { done: done.clone(), kind: ImportErrorKind::Archive(error) }
}

fn unread(done: &Imported, error: std::io::Error) -> ImportError {
    broken(done, ArchiveError { line: 1, kind: ArchiveErrorKind::Io(error) })
}
