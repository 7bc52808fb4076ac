//! Where answers go, and how they look there.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use serde_json::Value;

use crate::dlq::table::Table;
use crate::problem::Problem;

const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// The wall clock, for telling ages.
#[expect(
    clippy::disallowed_methods,
    reason = "the library's clock stands still in tests; this one is a person's"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Standard output, as a person or a program reads it.
pub(crate) struct View<'a> {
    out: &'a mut dyn Write,
    /// For a program.
    pub(crate) json: bool,
    quiet: bool,
    /// Of the terminal, if there is one.
    width: Option<usize>,
    colour: bool,
    /// One moment for all ages that are told.
    pub(crate) now: SystemTime,
}

impl<'a> View<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, json: bool, quiet: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let width = terminal_size::terminal_size().filter(|_| terminal).map(|(width, _)| width.0.into());
        let mut view = Self::on(out, json, quiet, width);
        // No colour for who asks for none: https://no-color.org
        view.colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
        view
    }

    /// On something of this width, without colours.
    pub(crate) fn on(out: &'a mut dyn Write, json: bool, quiet: bool, width: Option<usize>) -> Self {
        Self { out, json, quiet, width, colour: false, now: now() }
    }

    /// A line of the answer, for people.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), Problem> {
        if self.json { Ok(()) } else { writeln!(self.out, "{text}").map_err(Problem::Output) }
    }

    /// A line about what is done, for people who want to hear it.
    pub(crate) fn say(&mut self, text: impl fmt::Display) -> Result<(), Problem> {
        if self.quiet { Ok(()) } else { self.line(text) }
    }

    /// A table, for people.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Problem> {
        if self.json { Ok(()) } else { table.write(self.out, self.width).map_err(Problem::Output) }
    }

    /// A document on a line of its own, for programs.
    pub(crate) fn document(&mut self, document: &Value) -> Result<(), Problem> {
        if self.json { writeln!(self.out, "{document}").map_err(Problem::Output) } else { Ok(()) }
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.out.write_all(bytes).map_err(Problem::Output)
    }

    /// In red where `alarming`, if there are colours.
    pub(crate) fn marked(&self, text: String, alarming: bool) -> String {
        if alarming && self.colour { format!("{RED}{text}{PLAIN}") } else { text }
    }

    /// For what writes by itself.
    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        self.out
    }

    /// Nothing but the answer.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet || self.json
    }

    /// What was told is on its way before something that lasts.
    pub(crate) fn flush(&mut self) -> Result<(), Problem> {
        self.out.flush().map_err(Problem::Output)
    }
}
