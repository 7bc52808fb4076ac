//! Where recoup meets other crates. Nothing else names them.

pub mod attribute;
#[cfg(feature = "moka")]
mod moka;
#[cfg(feature = "redb")]
pub(crate) mod redb;
mod traced;
mod tracing;

pub use self::traced::{Traced, traced};
pub use self::tracing::TracingObserver;
