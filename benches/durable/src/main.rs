//! Measures recoup's durable queue beside a bare log and SQLite, and prints the table.
//!
//! ```text
//! cargo run --release --manifest-path benches/durable/Cargo.toml [-- --quick] [--dir FOLDER] [--letters N] [--only PART]
//! ```
#![forbid(unsafe_code)]

mod child;
mod consumers;
mod crash;
mod group;
mod letter;
mod log;
mod looking;
mod machine;
mod parts;
mod producers;
mod sqlite;
mod table;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::parts::{PARTS, Scale};
use crate::table::HEAD;

struct Options {
    scale: Scale,
    only: Option<String>,
    child: Option<(String, PathBuf, u64)>,
}

fn options() -> Result<Options, String> {
    let (mut scale, mut only, mut child) = (Scale::full(PathBuf::from("target/durable")), None, None);
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("{word} wants a word after it"));
        let number = |text: String| text.parse().map_err(|_| format!("`{text}` is no number"));
        match word.as_str() {
            "--quick" => scale = Scale::quick(scale.folder),
            "--dir" => scale.folder = next()?.into(),
            "--letters" => scale.letters = number(next()?)?,
            "--only" => only = Some(next()?),
            "--child" => child = Some((next()?, next()?.into(), number(next()?)?)),
            _ => return Err(format!("unknown: {word}")),
        }
    }
    Ok(Options { scale, only, child })
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(problem) => {
            let names: Vec<&str> = PARTS.to_vec();
            eprintln!(
                "{problem}\n\n[--quick] [--dir FOLDER] [--letters N] [--only PART]\n\nparts: {}",
                names.join(", ")
            );
            return ExitCode::FAILURE;
        }
    };
    if let Some((task, path, number)) = options.child {
        child::run(&task, &path, number).await;
        return ExitCode::SUCCESS;
    }
    let folder = options.scale.folder.clone();
    if let Err(error) = fs::create_dir_all(&folder) {
        eprintln!("`{}` cannot be made: {error}", folder.display());
        return ExitCode::FAILURE;
    }
    println!("{}\n\n{HEAD}", machine::line());
    let mut missed = 0;
    for part in PARTS {
        if options.only.as_deref().is_some_and(|only| only != part) {
            continue;
        }
        for row in parts::run(part, &options.scale).await {
            missed += u32::from(row.goal.as_ref().is_some_and(|goal| !goal.met));
            println!("{row}");
        }
    }
    println!("\n{}; {missed} goals missed", machine::load());
    ExitCode::SUCCESS
}
