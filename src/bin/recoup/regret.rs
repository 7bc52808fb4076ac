//! Many faults by chance, and what choosing each policy would have cost.

use std::io::Write;

use recoup::lab::compare_told;

use crate::arguments::Wanted;
use crate::bar::Bar;
use crate::problem::Problem;
use crate::scenarios::{open, write_list};

pub(crate) fn run(wanted: &Wanted, out: &mut impl Write) -> Result<(), Problem> {
    let json = wanted.json.as_deref().map(open).transpose()?;
    let (mut bar, mut told) = (Bar::new(1, wanted.quiet), 0.0);
    let comparison = compare_told(&wanted.contenders, wanted.draws, wanted.seed, |share| {
        bar.step(share - told, "");
        told = share;
    })?;
    drop(bar);
    if let Some((path, file)) = json {
        write_list(path, file, &[comparison.to_json()])?;
    }
    if wanted.quiet {
        return Ok(());
    }
    writeln!(out, "{comparison}").map_err(Problem::Output)
}
