//! What the lab reads and writes: scenarios and policies as TOML, reports as JSON.
//!
//! [`Scenario::from_toml`](crate::lab::Scenario::from_toml) and [`Contender::from_toml`](crate::lab::Contender::from_toml) read,
//! [`Report::to_json`](crate::lab::Report::to_json) and [`Tails::to_json`](crate::lab::Tails::to_json) write. Needs the feature `lab-files`.

mod breaker;
mod error;
mod keys;
mod place;
mod policy;
mod report;
mod scenario;
mod span;
mod tails;
mod waits;
mod withhold;

use serde::de::DeserializeOwned;

pub use self::error::FileError;
use self::place::Place;

/// What a file says, as it stands there.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let place = Place::at(text, at);
        FileError::of(place, error.message())
    })
}
