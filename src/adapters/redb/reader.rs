//! The one thread that reads: what takes long holds up neither the writer nor the tasks of the application.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::fault::{Fault, Io};
use super::gauge::Gauge;
use super::handle::Handle;
use super::tables::{Reading, Tables};
use crate::sync::oneshot::Sender;

/// Looks at the tables, or is told why that cannot be.
pub(super) type Look = Box<dyn FnOnce(Io<&Tables<Reading>>) + Send>;

/// What a reader is asked.
pub(super) enum Question {
    /// To have something looked up.
    Look(Look),
    /// To close the file, where nobody writes.
    Close(Sender<Io<()>>),
}

/// Answers until there is nobody left who could ask.
pub(super) fn run(gauge: &Arc<Gauge>, questions: &Receiver<Question>) {
    while let Ok(question) = questions.recv() {
        // Whoever asked is told by the loss of its answer.
        let _panicked = catch_unwind(AssertUnwindSafe(|| match question {
            Question::Look(question) => answer(gauge, question),
            Question::Close(answer) => {
                let handle = gauge.hide(Fault::new("the queue is closed"));
                // Nobody else reads; who looks at the same moment drops it in a moment.
                let closed = handle.and_then(|handle| Arc::into_inner(handle).map_or(Ok(()), Handle::close));
                drop(answer.send(closed));
            }
        }));
    }
}

fn answer(gauge: &Gauge, question: Look) {
    let open = || -> Io<_> {
        let database = gauge.database()?;
        let transaction = database.begin_read()?;
        Ok((Tables::look(&transaction)?, transaction, database))
    };
    match open() {
        Ok((tables, _transaction, _database)) => question(Ok(&tables)),
        Err(fault) => question(Err(Fault::new(fault.text))),
    }
}
