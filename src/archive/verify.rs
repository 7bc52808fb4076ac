//! Whether an archive is whole.

use std::io::BufRead;

use crate::archive::error::ArchiveError;
use crate::archive::progress::{Progress, Step};
use crate::archive::reader::Reader;

/// What an archive holds.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::archive::{export, verify};
/// use recoup::{DeadLetterQueue, LetterFilter, MemoryQueue};
///
/// let (queue, mut file) = (MemoryQueue::default(), Vec::new());
/// let written = export(&queue, &LetterFilter::new(), &mut file, |_| {}).await?;
/// assert_eq!(verify(&file[..], |_| {})?, written);
/// assert_eq!((written.letters, written.queue), (0, queue.identity()));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contents {
    /// How many letters.
    pub letters: u64,
    /// How many bytes the archive has.
    pub bytes: u64,
    /// The [identity](crate::DeadLetterQueue::identity) of the queue that they were in.
    pub queue: Option<u128>,
    /// The SHA-256 of all lines but the last, which says the same.
    pub sha256: [u8; 32],
}

/// Reads an archive to its end, believes nothing, and says what it holds. It takes as much memory as the
/// longest line, and no more than [`MAX_LINE`](crate::archive::MAX_LINE) for it.
///
/// # Errors
///
/// [`ArchiveError`] names the first line that is not as it was written, or not understood.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::archive::{export, verify};
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue};
///
/// let (queue, mut file) = (MemoryQueue::default(), Vec::new());
/// queue.push(DeadLetter::new("charge")).await?;
/// export(&queue, &LetterFilter::new(), &mut file, |_| {}).await?;
///
/// let changed = String::from_utf8(file)?.replace("charge", "refund");
/// let error = verify(changed.as_bytes(), |_| {}).unwrap_err();
/// assert_eq!(error.to_string(), "line 2: the line was changed: its checksum is wrong");
/// # Ok(()) }
/// ```
pub fn verify(from: impl BufRead, mut progress: impl FnMut(Progress)) -> Result<Contents, ArchiveError> {
    let mut reader = Reader::open(from)?;
    while reader.next()?.is_some() {
        let Contents { letters, bytes, .. } = reader.contents();
        progress(Progress { step: Step::Verifying, letters, bytes });
    }
    Ok(reader.contents())
}
