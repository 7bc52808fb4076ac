//! How a task asks the threads of a queue.

use std::sync::Arc;

use super::by_hand::{Order, Progress};
use super::command::{Command, Pushing, Request};
use super::fault::{Fault, Io};
use super::find::Found;
use super::prepared::Prepared;
use super::queue::RedbQueue;
use super::reader::Question;
use super::tables::{Reading, Tables};
use crate::dead_letter::{
    ByHand, DeadLetter, Deed, LetterFilter, LetterId, PushError, PushErrorKind, QueueError, Receipt,
    SettleError, WhenFull,
};
use crate::sync::oneshot;
use crate::time;

/// Why there is no answer.
pub(super) enum Unanswered {
    Closed,
    Failed(Fault),
}

impl RedbQueue {
    /// Has the writer do something, and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer)).await?;
        answered.await.map_err(|_| Unanswered::Closed)
    }

    pub(super) async fn send(&self, command: Command) -> Result<(), Unanswered> {
        let shared = &self.shared;
        let Some(requests) = &shared.threads.requests else {
            return Err(Unanswered::Failed(Fault::new("the file is open for reading only")));
        };
        let permit = Arc::clone(&shared.under_way).acquire_owned().await.ok();
        if shared.gauge.is_closed() {
            return Err(Unanswered::Closed);
        }
        let sent = requests.send(Request { now: time::now(), command, permit });
        sent.map_err(|_| Unanswered::Closed)
    }

    /// Ends the leases and drops the letters whose time is over, if there are any, so that nobody is shown them.
    async fn sweep(&self) -> Result<(), QueueError> {
        let shared = &self.shared;
        // A file that failed is opened again by the writer, when that has something to do.
        while shared.threads.requests.is_some()
            && (shared.clock.at(time::now()) >= shared.gauge.due() || !shared.gauge.is_open())
        {
            self.ask(|answer| Command::Sweep { answer }).await.unwrap_or_else(|why| Err(why.into()))?;
        }
        Ok(())
    }

    /// Has something looked up in the tables.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Tables<Reading>) -> Io<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        if self.shared.gauge.is_closed() {
            return Err(QueueError::Closed);
        }
        self.sweep().await?;
        let (answer, answered) = oneshot::channel();
        let question = Question::Look(Box::new(move |tables: Io<&Tables<Reading>>| {
            if !answer.is_closed() {
                drop(answer.send(tables.and_then(question)));
            }
        }));
        self.shared.threads.questions.send(question).map_err(|_| QueueError::Closed)?;
        let unanswered = || Err(Fault::new("the database failed over a damaged file"));
        answered.await.unwrap_or_else(|_| unanswered()).map_err(|fault| QueueError::Storage(fault.text))
    }

    /// Opens what was found. What cannot be read is put aside, where it hides no other.
    pub(super) async fn opened(&self, found: Vec<Found>, damaged: Vec<u64>) -> Vec<(u64, DeadLetter)> {
        let (mut letters, mut damaged) = (Vec::with_capacity(found.len()), damaged);
        for found in found {
            match found.open() {
                Some(letter) => letters.push((found.row.fence, letter)),
                None => damaged.push(found.id),
            }
        }
        if !damaged.is_empty() {
            // Nothing depends on it: whoever meets them next puts them aside as well.
            drop(self.send(Command::SetAside(damaged)).await);
        }
        letters
    }

    /// Does something to all that a filter means, part by part.
    pub(super) async fn obey(
        &self,
        deed: Deed,
        filter: &LetterFilter,
        by: &ByHand,
    ) -> Result<u64, QueueError> {
        let (filter, by, at) = (filter.clone(), by.clone(), time::wall(time::now()));
        let mut order = Order { deed, filter, by, at, progress: Progress::default() };
        while !order.progress.complete {
            let part = Box::new(order.clone());
            let asked = self.ask(|answer| Command::Obey { order: part, answer }).await;
            order.progress = asked.unwrap_or_else(|why| Err(why.into()))?;
        }
        Ok(order.progress.letters)
    }

    /// Stores letters, each answered alone.
    pub(super) async fn store(&self, letters: Vec<Prepared>) -> Vec<Result<Receipt, PushError>> {
        match self.shared.rules.when_full {
            WhenFull::Wait(time) => self.store_in_line(letters, time).await,
            _ => self.store_now(letters, None).await,
        }
    }

    /// Stores letters, or one in the place of another, and waits for nobody.
    pub(super) async fn store_now(
        &self,
        letters: Vec<Prepared>,
        replaces: Option<(LetterId, &ByHand)>,
    ) -> Vec<Result<Receipt, PushError>> {
        let at = time::wall(time::now());
        let replaces = replaces.map(|(old, by)| (old, by.clone(), at));
        let (answer, answered) = oneshot::channel();
        let pushing = Pushing { letters, replaces, answer: Some(answer) };
        // Not sent, it is dropped, and then it hands back the letters by its own answer.
        drop(self.send_letters(pushing).await);
        answered.await.expect("letters are stored or handed back").told()
    }

    async fn send_letters(&self, pushing: Pushing) -> Result<(), Unanswered> {
        if self.shared.threads.requests.is_none() {
            let text = "the file is open for reading only".to_owned();
            pushing.refused(&PushErrorKind::Storage(text));
            return Ok(());
        }
        self.send(Command::Push(pushing)).await
    }
}

impl From<Unanswered> for QueueError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Closed => Self::Closed,
            Unanswered::Failed(fault) => Self::Storage(fault.text),
        }
    }
}

impl From<Unanswered> for SettleError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Closed => Self::Closed,
            Unanswered::Failed(fault) => Self::Storage(fault.text),
        }
    }
}
