//! What is measured, part by part. Contenders take turns, and the figure is the one in the middle.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use recoup::DeadLetterQueue as _;

use crate::child::{filled, queue};
use crate::consumers::{self, BATCH, WORKERS};
use crate::crash;
use crate::log::Log;
use crate::looking::{QUESTIONS, look};
use crate::producers::{Store, pushes};
use crate::sqlite::{self, Sqlite};
use crate::table::{Row, median};

pub const PARTS: [&str; 3] = ["pushes", "held", "crash"];

/// As many letters as a queue holds by default.
const DEFAULT_CAP: u64 = 100_000;

/// So few workers are asked for batches, too.
const FEW: u64 = 4;

/// How much is measured.
pub struct Scale {
    pub folder: PathBuf,
    pub letters: u64,
    /// Letters in the smaller store that crashes.
    cap: u64,
    rounds: u32,
    /// Of one measurement.
    time: Duration,
}

impl Scale {
    pub const fn full(folder: PathBuf) -> Self {
        let time = Duration::from_secs(3);
        Self { folder, letters: 1_000_000, cap: DEFAULT_CAP, rounds: 5, time }
    }

    pub const fn quick(folder: PathBuf) -> Self {
        let time = Duration::from_millis(700);
        Self { folder, letters: 50_000, cap: 20_000, rounds: 3, time }
    }

    /// A file that is not there yet.
    fn new_file(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        remove(&path);
        path
    }
}

fn remove(path: &Path) {
    let sides =
        ["sqlite-wal", "sqlite-shm", "redb.ballast", "ballast"].map(|ending| path.with_extension(ending));
    for path in [path.to_owned()].iter().chain(&sides) {
        drop(fs::remove_file(path));
    }
}

pub async fn run(part: &str, scale: &Scale) -> Vec<Row> {
    match part {
        "pushes" => producers(scale).await,
        "held" => held(scale).await,
        _ => crashes(scale).await,
    }
}

async fn producers(scale: &Scale) -> Vec<Row> {
    let mut rows = Vec::new();
    for count in [1, 16, 256] {
        let mut figures: [Vec<f64>; 3] = Default::default();
        for _ in 0..scale.rounds {
            for (contender, figures) in ["log", "sqlite", "redb"].iter().zip(&mut figures) {
                let path = scale.new_file(&format!("pushes.{contender}"));
                let store = match *contender {
                    "log" => Store::Log(Log::open(&path)),
                    "sqlite" => Store::Sqlite(Sqlite::open(&path)),
                    _ => Store::Recoup(queue(&path).await),
                };
                let store = Arc::new(store);
                figures.push(pushes(Arc::clone(&store), count, scale.time).await);
                if let Store::Recoup(queue) = &*store {
                    queue.close().await.expect("the queue closes");
                }
                drop(store);
                remove(&path);
            }
        }
        let [log, sqlite, recoup] = figures.map(median);
        let row = Row::new(format!("durable pushes/s, {count} producers"), log, sqlite, recoup);
        rows.push(if count == 256 { row.goal("at least SQLite's", recoup >= sqlite) } else { row });
    }
    rows
}

/// Fills a store with all letters, looks at it, and takes letters out.
async fn held(scale: &Scale) -> Vec<Row> {
    let (of_recoup, of_sqlite) = (scale.new_file("held.redb"), scale.new_file("held.sqlite"));
    let mut rows = memory(&of_recoup, scale);
    sqlite::fill(&of_sqlite, scale.letters).expect("SQLite is filled");
    rows.extend(looking(&of_recoup, &of_sqlite, scale).await);
    rows.extend(pairs(&of_recoup, &of_sqlite, scale).await);
    remove(&of_recoup);
    remove(&of_sqlite);
    rows
}

fn memory(path: &Path, scale: &Scale) -> Vec<Row> {
    let memory = filled(path, scale.letters);
    let mut rows = Vec::new();
    for (part, &mib) in [10, 2, 1].iter().zip(&memory) {
        let what = format!("resident memory, MiB, with {} letters pushed", scale.letters / part);
        rows.push(Row::new(what, None, None, Some(mib)));
    }
    // With few letters the cache of 64 MiB is still filling.
    if let ([first, .., last], Some(row)) = (&*memory, rows.pop()) {
        let judged = scale.letters >= 10 * DEFAULT_CAP;
        let goal = format!("flat: at most a tenth above {first:.0}");
        rows.push(if judged { row.goal(goal, *last <= first * 1.1) } else { row });
    }
    rows
}

