//! The power goes, at any moment, and again while the store is repaired.

use std::collections::BTreeMap;

use recoup::{DeadLetterQueue as _, RedbQueue};

use crate::books::Books;
use crate::dice::Dice;
use crate::disk::{Disk, Left};
use crate::picture::{self, Picture};
use crate::series::{self, Done, Series};

/// How many things are done to one store before the next is begun.
const THINGS: usize = 120;

/// What came of many cuts.
#[derive(Debug, Default)]
struct Report {
    cuts: u64,
    /// Of these, again while the store was repaired.
    twice: u64,
    /// By what was left of the writes.
    left: [u64; 5],
    /// The thing in progress was there as a whole, though nobody had been told so.
    ahead: u64,
    wrong: Vec<String>,
}

/// Cuts the power so often, each time looking at what is left.
async fn cut(times: u64, seed: u64, disk: impl Fn() -> Disk, stop_at_first: bool) -> Report {
    let mut report = Report::default();
    for round in 0.. {
        let mut series = Series::new(disk(), seed + round).await.unwrap();
        for _ in 0..THINGS {
            let done =
                series.go_on().await.unwrap_or_else(|wrong| panic!("series {}: {wrong}", seed + round));
            let carried = cut_within(&mut series, &done, &mut report).await;
            if report.cuts >= times || stop_at_first && !report.wrong.is_empty() {
                return report;
            }
            if let Some((left, books)) = carried {
                series.after_crash(left, books, &done).await.unwrap();
            }
            series.disk.shorten(series.disk.steps());
        }
    }
    report
}

/// Cuts the power at a few moments of what was just done. Now and then the series is to go on from what one of
/// them left.
async fn cut_within(series: &mut Series, done: &Done, report: &mut Report) -> Option<(Vec<u8>, Books)> {
    let span = done.end - done.start;
    let mut carried = None;
    for n in 0..=span.min(3) {
        let mut dice = Dice::new(series.dice.roll());
        // The last of them is right after the answer.
        let step = if n == 0 { done.end } else { done.start + dice.index(span) };
        let kind = dice.index(Left::ALL.len());
        let image = series.disk.cut(step, Left::ALL[kind], &mut dice);
        let allowed = if step == done.end { &done.between[done.between.len() - 1..] } else { &done.between };
        let pictures: Vec<Picture> = allowed.iter().map(|books| books.picture(series.now)).collect();
        let used = if step == done.end { series.used } else { done.used };
        report.cuts += 1;
        report.left[kind] += 1;
        let again = dice.one_in(3);
        report.twice += u64::from(again);
        let mut looked = look(&image, &pictures, used, None).await;
        if again && let Ok((found, steps)) = looked {
            let only = &pictures[found..=found];
            looked = look(&image, only, used, Some((&mut dice, steps))).await.map(|_| (found, steps));
        }
        match looked {
            Ok((found, _)) => {
                report.ahead += u64::from(step != done.end && found + 1 == pictures.len());
                // Two that look the same may differ in what is not seen, such as when a lease ends.
                let sure = pictures.iter().filter(|picture| **picture == pictures[found]).count() == 1;
                if sure && dice.one_in(20) {
                    carried = Some((image, allowed[found].clone()));
                }
            }
            Err(wrong) => report.wrong.push(format!(
                "{} at step {step} of {}..={}, {:?} left{}: {wrong}",
                done.what,
                done.start,
                done.end,
                Left::ALL[kind],
                if again { ", cut again" } else { "" },
            )),
        }
    }
    carried
}

/// Opens what is left and sees whether it is one of what is allowed: which, and how much was asked of the disk
/// for it. With a second cut, the power goes at one of these steps, and what is left then is looked at.
async fn look(
    image: &[u8],
    allowed: &[Picture],
    used: u64,
    again: Option<(&mut Dice, usize)>,
) -> Result<(usize, usize), String> {
    let mut disk = Disk::of(image.to_vec());
    if let Some((dice, steps)) = again {
        let queue = series::open(&disk).await?;
        picture::of(&queue).await?;
        let step = dice.index(steps.min(disk.steps()) + 1);
        disk = Disk::of(disk.cut(step, Left::ALL[dice.index(Left::ALL.len())], dice));
    }
    let queue = series::open(&disk).await?;
    let seen = picture::of(&queue).await?;
    let steps = disk.steps();
    let found = allowed.iter().rposition(|picture| *picture == seen);
    let found = found.ok_or_else(|| seen.differs_from(allowed))?;
    picture::use_up(&queue, &seen, used).await?;
    Ok((found, steps))
}

