//! recoup gets back what failed.
#![forbid(unsafe_code)]

mod attempt;
mod classification;
mod event;
mod nested;
mod random;
mod setting;
mod sync;
mod time;

pub use crate::attempt::Attempt;
pub use crate::classification::{Advice, Category, Classification, Health, Outcome, Severity};
pub use crate::event::{DelaySource, Event, Observer, Trip};
pub use crate::setting::SettingError;
pub use crate::time::Instant;
