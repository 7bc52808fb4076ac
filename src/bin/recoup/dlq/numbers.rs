//! The numbers of a queue.

use std::time::Duration;

use recoup::{DeadLetterQueue, QueueStats, RedbQueue};

use crate::dlq::json;
use crate::dlq::table::Table;
use crate::dlq::text::{ago, bytes, harmless, lasting, moment, number_of, percent};
use crate::dlq::view::View;
use crate::problem::Problem;

/// What the owner of a file allows in it, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) letters: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) time_to_live: Option<Duration>,
}

impl Allowed {
    pub(crate) fn of(queue: &RedbQueue) -> Self {
        let (letters, bytes) = (Some(queue.capacity()), Some(queue.max_bytes()));
        Self { letters, bytes, time_to_live: queue.time_to_live() }
    }
}

/// A letter that nobody looked at for so long needs attention.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// Above so many hundredths, a queue needs attention before it refuses what comes.
const FILLING: u64 = 80;

pub(crate) async fn stats(
    queue: &dyn DeadLetterQueue,
    allowed: Allowed,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let stats = queue.stats().await?;
    if view.json {
        let mut document = json::stats(&stats);
        document["capacity"] = allowed.letters.into();
        document["max_bytes"] = allowed.bytes.into();
        document["time_to_live_s"] = allowed.time_to_live.map(|time| time.as_secs()).into();
        return view.document(&document);
    }
    let of = |part: u64, whole: Option<u64>, shown: fn(u64) -> String| match whole {
        Some(whole) => (
            format!("{} of {}, {} %", shown(part), shown(whole), percent(part, whole)),
            percent(part, whole) > FILLING,
        ),
        None => (shown(part), false),
    };
    let oldest = stats.oldest.map(|oldest| {
        let old = view.now.duration_since(oldest).is_ok_and(|age| age > OLD);
        (format!("died {}, {}", ago(oldest, view.now), moment(oldest)), old)
    });
    let facts = [
        ("held", of(stats.held(), allowed.letters, number_of)),
        ("  ready", (number_of(stats.ready), false)),
        ("  leased", (number_of(stats.leased), false)),
        ("  quarantined", (number_of(stats.quarantined), false)),
        ("  damaged", (number_of(stats.damaged), stats.damaged > 0)),
        ("bytes", of(stats.bytes, allowed.bytes, bytes)),
        ("oldest", oldest.unwrap_or_else(|| ("-".to_owned(), false))),
        ("kept for", (allowed.time_to_live.map_or_else(|| "-".to_owned(), lasting), false)),
        ("ever stored", (number_of(stats.pushed), false)),
        ("  delivered", (number_of(stats.delivered), false)),
        ("  discarded", (number_of(stats.discarded), false)),
        ("  expired", (number_of(stats.expired), false)),
        ("  evicted", (number_of(stats.evicted), stats.evicted > 0)),
    ];
    for (name, (value, alarming)) in facts {
        let hidden = name == "  damaged" && stats.damaged == 0 || name == "kept for" && value == "-";
        if !hidden {
            view.line(format_args!("{name:14} {}", view.marked(harmless(&value), alarming)))?;
        }
    }
    destinations(&stats, view)
}

fn destinations(stats: &QueueStats, view: &mut View<'_>) -> Result<(), Problem> {
    if stats.by_destination.is_empty() {
        return Ok(());
    }
    let mut by: Vec<_> = stats.by_destination.iter().collect();
    by.sort_by_key(|(name, letters)| (std::cmp::Reverse(**letters), *name));
    let mut table = Table::new(&["destination", ">letters"]);
    for (name, letters) in by {
        table.row([name.clone(), number_of(*letters)]);
    }
    view.line("")?;
    view.table(&table)
}
