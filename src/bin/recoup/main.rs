//! The command `recoup`: dead letters and the lab, without writing a program.

mod arguments;
mod bar;
mod dlq;
mod hedges;
mod named;
mod problem;
mod regret;
mod scenarios;
mod writers;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::arguments::{Lab, Order};
use crate::problem::Problem;

/// What to say to those who ask, and to those who say nothing.
const HELP: &str = "\
recoup gets back what failed.

Usage: recoup dlq FILE [verb]   see, send again and clear away dead letters
       recoup dlq --help        what the verbs are
       recoup lab [options]     see what policies do to a backend in trouble
       recoup lab --help        what the options are
       recoup --version         which version this is
";

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let done = Order::read(std::env::args_os().skip(1)).and_then(|order| obey(order, &mut out));
    let done = done.and_then(|()| out.flush().map_err(Problem::Output));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads has seen enough, as `head` has.
        Err(Problem::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(problem) => {
            // There is nobody else to tell if this cannot be told.
            let _ = writeln!(io::stderr(), "recoup: {problem}");
            problem.exit_code()
        }
    }
}

fn obey(order: Order, out: &mut impl Write) -> Result<(), Problem> {
    match order {
        Order::Help => out.write_all(HELP.as_bytes()).map_err(Problem::Output),
        Order::LabHelp => out.write_all(arguments::LAB_HELP.as_bytes()).map_err(Problem::Output),
        Order::Version => writeln!(out, "recoup {}", env!("CARGO_PKG_VERSION")).map_err(Problem::Output),
        Order::Dlq(asked) => dlq::run(&asked, out),
        Order::Lab(Lab::Scenarios(wanted)) => scenarios::run(&wanted, out),
        Order::Lab(Lab::Regret(wanted)) => regret::run(&wanted, out),
    }
}
