//! Letters to and from text.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use recoup::DeadLetterQueue;
use recoup::archive::{self, Progress, Step};
use serde_json::json;

use crate::bar::Bar;
use crate::dlq::redrive::share;
use crate::dlq::text::{bytes, count};
use crate::dlq::view::View;
use crate::dlq::wanted::Wanted;
use crate::problem::Problem;

pub(crate) async fn export(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let filter = wanted.said.chosen.any_state();
    let groups = queue.groups(&filter, usize::MAX).await?;
    let letters: u64 = groups.iter().map(|group| group.letters).sum();
    let (mut bar, mut told) = (Bar::new(1, view.is_quiet()), 0.0);
    let progress = |at: Progress| {
        let done = share(at.letters, letters);
        bar.step(done - told, "exporting");
        told = done;
    };
    let to = wanted.words.first().filter(|to| *to != "-").map(Path::new);
    let Some(path) = to else {
        if view.json {
            return Err(Problem::bad(
                "--json",
                "not with letters on standard output, which are JSON themselves",
            ));
        }
        archive::export(queue, &filter, view.writer(), progress).await.map_err(failed)?;
        return Ok(());
    };
    let unwritten = |error| Problem::Write(path.to_owned(), error);
    let file = File::create_new(path).map_err(unwritten)?;
    let mut file = BufWriter::new(file);
    let written = archive::export(queue, &filter, &mut file, progress).await;
    let flushed = file.flush().and_then(|()| file.get_ref().sync_all());
    if written.is_err() || flushed.is_err() {
        // Half an archive is none, and stands in the way of the next.
        let _ = std::fs::remove_file(path);
    }
    flushed.map_err(unwritten)?;
    let contents = written.map_err(failed)?;
    drop(bar);
    view.document(&json!({ "did": "export", "letters": contents.letters, "bytes": contents.bytes }))?;
    view.say(format_args!(
        "exported {}, {}, to {}",
        count(contents.letters, "letter"),
        bytes(contents.bytes),
        path.display()
    ))
}

pub(crate) async fn import(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let word = wanted.words.first();
    let path =
        Path::new(word.ok_or_else(|| Problem::Bad("import what? `recoup dlq FILE import IN`".to_owned()))?);
    let unread = |error: std::io::Error| Problem::Failed(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unread)?;
    let size = file.metadata().map_err(unread)?.len();
    // The first half of the bar is the proof, the second the work.
    let (mut bar, mut told) = (Bar::new(2, view.is_quiet()), 0.0);
    let progress = |at: Progress| {
        let (before, what) = if at.step == Step::Importing { (1.0, "importing") } else { (0.0, "verifying") };
        let done = before + share(at.bytes, size);
        bar.step(done - told, what);
        told = done;
    };
    let imported = archive::import(queue, BufReader::new(file), &wanted.said.by(), progress).await;
    drop(bar);
    let imported = imported.map_err(|error| Problem::Failed(format!("{}: {error}", path.display())))?;
    view.document(&json!({ "did": "import", "stored": imported.stored, "known": imported.known }))?;
    let known = match imported.known {
        0 => String::new(),
        known => format!("; {} were here already, or had been", count(known, "letter")),
    };
    view.say(format_args!("imported {}{known}", count(imported.stored, "letter")))
}

fn failed(error: archive::ExportError) -> Problem {
    match error {
        archive::ExportError::Io(error) => Problem::Output(error),
        error => Problem::Failed(error.to_string()),
    }
}
