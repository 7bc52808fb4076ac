//! How long hedged requests took, as JSON.

use serde::Serialize;

use super::keys::FaultKeys;
use super::report::written;
use super::span::Span;
use crate::lab::fan_out::{Band, FanOut, Tail, Tails};

/// What the shape is called. A change that a reader could stumble over gets another number.
const FORMAT: &str = "recoup.lab.hedging/1";

#[derive(Serialize)]
struct Whole<'a> {
    format: &'static str,
    seed: u64,
    scenario: ScenarioKeys<'a>,
    hedges: Vec<OneTail<'a>>,
}

#[derive(Serialize)]
struct ScenarioKeys<'a> {
    name: &'a str,
    requests: u32,
    rate: f64,
    servers: u32,
    workers: u32,
    latencies: Vec<BandKeys>,
    faults: Vec<FaultKeys>,
}

#[derive(Serialize)]
struct BandKeys {
    share: f64,
    least: Span,
    most: Span,
}

#[derive(Serialize)]
struct OneTail<'a> {
    hedge: &'a str,
    latency_p50: f64,
    latency_p99: f64,
    latency_p999: f64,
    calls: u64,
    launched: u64,
    extra: f64,
    won: u64,
    wasted: u64,
    suppressed: u64,
}

impl Tails {
    /// What came of it as JSON, on one line: `format`, which is `"recoup.lab.hedging/1"`, `seed`, `scenario`, with
    /// the fields of [`FanOut`] by their names, and `hedges`, a list with the fields of [`Tail`] by theirs.
    ///
    /// Shares are from 0.0 to 1.0, times of hedges are seconds, times of the scenario are texts with units.
    ///
    /// ```
    /// use recoup::Hedge;
    /// use recoup::lab::{FanOut, fan_out};
    ///
    /// let mut scenario = FanOut::tail_at_scale();
    /// scenario.requests = 10;
    /// let tails = fan_out(&scenario, &[Hedge::at_quantile(0.95)], 1)?;
    /// assert!(tails.to_json().starts_with(r#"{"format":"recoup.lab.hedging/1","seed":1,"scenario":{"name":"hedging""#));
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let hedges = self.tails.iter().map(OneTail::from).collect();
        written(&Whole { format: FORMAT, seed: self.seed, scenario: (&self.scenario).into(), hedges })
    }
}

impl<'a> From<&'a FanOut> for ScenarioKeys<'a> {
    fn from(scenario: &'a FanOut) -> Self {
        let band =
            |band: &Band| BandKeys { share: band.share, least: Span(band.least), most: Span(band.most) };
        Self {
            name: &scenario.name,
            requests: scenario.requests,
            rate: scenario.rate,
            servers: scenario.servers,
            workers: scenario.workers,
            latencies: scenario.latencies.iter().map(band).collect(),
            faults: scenario.faults.iter().map(FaultKeys::from).collect(),
        }
    }
}

impl<'a> From<&'a Tail> for OneTail<'a> {
    fn from(tail: &'a Tail) -> Self {
        Self {
            hedge: &tail.hedge,
            latency_p50: tail.latency_p50,
            latency_p99: tail.latency_p99,
            latency_p999: tail.latency_p999,
            calls: tail.calls,
            launched: tail.launched,
            extra: tail.extra,
            won: tail.won,
            wasted: tail.wasted,
            suppressed: tail.suppressed,
        }
    }
}
