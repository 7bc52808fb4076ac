//! Counts instructions: this program runs itself under callgrind with few calls and with many, and what the many
//! take more, divided, is exact.

use std::env;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// One count to be taken: instructions of a call of this subject in this case; without a subject, of the bare one.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// The key of the case.
    pub case: &'static str,
    /// The name of the subject.
    pub subject: &'static str,
    /// How many calls at most.
    pub at_most: Option<u64>,
}

/// The name of the operation with nothing around it.
pub const BARE: &str = "bare";

/// Whether callgrind can be run.
pub fn installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Instructions of a call, for each of the counts, in their order. As many at a time as there are cores.
pub fn count(counts: &[Count], calls: u64) -> Vec<Option<f64>> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![None; counts.len()]));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, count)) = pick(counts, &next) {
                    let instructions = per_call(*count, calls);
                    found.lock().expect("nobody panics with it")[index] = instructions;
                }
            });
        }
    });
    found.into_inner().expect("nobody panics with it")
}

fn pick<'c>(counts: &'c [Count], next: &AtomicUsize) -> Option<(usize, &'c Count)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    counts.get(index).map(|count| (index, count))
}

fn per_call(count: Count, calls: u64) -> Option<f64> {
    let most = count.at_most.map_or(calls * 2, |most| most.min(calls * 2));
    let few = most / 2;
    let (less, more) = (collected(count, few)?, collected(count, most)?);
    Some((more as f64 - less as f64) / (most - few) as f64)
}

/// Instructions of a run of this program that makes so many calls.
fn collected(count: Count, calls: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--read-inline-info=no"])
        .arg(env::current_exe().ok()?)
        .args(["--calls", &calls.to_string(), "--only", count.case, "--subject", count.subject])
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let found = told.lines().find_map(|line| line.split_once("Collected : "));
    if found.is_none() {
        eprintln!("callgrind counted nothing for {} of {}:\n{told}", count.case, count.subject);
    }
    found?.1.trim().parse().ok()
}
