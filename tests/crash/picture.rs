//! What can be seen of a queue, after a look whether it contradicts itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use recoup::{ByHand, DeadLetter, DeadLetterQueue, LetterFilter, LetterId, LetterState, QueueStats};

use crate::jobs::{self, DESTINATIONS};

/// What is seen of one letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) job: u64,
    pub(crate) state: LetterState,
    pub(crate) deliveries: u32,
    pub(crate) redrives: u32,
    pub(crate) unsettled: u32,
    /// All attempts, the one before its death included.
    pub(crate) attempts: u32,
}

/// What is seen of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) letters: BTreeMap<u64, Entry>,
    pub(crate) pushed: u64,
    pub(crate) delivered: u64,
    pub(crate) expired: u64,
    pub(crate) discarded: u64,
}

impl Picture {
    /// What is not as in any of these, in few words.
    pub(crate) fn differs_from(&self, allowed: &[Self]) -> String {
        let numbers = |it: &Self| (it.pushed, it.delivered, it.expired, it.discarded);
        let from_each = allowed.iter().map(|allowed| {
            let ids: BTreeSet<&u64> = self.letters.keys().chain(allowed.letters.keys()).collect();
            let other = ids.into_iter().filter(|id| self.letters.get(id) != allowed.letters.get(id));
            let other: Vec<_> = other.map(|id| (id, self.letters.get(id), allowed.letters.get(id))).collect();
            format!("{:?} for {:?}, letters {other:?}", numbers(self), numbers(allowed))
        });
        format!("found and expected: {}", from_each.collect::<Vec<_>>().join(" or "))
    }
}

/// Looks at a queue, and checks its numbers against a recount (D2, D3, D15).
pub(crate) async fn of(queue: &dyn DeadLetterQueue) -> Result<Picture, String> {
    settle_time(queue).await?;
    let stats = queue.stats().await.map_err(said)?;
    let letters = everything(queue, &LetterFilter::new().any_state()).await?;
    let recount = recount(&stats, &letters);
    if recount != stats {
        return Err(format!("counted {stats:?}, but there are {recount:?}"));
    }
    by_destination(queue, &letters).await?;
    by_fingerprint(queue, &letters).await?;
    let mut entries = BTreeMap::new();
    for letter in &letters {
        let entry = Entry {
            job: jobs::job(letter)?,
            state: letter.state,
            deliveries: letter.deliveries,
            redrives: letter.redrives,
            unsettled: letter.unsettled,
            attempts: letter.attempts_total(),
        };
        entries.insert(letter.id.get(), entry);
    }
    Ok(Picture {
        letters: entries,
        pushed: stats.pushed,
        delivered: stats.delivered,
        expired: stats.expired,
        discarded: stats.discarded,
    })
}

/// Does something that changes no letter, so that what ran out meanwhile is written down.
async fn settle_time(queue: &dyn DeadLetterQueue) -> Result<(), String> {
    let nobody = LetterFilter::new().id(LetterId::new(u64::MAX));
    queue.quarantine(&nobody, &ByHand::default()).await.map_err(said).map(drop)
}

/// All letters that the filter means, read in pages.
pub(crate) async fn everything(
    queue: &dyn DeadLetterQueue,
    filter: &LetterFilter,
) -> Result<Vec<DeadLetter>, String> {
    let (mut filter, mut letters) = (filter.clone(), Vec::new());
    loop {
        let page = queue.peek(&filter, 100).await.map_err(said)?;
        let Some(last) = page.last() else { return Ok(letters) };
        filter = filter.after(last.id);
        letters.extend(page);
    }
}

/// The numbers of a queue, had it only these letters; those of letters that are gone are believed, as long as
/// they add up.
fn recount(stats: &QueueStats, letters: &[DeadLetter]) -> QueueStats {
    let mut recount = stats.clone();
    let count = |state| u64::try_from(letters.iter().filter(|it| it.state == state).count()).unwrap();
    recount.ready = count(LetterState::Ready);
    recount.leased = count(LetterState::Leased);
    recount.quarantined = count(LetterState::Quarantined);
    recount.bytes = letters.iter().map(DeadLetter::size).sum();
    recount.oldest = letters.iter().map(|letter| letter.died_at).min();
    recount.by_destination.clear();
    for destination in letters.iter().filter_map(|letter| letter.destination.clone()) {
        *recount.by_destination.entry(destination).or_default() += 1;
    }
    let held = u64::try_from(letters.len()).unwrap();
    recount.pushed = held + stats.delivered + stats.evicted + stats.expired + stats.discarded;
    recount
}

async fn by_destination(queue: &dyn DeadLetterQueue, letters: &[DeadLetter]) -> Result<(), String> {
    for destination in DESTINATIONS {
        let found = everything(queue, &LetterFilter::new().any_state().destination(destination)).await?;
        let here = letters.iter().filter(|letter| letter.destination.as_deref() == Some(destination));
        if !found.iter().eq(here) {
            return Err(format!("the letters to {destination} are not those among all letters"));
        }
    }
    Ok(())
}

async fn by_fingerprint(queue: &dyn DeadLetterQueue, letters: &[DeadLetter]) -> Result<(), String> {
    let groups = queue.groups(&LetterFilter::new().any_state(), usize::MAX).await.map_err(said)?;
    let mut counts = BTreeMap::new();
    for letter in letters {
        let died = letter.died_at;
        let (count, first, last) = counts.entry(letter.fingerprint().to_string()).or_insert((0, died, died));
        *count += 1;
        (*first, *last) = (died.min(*first), died.max(*last));
    }
    let grouped: BTreeMap<_, _> = groups
        .iter()
        .map(|group| (group.fingerprint.to_string(), (group.letters, group.first, group.last)))
        .collect();
    if counts == grouped { Ok(()) } else { Err(format!("groups {grouped:?}, but there are {counts:?}")) }
}

/// Uses the queue up, to see that each of its letters can still be had: leases every ready letter, settles them
/// all, and pushes one more, whose number must be above `used` (D4).
pub(crate) async fn use_up(queue: &dyn DeadLetterQueue, picture: &Picture, used: u64) -> Result<(), String> {
    let hour = Duration::from_secs(3600);
    let leased = queue.lease(&LetterFilter::new(), usize::MAX, hour).await.map_err(said)?;
    let ids: BTreeSet<u64> = leased.iter().map(|leased| leased.letter.id.get()).collect();
    let ready = picture.letters.iter().filter(|(_, entry)| entry.state == LetterState::Ready);
    if !ids.iter().eq(ready.map(|(id, _)| id)) {
        return Err(format!("of {picture:?} only {ids:?} could be leased"));
    }
    for one in &leased {
        let before = &picture.letters[&one.letter.id.get()];
        if one.letter.deliveries != before.deliveries + 1 || jobs::job(&one.letter)? != before.job {
            return Err(format!("{before:?} was given out as {one:?}"));
        }
    }
    let settlements = leased.iter().map(|leased| (leased.token, recoup::Settlement::Delivered)).collect();
    for settled in queue.settle_all(settlements).await {
        settled.map_err(said)?;
    }
    let receipt = queue.push(jobs::letter(0)).await.map_err(said)?;
    let most = picture.letters.keys().max().copied().unwrap_or(0).max(used);
    if receipt.id.get() <= most {
        return Err(format!("number {} was used before: {most}", receipt.id));
    }
    Ok(())
}

/// The error, as words.
pub(crate) fn said(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
