//! The disk fails, at each moment in turn.

use std::time::Duration;

use recoup::{ByHand, DeadLetterQueue, LeaseToken, LetterFilter, LetterId, RedbQueue, Settlement};

use crate::dice::Dice;
use crate::disk::{Counts, Disk, Left, Trouble};
use crate::jobs;
use crate::picture::{self, Picture, said};
use crate::series;

/// Makes a trouble of the k-th of something.
type Kind = fn(usize) -> Trouble;

/// How many things the script does.
const STEPS: usize = 12;
/// The job that is pushed after the trouble.
const AFTER: u64 = 99;

/// Does one thing of the script.
async fn act(step: usize, queue: &RedbQueue, tokens: &mut Vec<LeaseToken>) -> Result<(), String> {
    let long = Duration::from_secs(1000);
    let by = ByHand::of("script");
    let all = LetterFilter::new();
    match step {
        0 | 5 => drop(queue.push(jobs::letter(1 + u64::try_from(step).unwrap())).await.map_err(said)?),
        1 => {
            for answer in queue.push_all((10..30).map(jobs::letter).collect()).await {
                answer.map_err(said)?;
            }
        }
        2 | 6 => {
            let leased = queue.lease(&all, 8, long).await.map_err(said)?;
            tokens.extend(leased.iter().map(|leased| leased.token));
        }
        3 => drop(queue.settle(tokens.remove(0), Settlement::Delivered).await.map_err(said)?),
        4 => {
            let failed = Settlement::redrive_failed(jobs::failure(2));
            queue.settle(tokens.remove(0), failed).await.map_err(said)?;
        }
        7 => {
            let delivered = tokens.drain(..6).map(|token| (token, Settlement::Delivered)).collect();
            for answer in queue.settle_all(delivered).await {
                answer.map_err(said)?;
            }
        }
        8 => drop(queue.quarantine(&all.destination(jobs::destination(1)), &by).await.map_err(said)?),
        9 => drop(queue.discard(&all.destination(jobs::destination(2)), &by).await.map_err(said)?),
        10 => {
            // A sweep: the leases that are left have run out.
            tokio::time::advance(2 * long).await;
            let nobody = LetterFilter::new().id(LetterId::new(u64::MAX));
            queue.quarantine(&nobody, &by).await.map_err(said)?;
        }
        _ => drop(queue.reinstate(&all, &by).await.map_err(said)?),
    }
    Ok(())
}

/// What is asked of a disk to which nothing happens.
async fn asked() -> Counts {
    let disk = Disk::default();
    let queue = series::open(&disk).await.unwrap();
    let mut tokens = Vec::new();
    for step in 0..STEPS {
        act(step, &queue, &mut tokens).await.unwrap();
    }
    queue.close().await.unwrap();
    disk.counts()
}

/// What is seen after each step on such a disk.
async fn healthy() -> Vec<Picture> {
    let queue = series::open(&Disk::default()).await.unwrap();
    let (mut pictures, mut tokens) = (vec![picture::of(&queue).await.unwrap()], Vec::new());
    for step in 0..STEPS {
        act(step, &queue, &mut tokens).await.unwrap();
        pictures.push(picture::of(&queue).await.unwrap());
    }
    pictures
}

/// The picture without the job that came after the trouble, and whether that was there.
fn without_after(mut picture: Picture) -> (Picture, bool) {
    let before = picture.letters.len();
    picture.letters.retain(|_, entry| entry.job != AFTER);
    let was_there = picture.letters.len() < before;
    picture.pushed -= u64::from(was_there);
    (picture, was_there)
}

/// What came of all the trouble.
#[derive(Debug, Default)]
struct Table {
    /// The trouble came while the store was opened.
    while_opening: u32,
    /// A command was answered with the error.
    told: u32,
    /// Of these, it was there nevertheless, as a whole.
    there: u32,
    /// The queue stored the next letter all the same.
    went_on: u32,
    /// The trouble came when all was said, and closing told of it.
    told_by_close: u32,
    /// The trouble came, and nobody was told: nothing depended on it.
    unnoticed: u32,
    never_came: u32,
}

