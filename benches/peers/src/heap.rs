//! Figures of memory, which come from the program `heap`: its allocator counts, which takes time, so the program
//! that takes times must not have it.

use std::env;
use std::process::{Command, Stdio};

use crate::table::{Figure, Figures};

/// Has the program `heap` built and run, with these arguments, and adds what it found.
pub fn add(figures: &mut Figures, arguments: &[&str]) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--bin", "heap", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--")
        .args(arguments)
        .stderr(Stdio::inherit())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).for_each(
                |(key, subject, figure)| {
                    figures.insert((key, subject), figure);
                },
            );
        }
        failed => eprintln!("NO FIGURES OF MEMORY: the program `heap` did not run: {failed:?}"),
    }
}

/// A line of that program.
pub fn line(key: &str, subject: &str, value: f64, note: &str) -> String {
    format!("{key}\t{subject}\t{value}\t{note}")
}

fn parse(line: &str) -> Option<(String, String, Figure)> {
    let mut fields = line.split('\t').map(str::to_owned);
    let (key, subject, value, note) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    Some((key, subject, Figure { value: value.parse().ok()?, note, ..Figure::default() }))
}
