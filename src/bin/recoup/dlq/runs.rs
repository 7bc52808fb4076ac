//! Redrives that are written down in the file.

use recoup::{DeadLetterQueue, RedriveRun, RunBook, RunError, RunId};
use serde_json::Value;

use crate::dlq::table::Table;
use crate::dlq::text::{ago, count, harmless, moment, number_of};
use crate::dlq::view::View;
use crate::dlq::wanted::Wanted;
use crate::dlq::{json, text};
use crate::problem::Problem;

pub(crate) async fn run(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let book = queue.runs().ok_or_else(none)?;
    let words: Vec<_> = wanted.words.iter().map(|word| word.to_string_lossy()).collect();
    match words.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        [] => all(book, wanted, view).await,
        ["cancel", id] => {
            let id = number(id)?;
            let run = book.cancel(id, &wanted.said.by()).await.map_err(|error| failed(&error))?;
            view.document(&self::json(&run))?;
            view.say(format_args!("run {id} is {}", harmless(&run.state.to_string())))
        }
        ["cancel"] => Err(Problem::Bad("cancel which run? `recoup dlq FILE runs cancel N`".to_owned())),
        [id] => {
            let id = number(id)?;
            let run = book.run(id).await?.ok_or_else(|| failed(&RunError::NoSuchRun(id)))?;
            view.document(&self::json(&run))?;
            one(&run, view)
        }
        [word, ..] => Err(Problem::Bad(format!("{word:?} is no number of a run, and not cancel"))),
    }
}

async fn all(book: &dyn RunBook, wanted: &Wanted, view: &mut View<'_>) -> Result<(), Problem> {
    let runs = book.latest(wanted.said.limit.unwrap_or(20)).await?;
    let mut table = Table::new(&[
        ">run",
        "state",
        "begun",
        ">letters",
        ">delivered",
        ">failed",
        ">left",
        ">percent",
        "by",
        "which",
    ]);
    for run in &runs {
        view.document(&self::json(run))?;
        let (progress, order) = (&run.progress, &run.order);
        table.row([
            run.id.to_string(),
            run.state.name().to_owned(),
            ago(run.created_at, view.now),
            number_of(progress.meant),
            number_of(progress.delivered),
            number_of(progress.failed.saturating_add(progress.quarantined)),
            number_of(progress.untouched),
            text::percent(progress.done(), progress.meant).to_string(),
            order.by().who.clone().unwrap_or_else(|| "-".to_owned()),
            order.filter().to_string(),
        ]);
    }
    if runs.is_empty() { view.say("no redrive was begun") } else { view.table(&table) }
}

fn one(run: &RedriveRun, view: &mut View<'_>) -> Result<(), Problem> {
    let (progress, order) = (&run.progress, &run.order);
    view.line(format_args!("run {}, {}", run.id, harmless(&run.state.to_string())))?;
    let how = [
        order
            .rate()
            .map(|rate| format!("{rate} a second{}", if order.ramp() { ", from a tenth" } else { "" })),
        Some(format!("{} at once", order.concurrency())),
        order.to().map(|to| format!("to {to}")),
        order.stop_after().map(|failures| format!("stops after {failures} failures in a row")),
        order.dry_run().then(|| "dry".to_owned()),
    ];
    let how: Vec<String> = how.into_iter().flatten().collect();
    let facts = [
        ("begun", format!("{}, {}", moment(run.created_at), ago(run.created_at, view.now))),
        ("by", order.by().to_string()),
        ("which", order.filter().to_string()),
        ("how", how.join(", ")),
        (
            "letters",
            format!(
                "{}, {} % done",
                count(progress.meant, "letter"),
                text::percent(progress.done(), progress.meant)
            ),
        ),
        ("delivered", number_of(progress.delivered)),
        ("failed", number_of(progress.failed)),
        ("quarantined", number_of(progress.quarantined)),
        ("skipped", number_of(progress.skipped)),
        ("unsettled", number_of(progress.unsettled)),
        ("left", number_of(progress.untouched)),
    ];
    for (name, value) in facts {
        view.line(format_args!("  {name:12} {}", harmless(&value)))?;
    }
    Ok(())
}

/// All about a run, for programs.
pub(crate) fn json(run: &RedriveRun) -> Value {
    let (progress, order) = (&run.progress, &run.order);
    serde_json::json!({
        "run": run.id.get(),
        "state": run.state.name(),
        "says": run.state.to_string(),
        "begun": moment(run.created_at),
        "filter": order.filter().to_string(),
        "rate": order.rate(),
        "ramp": order.ramp(),
        "concurrency": order.concurrency(),
        "to": order.to(),
        "stop_after": order.stop_after(),
        "by": json::by(order.by()),
        "meant": progress.meant,
        "delivered": progress.delivered,
        "failed": progress.failed,
        "quarantined": progress.quarantined,
        "skipped": progress.skipped,
        "unsettled": progress.unsettled,
        "untouched": progress.untouched,
    })
}

pub(crate) fn none() -> Problem {
    Problem::Failed("this queue does not write redrives down".to_owned())
}

fn number(said: &str) -> Result<RunId, Problem> {
    said.parse().map(RunId::new).map_err(|_| Problem::Bad(format!("{said:?} is no number of a run")))
}

fn failed(error: &RunError) -> Problem {
    Problem::Failed(error.to_string())
}
