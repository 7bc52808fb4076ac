//! Groups, lists and acts: what there is.

use recoup::{DeadLetter, DeadLetterQueue, LetterGroup};

use crate::dlq::chosen::state_name;
use crate::dlq::json;
use crate::dlq::table::Table;
use crate::dlq::text::{ago, count, moment, number_of};
use crate::dlq::view::View;
use crate::dlq::wanted::Wanted;
use crate::problem::Problem;

/// So many letters are read at once.
const PAGE: usize = 256;

pub(crate) async fn groups(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let groups = queue.groups(&wanted.said.chosen.filter(), usize::MAX).await?;
    let shown = &groups[..groups.len().min(wanted.said.limit.unwrap_or(20))];
    for group in shown {
        view.document(&json::group(group))?;
    }
    if !shown.is_empty() {
        view.table(&table_of(shown, view))?;
        view.say("")?;
    }
    let letters = groups.iter().map(|group| group.letters).sum();
    let among = if shown.len() < groups.len() {
        format!("; the largest {} are shown: --limit {}", shown.len(), groups.len())
    } else {
        String::new()
    };
    view.say(match groups.len() {
        0 => format!("no letter is meant{}", wanted.said.chosen.words()),
        many => format!("{} in {}{among}", count(letters, "letter"), count(many as u64, "group")),
    })?;
    say_quarantined(queue, wanted, view).await
}

/// Groups as the rows of a table.
pub(crate) fn table_of(groups: &[LetterGroup], view: &View<'_>) -> Table {
    let mut table =
        Table::new(&["fingerprint", ">letters", "first", "last", "destination", "operation", "message"]);
    for group in groups {
        table.row([
            group.fingerprint.to_string(),
            number_of(group.letters),
            ago(group.first, view.now),
            ago(group.last, view.now),
            group.sample.destination.clone().unwrap_or_else(|| "-".to_owned()),
            group.sample.operation.clone(),
            message(&group.sample),
        ]);
    }
    table
}

pub(crate) async fn list(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let (mut filter, limit) = (wanted.said.chosen.filter(), wanted.said.limit.unwrap_or(50));
    if let Some(after) = wanted.said.after {
        filter = filter.after(after);
    }
    let mut table = Table::new(&[
        ">id",
        "state",
        "died",
        "destination",
        "operation",
        "reason",
        "category",
        ">attempts",
        ">redrives",
        "message",
    ]);
    let (mut shown, mut last, mut more) = (0, None, false);
    while !more {
        // One more than is shown tells whether there are more.
        let page = queue.peek(&filter, PAGE.min(limit.saturating_sub(shown).saturating_add(1))).await?;
        let Some(end) = page.last() else { break };
        filter = filter.after(end.id);
        for letter in page {
            if shown == limit {
                more = true;
                break;
            }
            (shown, last) = (shown + 1, Some(letter.id));
            view.document(&json::letter(&letter, wanted.said.full))?;
            if !view.json {
                table.row(row(&letter, view));
            }
        }
    }
    if shown > 0 {
        view.table(&table)?;
        view.say("")?;
    }
    view.say(match (shown, last.filter(|_| more)) {
        (0, None) if !more => format!("no letter is meant{}", wanted.said.chosen.words()),
        (_, Some(last)) => format!("{}; the next: --after {last}", count(shown as u64, "letter")),
        (_, None) => count(shown as u64, "letter"),
    })?;
    say_quarantined(queue, wanted, view).await
}

fn row(letter: &DeadLetter, view: &View<'_>) -> [String; 10] {
    [
        letter.id.to_string(),
        state_name(letter.state).to_owned(),
        ago(letter.died_at, view.now),
        letter.destination.clone().unwrap_or_else(|| "-".to_owned()),
        letter.operation.clone(),
        letter.reason.name().to_owned(),
        letter.category.map_or("-", recoup::Category::name).to_owned(),
        letter.attempts_total().to_string(),
        letter.redrives.to_string(),
        message(letter),
    ]
}

fn message(letter: &DeadLetter) -> String {
    if letter.error.is_empty() { "(no error)".to_owned() } else { letter.error.to_string() }
}

/// Nobody should believe that a queue is empty whose letters are all put aside.
async fn say_quarantined(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    if view.is_quiet() || !wanted.said.chosen.leaves_out_quarantined() {
        return Ok(());
    }
    match queue.stats().await?.quarantined {
        0 => Ok(()),
        aside => view.say(format_args!(
            "without the quarantined, {} in all: --state quarantined",
            count(aside, "letter")
        )),
    }
}

pub(crate) async fn acts(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let acts = queue.acts(wanted.said.limit.unwrap_or(50)).await?;
    let mut table = Table::new(&["when", "who", "did", ">letters", "why", "which"]);
    for act in &acts {
        view.document(&json::act(act))?;
        table.row([
            moment(act.at),
            act.by.who.clone().unwrap_or_else(|| "-".to_owned()),
            act.deed.name().to_owned(),
            number_of(act.letters),
            act.by.why.clone().unwrap_or_default(),
            act.filter.to_string(),
        ]);
    }
    if acts.is_empty() { view.say("nothing was done by hand") } else { view.table(&table) }
}
