//! Clients and servers of gRPC, with the crate `tonic`.
//!
//! # Clients
//!
//! [`GrpcLayer`] puts a [`Recovery`](crate::Recovery) around a channel: what may be made again and when, by the
//! rules of gRPC. [`GrpcErrors`] knows what a status means, for that recovery or for a
//! [`retry`](crate::retry()) of one's own. [`MethodPolicy`] says what is different for one method, and
//! [`ServiceConfig`] reads that from JSON.

mod answer;
mod answer_body;
mod call;
mod channel;
mod config;
mod deadline;
mod errors;
mod layer;
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
