//! Processes of their own: one that fills a store while its memory is watched, and ones that are killed.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use recoup::{DeadLetterQueue as _, RedbQueue};

use crate::letter::letter;
use crate::producers::{Store, pushes};
use crate::sqlite::Sqlite;

/// A queue that holds as much as is asked of it here.
pub async fn queue(path: &Path) -> RedbQueue {
    let builder = RedbQueue::builder().capacity(u64::MAX / 2).max_bytes(u64::MAX / 2);
    builder.open(path).await.expect("the queue opens")
}

/// So many producers push while a store is filled.
const FILLING: u64 = 64;

/// In each push of theirs there are so many letters.
const TOGETHER: u64 = 64;

/// So many producers push when the process is killed.
const PRODUCERS: u64 = 64;

/// What a child is to do. It is in the words of its command line.
pub async fn run(task: &str, path: &Path, number: u64) {
    match task {
        "fill" => fill(path, number).await,
        "busy" => busy(Store::Recoup(queue(path).await), number).await,
        "busy-sqlite" => busy(Store::Sqlite(Sqlite::open(path)), number).await,
        "idle" => {
            let queue = queue(path).await;
            queue.push(letter(number)).await.expect("the queue has room");
            tokio::time::sleep(Duration::from_secs(2)).await;
            println!("ready");
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        _ => panic!("there is no such task: {task}"),
    }
}

async fn busy(store: Store, producers: u64) {
    tokio::spawn(async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        println!("ready");
    });
    pushes(Arc::new(store), producers, Duration::from_secs(600)).await;
}

/// Pushes so many letters, and prints the memory of the process when a tenth, a half and all are stored.
async fn fill(path: &Path, letters: u64) {
    let queue = queue(path).await;
    let mut from = 0;
    for to in [letters / 10, letters / 2, letters] {
        let mut tasks = Vec::new();
        for producer in 0..FILLING {
            let queue = queue.clone();
            tasks.push(tokio::spawn(async move {
                let mut next = from + producer * TOGETHER;
                while next < to {
                    let some = (next..to.min(next + TOGETHER)).map(letter).collect();
                    for stored in queue.push_all(some).await {
                        stored.expect("the queue has room");
                    }
                    next += FILLING * TOGETHER;
                }
            }));
        }
        for task in tasks {
            task.await.expect("a producer does not panic");
        }
        println!("{}", resident());
        from = to;
    }
    queue.close().await.expect("the queue closes");
}

/// The memory of this process that lies in RAM, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn child(task: &str, path: &Path, number: u64) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program is a file"));
    command.arg("--child").arg(task).arg(path).arg(number.to_string()).stdout(Stdio::piped());
    command
}

/// Fills a store in a process of its own. Gives back its memory in MiB after a tenth, a half and all.
pub fn filled(path: &Path, letters: u64) -> Vec<f64> {
    let output = child("fill", path, letters).stderr(Stdio::inherit()).output().expect("a child starts");
    assert!(output.status.success(), "the child that fills the store fails");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.parse::<f64>().ok()).map(|kib| kib / 1024.0).collect()
}

/// Has a process use the store, and kills it with SIGKILL.
pub fn killed(task: &str, path: &Path) {
    let mut child = child(task, path, PRODUCERS).spawn().expect("a child starts");
    let mut told = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    assert_eq!(told.next().and_then(Result::ok).as_deref(), Some("ready"), "the child is at work");
    child.kill().expect("a child can be killed");
    child.wait().expect("a killed child ends");
}
