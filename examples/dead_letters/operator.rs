//! What a person does with dead letters. All of it can be done with the command `recoup dlq` as well: on the file of
//! an application that is stopped, as here.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use recoup::edit::edit;
use recoup::{
    ByHand, DeadLetter, DeadLetterQueue as _, LetterFilter, LetterId, RedbQueue, RedriveOrder, RunBook as _,
    RunId,
};

use crate::Problem;
use crate::event;
use crate::report;

fn operator(why: &str) -> ByHand {
    ByHand::of("ana").because(why)
}

/// Shows what the letters died of: by the command, if it is built, and else by what the command asks.
pub(crate) async fn look(file: &Path) -> Result<(), Problem> {
    if let Some(shown) = by_command(file) {
        print!("{shown}");
        return Ok(());
    }
    let queue = RedbQueue::open_read_only(file).await?;
    let groups = queue.groups(&LetterFilter::new(), 10).await?;
    println!("{}", report::groups(&groups));
    Ok(queue.close().await?)
}

/// What `recoup dlq FILE groups` says, if it was built beside this example.
fn by_command(file: &Path) -> Option<String> {
    let here = std::env::current_exe().ok()?;
    let command = here.parent()?.parent()?.join("recoup");
    let said = Command::new(command).arg("dlq").arg(file).arg("groups").output().ok()?;
    said.status.success().then(|| String::from_utf8_lossy(&said.stdout).into_owned())
}

/// Orders that the letters of each destination are sent again. The orders are in the file before this returns, and
/// wait there for the application.
pub(crate) async fn order(file: &Path) -> Result<Vec<RunId>, Problem> {
    let queue = RedbQueue::open(file).await?;
    let mut runs = Vec::new();
    for destination in queue.stats().await?.by_destination.into_keys() {
        let order = RedriveOrder::builder(LetterFilter::new().destination(&destination))
            // What was just mended must not be hit with all of it: this begins at a tenth.
            .rate(100.0)
            .concurrency(4)
            // If it is not mended after all, most letters are left as they are.
            .stop_after(5)
            .by(operator("the email service is back"))
            .build()?;
        let run = queue.begin(order, None).await?;
        let (id, letters, file) = (run.id, run.progress.meant, file.display());
        println!(
            "  run {id}, {letters:>3} letters, as by: recoup dlq {file} redrive --destination {destination} \\"
        );
        println!(
            "      --rate 100 --concurrency 4 --stop-after 5 --by ana --why 'the email service is back'"
        );
        runs.push(run.id);
    }
    queue.close().await?;
    Ok(runs)
}

/// Looks on until the runs are over.
pub(crate) async fn watch(queue: &RedbQueue, runs: &[RunId]) -> Result<(), Problem> {
    for &id in runs {
        loop {
            let run = queue.run(id).await?.ok_or("the run is gone")?;
            let progress = &run.progress;
            println!(
                "  run {id} {:>8}: {:>3} of {} delivered, {} in quarantine",
                run.state.name(),
                progress.delivered,
                progress.meant,
                progress.quarantined
            );
            if run.state.is_over() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
    Ok(())
}

/// Puts a mended copy in the place of a letter that nobody will ever take as it is.
pub(crate) async fn mend(queue: &RedbQueue, letter: &DeadLetter) -> Result<LetterId, Problem> {
    let sent = letter.payload.as_ref().map_or(&[][..], |payload| &payload.bytes);
    println!("  letter {} of {}: {}", letter.id, letter.destination.as_deref().unwrap_or("-"), letter.error);
    println!("    was sent  {}", String::from_utf8_lossy(sent));
    let payload = event::mended(sent).ok_or("nobody knows how to mend this")?;
    println!("    is now    {}", String::from_utf8_lossy(&payload.bytes));
    let by = operator("amounts are numbers");
    Ok(edit(queue, letter.id, |letter| letter.payload = Some(payload), &by).await?)
}

/// Who did what, the latest first.
pub(crate) async fn audit(queue: &RedbQueue) -> Result<(), Problem> {
    for act in queue.acts(10).await? {
        println!("  {:<10} {:>3} letters   {}", act.deed, act.letters, act.by);
    }
    Ok(())
}
