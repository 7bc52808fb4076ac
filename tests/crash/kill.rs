//! The process is killed, again and again, over one store.

#![expect(clippy::disallowed_types, reason = "the library's own lock is not public")]

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recoup::{ByHand, DeadLetterQueue, LetterFilter, LetterState, MAX_UNSETTLED, RedbQueue, Settlement};

use crate::dice::Dice;
use crate::jobs;
use crate::picture::{self, Picture};
use crate::sink::{Heard, Sink, lock};
use crate::worker::{PORT, ROLE, ROUND, STORE};

/// This binary once more, as the process that is killed.
fn child(role: &str, folder: &Path, port: u16, round: u64) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("child.log")).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["worker::child_process", "--exact", "--nocapture"])
        .env(ROLE, role)
        .env(STORE, store(folder))
        .env(PORT, port.to_string())
        .env(ROUND, round.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn store(folder: &Path) -> PathBuf {
    folder.join("letters.redb")
}

async fn open(folder: &Path) -> RedbQueue {
    RedbQueue::builder().quarantine_after(3).open(store(folder)).await.unwrap()
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("child.log")).unwrap_or_default()
}

/// Runs a child until it has said so much and then a moment longer, and kills it.
fn one_round(folder: &Path, round: u64, heard: &Arc<Mutex<Heard>>) {
    let mut dice = Dice::new(round);
    let sink = Sink::open(heard);
    let mut child = child("storm", folder, sink.port, round);
    // Now and then it is killed while it opens the store.
    let lines = if dice.one_in(8) { 0 } else { 1 + dice.below(400) };
    for _ in 0..lines {
        while let Err(silence) = sink.lines.recv_timeout(Duration::from_millis(200)) {
            assert_ne!(silence, RecvTimeoutError::Disconnected, "the sink is gone");
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "round {round}: the child ended by itself: {}", log(folder));
        }
    }
    let moment = Duration::from_micros(dice.below(if lines == 0 { 40_000 } else { 3_000 }));
    let (_silent, silence) = channel::<()>();
    let _ = silence.recv_timeout(moment); // nobody says anything: this is the moment
    child.kill().unwrap();
    child.wait().unwrap();
    sink.close();
}

/// What was known when the last round was over.
#[derive(Default)]
struct Known {
    ids: BTreeSet<u64>,
    picture: Picture,
}

/// Whether what the store holds fits all that was heard.
fn check(now: &Picture, known: &mut Known, heard: &Heard) -> Result<(), String> {
    if let Some(wrong) = heard.wrong.first() {
        return Err(wrong.clone());
    }
    let mut jobs = BTreeSet::new();
    for (id, entry) in &now.letters {
        if !jobs.insert(entry.job) {
            return Err(format!("job {} is there twice", entry.job));
        }
        if heard.delivered.contains_key(id) {
            return Err(format!("letter {id} was delivered, and is there again"));
        }
        if heard.pushed.get(id).is_some_and(|job| *job != entry.job) {
            return Err(format!("letter {id} is another one now: {entry:?}"));
        }
        let most = heard.leases.get(id).and_then(|leases| leases.values().max()).copied().unwrap_or(0);
        if entry.deliveries < most {
            return Err(format!("letter {id} was given out {most} times, and counts {}", entry.deliveries));
        }
    }
    for (id, job) in &heard.pushed {
        let had_effect = heard.effects_of.contains_key(job);
        if !now.letters.contains_key(id) && !had_effect && !heard.discarding.contains(id) {
            return Err(format!("letter {id}, job {job}, is lost"));
        }
    }
    if let Some((job, effects)) = heard.effects_of.iter().find(|(_, effects)| **effects != 1) {
        return Err(format!("job {job} had {effects} effects"));
    }
    for (id, leases) in &heard.leases {
        if !leases.values().is_sorted_by(|earlier, later| earlier < later) {
            return Err(format!("letter {id} was given out without being counted: {leases:?}"));
        }
        let last = heard.delivered.get(id);
        if let Some(last) = last.filter(|last| leases.range(**last + 1..).next().is_some()) {
            return Err(format!("letter {id} was given out after it was delivered under {last}: {leases:?}"));
        }
    }
    check_numbers(now, known, heard)
}

fn check_numbers(now: &Picture, known: &mut Known, heard: &Heard) -> Result<(), String> {
    let last = known.ids.last().copied().unwrap_or(0);
    let seen: BTreeSet<u64> = now.letters.keys().chain(heard.pushed.keys()).copied().collect();
    if let Some(old) = seen.difference(&known.ids).find(|id| **id <= last) {
        return Err(format!("number {old} was given to a new letter after {last}"));
    }
    known.ids.extend(seen);
    let before = std::mem::replace(&mut known.picture, now.clone());
    let count = |length: usize| u64::try_from(length).unwrap();
    let fits = now.pushed >= before.pushed.max(count(known.ids.len()))
        && now.delivered >= before.delivered.max(count(heard.delivered.len()))
        && now.delivered <= count(heard.effects_of.len())
        && now.discarded >= before.discarded
        && now.discarded <= count(heard.discarding.len())
        && now.expired == 0;
    if fits { Ok(()) } else { Err(format!("the numbers went from {before:?} to {now:?}")) }
}

