//! One letter, with all that is known of it.

use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, LetterId, Payload};

use crate::dlq::chosen::state_name;
use crate::dlq::json;
use crate::dlq::pretty;
use crate::dlq::table::Table;
use crate::dlq::text::{ago, bytes, count, harmless, harmless_lines, hex_dump, lasting, moment};
use crate::dlq::view::View;
use crate::dlq::wanted::Wanted;
use crate::problem::Problem;

/// So much of a payload is shown unless all of it is wanted.
const SHOWN: usize = 4096;

pub(crate) async fn run(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let letter = find(queue, wanted.letter()?).await?;
    if wanted.said.raw {
        return match &letter.payload {
            Some(payload) => view.raw(&payload.bytes),
            None => Err(Problem::Failed(format!("letter {} has no payload", letter.id))),
        };
    }
    if view.json {
        return view.document(&json::letter(&letter, true));
    }
    facts(&letter, view)?;
    story(&letter, view)?;
    if !letter.headers.is_empty() {
        view.line("\nheaders")?;
        for (name, value) in &letter.headers {
            view.line(format_args!("  {}: {}", harmless(name), harmless(value)))?;
        }
    }
    match &letter.payload {
        None => view.line("\nno payload"),
        Some(payload) => self::payload(payload, wanted.said.full, view),
    }
}

/// The letter with this number, in whatever state.
pub(crate) async fn find(queue: &dyn DeadLetterQueue, id: LetterId) -> Result<DeadLetter, Problem> {
    let found = queue.peek(&LetterFilter::new().any_state().id(id), 1).await?.pop();
    found.ok_or_else(|| Problem::Failed(format!("there is no letter {id}")))
}

fn facts(letter: &DeadLetter, view: &mut View<'_>) -> Result<(), Problem> {
    let counts = [
        (letter.deliveries, "given out once", "times given out"),
        (letter.redrives, "redriven in vain once", "times redriven in vain"),
        (letter.unsettled, "one lease ran out", "leases ran out"),
    ];
    let told = counts
        .iter()
        .filter(|(number, ..)| *number > 0)
        .map(|&(number, one, many)| if number == 1 { one.to_owned() } else { format!("{number} {many}") });
    let told = told.collect::<Vec<_>>().join(", ");
    let state = state_name(letter.state);
    view.line(format_args!(
        "letter {}, {state}{}{told}",
        letter.id,
        if told.is_empty() { "" } else { "; " }
    ))?;
    let edited = letter
        .edited
        .as_ref()
        .map(|edited| format!("from letter {}, {}, by {}", edited.from, ago(edited.at, view.now), edited.by));
    let facts = [
        ("operation", Some(letter.operation.clone())),
        ("destination", letter.destination.clone()),
        ("died", Some(format!("{}, {}", moment(letter.died_at), ago(letter.died_at, view.now)))),
        ("reason", Some(letter.reason.name().to_owned())),
        ("category", letter.category.map(|it| it.name().to_owned())),
        ("status", letter.status.map(|code| code.to_string())),
        ("fingerprint", Some(letter.fingerprint().to_string())),
        ("tenant", letter.tenant.clone()),
        ("idempotency key", letter.idempotency_key.clone()),
        ("correlation id", letter.correlation_id.clone()),
        ("traceparent", letter.traceparent.clone()),
        ("edited", edited),
        ("origin", letter.origin.map(|it| format!("letter {} of queue {:032x}", it.id, it.queue))),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            view.line(format_args!("  {name:16} {}", harmless(&value)))?;
        }
    }
    Ok(())
}

/// How its call failed.
fn story(letter: &DeadLetter, view: &mut View<'_>) -> Result<(), Problem> {
    if !letter.error.is_empty() {
        view.line("\nerror")?;
    }
    for (at, frame) in letter.error.frames().iter().enumerate() {
        let kind: Vec<&str> =
            [&frame.type_name, &frame.code].into_iter().flatten().map(String::as_str).collect();
        let kind = if kind.is_empty() { String::new() } else { format!(" [{}]", kind.join(", ")) };
        let before = if at == 0 { "  " } else { "    caused by: " };
        view.line(format_args!("{before}{}", harmless(&format!("{}{kind}", frame.message))))?;
    }
    let (total, kept) = (letter.attempts.total(), letter.attempts.records());
    if total > 0 {
        let missing = u64::from(total).saturating_sub(kept.len() as u64);
        let left_out =
            if missing > 0 { format!(", {missing} after the first are not kept") } else { String::new() };
        view.line(format_args!("\n{}{left_out}", count(total.into(), "attempt")))?;
    }
    let mut table = Table::new(&[">number", "at", ">waited", ">took", "category", "message"]);
    for record in kept {
        table.row([
            record.number.to_string(),
            moment(record.at),
            lasting(record.delay_before),
            record.took.map_or_else(|| "-".to_owned(), lasting),
            record.category.map_or("-", recoup::Category::name).to_owned(),
            record.message.clone(),
        ]);
    }
    if kept.is_empty() { Ok(()) } else { view.table(&table) }
}

fn payload(payload: &Payload, full: bool, view: &mut View<'_>) -> Result<(), Problem> {
    let size = payload.bytes.len();
    let version = payload.schema_version.map_or_else(String::new, |it| format!(", schema version {it}"));
    let kind = harmless(&payload.content_type);
    view.line(format_args!("\npayload: {kind}{version}, {}", bytes(size as u64)))?;
    let text = pretty::json(&payload.bytes).or_else(|| {
        let text = std::str::from_utf8(&payload.bytes).ok().filter(|text| !text.contains('\0'))?;
        Some(text.to_owned())
    });
    let most = if full { usize::MAX } else { SHOWN };
    let (shown, cut) = if let Some(text) = text {
        let end = (0..=text.len().min(most)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        (harmless_lines(&text[..end]), end < text.len())
    } else {
        let end = size.min(most);
        (hex_dump(&payload.bytes[..end]), end < size)
    };
    view.line(shown.trim_end_matches('\n'))?;
    if cut { view.line("… there is more: --full shows all of it, --raw gives the bytes") } else { Ok(()) }
}
