//! Calls that were given up, made again from their letters.

mod all;
mod lease;
mod one;
mod report;

pub use self::all::{Redrive, redrive};
pub use self::one::{RedriveOne, Redriven, redrive_one};
pub use self::report::{RedriveError, RedriveReport, Stopped};