#[tokio::test(start_paused = true)]
async fn d1_d4_d7_d8_d9_d15_killed_process_loses_nothing_and_doubles_nothing() {
    let rounds = crate::asked("RECOUP_CRASH_ROUNDS", 20);
    let folder = crate::folder("kill");
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut known = Known::default();
    for round in 0..rounds {
        one_round(&folder, round, &heard);
        let queue = open(&folder).await;
        let now = picture::of(&queue).await;
        let fits = now.and_then(|now| check(&now, &mut known, &lock(&heard)));
        fits.unwrap_or_else(|wrong| panic!("after round {round}: {wrong}\n{}", log(&folder)));
        queue.close().await.unwrap();
    }
    drain(&folder, &heard).await;
    let heard = lock(&heard);
    for (id, job) in &heard.pushed {
        let effects = heard.effects_of.get(job).copied().unwrap_or(0);
        assert!(effects == 1 || heard.discarding.contains(id), "job {job} had {effects} effects");
    }
    assert!(heard.wrong.is_empty(), "{:?}", heard.wrong);
    assert!(heard.effects_of.values().all(|effects| *effects == 1));
    println!(
        "{rounds} rounds: {} pushes answered, {} effects, {} removals answered, {} delivered again, {} discarded",
        heard.pushed.len(),
        heard.effects_of.len(),
        heard.delivered.len(),
        heard.again,
        heard.discarding.len(),
    );
    assert!(heard.pushed.len() > 10 && heard.delivered.len() > 5, "the children did something");
}

/// No store is there at first, and none is made before the child is killed, or half of one, or a whole one.
#[tokio::test(start_paused = true)]
async fn d1_process_killed_while_it_makes_its_store_leaves_nothing_that_cannot_be_opened() {
    let rounds = crate::asked("RECOUP_CRASH_ROUNDS", 20);
    let folder = crate::folder("making");
    let (mut none, mut half, mut whole) = (0, 0, 0);
    for round in 0..rounds {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (sink, mut dice) = (Sink::open(&heard), Dice::new(round));
        let mut child = child("storm", &folder, sink.port, round);
        let moment = Duration::from_micros(dice.below(20_000));
        let (_silent, silence) = channel::<()>();
        let _ = silence.recv_timeout(moment); // nobody says anything: this is the moment
        child.kill().unwrap();
        child.wait().unwrap();
        sink.close();
        match (store(&folder).exists(), folder.join("letters.redb.making").exists()) {
            (true, _) => whole += 1,
            (_, true) => half += 1,
            _ => none += 1,
        }
        let queue = open(&folder).await;
        picture::of(&queue).await.unwrap();
        queue.close().await.unwrap();
        std::fs::remove_file(store(&folder)).unwrap();
    }
    println!(
        "{rounds} rounds: {none} before the store was begun, {half} while it was made, {whole} afterwards"
    );
}

/// Delivers all that is left.
async fn drain(folder: &Path, heard: &Mutex<Heard>) {
    tokio::time::advance(Duration::from_secs(3600)).await;
    let queue = open(folder).await;
    picture::of(&queue).await.unwrap();
    queue.reinstate(&LetterFilter::new(), &ByHand::of("parent")).await.unwrap();
    for leased in queue.lease(&LetterFilter::new(), usize::MAX, Duration::from_secs(60)).await.unwrap() {
        lock(heard).deliver(&jobs::key(&leased.letter), jobs::job(&leased.letter).unwrap());
        queue.settle(leased.token, Settlement::Delivered).await.unwrap();
    }
    assert_eq!(queue.stats().await.unwrap().held(), 0, "everything could be delivered");
    queue.close().await.unwrap();
}

/// Item 7 of 10 ends the process that handles it.
#[tokio::test(start_paused = true)]
async fn d5_item_that_kills_its_process_is_put_aside_and_the_other_nine_are_done_once() {
    let folder = crate::folder("poison");
    let queue = open(&folder).await;
    for job in 1..=10 {
        queue.push(jobs::letter(job)).await.unwrap();
    }
    queue.close().await.unwrap();
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut killed = 0;
    loop {
        assert!(killed <= MAX_UNSETTLED, "it goes on for ever: {}", log(&folder));
        let sink = Sink::open(&heard);
        let ended = child("poison", &folder, sink.port, 0).wait().unwrap();
        sink.close();
        if ended.success() {
            break;
        }
        killed += 1;
    }
    assert_eq!(killed, MAX_UNSETTLED);
    let queue = open(&folder).await;
    let left = queue.peek(&LetterFilter::new().any_state(), 100).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((jobs::job(&left[0]), left[0].state), (Ok(7), LetterState::Quarantined));
    assert_eq!((left[0].deliveries, left[0].unsettled), (MAX_UNSETTLED, MAX_UNSETTLED));
    let heard = lock(&heard);
    assert!(heard.wrong.is_empty(), "{:?}", heard.wrong);
    let done: Vec<u64> = heard.effects_of.keys().copied().collect();
    assert_eq!(done, [1, 2, 3, 4, 5, 6, 8, 9, 10]);
    assert!(heard.effects_of.values().all(|effects| *effects == 1));
}
