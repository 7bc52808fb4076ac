//! Clients and servers of gRPC, with the crate `tonic`.
//!
//! # Clients
//!
//! [`GrpcLayer`] puts a [`Recovery`](crate::Recovery) around a channel: what may be made again and when, by the
//! rules of gRPC. [`GrpcErrors`] knows what a status means, for that recovery or for a
//! [`retry`](crate::retry()) of one's own. [`MethodPolicy`] says what is different for one method, and
//! [`ServiceConfig`] reads that from JSON.
//!
//! By default nothing is made again but what the server surely did not do: of gRPC nobody can see which methods are
//! idempotent.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use recoup::Recovery;
//! use recoup::tonic::{GrpcErrors, GrpcLayer, ServiceConfig};
//!
//! let recovery = Recovery::builder("echo").classifier(GrpcErrors).build()?;
//! let config: ServiceConfig = r#"{ "methodConfig": [{
//!     "name": [{ "service": "echo.v1.Echo" }],
//!     "timeout": "5s",
//!     "retryPolicy": { "maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
//!                      "retryableStatusCodes": ["UNAVAILABLE"] }
//! }] }"#.parse()?;
//! let layer = GrpcLayer::new(recovery).service_config(&config);
//! // `EchoClient::new(layer.layer(channel))` is a client of what tonic generates.
//! # let _ = layer;
//! let typing_error = r#"{ "methodConfig": [{ "name": [{}], "timeout": "5 s" }] }"#.parse::<ServiceConfig>();
//! assert!(typing_error.is_err());
//! # Ok(()) }
//! ```
//!
//! # Servers
//!
//! [`ProtectLayer`] puts a rate limiter, a load shedder, a bulkhead and a concurrency limit around a server, or one
//! service of it. Whom it refuses it tells by [`Pushback`] when to come back; a server that refuses by itself can
//! [do so too](Pushback::tell).

mod answer;
mod answer_body;
mod call;
mod channel;
mod config;
mod deadline;
mod errors;
mod layer;
mod lost;
mod policy;
mod protect;
mod pushback;
mod race;
mod rejection;
mod send;
mod unsent;

pub use self::answer_body::AnswerBody;
pub use self::channel::{RecoveryChannel, ResponseFuture};
pub use self::config::{ServiceConfig, ServiceConfigError};
pub use self::errors::GrpcErrors;
pub use self::layer::GrpcLayer;
pub use self::policy::{Hedging, HedgingBuilder, MethodPolicy, Retry, RetryBuilder, Throttling};
pub use self::protect::{
    ProtectBody, ProtectFuture, ProtectLayer, ProtectLayerBuilder, ProtectService, Refusal,
};
pub use self::pushback::{Pushback, pushback};
pub use self::rejection::recovery_error;
