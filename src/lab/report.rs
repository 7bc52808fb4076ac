//! What came of a scenario.

use std::fmt;

use super::scenario::Scenario;

/// What came of one scenario under each policy. Its `Display` is a table, a line for each policy.
///
/// ```
/// use recoup::RetryPolicy;
/// use recoup::lab::{Contender, Fleet, Scenario, run};
///
/// let never = Contender::new("no retry", RetryPolicy::builder().max_attempts(1).no_budget());
/// let report = run(&Scenario::outage(Fleet::new(10, 1.0)), &[never], 7)?;
/// let table = report.to_string();
/// let [title, head, line] = table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
/// assert_eq!(title, "outage: 10 clients x 1/s, seed 7");
/// assert!(head.starts_with("policy    calls/request  goodput in fault"));
/// assert!(line.starts_with("no retry           1.00             0.0 %"), "{line}");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// What was run.
    pub scenario: Scenario,
    /// The seed of everything that was left to chance. The same seed gives the same report.
    pub seed: u64,
    /// One for each policy, in the order in which they were handed in.
    pub runs: Vec<Run>,
}

/// What came of one scenario under one policy.
///
/// ```
/// use recoup::lab::{Contender, Fleet, Scenario, run};
///
/// let report = run(&Scenario::quiet(Fleet::new(10, 10.0)), &[Contender::no_retry()], 1)?;
/// let run = &report.runs[0];
/// assert_eq!((run.policy.as_str(), run.series.len()), ("no retry", 120));
/// assert_eq!(run.figures.amplification, None, "nothing went wrong");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// The name of the policy.
    pub policy: String,
    /// What is worth comparing.
    pub figures: Figures,
    /// How it went over time: one sample for each second from the start of the run, the warm-up included.
    pub series: Vec<Sample>,
}

/// What is worth comparing of one run. Nothing of the warm-up is counted. A request belongs to the time at which
/// it was first made, whenever it ended.
///
/// ```
/// use recoup::lab::{Contender, Fleet, Scenario, run};
///
/// let report = run(&Scenario::outage(Fleet::new(20, 10.0)), &[Contender::no_retry()], 1)?;
/// let figures = &report.runs[0].figures;
/// assert_eq!(figures.backend_calls, figures.offered);
/// assert_eq!((figures.goodput_in_fault, figures.goodput_after), (Some(0.0), Some(1.0)));
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// The requests that the fleet's users made.
    pub offered: u64,
    /// The requests that ended well.
    pub succeeded: u64,
    /// The attempts that reached the backend, whatever became of them.
    pub backend_calls: u64,
    /// The requests that were turned away by the client's own policies before they reached the backend.
    pub held_back: u64,
    /// The calls that the backend served for a caller who had gone.
    pub wasted: u64,
    /// Attempts that reached the backend during the faults, for each request made then. `None` without faults.
    pub amplification: Option<f64>,
    /// The share of all requests that ended well.
    pub success: f64,
    /// The share of the requests made during the faults that ended well. `None` without faults.
    pub goodput_in_fault: Option<f64>,
    /// The share of the requests made in the 30 s after the last fault that ended well. `None` without faults.
    pub goodput_after: Option<f64>,
    /// Whether, and when, the fleet was as well served as before.
    pub recovery: Recovered,
    /// The median time of a request that ended well, with all attempts and waits, in seconds; 0.0 if none did.
    pub latency_p50: f64,
    /// The time that one in a hundred of them exceeded, in seconds; 0.0 if none did.
    pub latency_p99: f64,
}

/// When goodput was back, after the last fault: at 99 % of what it was before the first one, or as near as so few
/// requests can tell, and stayed there
/// for 5 s.
///
/// ```
/// use recoup::lab::Recovered;
/// assert_eq!((Recovered::After(1.5).seconds(), Recovered::After(1.5).to_string()), (Some(1.5), "1.5 s".into()));
/// assert!(Recovered::Never.is_stuck());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Recovered {
    /// So many seconds after its end, in steps of a tenth.
    After(f64),
    /// Not while the run lasted: the fleet is stuck.
    Never,
    /// There was no fault to recover from.
    NoFault,
}

/// One second of a run.
///
/// ```
/// use recoup::lab::{Contender, Fleet, Sample, Scenario, run};
///
/// let report = run(&Scenario::outage(Fleet::new(10, 1.0)), &[Contender::full_jitter()], 1)?;
/// let within: Vec<&Sample> = report.runs[0].series.iter().filter(|sample| sample.at == 45.0).collect();
/// assert!(within[0].load > 2 * within[0].offered, "each is tried four times");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// When it began, in seconds from the start of the run.
    pub at: f64,
    /// Requests that were made in it.
    pub offered: u32,
    /// Attempts that reached the backend in it.
    pub load: u32,
    /// Of the requests made in it, those that ended well, whenever that was.
    pub goodput: u32,
    /// The median time of those, in seconds; `None` if there were none.
    pub latency_p50: Option<f64>,
    /// The time that one in a hundred of those exceeded, in seconds; `None` if there were none.
    pub latency_p99: Option<f64>,
}

impl Recovered {
    /// The seconds that it took; `None` if the fleet is stuck, or if there was no fault.
    #[must_use]
    pub const fn seconds(self) -> Option<f64> {
        match self {
            Self::After(seconds) => Some(seconds),
            Self::Never | Self::NoFault => None,
        }
    }

    /// Whether the fleet had not recovered when the run ended.
    #[must_use]
    pub const fn is_stuck(self) -> bool {
        matches!(self, Self::Never)
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(seconds) => f.pad(&format!("{seconds:.1} s")),
            Self::Never => f.pad("never"),
            Self::NoFault => f.pad("-"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scenario, fleet) = (&self.scenario, &self.scenario.fleet);
        let (clients, rate) = (fleet.clients, fleet.rate_per_client);
        writeln!(f, "{}: {clients} clients x {rate}/s, seed {}", scenario.name, self.seed)?;
        let wide = self.runs.iter().map(|run| run.policy.chars().count()).max().unwrap_or(0).max(6);
        write!(f, "{:wide$}  {:>13}  {:>16}", "policy", "calls/request", "goodput in fault")?;
        write!(f, "  {:>10}  {:>8}  {:>9}", "next 30 s", "recovery", "success")?;
        write!(f, "  {:>8}  {:>8}", "p50", "p99")?;
        for run in &self.runs {
            let figures = &run.figures;
            write!(f, "\n{:wide$}", run.policy)?;
            write!(
                f,
                "  {:>13}",
                figures.amplification.map_or("-".to_owned(), |calls| format!("{calls:.2}"))
            )?;
            write!(f, "  {:>16}  {:>10}", percent(figures.goodput_in_fault), percent(figures.goodput_after))?;
            write!(f, "  {:>8}  {:>7.2} %", figures.recovery, figures.success * 100.0)?;
            write!(f, "  {:>6.3} s  {:>6.3} s", figures.latency_p50, figures.latency_p99)?;
        }
        Ok(())
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
