//! The table that is printed.

use std::fmt;

/// A line: what was measured, of whom, and what was wanted.
pub struct Row {
    pub what: String,
    /// Digits after the point.
    pub digits: usize,
    /// Of the bare log, of SQLite and of recoup.
    pub figures: [Option<f64>; 3],
    pub goal: Option<Goal>,
}

pub struct Goal {
    pub text: String,
    pub met: bool,
}

impl Row {
    pub fn new(what: impl Into<String>, log: Option<f64>, sqlite: Option<f64>, recoup: Option<f64>) -> Self {
        Self { what: what.into(), digits: 0, figures: [log, sqlite, recoup], goal: None }
    }

    pub const fn digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }

    pub fn goal(mut self, text: impl Into<String>, met: bool) -> Self {
        self.goal = Some(Goal { text: text.into(), met });
        self
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} |", self.what)?;
        for figure in self.figures {
            match figure {
                Some(figure) => write!(f, " {} |", grouped(figure, self.digits))?,
                None => f.write_str(" - |")?,
            }
        }
        match &self.goal {
            Some(goal) => write!(f, " {} | {} |", goal.text, if goal.met { "met" } else { "MISSED" }),
            None => f.write_str(" | |"),
        }
    }
}

/// A number whose thousands are set apart.
fn grouped(figure: f64, digits: usize) -> String {
    let text = format!("{figure:.digits$}");
    let (whole, part) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut shown = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown + part
}

pub const HEAD: &str = "| what | bare log | SQLite | recoup | goal | |\n|---|---|---|---|---|---|";

/// The one in the middle.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}
