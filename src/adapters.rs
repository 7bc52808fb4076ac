//! Where recoup meets other crates. Nothing else names them.

pub mod attribute;
#[cfg(feature = "moka")]
mod moka;
mod traced;
mod tracing;

pub use self::traced::{Traced, traced};
pub use self::tracing::TracingObserver;
