//! The file, opened as little as what is to be done with it needs.

use std::path::Path;
use std::sync::Arc;

use recoup::{OpenErrorKind, RedbQueue, RedbQueueBuilder};

use crate::bar::Bar;
use crate::dlq::held::Held;
use crate::dlq::verb::Verb;
use crate::dlq::wanted::Wanted;
use crate::problem::Problem;

/// Opens the file for looking at it, or for changing it if that is what is wanted.
///
/// Whoever owns the file says how many letters there may be. How long they live is for the owner to see to, too.
pub(crate) async fn open(wanted: &Wanted) -> Result<RedbQueue, Problem> {
    let path = &wanted.file;
    // A file that is not there would be made.
    if let Err(error) = std::fs::metadata(path) {
        return Err(Problem::Failed(format!("dead letters at `{}`: {error}", path.display())));
    }
    if changes(wanted) {
        return to_write(wanted).await;
    }
    match rules(wanted).open_read_only(path).await {
        // Nobody closed it, as after a crash: that is when people look at it first.
        Err(error) if error.kind == OpenErrorKind::NeedsRepair => to_write(wanted).await,
        opened => opened.map_err(|error| told(path, &error.kind, &error)),
    }
}

async fn to_write(wanted: &Wanted) -> Result<RedbQueue, Problem> {
    let bar = Held::new((Bar::new(1, wanted.said.quiet || wanted.said.json), 0.0));
    let bar = Arc::new(bar);
    let shown = Arc::clone(&bar);
    let repairing = move |share: f64| {
        let mut bar = shown.take();
        let more = share - bar.1;
        bar.0.step(more, "repairing, because nobody closed it");
        bar.1 = share;
    };
    let opened = rules(wanted).on_repair(repairing).open(&wanted.file).await;
    opened.map_err(|error| told(&wanted.file, &error.kind, &error))
}

const fn changes(wanted: &Wanted) -> bool {
    wanted.verb.changes() && !wanted.said.dry_run
        || matches!(wanted.verb, Verb::Runs) && wanted.words.len() > 1
}

fn rules(wanted: &Wanted) -> RedbQueueBuilder {
    let rules = RedbQueue::builder().as_guest();
    match wanted.said.redrive.quarantine_after {
        Some(redrives) => rules.quarantine_after(redrives.get()),
        None => rules,
    }
}

/// What is wrong with the file, and what to do about it.
fn told(path: &Path, kind: &OpenErrorKind, error: &recoup::OpenError) -> Problem {
    Problem::Failed(match kind {
        OpenErrorKind::InUse => format!(
            "{} is open in another process, which is the application or another `recoup`. Stop it, or do this in the \
             application: its queue has groups, peek, quarantine, reinstate and discard, and a Redriver sends letters again",
            path.display()
        ),
        _ => error.to_string(),
    })
}
