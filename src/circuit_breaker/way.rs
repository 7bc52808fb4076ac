//! How to come into a circuit, in the lowest bits of its word.

use super::rules::Rules;

/// Everyone may; nobody asks further, and a success is counted and no more.
pub(super) const CLOSED: u64 = 0;
/// The same, but a success is counted in a window of time.
pub(super) const DATED: u64 = 1;
/// Nobody may before `open_until`.
pub(super) const OPEN: u64 = 2;
/// Everyone may, and a success is looked at: how long it took, whether it opens, in which windows it counts.
pub(super) const WATCHED: u64 = 3;
/// Ask under the lock.
pub(super) const ASK: u64 = 4;
/// Nothing but `CLOSED` and `DATED` is zero under it.
pub(super) const OBSTACLES: u64 = 6;
pub(super) const MASK: u64 = 7;
pub(super) const BITS: u32 = 3;

/// How to come into a closed circuit with these rules.
pub(super) fn closed(rules: &Rules) -> u64 {
    match (rules.last_calls(), rules.last_span()) {
        _ if rules.judge_successes || rules.times_every_call() => WATCHED,
        (_, None) => CLOSED,
        (None, Some(_)) => DATED,
        // Two windows are seldom asked for, and need no way of their own.
        (Some(_), Some(_)) => WATCHED,
    }
}

/// A word of the breaker: the generation of the state, and how to come in.
pub(super) fn word(generation: u64, way: u64) -> u64 {
    generation << BITS | way
}
