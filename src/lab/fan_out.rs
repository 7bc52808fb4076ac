//! Requests that ask many servers and wait for the slowest: what hedging is for.

mod engine;
mod report;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::engine::{Chances, Engine};
pub use self::report::{Tail, Tails};
use super::check::{above_zero, span};
use super::scenario::{Fault, FaultKind};
use crate::hedge::HedgeBuilder;
use crate::setting::{Check, SettingError};
use crate::time;

const CHECK: Check = Check("lab");

/// The most calls of one run, hedges apart: if servers are too slow, all of them wait at once, and memory runs out.
const MOST_CALLS: u64 = 20_000_000;

/// The most servers, which is the most calls that one request makes at once: memory.
const MOST_SERVERS: u32 = 1_000_000;

const MS: Duration = Duration::from_millis(1);

/// S6: requests that ask all of so many servers at once, and wait for the slowest answer.
///
/// Each call may be hedged. Every server holds a copy of what the one before it has, and its copy is what a hedge
/// asks; where there is only one server, it asks that once more. A server serves so many calls at once, and the
/// others wait in line. A call that was made is served, though its caller may have taken another's answer meanwhile:
/// what a hedge costs, it costs.
///
/// ```
/// use recoup::lab::FanOut;
/// let fan_out = FanOut::tail_at_scale();
/// assert_eq!((fan_out.servers, fan_out.requests), (100, 10_000));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FanOut {
    /// What the report is called.
    pub name: String,
    /// How many requests are made, at times left to chance; at least 1, and at most 20,000,000 calls in all.
    pub requests: u32,
    /// How many in a second, above 0.0.
    pub rate: f64,
    /// How many servers there are: each request makes one call of each. From 1 to 1,000,000.
    pub servers: u32,
    /// How many calls a server serves at the same time; at least 1.
    pub workers: u32,
    /// How long servers take for a call. The shares of all bands add up to 1.0.
    pub latencies: Vec<Band>,
    /// Brownouts, and nothing else: calls that begin to be served then take so many times as long.
    pub faults: Vec<Fault>,
}

/// A share of the calls that take between `least` and `most`, all times between them as likely.
///
/// ```
/// use std::time::Duration;
/// use recoup::lab::Band;
/// let quick = Band::new(0.98, Duration::from_millis(1), Duration::from_millis(10));
/// assert_eq!(quick.share, 0.98);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Band {
    /// Of all calls, above 0.0 and at most 1.0.
    pub share: f64,
    /// The shortest of them.
    pub least: Duration,
    /// The longest of them, longer than zero and not shorter than `least`.
    pub most: Duration,
}

impl Band {
    /// So large a share of the calls takes from `least` to `most`.
    #[must_use]
    pub const fn new(share: f64, least: Duration, most: Duration) -> Self {
        Self { share, least, most }
    }
}

impl FanOut {
    /// The benchmark of J. Dean and L. A. Barroso, *The Tail at Scale* (Communications of the ACM 56, 2, 2013): 1,000
    /// values are read from 100 servers, ten in a call. Hedged after 10 ms, the 99.9th percentile of the reads falls
    /// from 1,800 to 74 ms for 2 % more calls.
    ///
    /// No more was published, and the latencies are fitted to it: 98 of 100 calls take 1 to 10 ms, which makes 2 %
    /// hedges; one in a thousand stalls, for up to 1.817 s, so that one call in 100,000 takes longer than 1.8 s; the
    /// others take up to 78 ms, so that a call and its hedge both take longer than 74 ms once in 100,000. A request
    /// is as slow as the slowest of its hundred calls. Whether one is slow says nothing of another.
    ///
    /// 10,000 requests, 400 in a second, which keeps a fifth of the 16 workers of each server busy.
    #[must_use]
    pub fn tail_at_scale() -> Self {
        Self {
            name: "hedging".to_owned(),
            requests: 10_000,
            rate: 400.0,
            servers: 100,
            workers: 16,
            latencies: vec![
                Band::new(0.98, MS, 10 * MS),
                Band::new(0.019, 10 * MS, 78 * MS),
                Band::new(0.001, 78 * MS, 1_817 * MS),
            ],
            faults: Vec::new(),
        }
    }

    /// The same servers, which after two seconds are all four times as slow, and stay so: now most calls are such as
    /// a hedge at a fixed time would repeat, and the servers have no room for that. 4,000 requests, in ten seconds.
    #[must_use]
    pub fn slow_as_a_whole() -> Self {
        let brownout = FaultKind::Brownout { factor: 4.0 };
        let fault = Fault::new(brownout, Duration::from_secs(2), Duration::from_secs(60));
        let name = "hedging in a brownout".to_owned();
        Self { name, requests: 4_000, faults: vec![fault], ..Self::tail_at_scale() }
    }

