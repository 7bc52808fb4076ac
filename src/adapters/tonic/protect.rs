//! A layer that lets a server of gRPC take no more than it can do.

mod admit;
mod body;
mod builder;
mod held;
mod refusal;
mod service;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::request::Parts;
use tonic::Status;
use tower_layer::Layer;

pub use self::body::ProtectBody;
pub use self::builder::ProtectLayerBuilder;
pub use self::refusal::Refusal;
pub use self::service::{ProtectFuture, ProtectService};
use crate::bulkhead::Bulkhead;
use crate::concurrency_limit::ConcurrencyLimit;
use crate::load_shedder::LoadShedder;
use crate::priority::Priority;
use crate::random::Dice;
use crate::rate_limit::RateLimiter;

/// Protects a server of gRPC: all of it, or one service.
///
/// A call passes, in this order, the [rate limiter](ProtectLayerBuilder::rate_limiter), the
/// [load shedder](ProtectLayerBuilder::load_shedder), the [bulkhead](ProtectLayerBuilder::bulkhead) and the
/// [concurrency limit](ProtectLayerBuilder::concurrency_limit), as many of them as there are. Who is refused is
/// answered at once, by trailers only:
///
/// | refused, because | status | `grpc-retry-pushback-ms` |
/// |---|---|---|
/// | it comes too often | `RESOURCE_EXHAUSTED` | from when it is let through |
/// | it comes too often for its priority, however late | `RESOURCE_EXHAUSTED` | -1: not again |
/// | the load shedder has no room or is overloaded | `UNAVAILABLE` | what the shedder says |
/// | the bulkhead is full, the concurrency limit is reached | `UNAVAILABLE` | from [`come_back`](ProtectLayerBuilder::come_back) |
/// | the bulkhead is closed | `UNAVAILABLE` | nothing: another server may do it |
/// | its `grpc-timeout` has passed | `DEADLINE_EXCEEDED` | nothing |
///
/// No two callers are told the same time, so that a crowd does not come back as one. What the callers are told does
/// not name the policies; the response carries the [`Refusal`] as an extension, for layers around this one.
///
/// A call whose `grpc-timeout` passes while it waits is refused and never begun: nobody waits for its answer.
/// One that runs is broken off by tonic's own server. A refusal is nothing that the server did: no concurrency
/// limit, neither of this layer nor of one around it, learns from it. But a call that was let through by the rate
/// limiter has used its part of the rate, even if it is refused after that.
///
/// The policies are shared by all that the layer, or a clone of it, is put around, and by whoever else has their
/// handles, over all connections: tonic makes a service for each connection, and a limit that lived there would be
/// one for each. Slots are held by the future of the answer and come back when it is dropped because the client
/// has gone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use recoup::{Bulkhead, LoadShedder};
/// use recoup::tonic::{ProtectLayer, pushback};
/// use tonic::body::Body;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let shedder = LoadShedder::builder(64).queue(256).build()?;
/// let bulkhead = Bulkhead::builder(1).name("reports").build()?;
/// let protect = ProtectLayer::builder().load_shedder(&shedder).bulkhead(&bulkhead).build()?;
/// // Around all services: `Server::builder().layer(protect)`. Around one: `.add_service(protect.layer(service))`.
/// # let service = service_fn(|_: http::Request<Body>| async { Ok::<_, ()>(http::Response::new(Body::empty())) });
/// let service = protect.layer(service);
///
/// let _slot = bulkhead.try_acquire().unwrap();
/// let refused = service.oneshot(http::Request::new(Body::empty())).await.unwrap();
/// assert_eq!(refused.headers()["grpc-status"], "14", "UNAVAILABLE");
/// assert!(pushback(refused.headers()).is_some());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ProtectLayer {
    rules: Arc<Rules>,
}

impl ProtectLayer {
    /// Begins a layer that only refuses what comes too late.
    pub fn builder() -> ProtectLayerBuilder {
        ProtectLayerBuilder::new()
    }
}

impl<S> Layer<S> for ProtectLayer {
    type Service = ProtectService<S>;

    fn layer(&self, inner: S) -> ProtectService<S> {
        ProtectService::new(inner, Arc::clone(&self.rules))
    }
}

/// What all services of a layer share.
struct Rules {
    rate_limiter: Option<RateLimiter>,
    load_shedder: Option<LoadShedder>,
    bulkhead: Option<Bulkhead>,
    concurrency_limit: Option<ConcurrencyLimit>,
    priority: Priorities,
    come_back: Duration,
    dice: Dice,
    until_body_ends: bool,
}

/// Where the priority of a call is from.
enum Priorities {
    AllAlike,
    Metadata(HeaderName),
    Said(Box<dyn Fn(&Parts) -> Priority + Send + Sync>),
}

impl Rules {
    fn priority(&self, parts: &Parts) -> Priority {
        match &self.priority {
            Priorities::AllAlike => Priority::Normal,
            Priorities::Metadata(key) => {
                let said = parts.headers.get(key).map(http::HeaderValue::as_bytes);
                let named = |priority: &Priority| {
                    said.is_some_and(|said| said.eq_ignore_ascii_case(priority.name().as_bytes()))
                };
                Priority::ALL.into_iter().find(named).unwrap_or_default()
            }
            Priorities::Said(of) => of(parts),
        }
    }

    /// What a refused caller is told.
    fn status(&self, refusal: &Refusal) -> Status {
        let mut status = Status::new(refusal.code(), refusal.sentence());
        if let Some(pushback) = refusal.pushback(self.come_back, &self.dice) {
            pushback.tell(&mut status);
        }
        status
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("rate_limiter", &self.rate_limiter)
            .field("load_shedder", &self.load_shedder)
            .field("bulkhead", &self.bulkhead)
            .field("concurrency_limit", &self.concurrency_limit)
            .field("come_back", &self.come_back)
            .field("until_body_ends", &self.until_body_ends)
            .finish_non_exhaustive()
    }
}
