//! `recoup dlq`: dead letters in a file, looked at and dealt with.

mod book;
mod carry;
mod change;
mod chosen;
mod held;
mod help;
mod json;
mod look;
mod mend;
mod numbers;
mod post;
mod pretty;
mod redrive;
mod runs;
mod show;
mod store;
mod table;
mod text;
mod upkeep;
mod verb;
mod view;
mod wanted;

use std::io::Write;

use recoup::DeadLetterQueue;

pub(crate) use crate::dlq::wanted::Asked;

use crate::dlq::verb::Verb;
use crate::dlq::view::View;
use crate::dlq::wanted::Wanted;
use crate::problem::Problem;

/// Does what was asked for.
pub(crate) fn run(asked: &Asked, out: &mut impl Write) -> Result<(), Problem> {
    let wanted = match asked {
        Asked::Help(None) => return out.write_all(help::ALL.as_bytes()).map_err(Problem::Output),
        Asked::Help(Some(verb)) => return out.write_all(help::of(*verb).as_bytes()).map_err(Problem::Output),
        Asked::Do(wanted) => wanted,
    };
    let mut view = View::new(out, wanted.said.json, wanted.said.quiet);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| Problem::Failed(format!("nothing can be run: {error}")))?;
    runtime.block_on(async {
        let queue = store::open(wanted).await?;
        let mut found = None;
        let done = match wanted.verb {
            Verb::Stats => numbers::stats(&queue, numbers::Allowed::of(&queue), &mut view).await,
            Verb::Verify => upkeep::recount(&queue, &view).await.map(|recounted| found = Some(recounted)),
            Verb::Compact => Ok(()),
            Verb::Redrive => match redrive::note(&queue, wanted).await {
                Ok(()) => with_letters(&queue, wanted, &mut view).await,
                Err(problem) => Err(problem),
            },
            _ => with_letters(&queue, wanted, &mut view).await,
        };
        // Also after a failure: what was done until then is to be found quickly by whoever opens it next.
        let closed = queue.close().await;
        done.and_then(|()| Ok(closed?))?;
        match (wanted.verb, found) {
            (Verb::Compact, _) => upkeep::compact(&wanted.file, &mut view).await,
            (_, Some(found)) => upkeep::verify(&wanted.file, &found, &mut view).await,
            _ => Ok(()),
        }
    })
}

/// What needs nothing of the file but its letters.
async fn with_letters<Q: DeadLetterQueue + Clone + 'static>(
    queue: &Q,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    match wanted.verb {
        Verb::List => look::list(queue, wanted, view).await,
        Verb::Acts => look::acts(queue, wanted, view).await,
        Verb::Edit => mend::run(queue, wanted, view).await,
        Verb::Show => show::run(queue, wanted, view).await,
        Verb::Quarantine | Verb::Reinstate | Verb::Purge => change::run(queue, wanted, view).await,
        Verb::Redrive => redrive::run(queue.clone(), wanted, view).await,
        Verb::Runs => runs::run(queue, wanted, view).await,
        Verb::Export => carry::export(queue, wanted, view).await,
        Verb::Import => carry::import(queue, wanted, view).await,
        _ => look::groups(queue, wanted, view).await,
    }
}

#[cfg(test)]
mod tests;