    /// Whether it can be run.
    ///
    /// # Errors
    ///
    /// Names the first setting that cannot work: one that is zero, negative or NaN where it must not be, shares of
    /// latencies that are not all calls, a fault that is no brownout, or what would take too long or too much memory.
    pub fn check(&self) -> Result<(), SettingError> {
        CHECK.at_least_one("requests", self.requests)?;
        CHECK.at_least_one("workers", self.workers)?;
        if !(1..=MOST_SERVERS).contains(&self.servers) {
            return Err(CHECK.refuse("servers", self.servers, "from 1 to 1,000,000"));
        }
        if u64::from(self.requests) * u64::from(self.servers) > MOST_CALLS {
            return Err(CHECK.refuse("requests", self.requests, "few enough for 20,000,000 calls"));
        }
        above_zero("rate", self.rate)?;
        if f64::from(self.requests) / self.rate > 24.0 * 3600.0 {
            return Err(CHECK.refuse("rate", self.rate, "high enough for all requests in a day"));
        }
        for band in &self.latencies {
            band.check()?;
        }
        let sum: f64 = self.latencies.iter().map(|band| band.share).sum();
        // Tenths add up to a little more or less than they are.
        if (sum - 1.0).abs() > 1e-9 {
            return Err(CHECK.refuse("share", sum, "1.0 in all"));
        }
        self.faults.iter().try_for_each(check_fault)
    }
}

impl Band {
    fn check(&self) -> Result<(), SettingError> {
        CHECK.share("share", self.share)?;
        span("most", self.most, false)?;
        if self.least > self.most {
            return Err(CHECK.refuse("least", self.least, "at most as long as the longest"));
        }
        Ok(())
    }
}

fn check_fault(fault: &Fault) -> Result<(), SettingError> {
    let FaultKind::Brownout { factor } = fault.kind else {
        return Err(CHECK.refuse("kind", fault.kind, "a brownout, where calls are hedged"));
    };
    above_zero("factor", factor)?;
    span("from", fault.from, true)?;
    span("lasting", fault.lasting, false)
}

/// Makes the requests under each of these hedges, one after the other, and says how long they took and what it cost.
///
/// The hedges are this crate's own, asked as a call asks them, but at simulated times. They go by their
/// [names](HedgeBuilder::name). Each has seen nothing when its run begins, and what it learns is in the figures; a
/// budget or a throttle that was handed to its builder is not touched: the run is given another like it. `Hedge`
/// with [one attempt](HedgeBuilder::max_attempts) is no hedge, to compare with.
///
/// All of them meet the same requests at the same times, and first attempts that take as long. The same seed gives
/// the same figures.
///
/// ```
/// use std::time::Duration;
/// use recoup::Hedge;
/// use recoup::lab::{FanOut, fan_out};
///
/// let mut scenario = FanOut::tail_at_scale();
/// scenario.requests = 1_000;
/// let after = || Hedge::after(Duration::from_millis(10));
/// let tails = fan_out(&scenario, &[after().max_attempts(1), after()], 1)?;
/// let [plain, hedged] = &tails.tails[..] else { panic!("two") };
/// assert!(plain.latency_p99 > 1.0 && hedged.latency_p99 < 0.1);
/// assert!(plain.extra == 0.0 && hedged.extra < 0.025);
/// # Ok::<(), recoup::SettingError>(())
/// ```
///
/// # Errors
///
/// [`SettingError`] for the first setting of the scenario or of a hedge that cannot work.
pub fn fan_out(scenario: &FanOut, hedges: &[HedgeBuilder], seed: u64) -> Result<Tails, SettingError> {
    fan_out_told(scenario, hedges, seed, |_| {})
}

/// As [`fan_out`], and tells how much of it is done, from 0.0 to 1.0, after each request: for whoever shows that to
/// somebody who waits.
///
/// ```
/// use std::time::Duration;
/// use recoup::Hedge;
/// use recoup::lab::{FanOut, fan_out_told};
///
/// let mut scenario = FanOut::tail_at_scale();
/// scenario.requests = 10;
/// let mut done = 0.0;
/// fan_out_told(&scenario, &[Hedge::at_quantile(0.95)], 1, |share| done = share)?;
/// assert_eq!(done, 1.0);
/// # Ok::<(), recoup::SettingError>(())
/// ```
///
/// # Errors
///
/// As [`fan_out`].
pub fn fan_out_told(
    scenario: &FanOut,
    hedges: &[HedgeBuilder],
    seed: u64,
    mut tell: impl FnMut(f64),
) -> Result<Tails, SettingError> {
    scenario.check()?;
    #[expect(clippy::cast_precision_loss, reason = "a handful of hedges")]
    let all = hedges.len() as f64;
    let mut tails = Vec::new();
    for (before, hedge) in (0_u32..).zip(hedges) {
        // Any moment will do: it is the same for all that a call asks, and only differences count.
        let start = time::now();
        let hedge = hedge.anew(start, seed)?;
        let engine = Engine::new(scenario, &hedge, start, Chances::new(scenario, seed));
        let took = engine.run(|share| tell((f64::from(before) + share) / all));
        tails.push(Tail::of(&hedge, took));
    }
    Ok(Tails { scenario: scenario.clone(), seed, tails })
}
