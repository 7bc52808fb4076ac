//! Writers that contend for one row: what jitter is for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::backend::normal;
use crate::backoff::Backoff;
use crate::random::Dice;
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("lab");

/// The mean and the standard deviation of one way through the network, in milliseconds.
const LEG: (f64, f64) = (10.0, 2.0);

/// Fewer attempts than this bring a single writer through; beyond it, nobody ever comes through.
const MOST_WRITES: u64 = 100_000_000;

/// S1: what it costs until every one of some writers has changed one and the same row once.
///
/// The set-up is that of "Exponential Backoff And Jitter" (Amazon Architecture Blog, 2015) and of the simulator
/// that was published with it: a writer reads the row and then writes, which works if nobody has written since,
/// or else waits and reads again. Each of the four ways through the network takes `|Normal(10, 2)|` ms.
///
/// There the base is 5 ms and the exponent starts at 1, so its waits are those of a backoff from 10 ms.
///
/// ```
/// use std::time::Duration;
/// use recoup::lab::{Contention, contend};
/// use recoup::{Backoff, Jitter};
///
/// let waits = Backoff::exponential(Duration::from_millis(10)).max_delay(Duration::from_secs(2));
/// let plain = contend(50, &waits, 5, 1)?;
/// let jittered = contend(50, &waits.clone().jitter(Jitter::Full), 5, 1)?;
/// assert!(jittered.calls < plain.calls, "fewer of them collide");
/// assert!(jittered.completion < plain.completion / 4.0);
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Contention {
    /// How many writes were tried until all writers were through, on average over the trials.
    pub calls: f64,
    /// When the last writer knew, in seconds, on average over the trials.
    pub completion: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    ReadArrives,
    ReadAnswered { version: u32 },
    WriteArrives { version: u32 },
    WriteAnswered { done: bool },
}

/// Lets so many writers contend for one row, so many times, and says what it cost on average.
///
/// # Errors
///
/// [`SettingError`], if there is no writer or no trial, if there are so many that it would take hours, or if the
/// backoff cannot work.
pub fn contend(writers: u32, backoff: &Backoff, trials: u32, seed: u64) -> Result<Contention, SettingError> {
    CHECK.at_least_one("writers", writers)?;
    CHECK.at_least_one("trials", trials)?;
    // Of as many writers as there are, about as many writes come through in a round.
    if u64::from(writers).saturating_mul(writers.into()).saturating_mul(trials.into()) > MOST_WRITES {
        return Err(CHECK.refuse("writers", writers, "fewer, or fewer trials: each meets each other"));
    }
    backoff.check(CHECK)?;
    let (mut calls, mut nanos) = (0_u64, 0_u128);
    for trial in 0..trials {
        let dice = Dice::seeded(seed.wrapping_add(u64::from(trial) << 32));
        let (in_this, completion) = one_trial(writers, backoff, &dice);
        calls += in_this;
        nanos += u128::from(completion);
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
    let (calls, nanos) = (calls as f64, nanos as f64);
    let trials = f64::from(trials);
    Ok(Contention { calls: calls / trials, completion: nanos / trials / 1e9 })
}

/// How many writes there were, and when the last was answered, in nanoseconds.
fn one_trial(writers: u32, backoff: &Backoff, dice: &Dice) -> (u64, u64) {
    let mut waits = vec![(0_u32, None::<Duration>); writers as usize];
    let (mut row, mut calls, mut nth, mut last) = (0_u32, 0_u64, 0_u64, 0_u64);
    let mut agenda = BinaryHeap::new();
    for writer in 0..writers {
        agenda.push(Reverse((leg(dice), u64::from(writer), Step::ReadArrives, writer)));
    }
    while let Some(Reverse((now, _, step, writer))) = agenda.pop() {
        last = now;
        let (next, at) = match step {
            Step::ReadArrives => (Step::ReadAnswered { version: row }, now),
            Step::ReadAnswered { version } => (Step::WriteArrives { version }, now),
            Step::WriteArrives { version } => {
                calls += 1;
                let done = version == row;
                row += u32::from(done);
                (Step::WriteAnswered { done }, now)
            }
            Step::WriteAnswered { done: true } => continue,
            Step::WriteAnswered { done: false } => {
                let (failed, previous) = &mut waits[writer as usize];
                *failed = failed.saturating_add(1);
                let wait = backoff.delay(*failed, *previous, dice.draw());
                *previous = Some(wait);
                let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                (Step::ReadArrives, now.saturating_add(wait))
            }
        };
        nth += 1;
        agenda.push(Reverse((at.saturating_add(leg(dice)), u64::from(writers) + nth, next, writer)));
    }
    (calls, last)
}

/// One way through the network, in nanoseconds.
fn leg(dice: &Dice) -> u64 {
    let (mean, deviation) = LEG;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and saturates"
    )]
    let nanos = ((mean + deviation * normal(dice)).abs() * 1e6) as u64;
    nanos
}
