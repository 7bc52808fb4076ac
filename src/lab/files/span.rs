//! Times with units, as they are written in files.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// A time that was written with its unit: `"500ms"`, `"1m 30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

/// A number alone may mean seconds to the writer and milliseconds to the reader: nobody guesses.
fn no_unit<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format_args!("{number} has no unit; write \"{number}s\", \"{number}ms\" or the like"))
}

impl Visitor<'_> for Written {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time with its unit, as \"30s\" or \"500ms\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Span, E> {
        Err(no_unit(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Span, E> {
        Err(no_unit(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Span, E> {
        Err(no_unit(number))
    }

    fn visit_str<E: Error>(self, written: &str) -> Result<Span, E> {
        if !written.trim().is_empty() && written.trim().parse::<f64>().is_ok() {
            return Err(no_unit(written.trim()));
        }
        humantime::parse_duration(written).map(Span).map_err(|_| {
            E::custom(format_args!(
                "{written:?} is no time; it must be a number with its unit, as \"30s\" or \"500ms\""
            ))
        })
    }
}
