//! Whether a file is sound, and how small it can be.

use std::path::Path;

use recoup::{DeadLetterQueue, LetterId, Recounted, RedbQueue};
use serde_json::json;

use crate::bar::Bar;
use crate::dlq::redrive::share;
use crate::dlq::table::Table;
use crate::dlq::text::{bytes, count, number_of};
use crate::dlq::view::View;
use crate::problem::Problem;

/// So many damaged letters are named.
const NAMED: usize = 100;

/// Gives what was found, and whether all is sound.
pub(crate) async fn recount(queue: &RedbQueue, view: &View<'_>) -> Result<Recounted, Problem> {
    let held = queue.stats().await?.held();
    let (mut bar, mut told) = (Bar::new(1, view.is_quiet()), 0.0);
    let recounted = queue.recount(|letters| {
        let done = share(letters, held);
        bar.step(done - told, "verifying");
        told = done;
    });
    Ok(recounted.await?)
}

/// Looks at the checksums of the database as well. The queue was closed before.
pub(crate) async fn verify(path: &Path, found: &Recounted, view: &mut View<'_>) -> Result<(), Problem> {
    let verified = RedbQueue::verify(path).await.map_err(|error| Problem::Failed(error.to_string()))?;
    let wrong: Vec<_> =
        found.wrong.iter().map(|it| json!({ "what": it.what, "says": it.says, "found": it.found })).collect();
    let sound = found.is_sound() && verified.is_whole();
    view.document(&json!({
        "letters": found.letters,
        "sound": sound,
        "damaged": found.damaged.iter().map(|id| id.get()).collect::<Vec<_>>(),
        "wrong": wrong,
        "repaired": verified.repaired,
    }))?;
    let read = count(found.letters, "letter");
    if sound {
        return view.say(format_args!("{read} read, all sound; the numbers are right"));
    }
    if !found.damaged.is_empty() {
        let named: Vec<String> = found.damaged.iter().take(NAMED).map(LetterId::to_string).collect();
        let more = if found.damaged.len() > NAMED { ", …" } else { "" };
        view.line(format_args!("damaged: {}{more}", named.join(", ")))?;
    }
    if verified.repaired {
        view.line("the database was damaged, and could be repaired")?;
    }
    if !found.wrong.is_empty() {
        let mut table = Table::new(&["number", ">says", ">found"]);
        for wrong in &found.wrong {
            table.row([wrong.what.clone(), number_of(wrong.says), number_of(wrong.found)]);
        }
        view.table(&table)?;
    }
    view.flush()?;
    let (damaged, wrong) = (found.damaged.len() as u64, found.wrong.len() as u64);
    Err(Problem::Failed(format!(
        "{read} read, {} damaged; {} wrong",
        number_of(damaged),
        count(wrong, "number")
    )))
}

/// The queue was closed before.
pub(crate) async fn compact(path: &Path, view: &mut View<'_>) -> Result<(), Problem> {
    let compacted = RedbQueue::compact(path).await;
    let (before, after) = compacted.map_err(|error| Problem::Failed(error.to_string()))?;
    view.document(&json!({ "did": "compact", "before": before, "after": after }))?;
    view.say(format_args!("{}: {} before, {} now", path.display(), bytes(before), bytes(after)))
}
