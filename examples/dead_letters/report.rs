//! What it came to, and whether that is what was promised.

use recoup::{Category, LetterGroup, QueueStats, StatisticsSnapshot};

use crate::event::EVENTS;
use crate::server::Book;

/// The figures of each destination.
pub(crate) fn by_destination(seen: &StatisticsSnapshot) -> String {
    let mut lines = vec![format!(
        "{:<10} {:>6} {:>9} {:>14} {:>8} {:>8} {:>8}  failed attempts",
        "", "events", "delivered", "by a retry", "letters", "mean", "slowest"
    )];
    for (name, one) in &seen.by_destination {
        let failures: Vec<_> = one.failures.iter().map(|(kind, times)| format!("{kind} {times}")).collect();
        lines.push(format!(
            "{name:<10} {:>6} {:>9} {:>14} {:>8} {:>5} ms {:>5} ms  {}",
            one.calls(),
            one.succeeded,
            one.succeeded_after_retry,
            one.letters,
            one.mean_duration().as_millis(),
            one.longest.as_millis(),
            failures.join(", ")
        ));
    }
    lines.join("\n")
}

/// What letters died of, the largest group first.
pub(crate) fn groups(groups: &[LetterGroup]) -> String {
    let mut lines = vec![format!(
        "{:<16}  {:>7}  {:<10} {:<12} {:<10}  message",
        "group", "letters", "to", "reason", "category"
    )];
    for group in groups {
        let sample = &group.sample;
        lines.push(format!(
            "{}  {:>7}  {:<10} {:<12} {:<10}  {}",
            group.fingerprint,
            group.letters,
            sample.destination.as_deref().unwrap_or("-"),
            sample.reason.name(),
            sample.category.map_or("-", Category::name),
            sample.error
        ));
    }
    lines.join("\n")
}

/// What the destinations have.
pub(crate) fn books(books: &[Book]) -> String {
    let line = |book: &Book| {
        let (name, taken, repeated) = (book.name, book.taken.len(), book.repeated);
        format!("{name:<10} has {taken} events; {repeated} came again under a known key and changed nothing")
    };
    books.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What was promised and not kept.
pub(crate) fn broken_promises(
    seen: &StatisticsSnapshot,
    stats: &QueueStats,
    mended: usize,
    books: &[Book],
) -> Vec<String> {
    let mut broken = Vec::new();
    let mut promise = |kept: bool, what: String| {
        if !kept {
            broken.push(what);
        }
    };
    for (name, one) in &seen.by_destination {
        promise(one.calls() == u64::from(EVENTS), format!("{name} is sent every event"));
        promise(one.succeeded + one.letters == one.calls(), format!("{name} loses no event: {one:?}"));
        let dead = name == "email";
        promise(dead == (one.success_share() < 0.9), format!("only email suffers, not {name}: {one:?}"));
    }
    let mended = u64::try_from(mended).unwrap_or(u64::MAX);
    promise(mended >= 1, "the poisoned letter is in quarantine".to_owned());
    promise(stats.held() == 0, format!("every letter is delivered: {stats:?}"));
    promise(stats.discarded == mended, format!("what was mended replaced what was not: {stats:?}"));
    promise(stats.pushed == stats.delivered + stats.discarded, format!("the numbers add up: {stats:?}"));
    for book in books {
        let missing = (1..=EVENTS).filter(|event| !book.taken.contains_key(event)).count();
        promise(missing == 0, format!("{} has every event; {missing} are missing", book.name));
        let twice = book.taken.values().filter(|times| **times > 1).count();
        let dead = book.name == "email";
        promise(!dead || book.repeated > 0, format!("{} was sent events that it had", book.name));
        promise(twice == 0, format!("{} has no event twice; {twice} are there again", book.name));
    }
    broken
}
