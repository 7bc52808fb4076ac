//! Which letters in a file are damaged, and which of its numbers are wrong.

use std::collections::BTreeMap;

use super::fault::Io;
use super::queue::RedbQueue;
use super::row::{Row, State};
use super::tables::{Access, Tables, Tag};
use crate::dead_letter::{DeadLetterQueue as _, LetterId, QueueError, QueueStats};

/// So many letters are read between two looks at how far it is.
const PART: usize = 512;

/// What [`RedbQueue::recount`] found.
///
/// ```
/// use recoup::Recounted;
/// assert!(Recounted::default().is_sound());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recounted {
    /// Letters that were read, damaged ones too.
    pub letters: u64,
    /// Those that cannot be read any more, or are not what their rows say.
    pub damaged: Vec<LetterId>,
    /// Numbers that are not what a recount gives.
    pub wrong: Vec<WrongNumber>,
}

impl Recounted {
    /// Nothing was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.wrong.is_empty()
    }
}

/// A number that is not what a recount gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrongNumber {
    /// What is counted.
    pub what: String,
    /// The number that is written down.
    pub says: u64,
    /// The number that was found.
    pub found: u64,
}

impl RedbQueue {
    /// Reads every letter, compares it with what the file knows of it, and recounts the numbers. `told` hears how many
    /// letters were read, now and then. Nothing is changed. Meant for a queue at rest: what others do meanwhile looks
    /// like wrong numbers.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if the queue cannot be read. A damaged letter is no error; it is in what is found.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so dropping it changes nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("recoup-doc-recount-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("letters.redb");
    /// use recoup::{DeadLetter, DeadLetterQueue, RedbQueue};
    ///
    /// let queue = RedbQueue::open(&path).await?;
    /// queue.push(DeadLetter::new("charge")).await?;
    /// let recounted = queue.recount(|_| {}).await?;
    /// assert_eq!((recounted.letters, recounted.is_sound()), (1, true));
    /// # queue.close().await?;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(()) }
    /// ```
    pub async fn recount(&self, mut told: impl FnMut(u64)) -> Result<Recounted, QueueError> {
        let (mut found, mut next) = (Recount::default(), Some(0));
        while let Some(from) = next {
            let counted =
                self.look(move |tables| found.read_part(tables, from).map(|next| (found, next))).await?;
            (found, next) = counted;
            told(found.letters);
        }
        Ok(found.compared(&self.stats().await?))
    }
}

/// What is in the file, counted anew.
#[derive(Clone, Debug, Default)]
struct Recount {
    letters: u64,
    damaged: Vec<LetterId>,
    ready: u64,
    leased: u64,
    quarantined: u64,
    bytes: u64,
    by_destination: BTreeMap<String, u64>,
    /// Letters that an index does not know, by its name.
    missing: BTreeMap<&'static str, u64>,
}

impl Recount {
    /// Reads the letters from this number on. Gives the number to go on with.
    fn read_part<A: Access>(&mut self, tables: &Tables<A>, from: u64) -> Io<Option<u64>> {
        for (nth, entry) in tables.all(from, u64::MAX)?.enumerate() {
            let (id, row) = entry?;
            if nth == PART {
                return Ok(Some(id));
            }
            self.read(tables, id, row)?;
        }
        Ok(None)
    }

    fn read<A: Access>(&mut self, tables: &Tables<A>, id: u64, row: Row) -> Io<()> {
        self.letters += 1;
        match row.state {
            State::Ready => self.ready += 1,
            State::Leased => self.leased += 1,
            State::Quarantined | State::Damaged => self.quarantined += 1,
        }
        let opened = tables.found(id, row)?.open();
        let Some(letter) = opened.filter(|letter| agrees(&row, &Row::of(letter))) else {
            self.damaged.push(LetterId::new(id));
            return Ok(());
        };
        self.bytes = self.bytes.saturating_add(row.size);
        if let Some(destination) = letter.destination {
            *self.by_destination.entry(destination).or_default() += 1;
        }
        let indexed = tables.of_group(row.fingerprint, id, id)?.next().is_some();
        self.missing_from("the index of groups", indexed);
        if row.state == State::Ready {
            let indexed = tables.tagged(Tag::Ready, 0, id, id)?.next().is_some();
            self.missing_from("the index of ready letters", indexed);
        }
        Ok(())
    }

    fn missing_from(&mut self, index: &'static str, indexed: bool) {
        if !indexed {
            *self.missing.entry(index).or_default() += 1;
        }
    }

    fn compared(self, says: &QueueStats) -> Recounted {
        let gone = [says.delivered, says.evicted, says.expired, says.discarded];
        let all = gone.into_iter().fold(self.letters, u64::saturating_add);
        let mut numbers = vec![
            ("ready letters".to_owned(), says.ready, self.ready),
            ("leased letters".to_owned(), says.leased, self.leased),
            ("quarantined letters".to_owned(), says.quarantined, self.quarantined),
            ("letters ever stored".to_owned(), says.pushed, all),
        ];
        numbers.extend(self.missing.into_iter().map(|(index, letters)| {
            let found = self.letters.saturating_sub(letters);
            (format!("letters known to {index}"), self.letters, found)
        }));
        // Of a damaged letter nobody knows how long it is, nor where it should have gone.
        if self.damaged.is_empty() {
            numbers.push(("bytes".to_owned(), says.bytes, self.bytes));
            let mut names: Vec<&String> =
                says.by_destination.keys().chain(self.by_destination.keys()).collect();
            names.sort_unstable();
            names.dedup();
            let count =
                |numbers: &BTreeMap<String, u64>, name| numbers.get(name).copied().unwrap_or_default();
            numbers.extend(names.into_iter().map(|name| {
                let (says, found) = (count(&says.by_destination, name), count(&self.by_destination, name));
                (format!("letters to {name}"), says, found)
            }));
        }
        let wrong = numbers.into_iter().filter(|(_, says, found)| says != found);
        let wrong = wrong.map(|(what, says, found)| WrongNumber { what, says, found }).collect();
        Recounted { letters: self.letters, damaged: self.damaged, wrong }
    }
}

/// Whether the row says of the letter what the letter says.
fn agrees(row: &Row, letter: &Row) -> bool {
    row.size == letter.size
        && row.died == letter.died
        && row.fingerprint == letter.fingerprint
        && row.sums == letter.sums
        && row.has_origin == letter.has_origin
}
