//! The one thread that reads: what takes long holds up neither the writer nor the tasks of the application.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::fault::{Fault, Io};
use super::gauge::Gauge;
use super::tables::{Reading, Tables};

/// Something that is looked up in the tables, or why they cannot be looked at.
pub(super) type Question = Box<dyn FnOnce(Io<&Tables<Reading>>) + Send>;

/// Answers until there is nobody left who could ask.
pub(super) fn run(gauge: &Arc<Gauge>, questions: &Receiver<Question>) {
    while let Ok(question) = questions.recv() {
        // Whoever asked is told by the loss of its answer.
        let _panicked = catch_unwind(AssertUnwindSafe(|| answer(gauge, question)));
    }
}

fn answer(gauge: &Gauge, question: Question) {
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
