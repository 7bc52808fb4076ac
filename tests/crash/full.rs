//! A disk that is really full.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, Payload, RedbQueue, Settlement};

use crate::dice::Dice;
use crate::picture;

/// A disk of 24 MiB, as long as it is held.
struct Small(PathBuf);

impl Small {
    /// `None` where this process may not mount anything.
    fn mount(folder: PathBuf) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "none"])
            .arg(&folder)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }

    fn store(&self) -> PathBuf {
        self.0.join("letters.redb")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output(); // a test that failed says why
    }
}

fn letter(n: u64) -> DeadLetter {
    let mut dice = Dice::new(n);
    let bytes: Vec<u8> = (0..4096).flat_map(|_| dice.roll().to_le_bytes()).collect();
    DeadLetter::new("fill").idempotency_key(n.to_string()).payload(Payload::bytes(bytes))
}

fn number(letter: &DeadLetter) -> u64 {
    letter.idempotency_key.as_deref().unwrap().parse().unwrap()
}

async fn open(store: &Path) -> RedbQueue {
    RedbQueue::builder().open(store).await.unwrap()
}

#[tokio::test]
async fn d13_full_disk_can_be_read_and_drained_and_takes_letters_again() {
    let Some(disk) = Small::mount(crate::folder("full")) else {
        eprintln!("SKIPPED: no disk can be mounted here, so none was filled");
        return;
    };
    let queue = open(&disk.store()).await;
    let mut stored = 0;
    let refused = loop {
        match queue.push(letter(stored)).await {
            Ok(_) => stored += 1,
            Err(refused) => break refused,
        }
        assert!(stored < 2000, "24 MiB cannot take so many");
    };
    println!("full after {stored} letters of 32 KiB: {refused}");
    assert_eq!(number(&refused.letter), stored, "the letter comes back");
    assert!(stored > 100, "it was not full before");
    // Whether the refused one is there after all is not known; nothing else may be.
    let held = queue.stats().await.unwrap().held();
    assert!(held == stored || held == stored + 1, "{held} of {stored}");
    let seen = picture::everything(&queue, &LetterFilter::new()).await.unwrap();
    for (n, seen) in (0..).zip(&seen) {
        assert_eq!(seen.payload, letter(n).payload, "letter {n}");
    }
    // A process that is started while the disk is full finds the same.
    queue.close().await.unwrap();
    let queue = open(&disk.store()).await;
    let mut drained = 0;
    loop {
        let leased = queue.lease(&LetterFilter::new(), 20, Duration::from_secs(60)).await.unwrap();
        if leased.is_empty() {
            break;
        }
        for leased in leased {
            assert_eq!(number(&leased.letter), drained);
            queue.settle(leased.token, Settlement::Delivered).await.unwrap();
            drained += 1;
        }
    }
    assert_eq!(drained, held);
    // What was drained makes room in the file, whatever the disk says.
    let mut again = 0;
    for n in 0..stored / 4 {
        again += u64::from(queue.push(letter(10_000 + n)).await.is_ok());
    }
    println!("after {drained} were drained, {again} of {} more were stored at once", stored / 4);
    queue.close().await.unwrap();
    let queue = open(&disk.store()).await;
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.held(), stats.delivered), (again, drained));
    queue.push(letter(20_000)).await.expect("there is room again");
    queue.close().await.unwrap();
}
