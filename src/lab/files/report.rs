//! Reports as JSON.

use serde::Serialize;

use super::keys::ScenarioKeys;
use crate::lab::compare::Comparison;
use crate::lab::report::{Figures, Recovered, Report, Run, Sample};

/// What the shape is called. A change that a reader could stumble over gets another number.
const FORMAT: &str = "recoup.lab.report/1";

#[derive(Serialize)]
struct Whole<'a> {
    format: &'static str,
    seed: u64,
    scenario: ScenarioKeys,
    runs: Vec<OneRun<'a>>,
}

#[derive(Serialize)]
struct OneRun<'a> {
    policy: &'a str,
    figures: AllFigures,
    series: Series,
}

#[derive(Serialize)]
struct AllFigures {
    offered: u64,
    succeeded: u64,
    backend_calls: u64,
    held_back: u64,
    wasted: u64,
    amplification: Option<f64>,
    success: f64,
    goodput_in_fault: Option<f64>,
    goodput_after: Option<f64>,
    recovered: &'static str,
    recovered_after: Option<f64>,
    latency_p50: f64,
    latency_p99: f64,
}

/// A list for each column: a tenth of the size of a list of rows, and what plotting programs want.
#[derive(Serialize)]
struct Series {
    at: Vec<f64>,
    offered: Vec<u32>,
    load: Vec<u32>,
    goodput: Vec<u32>,
    latency_p50: Vec<Option<f64>>,
    latency_p99: Vec<Option<f64>>,
}

impl Report {
    /// The report as JSON, on one line.
    ///
    /// | key | value |
    /// |---|---|
    /// | `format` | `"recoup.lab.report/1"`; another number for another shape |
    /// | `seed` | the seed |
    /// | `scenario` | what was run, by the keys of [scenario files](crate::lab::Scenario::from_toml), all of them there |
    /// | `runs` | a list, one for each policy, in the order of the report |
    /// | `runs[].policy` | its name |
    /// | `runs[].figures` | the fields of [`Figures`](crate::lab::Figures) by their names, but for `recovery` |
    /// | `runs[].figures.recovered` | `"after"`, `"never"` or `"no_fault"` |
    /// | `runs[].figures.recovered_after` | seconds after the last fault, or null |
    /// | `runs[].series` | the fields of [`Sample`](crate::lab::Sample) by their names, each a list with one entry for each second |
    ///
    /// Shares are from 0.0 to 1.0, times are seconds, times of a scenario are texts with units. What is not there
    /// is null. Keys may be added; none is taken away or given another meaning under the same format.
    ///
    /// ```
    /// use recoup::RetryPolicy;
    /// use recoup::lab::{Contender, Fleet, Scenario, run};
    ///
    /// let default = Contender::new("default", RetryPolicy::builder());
    /// let report = run(&Scenario::outage(Fleet::new(5, 1.0)), &[default], 1)?;
    /// assert!(report.to_json().starts_with(r#"{"format":"recoup.lab.report/1","seed":1,"scenario":{"name":"outage""#));
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let whole = Whole {
            format: FORMAT,
            seed: self.seed,
            scenario: ScenarioKeys::from(&self.scenario),
            runs: self.runs.iter().map(OneRun::from).collect(),
        };
        written(&whole)
    }
}

pub(super) fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("lists, texts and numbers can be written, and keys are texts")
}

#[derive(Serialize)]
struct Ranking<'a> {
    format: &'static str,
    seed: u64,
    standings: Vec<OneStanding<'a>>,
}

#[derive(Serialize)]
struct OneStanding<'a> {
    policy: &'a str,
    mean_regret: f64,
    regrets: &'a [f64],
    stuck: &'a [u32],
}

impl Comparison {
    /// The comparison as JSON, on one line: `format`, which is `"recoup.lab.regret/1"`, `seed`, and `standings`,
    /// a list with the fields of [`Standing`](crate::lab::Standing) by their names and the `mean_regret`.
    ///
    /// ```
    /// use recoup::lab::{Contender, compare};
    ///
    /// let comparison = compare(&[Contender::adaptive()], 0, 1)?;
    /// assert!(comparison.to_json().starts_with(r#"{"format":"recoup.lab.regret/1","seed":1,"standings":[{"policy":"#));
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let standings = self.standings.iter().map(|standing| OneStanding {
            policy: &standing.policy,
            mean_regret: standing.mean_regret(),
            regrets: &standing.regrets,
            stuck: &standing.stuck,
        });
        let all = Ranking { format: "recoup.lab.regret/1", seed: self.seed, standings: standings.collect() };
        written(&all)
    }
}

impl<'a> From<&'a Run> for OneRun<'a> {
    fn from(run: &'a Run) -> Self {
        Self { policy: &run.policy, figures: (&run.figures).into(), series: run.series.as_slice().into() }
    }
}

impl From<&Figures> for AllFigures {
    fn from(figures: &Figures) -> Self {
        let (recovered, recovered_after) = match figures.recovery {
            Recovered::After(seconds) => ("after", Some(seconds)),
            Recovered::Never => ("never", None),
            Recovered::NoFault => ("no_fault", None),
        };
        Self {
            offered: figures.offered,
            succeeded: figures.succeeded,
            backend_calls: figures.backend_calls,
            held_back: figures.held_back,
            wasted: figures.wasted,
            amplification: figures.amplification,
            success: figures.success,
            goodput_in_fault: figures.goodput_in_fault,
            goodput_after: figures.goodput_after,
            recovered,
            recovered_after,
            latency_p50: figures.latency_p50,
            latency_p99: figures.latency_p99,
        }
    }
}

impl From<&[Sample]> for Series {
    fn from(samples: &[Sample]) -> Self {
        Self {
            at: samples.iter().map(|sample| sample.at).collect(),
            offered: samples.iter().map(|sample| sample.offered).collect(),
            load: samples.iter().map(|sample| sample.load).collect(),
            goodput: samples.iter().map(|sample| sample.goodput).collect(),
            latency_p50: samples.iter().map(|sample| sample.latency_p50).collect(),
            latency_p99: samples.iter().map(|sample| sample.latency_p99).collect(),
        }
    }
}
