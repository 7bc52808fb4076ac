//! The record that everybody stores: 640 bytes.

use std::time::{Duration, SystemTime};

use recoup::{AttemptRecord, Category, DeadLetter, DeadReason, ErrorChain, Payload};

/// A record as it is written down: names, error, an attempt and payload.
pub const BYTES: usize = 640;

/// What the way in which recoup writes a letter down adds to what the letter carries: names of fields, times,
/// checksums.
const MARKUP: u64 = 317;

const JSON: &str = "application/json";

/// Letters go to so many destinations,
const DESTINATIONS: u64 = 8;

/// fail for so many reasons,
const ERRORS: [&str; 5] = [
    "connection refused",
    "deadline of 250 ms has passed",
    "upstream said 503",
    "payload has no field `currency`",
    "certificate has expired",
];

/// and one of so many goes to a destination of its own.
const RARE: u64 = 10_000;

/// The destination that few letters have.
pub const RARELY: &str = "warehouse-archive";

/// The destination that an eighth of all letters have.
pub const OFTEN: &str = "warehouse-3";

/// Where letter `n` was going.
pub fn destination(n: u64) -> String {
    if n % RARE == RARE - 1 { RARELY.to_owned() } else { format!("warehouse-{}", n % DESTINATIONS) }
}

/// Why letter `n` died: one of these is a group together with the destination.
pub fn error(n: u64) -> &'static str {
    ERRORS[usize::try_from(n / DESTINATIONS).unwrap_or_default() % ERRORS.len()]
}

/// Letter `n`, as an application would bury it.
pub fn letter(n: u64) -> DeadLetter {
    let (error, died) = (error(n), SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_000 + n));
    let letter = DeadLetter::new("deliver")
        .destination(destination(n))
        .reason(DeadReason::Exhausted)
        .category(Category::Network)
        .error(ErrorChain::from_display(&error).type_name("reqwest::Error"))
        .attempt(AttemptRecord::new(1, died, error).took(Duration::from_millis(250)))
        .idempotency_key(format!("event-{n:012}"))
        .died_at(died);
    let rest = usize::try_from(letter.size() + MARKUP).unwrap_or(BYTES) + JSON.len();
    letter.payload(Payload::new(JSON, json(n, BYTES.saturating_sub(rest))))
}

/// What SQLite and the log store of letter `n`: as many bytes, encoded already.
pub fn record(n: u64) -> Vec<u8> {
    json(n, BYTES)
}

/// So many bytes that do not compress to nothing.
fn json(n: u64, bytes: usize) -> Vec<u8> {
    let mut text = format!("{{\"event\":{n},\"hex\":\"").into_bytes();
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() + 2 < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = format!("{state:016x}");
        text.extend(&word.as_bytes()[..word.len().min(bytes - 2 - text.len())]);
    }
    text.extend(b"\"}");
    text.truncate(bytes);
    text
}
