//! Letters that can be made again from their number, to the last byte.

use std::time::{Duration, SystemTime};

use recoup::{AttemptRecord, Category, DeadLetter, DeadReason, ErrorChain, Failed, Payload};

use crate::dice::Dice;

pub(crate) const DESTINATIONS: [&str; 3] = ["mail", "payments", "search"];

/// The letter with this number, dying now.
pub(crate) fn letter(job: u64) -> DeadLetter {
    dead_since(DeadLetter::new("now").died_at, job)
}

/// Where a job is going.
pub(crate) fn destination(job: u64) -> &'static str {
    DESTINATIONS[usize::try_from(job % 3).unwrap()]
}

/// The key that the destination is told: the one stored, or else one made of the letter's number, as a redrive
/// does.
pub(crate) fn key(letter: &DeadLetter) -> String {
    letter.idempotency_key.clone().unwrap_or_else(|| format!("recoup:{}", letter.id))
}

/// How a job fails when it is tried for the n-th time after its death.
pub(crate) fn failure(n: u32) -> Failed {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(n));
    let record = AttemptRecord::new(n, at, format!("no answer, the {n}. time")).category(Category::Timeout);
    Failed::from(record).error(ErrorChain::from_display(&format!("gave up the {n}. time")))
}

/// The job of a stored letter, if the letter is to the last byte what the store must have made of it.
pub(crate) fn job(stored: &DeadLetter) -> Result<u64, String> {
    let number = stored.headers.get("job").and_then(|job| job.parse().ok());
    let job = number.ok_or_else(|| format!("a letter that nobody wrote: {stored:?}"))?;
    let mut expected = dead_since(stored.died_at, job);
    for n in 2..=stored.attempts_total() {
        expected.record(failure(n));
    }
    expected.id = stored.id;
    expected.state = stored.state;
    expected.deliveries = stored.deliveries;
    expected.redrives = stored.redrives;
    expected.unsettled = stored.unsettled;
    if expected == *stored { Ok(job) } else { Err(format!("stored {stored:?}, but {expected:?} was pushed")) }
}

fn dead_since(died_at: SystemTime, job: u64) -> DeadLetter {
    let mut dice = Dice::new(job);
    let died = died_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    // Most are short, some have nothing, and some fill several pages of the file.
    let length = match dice.below(10) {
        0 => 0,
        1 => 4_000 + dice.below(9_000),
        _ => dice.below(700),
    };
    let bytes: Vec<u8> = (0..length).map(|_| dice.roll().to_le_bytes()[0]).collect();
    let letter = DeadLetter::new(["charge", "index"][usize::from(job.is_multiple_of(4))])
        .died_at(died_at)
        .destination(destination(job))
        .payload(Payload::new("x/job", bytes).schema_version(7))
        .reason(DeadReason::Exhausted)
        .category(Category::Network)
        .error(ErrorChain::from_display(&"gave up the 1. time"))
        .attempt(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "no route"))
        .header("job", job.to_string())
        .header("died", died.to_string())
        .tenant(format!("tenant {}", job % 5));
    if job.is_multiple_of(2) { letter.idempotency_key(format!("job-{job}")) } else { letter }
}
