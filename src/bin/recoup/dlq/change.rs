//! Putting letters aside, bringing them back, removing them.

use std::io::{self, BufRead, IsTerminal, Write};

use recoup::{DeadLetterQueue, LetterFilter, LetterGroup, LetterState};
use serde_json::json;

use crate::dlq::json;
use crate::dlq::look::table_of;
use crate::dlq::text::count;
use crate::dlq::verb::Verb;
use crate::dlq::view::View;
use crate::dlq::wanted::Wanted;
use crate::problem::Problem;

/// So many groups are shown of what something is done to.
const GROUPS: usize = 10;

pub(crate) async fn run(
    queue: &dyn DeadLetterQueue,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let (said, verb) = (&wanted.said, wanted.verb.name());
    let filter = match wanted.verb {
        Verb::Quarantine => said.chosen.only(LetterState::Ready, verb)?,
        Verb::Reinstate => said.chosen.only(LetterState::Quarantined, verb)?,
        _ => said.chosen.filter(),
    };
    let meant = Meant::of(queue, &filter).await?;
    if meant.letters > 0 && wanted.verb == Verb::Purge && !said.dry_run && !said.yes {
        // Before anything is shown to nobody.
        must_be_a_terminal()?;
    }
    meant.tell(wanted, view)?;
    if meant.letters == 0 || said.dry_run {
        return meant.done(wanted, meant.letters, view);
    }
    if wanted.verb == Verb::Purge && !said.yes && !agreed(view, meant.letters)? {
        return Err(Problem::Failed("nothing was removed".to_owned()));
    }
    let by = said.by();
    let letters = match wanted.verb {
        Verb::Quarantine => queue.quarantine(&filter, &by).await?,
        Verb::Reinstate => queue.reinstate(&filter, &by).await?,
        _ => queue.discard(&filter, &by).await?,
    };
    meant.done(wanted, letters, view)
}

/// The letters that something is about to be done to.
pub(crate) struct Meant {
    groups: Vec<LetterGroup>,
    pub(crate) letters: u64,
}

impl Meant {
    pub(crate) async fn of(queue: &dyn DeadLetterQueue, filter: &LetterFilter) -> Result<Self, Problem> {
        let groups = queue.groups(filter, usize::MAX).await?;
        let letters = groups.iter().map(|group| group.letters).sum();
        Ok(Self { groups, letters })
    }

    /// Says what is about to be done, or would be.
    pub(crate) fn tell(&self, wanted: &Wanted, view: &mut View<'_>) -> Result<(), Problem> {
        let words = wanted.said.chosen.words();
        if self.letters == 0 {
            return view.say(format_args!("no letter is meant{words}"));
        }
        let would = if wanted.said.dry_run { "would " } else { "" };
        let (letters, groups) = (count(self.letters, "letter"), count(self.groups.len() as u64, "group"));
        view.say(format_args!("{would}{} {letters} in {groups}{words}", wanted.verb.name()))?;
        if view.is_quiet() {
            return Ok(());
        }
        view.say("")?;
        view.table(&table_of(&self.groups[..self.groups.len().min(GROUPS)], view))?;
        if self.groups.len() > GROUPS {
            let more = count((self.groups.len() - GROUPS) as u64, "smaller group");
            view.say(format_args!("… and {more}"))?;
        }
        view.say("")
    }

    fn done(&self, wanted: &Wanted, letters: u64, view: &mut View<'_>) -> Result<(), Problem> {
        let (said, verb) = (&wanted.said, wanted.verb.name());
        let groups: Vec<_> = self.groups.iter().take(GROUPS).map(json::group).collect();
        view.document(&json!({
            "did": verb,
            "dry_run": said.dry_run,
            "letters": letters,
            "groups": groups,
            "by": json::by(&said.by()),
        }))?;
        if letters == 0 || said.dry_run {
            return if said.dry_run && letters > 0 {
                view.say("nothing was done: --dry-run")
            } else {
                Ok(())
            };
        }
        let did = match wanted.verb {
            Verb::Quarantine => "quarantined",
            Verb::Reinstate => "reinstated",
            _ => "removed",
        };
        view.say(format_args!("{did} {}", count(letters, "letter")))
    }
}

fn must_be_a_terminal() -> Result<(), Problem> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        Ok(())
    } else {
        Err(Problem::bad("--yes", "must be said where there is no terminal to ask on"))
    }
}

fn agreed(view: &mut View<'_>, letters: u64) -> Result<bool, Problem> {
    view.flush()?;
    let asked = write!(io::stderr(), "Remove {} for good? [y/N] ", count(letters, "letter"));
    asked.and_then(|()| io::stderr().flush()).map_err(Problem::Output)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Problem::Output)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
