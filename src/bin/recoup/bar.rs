//! How far a long run is, for who watches.

use std::io::{self, IsTerminal, Write};

const WIDE: usize = 30;

/// A bar on the last line of standard error, if that is a terminal.
#[derive(Debug)]
pub(crate) struct Bar {
    shown: bool,
    /// In jobs, and parts of them.
    done: f64,
    jobs: f64,
    last: String,
}

impl Bar {
    pub(crate) fn new(jobs: usize, quiet: bool) -> Self {
        let shown = !quiet && io::stderr().is_terminal();
        let jobs = (0..jobs).fold(0.0, |jobs, _| jobs + 1.0);
        Self { shown, done: 0.0, jobs, last: String::new() }
    }

    /// So much more of a job is done; `ended` is the name of a job that is done altogether.
    pub(crate) fn step(&mut self, share: f64, ended: &str) {
        self.done += share;
        if !ended.is_empty() {
            self.last = ended.chars().filter(|c| !c.is_control()).take(40).collect();
        }
        let share = (self.done / self.jobs.max(1.0)).clamp(0.0, 1.0);
        let bar: String =
            (0_u32..).take(WIDE).map(|at| if f64::from(at) < share * 30.0 { '=' } else { ' ' }).collect();
        self.write(&format!("\r\x1b[K[{bar}] {:3.0} %  {}", share * 100.0, self.last));
    }

    /// Makes room for something else.
    pub(crate) fn hide(&self) {
        self.write("\r\x1b[K");
    }

    fn write(&self, text: &str) {
        if self.shown {
            // A bar that cannot be shown is no reason to stop.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.hide();
    }
}
