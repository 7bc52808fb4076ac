//! Where recoup meets other crates. Nothing else names them.

pub mod attribute;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod by;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "moka")]
mod moka;
#[cfg(feature = "redb")]
pub(crate) mod redb;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "tonic")]
pub mod tonic;
#[cfg(feature = "tower")]
pub mod tower;
mod traced;
mod tracing;

pub use self::traced::{Traced, traced};
pub use self::tracing::TracingObserver;
