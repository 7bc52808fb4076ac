//! The settings of a queue in a file, and how it is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redb::StorageBackend;

use super::hooks::Hooks;
use super::open_error::{OpenError, OpenErrorKind};
use super::opening;
use super::place::{OnRepair, Place};
use super::queue::RedbQueue;
use super::rules::{Holder, Rules};
use crate::dead_letter::{DeadLetter, Loss, QueueStats, WhenFull};
use crate::setting::Check;
use crate::time;

/// Opens a [`RedbQueue`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use recoup::RedbQueue;
///
/// let error = RedbQueue::builder().capacity(0).open("letters.redb").await.unwrap_err();
/// assert_eq!(error.kind.to_string(), "redb queue: `capacity` is 0, but must be at least 1");
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `open`"]
pub struct RedbQueueBuilder {
    rules: Rules,
    hooks: Hooks,
    on_repair: Option<OnRepair>,
}

impl RedbQueueBuilder {
    /// The most letters held, at least 1. Default: 100 000.
    pub const fn capacity(mut self, letters: u64) -> Self {
        self.rules.capacity = letters;
        self
    }

    /// The most bytes that all letters together carry, at least 1 (see [`DeadLetter::size`]). Default: 256 MiB.
    /// The file is larger by about a half.
    ///
    /// A failed redrive whose texts do not fit any more is written down without them.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.rules.max_bytes = bytes;
        self
    }

    /// The most bytes of one payload; a letter above is handed back as too large. Default: 1 MiB.
    ///
    /// A letter is too large as well if its operation, destination, tenant or idempotency key is longer than
    /// 4 KiB.
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.rules.max_payload = bytes;
        self
    }

    /// What a full queue does with a new letter. Default: [`WhenFull::Refuse`].
    ///
    /// Those who wait are served in the order in which they came.
    pub const fn when_full(mut self, rule: WhenFull) -> Self {
        self.rules.when_full = rule;
        self
    }

    /// How long a letter is kept, longer than zero, from when the queue took it or it was last reinstated. While
    /// the file is open, that is counted on the monotonic clock. A quarantined letter is kept until somebody looks
    /// at it. What is set applies to all letters, also to those stored before. Default: 14 days.
    pub const fn time_to_live(mut self, time: Duration) -> Self {
        self.rules.time_to_live = Some(time);
        self
    }

    /// Keeps letters for ever. Default: 14 days.
    pub const fn no_time_to_live(mut self) -> Self {
        self.rules.time_to_live = None;
        self
    }

    /// How many redrives of a letter may fail before it is quarantined, at least 1. Default: 3.
    pub const fn quarantine_after(mut self, redrives: u32) -> Self {
        self.rules.quarantine_after = redrives;
        if let Holder::Guest(said) = &mut self.rules.holder {
            *said = Some(redrives);
        }
        self
    }

    /// Opens the file of somebody else, as a tool does: their limits hold, nothing expires, and a full queue
    /// refuses. Of the settings only [`quarantine_after`](Self::quarantine_after) counts, if it is said after this.
    /// Default: whoever opens the file owns it, and its limits are written into it.
    pub const fn as_guest(mut self) -> Self {
        self.rules.holder = Holder::Guest(None);
        self
    }

    /// Is called with each letter that the queue lets go of by itself, after the fact, on the queue's own thread:
    /// nothing is written while it runs, so it must not wait for the queue. A panic in it ends there. Default:
    /// nobody is called, and the numbers of [`stats`](crate::DeadLetterQueue::stats) tell.
    pub fn on_loss(mut self, hook: impl Fn(&DeadLetter, Loss) + Send + Sync + 'static) -> Self {
        self.hooks.on_loss = Some(Arc::new(hook));
        self
    }

    /// Is called when the queue is filled to 80 % of its letters or bytes, and again only after it was below 70 %
    /// of both. In the way of [`on_loss`](Self::on_loss). Default: nobody is called.
    pub fn on_filling(mut self, hook: impl Fn(&QueueStats) + Send + Sync + 'static) -> Self {
        self.hooks.on_filling = Some(Arc::new(hook));
        self
    }

    /// Is called now and then while a file that was not closed is repaired, with how far that has come: from 0.0
    /// to 1.0. Default: nobody is called.
    pub fn on_repair(mut self, hook: impl Fn(f64) + Send + Sync + 'static) -> Self {
        self.on_repair = Some(Arc::new(hook));
        self
    }

    /// Opens the file, or makes it. It is repaired first if it was not closed: that takes milliseconds after a
    /// crash of an idle application, and up to seconds for each gigabyte after one under load. No task waits for
    /// the disk: it is done on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`OpenError`] names the file and says why it cannot be opened, or which setting cannot work.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file is opened, perhaps made, and closed again.
    pub async fn open(self, path: impl Into<PathBuf>) -> Result<RedbQueue, OpenError> {
        self.open_at(Place::File(path.into())).await
    }

    /// Opens a file for looking at only: that of an application that has stopped. It is not repaired, nothing is
    /// swept, and whatever would change it fails with [`QueueError::Storage`](crate::QueueError::Storage). Letters
    /// are shown as they were left: a lease that has ended since is still shown as one.
    ///
    /// # Errors
    ///
    /// [`OpenError`] names the file and says why it cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn open_read_only(self, path: impl Into<PathBuf>) -> Result<RedbQueue, OpenError> {
        let place = Place::File(path.into());
        opening::apart(&place.clone(), move || opening::to_read(&place, self.rules)).await
    }

    /// Opens a store in a backend of one's own. It is for tests that cut the power or fill the disk. After an error
    /// the same backend is opened again, also if it was told to close.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As for [`open`](Self::open).
    pub async fn in_backend(self, backend: impl StorageBackend) -> Result<RedbQueue, OpenError> {
        self.open_at(Place::Backend(Arc::new(backend))).await
    }

    async fn open_at(self, place: Place) -> Result<RedbQueue, OpenError> {
        let checked = self.rules.check(Check("redb queue"));
        checked.map_err(|error| place.error(OpenErrorKind::Setting(error)))?;
        let (rules, hooks, on_repair, now) = (self.rules, self.hooks, self.on_repair, time::now());
        opening::apart(&place.clone(), move || opening::to_write(&place, rules, hooks, on_repair, now)).await
    }
}

impl fmt::Debug for RedbQueueBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbQueueBuilder").field("rules", &self.rules).finish_non_exhaustive()
    }
}
