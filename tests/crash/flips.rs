//! Bits turn over in the file, and the file ends too early.

use std::collections::BTreeMap;
use std::time::Duration;

use recoup::{ByHand, DeadLetter, DeadLetterQueue, LetterFilter, LetterState, Settlement};

use crate::dice::Dice;
use crate::disk::Disk;
use crate::jobs;
use crate::series;

/// What came of spoilt files.
#[derive(Debug, Default)]
struct Report {
    /// The store did not open.
    refused: u32,
    /// It opened, and then said that it cannot be read.
    unreadable: u32,
    /// Letters were missing, and all others were there.
    fewer: u32,
    /// Every letter was there.
    whole: u32,
}

/// A small store with letters in every state, closed, and what is in it.
async fn store() -> (Vec<u8>, BTreeMap<u64, DeadLetter>) {
    let disk = Disk::default();
    let queue = series::open(&disk).await.unwrap();
    for answer in queue.push_all((1..=12).map(jobs::letter).collect()).await {
        answer.unwrap();
    }
    let all = LetterFilter::new();
    let leased = queue.lease(&all, 4, Duration::from_secs(100_000)).await.unwrap();
    queue.settle(leased[0].token, Settlement::redrive_failed(jobs::failure(2))).await.unwrap();
    queue.settle(leased[1].token, Settlement::Quarantine).await.unwrap();
    queue.settle(leased[2].token, Settlement::Delivered).await.unwrap();
    let letters = queue.peek(&all.any_state(), 100).await.unwrap();
    queue.close().await.unwrap();
    (disk.seen(), letters.into_iter().map(|letter| (letter.id.get(), letter)).collect())
}

/// Uses a store that may be damaged. Whatever it gives out must be true: content, counts and state.
async fn try_out(
    image: Vec<u8>,
    letters: &BTreeMap<u64, DeadLetter>,
    report: &mut Report,
) -> Result<(), String> {
    let Ok(queue) = series::open(&Disk::of(image)).await else {
        report.refused += 1;
        return Ok(());
    };
    let Ok(seen) = queue.peek(&LetterFilter::new().any_state(), 100).await else {
        report.unreadable += 1;
        return Ok(());
    };
    for letter in &seen {
        if letters.get(&letter.id.get()) != Some(letter) {
            return Err(format!("{letter:?} was stored as {:?}", letters.get(&letter.id.get())));
        }
    }
    let _ = queue.stats().await;
    let _ = queue.groups(&LetterFilter::new().any_state(), 10).await;
    if let Ok(leased) = queue.lease(&LetterFilter::new(), 100, Duration::from_secs(60)).await {
        for leased in leased {
            let mut lent = letters.get(&leased.letter.id.get()).cloned();
            if let Some(lent) = &mut lent {
                lent.deliveries += 1;
                lent.state = LetterState::Leased;
            }
            if lent.as_ref() != Some(&leased.letter) {
                return Err(format!("{:?} was given out, and should be {lent:?}", leased.letter));
            }
            let _ = queue.settle(leased.token, Settlement::Delivered).await;
        }
    }
    let _ = queue.push(jobs::letter(99)).await;
    let _ = queue.discard(&LetterFilter::new().any_state(), &ByHand::default()).await;
    let _ = queue.close().await;
    if seen.len() == letters.len() {
        report.whole += 1;
    } else {
        report.fewer += 1;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn d14_bit_that_turns_over_gives_true_letters_or_an_error() {
    let (image, letters) = store().await;
    let mut dice = Dice::new(14);
    let mut report = Report::default();
    let flips = crate::asked("RECOUP_CRASH_FLIPS", 1000);
    let every = image.len() / usize::try_from(flips).unwrap().min(image.len());
    for at in (0..image.len()).step_by(every) {
        let at = (at + dice.index(every)).min(image.len() - 1);
        let mut spoilt = image.clone();
        spoilt[at] ^= 1 << dice.below(8);
        let tried = try_out(spoilt, &letters, &mut report).await;
        tried.unwrap_or_else(|wrong| panic!("a bit of byte {at} turned over: {wrong}"));
    }
    println!("a bit of one in {every} bytes of {}: {report:?}", image.len());
    assert!(report.whole > 0 && report.fewer + report.refused > 0, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn d14_file_that_ends_too_early_gives_true_letters_or_an_error() {
    let (image, letters) = store().await;
    let mut report = Report::default();
    let lengths = crate::asked("RECOUP_CRASH_FLIPS", 1000).min(400);
    let every = image.len() / usize::try_from(lengths).unwrap();
    for length in (0..image.len()).step_by(every) {
        let tried = try_out(image[..length].to_vec(), &letters, &mut report).await;
        tried.unwrap_or_else(|wrong| panic!("the file ends at {length}: {wrong}"));
    }
    println!("cut at every {every}. length of {}: {report:?}", image.len());
    assert!(report.refused > 0, "{report:?}");
}
