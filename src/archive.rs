//! Dead letters to and from text, line by line: for backups, for moving letters from one queue to another, and
//! for looking at them with other tools.
//!
//! An archive is NDJSON, one JSON object a line:
//!
//! - the first line says what it is: `{"recoup":"dead letters","version":1,"queue":"…"}`, with the
//!   [identity](crate::DeadLetterQueue::identity) of the queue in hexadecimal, if it has one;
//! - each letter is a line: its fields, its state and what its queue counts of it; the payload as `text` where
//!   it is text without control characters other than line breaks and tabs, and as `base64` otherwise;
//! - the last line tells how many letters there are, and the SHA-256 of every byte before it.
//!
//! Every line ends with its own CRC-32 as the field `crc`, over the bytes before that field. A file that was
//! cut, changed or mixed up is refused, and the [error](ArchiveError) names the line. What an archive holds
//! stands in it in the clear, payloads too: keep it where the queue itself may be kept.
//!
//! All of this reads and writes without leaving the thread, so give it a buffered reader or writer, and, if
//! other work shares the thread, a thread that may wait for files.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::io::Cursor;
//! use recoup::archive::{export, import};
//! use recoup::{ByHand, DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, Payload};
//!
//! let queue = MemoryQueue::default();
//! queue.push(DeadLetter::new("charge").payload(Payload::text("3 EUR"))).await?;
//!
//! let mut file = Vec::new();
//! let all = LetterFilter::new().any_state();
//! assert_eq!(export(&queue, &all, &mut file, |_| {}).await?.letters, 1);
//!
//! let (other, by) = (MemoryQueue::default(), ByHand::of("ana").because("moved to the new host"));
//! assert_eq!(import(&other, Cursor::new(&file), &by, |_| {}).await?.stored, 1);
//! let letter = &other.peek(&all, 1).await?[0];
//! assert_eq!(letter.payload, Some(Payload::text("3 EUR")));
//! assert_eq!(letter.origin.map(|origin| origin.queue), queue.identity());
//!
//! // What is there already is left alone.
//! assert_eq!(import(&other, Cursor::new(&file), &by, |_| {}).await?.known, 1);
//! # Ok(()) }
//! ```

mod error;
mod export;
mod import;
mod line;
mod progress;
mod reader;
mod verify;

pub use self::error::{ArchiveError, ArchiveErrorKind, ExportError, ImportError, ImportErrorKind};
pub use self::export::export;
pub use self::import::{Imported, import};
pub use self::line::{MAX_LINE, VERSION};
pub use self::progress::{Progress, Step};
pub use self::verify::{Contents, verify};

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
