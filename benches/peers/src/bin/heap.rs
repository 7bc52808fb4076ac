//! Counts allocations: a program of its own, because its allocator does, which takes time.
//!
//! Run by the program that prints the table; prints one line for each figure.
#![forbid(unsafe_code)]

use std::any::Any;
use std::env;

use allocation_counter::measure;
use recoup_peers::case::{CASES, Case, Measured, Op, What, Window};
use recoup_peers::door::Door;
use recoup_peers::heap::line;
use recoup_peers::measure::runtime;
use recoup_peers::operation::Hangs;
use recoup_peers::peers::{SUBJECTS, Subject};
use tokio::runtime::Runtime;

fn main() {
    let quick = env::args().any(|word| word == "--quick");
    let breakers = if quick { 10_000 } else { 1_000_000 };
    for case in CASES {
        for subject in SUBJECTS {
            let runtime = runtime();
            let found = match case.measured {
                Measured::Cost(_) | Measured::Scaling(_) | Measured::InFlight => None,
                Measured::FutureSize => with(&runtime, subject, What::Pipeline(Op::Hangs), under_way),
                Measured::Idle(window) => idle(&runtime, subject, window, breakers),
                Measured::AllocationsOnRejection => {
                    with(&runtime, subject, What::Rejection, |door| allocations(door, &runtime))
                }
                Measured::AllocationsOnSuccess => on_success(&runtime, subject),
            };
            if let Some((value, note)) = found {
                println!("{}", line(case.key, subject.name, value, note));
            }
        }
    }
}

type Found = Option<(f64, &'static str)>;

fn with(runtime: &Runtime, subject: &Subject, what: What, take: impl FnOnce(&Door) -> f64) -> Found {
    let _entered = runtime.enter();
    let door = (subject.door)(what)?;
    Some((take(&door), door.note))
}

/// Bytes that are held after this, of what it gives back.
fn held(make: impl FnOnce() -> Box<dyn Any>) -> f64 {
    let mut kept = None;
    let info = measure(|| kept = Some(make()));
    drop(kept);
    info.bytes_current as f64
}

/// Bytes of a call under way over its operation's: of its future, and of what that holds.
fn under_way(door: &Door) -> f64 {
    const CALLS: usize = 1_000;
    let _what_is_made_once = door.hold(CALLS); // kept: calls that are given up would open the circuit
    held(|| door.hold(CALLS)) / CALLS as f64 - (size_of::<Hangs>() + size_of::<*const ()>()) as f64
}

fn idle(runtime: &Runtime, subject: &Subject, window: Window, breakers: usize) -> Found {
    let _entered = runtime.enter();
    let make = (subject.idle)(window)?;
    Some((held(|| make(breakers)) / breakers as f64, ""))
}

/// Allocations of a call, after some that may have been the first of their kind.
fn allocations(door: &Door, runtime: &Runtime) -> f64 {
    let calls = door.at_most.unwrap_or(1_000) / 2;
    let mut caller = door.caller();
    caller(runtime, calls);
    measure(|| caller(runtime, calls)).count_total as f64 / calls as f64
}

/// The most allocations of a call that succeeds, of all kinds of call that the subject has.
fn on_success(runtime: &Runtime, subject: &Subject) -> Found {
    let kinds = CASES.iter().filter_map(|case| match case {
        Case { measured: Measured::Cost(what), .. } if *what != What::Rejection => Some(*what),
        _ => None,
    });
    let found = kinds.filter_map(|what| with(runtime, subject, what, |door| allocations(door, runtime)));
    found.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(most, _)| (most, ""))
}
