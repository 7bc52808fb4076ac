//! Rows and columns for people.

use std::io::{self, Write};

use crate::dlq::text::{cut, harmless};

/// No column but the last is wider, whatever stands in it.
const WIDEST: usize = 32;

/// The last column is never cut to less.
const NARROWEST: usize = 12;

/// A table: its columns are as wide as what stands in them, and the last one takes what the terminal has left.
#[derive(Debug)]
pub(crate) struct Table {
    /// Named with a `>` before it, a column is aligned to the right.
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// A row, with nothing in it that a terminal obeys.
    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let last = self.heads.len().saturating_sub(1);
        let cell = |(at, cell): (usize, S)| {
            let cell = harmless(cell.as_ref());
            if at < last { cut(&cell, WIDEST) } else { cell }
        };
        self.rows.push(cells.into_iter().enumerate().map(cell).collect());
    }

    pub(crate) fn write(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let mut wide: Vec<usize> =
            self.heads.iter().map(|head| head.trim_start_matches('>').chars().count()).collect();
        for row in &self.rows {
            for (wide, cell) in wide.iter_mut().zip(row) {
                *wide = cell.chars().count().max(*wide);
            }
        }
        let before: usize = wide.iter().rev().skip(1).map(|wide| wide + 2).sum();
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(before).max(NARROWEST));
        let names = self.heads.iter().map(|head| head.trim_start_matches('>').to_uppercase()).collect();
        for row in std::iter::once(&names).chain(&self.rows) {
            let cell = |(at, (cell, wide)): (usize, (&String, &usize))| match (
                self.heads[at].starts_with('>'),
                at + 1 == row.len(),
            ) {
                (true, _) => format!("{cell:>wide$}"),
                (false, true) => cut(cell, room),
                (false, false) => format!("{cell:wide$}"),
            };
            let cells: Vec<String> = row.iter().zip(&wide).enumerate().map(cell).collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: Option<usize>) -> String {
        let mut table = Table::new(&["name", ">letters", "message"]);
        table.row(["payments", "7", "connection \x1b[2Jrefused by the other side"]);
        table.row(["a name that is so long that it would push all others off the screen", "1,234", ""]);
        let mut out = Vec::new();
        table.write(&mut out, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_stand_below_each_other() {
        let table = written(None);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "NAME                              LETTERS  MESSAGE");
        assert_eq!(
            lines[1],
            "payments                                7  connection \\u{1b}[2Jrefused by the other side"
        );
        assert_eq!(lines[2], "a name that is so long that it …    1,234");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let table = written(Some(60));
        assert!(table.lines().all(|line| line.chars().count() <= 60), "{table}");
        assert!(table.contains("connection \\u{1b…"), "{table}");
        assert!(written(Some(1)).contains("connection …"), "a terminal of no width still shows something");
    }
}
