//! Letters to an archive.

use std::io::Write;

use sha2::{Digest as _, Sha256};

use crate::archive::error::ExportError;
use crate::archive::line::{Header, Line, MAX_LINE, Trailer, sealed};
use crate::archive::progress::{Progress, Step};
use crate::archive::verify::Contents;
use crate::dead_letter::{DeadLetterQueue, LetterFilter};

/// So many letters are read together. Each may be a few megabytes.
const PAGE: usize = 32;

/// Writes the letters that the filter means into `to`, ordered by id, and says what the archive holds then.
///
/// The queue may be used meanwhile: each letter is written as it stands when it is read, and nothing is leased
/// or changed. `to` is flushed at the end; a file that must survive a loss of power has to be synced after
/// that. For all letters, quarantined ones too, use [`any_state`](LetterFilter::any_state).
///
/// # Errors
///
/// [`ExportError`] if the queue cannot be read, `to` cannot be written, or a letter would take a line longer
/// than [`MAX_LINE`](crate::archive::MAX_LINE). What was written until then has no last line, so nobody can
/// take it for a whole archive.
///
/// # Cancel safety
///
/// Dropped, it has written a part, as after an error. The queue is as it was.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::archive::export;
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue};
///
/// let queue = MemoryQueue::default();
/// queue.push(DeadLetter::new("charge").destination("payments")).await?;
/// queue.push(DeadLetter::new("mail").destination("smtp")).await?;
///
/// let mut file = Vec::new();
/// let contents = export(&queue, &LetterFilter::new().destination("smtp"), &mut file, |_| {}).await?;
/// assert_eq!((contents.letters, contents.bytes), (1, file.len() as u64));
/// assert!(file.starts_with(br#"{"recoup":"dead letters","version":1,"#));
/// # Ok(()) }
/// ```
pub async fn export(
    queue: &dyn DeadLetterQueue,
    filter: &LetterFilter,
    mut to: impl Write,
    mut progress: impl FnMut(Progress),
) -> Result<Contents, ExportError> {
    let mut contents = Contents { queue: queue.identity(), ..Contents::default() };
    let (mut filter, mut sha) = (filter.clone(), Sha256::new());
    let mut write = |line: &[u8], contents: &mut Contents| {
        sha.update(line);
        contents.bytes += line.len() as u64;
        to.write_all(line)
    };
    write(&sealed(&Header::of(contents.queue)), &mut contents)?;
    loop {
        let page = queue.peek(&filter, PAGE).await?;
        let Some(last) = page.last() else { break };
        filter = filter.after(last.id);
        for letter in page {
            let line = sealed(&Line::of(&letter));
            if line.len() > MAX_LINE {
                return Err(ExportError::TooLarge(letter.id));
            }
            write(&line, &mut contents)?;
            contents.letters += 1;
            progress(Progress { step: Step::Exporting, letters: contents.letters, bytes: contents.bytes });
        }
    }
    contents.sha256 = sha.finalize().into();
    let end = sealed(&Trailer::of(contents.letters, contents.sha256));
    contents.bytes += end.len() as u64;
    to.write_all(&end)?;
    to.flush()?;
    Ok(contents)
}