/// The script with this trouble, and a look at what is left of it.
async fn with(trouble: Trouble, pictures: &[Picture], table: &mut Table) -> Result<(), String> {
    let disk = Disk::default().with(trouble);
    let Ok(queue) = series::open(&disk).await else {
        table.while_opening += 1;
        return Ok(()); // nothing was ever stored
    };
    let mut tokens = Vec::new();
    for step in 0..STEPS {
        let answer = act(step, &queue, &mut tokens).await;
        if answer.is_ok() {
            continue;
        }
        table.told += 1;
        // Whoever reads can go on at once: the trouble was for once only.
        let read = queue.stats().await;
        read.map_err(|error| format!("not to be read any more: {error}"))?;
        // The next command may fail as well, and may not; what it says must be true.
        let after = queue.push(jobs::letter(AFTER)).await.is_ok();
        table.went_on += u32::from(after);
        let there = look(&disk, &pictures[step..=step + 1], Some(after)).await?;
        table.there += u32::from(there);
        // The same once the queue is closed, with an error or without.
        let _ = queue.close().await;
        return look(&disk, &pictures[step..=step + 1], Some(after)).await.map(drop);
    }
    let closed = queue.close().await;
    match (disk.struck(), closed) {
        (true, Err(_)) => table.told_by_close += 1,
        (true, Ok(())) => table.unnoticed += 1,
        // An idle moment came between in the one run, and not in the other.
        (false, closed) => {
            table.never_came += 1;
            closed.map_err(said)?;
        }
    }
    look(&disk, &pictures[STEPS..], None).await.map(drop)
}

/// Opens what is there now, and what would be if the power went now. Says whether it was the last picture.
async fn look(disk: &Disk, allowed: &[Picture], after: Option<bool>) -> Result<bool, String> {
    // Another kind of cut in each case, and each in many.
    let mut dice = Dice::new(u64::try_from(disk.steps()).unwrap());
    let left = Left::ALL[dice.index(Left::ALL.len())];
    let cut = disk.cut(disk.steps(), left, &mut dice);
    let images = [("a cut of the power", cut), ("a restart", disk.seen())];
    let mut last = false;
    for (what, image) in images {
        let queue = series::open(&Disk::of(image)).await.map_err(|error| format!("{what}: {error}"))?;
        let (seen, was_there) = without_after(picture::of(&queue).await?);
        let found = allowed.iter().rposition(|picture| *picture == seen);
        let found = found.ok_or_else(|| format!("{what}: {}", seen.differs_from(allowed)))?;
        if after == Some(true) && !was_there {
            return Err(format!("{what}: a push was answered after the trouble, and is lost"));
        }
        last = found + 1 == allowed.len();
    }
    Ok(last)
}

#[tokio::test(start_paused = true)]
async fn d13_each_sync_write_and_growth_that_fails_is_told_and_leaves_the_letter_whole_or_absent() {
    let (pictures, counts) = (healthy().await, asked().await);
    let kinds: [(&str, Kind, usize); 5] = [
        ("sync fails", Trouble::Sync, counts.syncs),
        ("sync fails and forgets", Trouble::SyncForgets, counts.syncs),
        ("write finds no room", Trouble::Write, counts.writes),
        ("write stops in the middle", Trouble::Short, counts.writes),
        ("file cannot grow", Trouble::Grow, counts.growths),
    ];
    for (name, trouble, count) in kinds {
        let mut table = Table::default();
        for k in 1..=count {
            let came = with(trouble(k), &pictures, &mut table).await;
            came.unwrap_or_else(|wrong| panic!("{name}, number {k} of {count}: {wrong}"));
        }
        println!("{name}: {count} cases, {table:?}");
        assert!(table.told > 0 && table.never_came < 3, "{name}: {table:?}");
    }
}
