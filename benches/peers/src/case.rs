//! What is measured, and the goals.

use crate::door::Door;
use crate::operation::{FINE, Operation, Ready, Yields};

/// How a breaker counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Five failures in a row.
    Run,
    /// The last so many calls.
    Calls(u32),
    /// The last ten seconds.
    TenSeconds,
}

/// How the operation behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Ready at its first poll.
    Ready,
    /// Pending once.
    Yields,
    /// Pending for ever.
    Hangs,
}

/// What a call goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A retry whose first attempt succeeds.
    Retry,
    /// A closed breaker.
    Breaker(Window),
    /// An open breaker.
    Rejection,
    /// Retry, breaker, timeout and bulkhead.
    Pipeline(Op),
}

impl What {
    /// The operation of such a call, with nothing around it.
    pub fn bare(self) -> Door {
        fn bare<O: Operation>() -> Door {
            Door::shared(|| O::new(FINE))
        }
        match self {
            Self::Pipeline(Op::Yields) => bare::<Yields>(),
            Self::Pipeline(Op::Hangs) => bare::<crate::operation::Hangs>(),
            _ => bare::<Ready>(),
        }
    }
}

/// What is asked of a call, or of a breaker that nobody calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// Nanoseconds and instructions over the bare operation.
    Cost(What),
    /// What two threads get done together, over what one does.
    Scaling(What),
    /// Bytes of a call under way: its future and what it holds on the heap, less the operation's.
    FutureSize,
    /// Bytes of a spawned call under way, over those of the bare operation, spawned.
    InFlight,
    /// Bytes on the heap of a breaker that nobody calls.
    Idle(Window),
    /// Allocations of a call that succeeds: of the worst of the calls above.
    AllocationsOnSuccess,
    /// Allocations of a call that an open breaker rejects.
    AllocationsOnRejection,
}

impl Measured {
    /// Whether more is better.
    pub fn more_is_better(self) -> bool {
        matches!(self, Self::Scaling(_))
    }
}

/// The goal for recoup: a bound of the figure, and of the instructions where they are counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Goal {
    /// Of nanoseconds, ratio, bytes or allocations.
    pub value: Option<f64>,
    /// Of instructions.
    pub instructions: Option<f64>,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The word by which `--only` knows it.
    pub key: &'static str,
    /// What the table calls it.
    pub title: &'static str,
    /// What is measured.
    pub measured: Measured,
    /// What recoup must reach.
    pub goal: Goal,
}

const fn instructions(most: f64) -> Goal {
    Goal { value: None, instructions: Some(most) }
}

const fn both(most: f64, instructions: f64) -> Goal {
    Goal { value: Some(most), instructions: Some(instructions) }
}

const fn value(bound: f64) -> Goal {
    Goal { value: Some(bound), instructions: None }
}

const fn case(key: &'static str, title: &'static str, measured: Measured, goal: Goal) -> Case {
    Case { key, title, measured, goal }
}

/// The rows of the table.
pub const CASES: &[Case] = {
    use Measured::{AllocationsOnRejection, AllocationsOnSuccess, Cost, FutureSize, Idle, InFlight, Scaling};
    use What::{Breaker, Pipeline, Rejection, Retry};
    use Window::{Calls, Run, TenSeconds};
    &[
        case("retry", "retry, first try succeeds, ready", Cost(Retry), instructions(40.0)),
        case("run", "breaker closed, run of failures", Cost(Breaker(Run)), instructions(40.0)),
        case("calls-100", "breaker closed, last 100 calls", Cost(Breaker(Calls(100))), instructions(60.0)),
        case(
            "calls-1m",
            "breaker closed, last 1,000,000 calls",
            Cost(Breaker(Calls(1_000_000))),
            instructions(60.0),
        ),
        case("time", "breaker closed, last 10 s", Cost(Breaker(TenSeconds)), both(15.0, 90.0)),
        case("rejection", "open: rejection", Cost(Rejection), instructions(60.0)),
        case(
            "pipeline",
            "retry + breaker + timeout + bulkhead, ready",
            Cost(Pipeline(Op::Ready)),
            both(20.0, 200.0),
        ),
        case("yield", "the same, one yield", Cost(Pipeline(Op::Yields)), instructions(900.0)),
        case(
            "scaling-run",
            "one breaker (run of failures), 2 threads against 1",
            Scaling(Breaker(Run)),
            value(1.2),
        ),
        case(
            "scaling-calls",
            "one breaker (last 100 calls), 2 threads against 1",
            Scaling(Breaker(Calls(100))),
            value(1.2),
        ),
        case(
            "scaling-time",
            "one breaker (last 10 s), 2 threads against 1",
            Scaling(Breaker(TenSeconds)),
            value(1.2),
        ),
        case(
            "scaling-pipeline",
            "one whole pipeline, 2 threads against 1",
            Scaling(Pipeline(Op::Ready)),
            value(1.2),
        ),
        case("future", "a call of the pipeline under way, beside its operation", FutureSize, value(200.0)),
        case("in-flight", "memory per spawned call in flight, over bare", InFlight, value(1.6)),
        case("idle-run", "one idle breaker (run of failures), heap", Idle(Run), value(128.0)),
        case("idle-calls", "one idle breaker (last 100 calls), heap", Idle(Calls(100)), value(128.0)),
        case("idle-time", "one idle breaker (last 10 s), heap", Idle(TenSeconds), value(128.0)),
        case(
            "allocations",
            "allocations of a success, the worst of the paths above",
            AllocationsOnSuccess,
            value(0.0),
        ),
        case("allocations-rejected", "allocations of a rejection", AllocationsOnRejection, value(0.0)),
    ]
};
