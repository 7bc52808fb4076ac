//! Clients and servers of gRPC, for the crate `tonic`.

mod config;
mod policy;
mod pushback;

pub use self::config::{ServiceConfig, ServiceConfigError};
pub use self::policy::{Hedging, HedgingBuilder, MethodPolicy, Retry, RetryBuilder, Throttling};
pub use self::pushback::{Pushback, pushback};
