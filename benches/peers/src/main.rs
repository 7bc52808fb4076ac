//! Measures recoup beside released peers and prints the table.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml [-- --quick] [-- --only CASE]
//! ```
#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;

use recoup_peers::case::{CASES, Case, Measured, Op, What};
use recoup_peers::door::Door;
use recoup_peers::instructions::{self, BARE, Count};
use recoup_peers::measure::{Rounds, costs, runtime, scalings};
use recoup_peers::peers::SUBJECTS;
use recoup_peers::table::{Figure, Figures, report};
use recoup_peers::{heap, machine, resident};
use tokio::runtime::Runtime;

#[derive(Default)]
struct Options {
    quick: bool,
    only: Option<String>,
    /// Makes so many calls of one subject and ends: what is run under callgrind.
    calls: Option<u64>,
    subject: String,
    /// Tells what the calls under way of one subject take, and ends: what is run in a process of its own.
    in_flight: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("{word} wants a word after it"));
        match word.as_str() {
            "--quick" => options.quick = true,
            "--only" => options.only = Some(next()?),
            "--in-flight" => options.in_flight = true,
            "--subject" => options.subject = next()?,
            "--calls" => options.calls = Some(next()?.parse().map_err(|_| "--calls wants a number")?),
            _ => return Err(format!("unknown: {word}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(problem) => {
            let keys: Vec<&str> = CASES.iter().map(|case| case.key).collect();
            eprintln!("{problem}\n\n[--quick] [--only CASE]\n\ncases: {}", keys.join(", "));
            return ExitCode::FAILURE;
        }
    };
    let cases: Vec<&Case> =
        CASES.iter().filter(|case| options.only.as_deref().is_none_or(|key| key == case.key)).collect();
    if cases.is_empty() {
        eprintln!("there is no such case");
        return ExitCode::FAILURE;
    }
    match (options.calls, cases[0].measured) {
        _ if options.in_flight => tell_in_flight(&options.subject),
        (Some(calls), Measured::Cost(what)) => make_calls(what, &options.subject, calls),
        _ => print_table(&cases, &options),
    }
    ExitCode::SUCCESS
}

/// The door of a subject that has it, or that of the bare operation.
fn door(runtime: &Runtime, subject: &str, what: What) -> Door {
    let _entered = runtime.enter();
    match SUBJECTS.iter().find(|s| s.name == subject) {
        Some(subject) => (subject.door)(what).expect("a case that the subject has"),
        None => what.bare(),
    }
}

fn make_calls(what: What, subject: &str, calls: u64) {
    let runtime = runtime();
    door(&runtime, subject, what).caller()(&runtime, calls);
}

fn tell_in_flight(subject: &str) {
    let runtime = runtime();
    let door = door(&runtime, subject, What::Pipeline(Op::Hangs));
    println!("{}", resident::per_call(&door, &runtime));
}

fn print_table(cases: &[&Case], options: &Options) {
    let rounds = if options.quick { Rounds { cost: 11, races: 7 } } else { Rounds { cost: 41, races: 41 } };
    let machine = machine::line(); // before there is any load of ours
    let mut figures = Figures::new();
    let mut counts = Vec::new();
    for case in cases {
        eprintln!("measuring {}", case.key);
        match case.measured {
            Measured::Cost(what) => add_costs(&mut figures, &mut counts, case.key, what, rounds.cost),
            Measured::Scaling(what) => add_scalings(&mut figures, case.key, what, rounds.races),
            Measured::InFlight => add_in_flight(&mut figures, case.key),
            _ => {}
        }
    }
    add_instructions(&mut figures, &counts, if options.quick { 500 } else { 5_000 });
    if options.only.is_none() || cases.iter().any(|case| needs_heap(case.measured)) {
        eprintln!("measuring memory");
        heap::add(&mut figures, if options.quick { &["--quick"] } else { &[] });
    }
    println!("{machine}\n\n{}", report(cases, &figures));
}

fn needs_heap(measured: Measured) -> bool {
    !matches!(measured, Measured::Cost(_) | Measured::Scaling(_) | Measured::InFlight)
}

/// Everybody who has such a call.
fn doors(runtime: &Runtime, what: What) -> (Vec<&'static str>, Vec<Door>) {
    let _entered = runtime.enter();
    SUBJECTS.iter().filter_map(|subject| Some((subject.name, (subject.door)(what)?))).unzip()
}

fn add_costs(figures: &mut Figures, counts: &mut Vec<Count>, case: &'static str, what: What, rounds: usize) {
    let runtime = runtime();
    let (names, doors) = doors(&runtime, what);
    let found = costs(&runtime, &what.bare(), &doors, rounds);
    counts.push(Count { case, subject: BARE, at_most: None });
    for ((subject, door), value) in names.into_iter().zip(doors).zip(found) {
        counts.push(Count { case, subject, at_most: door.at_most });
        let figure = Figure { value, note: door.note.into(), ..Figure::default() };
        figures.insert((case.into(), subject.into()), figure);
    }
}

fn add_scalings(figures: &mut Figures, case: &str, what: What, rounds: usize) {
    let runtime = runtime();
    let (names, doors): (Vec<_>, Vec<_>) = {
        let (names, doors) = doors(&runtime, what);
        // A door whose state is made anew for each thread is not shared.
        names.into_iter().zip(doors).filter(|(_, door)| door.at_most.is_none()).unzip()
    };
    let found = scalings(&runtime, &doors, rounds);
    for ((subject, door), scaling) in names.into_iter().zip(doors).zip(found) {
        if scaling.disturbed {
            eprintln!("NOT TO BE TRUSTED: {case}, {subject}: others used the cores all the time");
        }
        let figure = Figure {
            value: scaling.ratio,
            second: Some(scaling.millions),
            note: door.note.into(),
            disturbed: scaling.disturbed,
        };
        figures.insert((case.into(), subject.into()), figure);
    }
}

fn add_in_flight(figures: &mut Figures, case: &str) {
    let runtime = runtime();
    let (names, doors) = doors(&runtime, What::Pipeline(Op::Hangs));
    let Some(bare) = resident::of(BARE) else { return };
    for (subject, door) in names.into_iter().zip(doors) {
        if let Some(bytes) = resident::of(subject) {
            let figure = Figure { value: bytes / bare, note: door.note.into(), ..Figure::default() };
            figures.insert((case.into(), subject.into()), figure);
        }
    }
}

fn add_instructions(figures: &mut Figures, counts: &[Count], calls: u64) {
    if counts.is_empty() {
        return;
    }
    if !instructions::installed() {
        eprintln!("NO INSTRUCTIONS ARE COUNTED: valgrind is not installed (apt-get install valgrind)");
        return;
    }
    eprintln!("counting instructions");
    let found = instructions::count(counts, calls);
    let bare = |case: &str| {
        let of_case =
            counts.iter().zip(&found).find(|(count, _)| count.case == case && count.subject == BARE);
        of_case.and_then(|(_, instructions)| *instructions)
    };
    for (count, instructions) in counts.iter().zip(&found) {
        let figure = figures.get_mut(&(count.case.to_owned(), count.subject.to_owned()));
        if let (Some(figure), Some(instructions), Some(bare)) = (figure, instructions, bare(count.case)) {
            figure.second = Some(instructions - bare);
        }
    }
}