#[expect(clippy::disallowed_methods, reason = "the report says how long a cut takes; nothing asserts it")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}

#[tokio::test(start_paused = true)]
async fn d1_d3_d4_d8_power_cut_at_any_moment_leaves_all_that_was_answered_or_that_and_the_next() {
    let began = clock();
    let report = cut(crate::asked("RECOUP_CRASH_CUTS", 500), 1, Disk::default, true).await;
    let took = began.elapsed();
    let each = took / u32::try_from(report.cuts).unwrap();
    println!(
        "{} cuts in {took:.1?} ({each:.1?} each), {} of them twice; left {:?}: {:?}; ahead {}",
        report.cuts,
        report.twice,
        Left::ALL,
        report.left,
        report.ahead
    );
    assert!(report.wrong.is_empty(), "{}", report.wrong.join("\n"));
    assert!(report.left.iter().all(|count| *count > report.cuts / 10), "each kind of cut was made");
    assert!(report.twice > report.cuts / 5 && report.ahead > 0);
}

/// The control: were nothing told to the disk, or not every time, these tests would see it.
#[tokio::test(start_paused = true)]
async fn d1_disk_that_lies_about_its_syncs_is_found_out() {
    for nth in [1, 2, 5] {
        let report = cut(300, 2, || Disk::lying(nth), true).await;
        let wrong = report.wrong.first().map(|wrong| wrong.chars().take(120).collect::<String>());
        println!("every {nth}. sync a lie: found out by cut {}: {wrong:?}", report.cuts);
        assert!(!report.wrong.is_empty(), "every {nth}. sync was a lie, and nobody saw it");
    }
}

/// Nothing was ever answered, so nothing can be lost. What is left of a file has another name yet, under which it
/// is made anew.
#[tokio::test(start_paused = true)]
async fn d1_power_cut_while_the_store_is_made_leaves_a_file_that_is_made_anew() {
    let disk = Disk::default();
    let queue = series::open(&disk).await.unwrap();
    let steps = disk.steps();
    let folder = crate::folder("cut-making");
    let (mut empty, mut refused) = (0, BTreeMap::<String, u32>::new());
    let mut dice = Dice::new(3);
    for step in 0..=steps {
        for left in Left::ALL {
            let image = disk.cut(step, left, &mut dice);
            std::fs::write(folder.join("letters.redb.making"), &image).unwrap();
            let file = RedbQueue::open(folder.join("letters.redb")).await.unwrap();
            assert_eq!(picture::of(&file).await.unwrap(), Picture::default(), "step {step}, {left:?} left");
            file.close().await.unwrap();
            std::fs::remove_file(folder.join("letters.redb")).unwrap();
            let again = Disk::of(image);
            match series::open(&again).await {
                Ok(queue) => {
                    let seen = picture::of(&queue).await.unwrap();
                    assert_eq!(seen, Picture::default(), "step {step}, {left:?} left");
                    picture::use_up(&queue, &seen, 0).await.unwrap();
                    empty += 1;
                }
                Err(why) => *refused.entry(why).or_default() += 1,
            }
        }
    }
    queue.close().await.unwrap();
    println!(
        "while the store was made: in a file all empty; in a backend {empty} empty, refused {refused:?}"
    );
    assert!(empty > 0 && !refused.is_empty());
}

#[tokio::test(start_paused = true)]
async fn series_is_answered_as_the_books_say() {
    for seed in 1000..1005 {
        let mut series = Series::new(Disk::default(), seed).await.unwrap();
        for _ in 0..60 {
            series.go_on().await.unwrap_or_else(|wrong| panic!("series {seed}: {wrong}"));
            let seen = picture::of(&series.queue).await.unwrap();
            assert_eq!(seen, series.books.picture(series.now), "series {seed}");
        }
    }
}