async fn looking(of_recoup: &Path, of_sqlite: &Path, scale: &Scale) -> Vec<Row> {
    let mut figures: [[Vec<f64>; 2]; 4] = Default::default();
    for _ in 0..scale.rounds {
        let queue = queue(of_recoup).await;
        let recoup = look(&queue).await;
        queue.close().await.expect("the queue closes");
        let sqlite = sqlite::look(of_sqlite).expect("SQLite answers");
        for ((figures, sqlite), recoup) in figures.iter_mut().zip(sqlite).zip(recoup) {
            figures[0].push(milliseconds(sqlite));
            figures[1].push(milliseconds(recoup));
        }
    }
    let rows = figures.into_iter().zip(QUESTIONS).map(|([sqlite, recoup], what)| {
        let recoup = median(recoup);
        let what = format!("{what}, of {} letters, ms", scale.letters);
        Row::new(what, None, median(sqlite), recoup)
            .digits(1)
            .goal("at most 1,000", recoup.is_some_and(|ms| ms <= 1000.0))
    });
    rows.collect()
}

async fn pairs(of_recoup: &Path, of_sqlite: &Path, scale: &Scale) -> Vec<Row> {
    let (queue, sqlite) = (queue(of_recoup).await, Arc::new(Sqlite::open(of_sqlite)));
    let (mut theirs, mut alone, mut few, mut many) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        theirs.push(consumers::sqlite(Arc::clone(&sqlite), scale.time).await);
        alone.push(consumers::one_by_one(queue.clone(), scale.time).await);
        few.push(consumers::in_batches(queue.clone(), FEW, scale.time).await);
        many.push(consumers::in_batches(queue.clone(), WORKERS, scale.time).await);
    }
    queue.close().await.expect("the queue closes");
    let [theirs, alone, few, many] = [theirs, alone, few, many].map(median);
    let what = |workers: u64, how: &str| {
        format!("lease and settle, pairs/s, of {} letters, {workers} workers, {how}", scale.letters)
    };
    let together = format!("{BATCH} at once");
    // Judged with as many workers as SQLite's.
    let met = many.zip(theirs).is_some_and(|(ours, theirs)| ours >= 2.0 * theirs);
    let batches = |workers, ours| Row::new(what(workers, &together), None, None, ours);
    vec![
        Row::new(what(WORKERS, "one by one"), None, theirs, alone),
        batches(FEW, few),
        batches(WORKERS, many).goal("at least twice SQLite's one by one", met),
    ]
}

async fn crashes(scale: &Scale) -> Vec<Row> {
    let mut rows = Vec::new();
    for letters in [scale.cap, scale.letters] {
        let full = scale.new_file("full.redb");
        let of_sqlite = scale.new_file("full.sqlite");
        filled(&full, letters);
        sqlite::fill(&of_sqlite, letters).expect("SQLite is filled");
        let mut figures: [Vec<f64>; 3] = Default::default();
        for _ in 0..scale.rounds {
            let path = scale.new_file("crash.redb");
            crash::copy(&full, &path);
            figures[0].push(milliseconds(crash::sqlite(&of_sqlite)));
            figures[1].push(milliseconds(crash::recoup(&path, "busy").await));
            figures[2].push(milliseconds(crash::recoup(&path, "idle").await));
            remove(&path);
        }
        remove(&full);
        remove(&of_sqlite);
        let [sqlite, busy, idle] = figures.map(median);
        let under_load = format!("reopening after kill -9 under load, {letters} letters, ms");
        let row = Row::new(under_load, None, sqlite, busy).digits(1);
        let judged = letters == scale.cap;
        let goal = "below 1,000 at the default cap";
        rows.push(if judged { row.goal(goal, busy.is_some_and(|ms| ms < 1000.0)) } else { row });
        let when_idle = format!("reopening after kill -9 when idle, {letters} letters, ms");
        rows.push(Row::new(when_idle, None, None, idle).digits(1));
    }
    rows
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
