//! A letter with another payload in the place of one.

use std::fs;
use std::io::{self, Read};

use recoup::edit::edit;
use recoup::{DeadLetterQueue, Payload};
use serde_json::json;

use crate::dlq::show;
use crate::dlq::view::View;
use crate::dlq::wanted::Wanted;
use crate::problem::Problem;

pub(crate) async fn run(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let id = wanted.letter()?;
    let from = wanted.said.payload.as_deref();
    let from = from.ok_or_else(|| Problem::Bad("edit into what? `--payload FILE`, or `-`".to_owned()))?;
    show::find(queue, id).await?;
    let mut bytes = Vec::new();
    let read = if from.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        fs::read(from).map(|read| bytes = read)
    };
    read.map_err(|error| Problem::Failed(format!("cannot read {}: {error}", from.display())))?;
    let by = wanted.said.by();
    let edited = edit(
        queue,
        id,
        |letter| match &mut letter.payload {
            Some(payload) => payload.bytes = bytes,
            None => letter.payload = Some(Payload::bytes(bytes)),
        },
        &by,
    );
    let edited = edited.await.map_err(|error| Problem::Failed(error.to_string()))?;
    view.document(&json!({ "did": "edit", "letter": id.get(), "replaced_by": edited.get() }))?;
    view.line(format_args!("letter {edited} is in the place of letter {id}"))
}
