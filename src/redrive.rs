//! Calls that were given up, made again from their letters.

mod all;
mod course;
mod errand;
mod lease;
mod one;
mod operation;
mod pace;
mod record;
mod redriver;
mod report;
mod survey;
mod turns;

pub use self::all::{Redrive, redrive};
pub use self::one::{RedriveOne, Redriven, redrive_one};
pub use self::redriver::Redriver;
pub use self::report::{RedriveError, RedriveReport, Stopped};
