//! S1: writers that contend for one row.

use std::fmt;
use std::time::Duration;

use recoup::lab::{Contention, contend};
use recoup::{Backoff, Jitter, SettingError};

const WRITERS: [u32; 3] = [10, 50, 100];
const TRIALS: u32 = 100;

/// From 10 ms up to 2 s, as in the simulation that jitter is known from.
const BASE: Duration = Duration::from_millis(10);
const CAP: Duration = Duration::from_secs(2);

/// What it cost, for each backoff and each number of writers.
pub(crate) struct Table {
    seed: u64,
    rows: Vec<(&'static str, Vec<Contention>)>,
}

pub(crate) fn run(seed: u64) -> Result<Table, SettingError> {
    let exponential = || Backoff::exponential(BASE).max_delay(CAP);
    let backoffs = [
        ("none", Backoff::none()),
        ("exponential", exponential()),
        ("decorrelated", Backoff::decorrelated(BASE / 2).max_delay(CAP)),
        ("equal jitter", exponential().jitter(Jitter::Equal)),
        ("full jitter", exponential().jitter(Jitter::Full)),
    ];
    let row = |(name, backoff): &(&'static str, Backoff)| {
        let cells: Result<_, _> =
            WRITERS.iter().map(|&writers| contend(writers, backoff, TRIALS, seed)).collect();
        Ok::<_, SettingError>((*name, cells?))
    };
    Ok(Table { seed, rows: backoffs.iter().map(row).collect::<Result<_, _>>()? })
}

impl Table {
    pub(crate) fn to_json(&self) -> String {
        let row = |(name, cells): &(&'static str, Vec<Contention>)| {
            let cell = |(writers, cost): (&u32, &Contention)| serde_json::json!({ "writers": writers, "calls": cost.calls, "completion": cost.completion });
            serde_json::json!({ "backoff": name, "costs": WRITERS.iter().zip(cells).map(cell).collect::<Vec<_>>() })
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        serde_json::json!({ "format": "recoup.lab.contention/1", "seed": self.seed, "trials": TRIALS, "rows": rows })
            .to_string()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "contention: writers of one row, mean of {TRIALS} trials, seed {}", self.seed)?;
        write!(f, "{:12}", "backoff")?;
        for writers in WRITERS {
            write!(f, "  {:>20}", format!("{writers} writers"))?;
        }
        for (name, cells) in &self.rows {
            write!(f, "\n{name:12}")?;
            for cost in cells {
                write!(f, "  {:>20}", format!("{:.0} calls {:.2} s", cost.calls, cost.completion))?;
            }
        }
        Ok(())
    }
}
