//! What a policy does to a backend that is in trouble, seen in a simulated fleet.
//!
//! The lab runs this crate's own policy objects, not copies of them, against a model of a backend: servers, a
//! bounded queue, service times, and a fault. It is a simulation of single events: nothing waits for real, a
//! minute of a large fleet takes seconds, and one seed gives one report, on every machine.
//!
//! A [`Scenario`] says who calls, who answers and what goes wrong; a [`Contender`] is a policy that takes part;
//! [`run`] gives a [`Report`], which says what came of it under each of them, side by side.
//!
//! ```
//! use recoup::RetryPolicy;
//! use recoup::lab::{Contender, Fleet, Scenario, run};
//!
//! let scenario = Scenario::spike(Fleet::new(100, 1.0));
//! let mine = Contender::new("mine", RetryPolicy::builder().max_attempts(2).no_budget());
//! let report = run(&scenario, &[mine, Contender::adaptive()], 1)?;
//! let [mine, adaptive] = [0, 1].map(|nth| &report.runs[nth].figures);
//! assert!(mine.recovery.is_stuck(), "one retry is enough to keep a backend down:\n{report}");
//! assert!(!adaptive.recovery.is_stuck());
//! # Ok::<(), recoup::SettingError>(())
//! ```
//!
//! [`compare`] does that for faults that are drawn by chance, and says what each policy would have to regret.
//! The server's half takes part by [`Discipline::shedder`]: the crate's own load shedder in front of the backend.
//! Two more are experiments of their own: in [`contend`] writers meet in one row, which is what jitter was invented
//! for, and in [`fan_out`](fan_out()) requests wait for the slowest of a hundred servers, which is what hedges are for.
//!
//! # What the model leaves out
//!
//! Ways through the network take no time. A client has no memory but that of its policies: users who give up,
//! or press a button again, are not in it. Limits of concurrency and rate do not take part yet. Calls are hedged in
//! fan-outs alone, where none fails.

mod agenda;
mod arrivals;
mod backend;
mod chart;
mod check;
mod clients;
mod compare;
mod contender;
mod draw;
mod engine;
mod fan_out;
#[cfg(feature = "lab-files")]
pub mod files;
mod ready;
mod reference;
mod report;
mod run;
mod scenario;
mod shedding;
mod tally;
#[cfg(test)]
mod tests;
mod weather;
mod writers;

pub use self::compare::{Comparison, Standing, compare, compare_told};
pub use self::contender::Contender;
pub use self::draw::draw;
pub use self::fan_out::{Band, FanOut, Tail, Tails, fan_out, fan_out_told};
pub use self::report::{Figures, Recovered, Report, Run, Sample};
pub use self::run::{run, run_told};
pub use self::scenario::{
    Arrivals, Backend, Discipline, Fault, FaultKind, Fleet, QueueBound, Scenario, Spread,
};
pub use self::writers::{Contention, contend};
