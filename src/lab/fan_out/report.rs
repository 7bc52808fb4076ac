//! How long hedged requests took, and what it cost.

use std::fmt;

use super::FanOut;
use crate::hedge::Hedge;

/// What came of one scenario under each hedge. Its `Display` is a table, a line for each hedge.
///
/// ```
/// use recoup::Hedge;
/// use recoup::lab::{FanOut, fan_out};
///
/// let mut scenario = FanOut::tail_at_scale();
/// scenario.requests = 10;
/// let tails = fan_out(&scenario, &[Hedge::at_quantile(0.95).name("learned")], 7)?;
/// let table = tails.to_string();
/// let [title, head, line] = table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
/// assert_eq!(title, "hedging: 10 requests of 100 calls each, 400 a second, seed 7");
/// assert!(head.starts_with("hedge         p50"));
/// assert!(line.starts_with("learned  "));
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tails {
    /// What was run.
    pub scenario: FanOut,
    /// The seed of everything that was left to chance. The same seed gives the same figures.
    pub seed: u64,
    /// One for each hedge, in the order in which they were handed in.
    pub tails: Vec<Tail>,
}

/// What came of one scenario under one hedge. Times are those of requests, which end with the slowest of their
/// calls, in seconds.
///
/// ```
/// use recoup::Hedge;
/// use recoup::lab::{FanOut, fan_out};
///
/// let mut scenario = FanOut::tail_at_scale();
/// scenario.requests = 50;
/// let tail = fan_out(&scenario, &[Hedge::at_quantile(0.95)], 1)?.tails.remove(0);
/// assert_eq!(tail.calls, 5_000);
/// assert_eq!(tail.launched, tail.won + tail.wasted);
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tail {
    /// The name of the hedge.
    pub hedge: String,
    /// The time that half of the requests exceeded.
    pub latency_p50: f64,
    /// The time that one in a hundred of them exceeded.
    pub latency_p99: f64,
    /// The time that one in a thousand of them exceeded.
    pub latency_p999: f64,
    /// The calls that were asked for, one of each server for each request.
    pub calls: u64,
    /// Hedges that were launched.
    pub launched: u64,
    /// Those, as a share of the calls: what is added to the load.
    pub extra: f64,
    /// Hedges that answered first.
    pub won: u64,
    /// Hedges that answered after somebody else had.
    pub wasted: u64,
    /// Hedges that were due, and left out because the share or the budget was used up.
    pub suppressed: u64,
}

impl Tail {
    /// Of requests that took so many nanoseconds, in any order.
    pub(super) fn of(hedge: &Hedge, mut took: Vec<u64>) -> Self {
        took.sort_unstable();
        let seen = hedge.snapshot();
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
        let extra = seen.launched as f64 / seen.calls.max(1) as f64;
        Self {
            hedge: hedge.name().to_string(),
            latency_p50: quantile(&took, 0.5),
            latency_p99: quantile(&took, 0.99),
            latency_p999: quantile(&took, 0.999),
            calls: seen.calls,
            launched: seen.launched,
            extra,
            won: seen.won,
            wasted: seen.wasted,
            suppressed: seen.suppressed,
        }
    }
}

/// The smallest time that this share of them does not exceed, in seconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, and a share of it"
)]
fn quantile(sorted: &[u64], share: f64) -> f64 {
    let rank = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).map_or(0.0, |nanos| *nanos as f64 / 1e9)
}

impl fmt::Display for Tails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FanOut { name, requests, servers, rate, .. } = &self.scenario;
        let seed = self.seed;
        writeln!(f, "{name}: {requests} requests of {servers} calls each, {rate} a second, seed {seed}")?;
        let wide = self.tails.iter().map(|tail| tail.hedge.chars().count()).max().unwrap_or(0).max(5);
        write!(f, "{:wide$}  {:>8}  {:>8}  {:>8}", "hedge", "p50", "p99", "p99.9")?;
        write!(f, "  {:>11}  {:>8}  {:>8}  {:>8}", "extra calls", "won", "wasted", "left out")?;
        for tail in &self.tails {
            write!(f, "\n{:wide$}", tail.hedge)?;
            for time in [tail.latency_p50, tail.latency_p99, tail.latency_p999] {
                write!(f, "  {time:>6.3} s")?;
            }
            write!(f, "  {:>9.2} %", tail.extra * 100.0)?;
            write!(f, "  {:>8}  {:>8}  {:>8}", tail.won, tail.wasted, tail.suppressed)?;
        }
        Ok(())
    }
}
