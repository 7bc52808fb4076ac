//! What is left of a store of dead letters when the process is killed, the power goes, the disk fails, or a bit
//! turns over. Each test stands for itself; the numbers in their names are those that `DeadLetterQueue` promises.
//!
//! `RECOUP_CRASH_ROUNDS` is how often the process is killed, `RECOUP_CRASH_CUTS` how often the power is cut, and
//! `RECOUP_CRASH_FLIPS` how many bits and lengths are spoilt; without them, less is done of each.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod books;
mod clock;
mod dice;
mod disk;
mod faults;
mod flips;
mod full;
mod jobs;
mod kill;
mod picture;
mod power;
mod secrets;
mod series;
mod sink;
mod worker;

/// A number from the environment.
fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |it| it.parse().expect("a number"))
}

/// A folder of its own for each test.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{name}"));
    let _ = std::fs::remove_dir_all(&folder); // there is none the first time
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
