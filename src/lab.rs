//! What a policy does to a backend that is in trouble, seen in a simulated fleet.
//!
//! The lab runs this crate's own policy objects, not copies of them, against a model of a backend: servers, a
//! bounded queue, service times, and a fault. It is a simulation of single events: nothing waits for real, a
//! minute of a large fleet takes seconds, and one seed gives one report, on every machine.
//!
//! A [`Scenario`] says who calls, who answers and what goes wrong; a [`Report`] says what came of it under each
//! policy, side by side.

mod arrivals;
mod backend;
mod check;
mod clients;
mod compare;
mod contender;
mod draw;
mod engine;
mod ready;
mod reference;
mod report;
mod run;
mod scenario;
mod tally;
#[cfg(test)]
mod tests;
mod weather;
mod writers;

pub use self::compare::{Comparison, Standing, compare};
pub use self::contender::Contender;
pub use self::draw::draw;
pub use self::report::{Figures, Recovered, Report, Run, Sample};
pub use self::run::run;
pub use self::scenario::{
    Arrivals, Backend, Discipline, Fault, FaultKind, Fleet, QueueBound, Scenario, Spread,
};
pub use self::writers::{Contention, contend};
