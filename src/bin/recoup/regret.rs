//! Many faults by chance, and what choosing each policy would have cost.

use std::io::Write;

use recoup::lab::compare;

use crate::arguments::Wanted;
use crate::problem::Problem;
use crate::scenarios::{open, write_list};

pub(crate) fn run(wanted: &Wanted, out: &mut impl Write) -> Result<(), Problem> {
    let json = wanted.json.as_deref().map(open).transpose()?;
    let comparison = compare(&wanted.contenders, wanted.draws, wanted.seed)?;
    if let Some((path, file)) = json {
        write_list(path, file, &[comparison.to_json()])?;
    }
    if wanted.quiet {
        return Ok(());
    }
    writeln!(out, "{comparison}").map_err(Problem::Output)
}
