//! A recovery around any service of the tower kind.

mod boxed;
mod cloned;
#[cfg(feature = "http")]
pub mod http;
mod layer;
mod once;
mod protocol;
mod service;

pub use self::boxed::{BoxedFuture, BoxedLayer, BoxedService};
pub use self::cloned::{Cloned, ClonedCall};
pub use self::layer::RecoveryLayer;
pub use self::once::{Once, OnceCall};
pub use self::protocol::{Call, Protocol};
pub use self::service::{RecoveryService, ResponseFuture};
