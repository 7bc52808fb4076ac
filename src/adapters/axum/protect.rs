//! A layer that lets a server take no more than it can do.

mod admit;
mod body;
mod service;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{request, response};
use tower_layer::Layer;

pub use self::service::{ProtectFuture, ProtectService};
use super::rejection::Rejection;
use crate::bulkhead::Bulkhead;
use crate::circuit_breaker::CircuitBreaker;
use crate::classification::Outcome;
use crate::concurrency_limit::ConcurrencyLimit;
use crate::load_shedder::LoadShedder;
use crate::priority::Priority;
use crate::rate_limit::RateLimiter;
use crate::setting::{Check, SettingError};
use crate::time::Instant;

type OfRequest<T> = Arc<dyn Fn(&request::Parts) -> T + Send + Sync>;
type Judge = Arc<dyn Fn(&response::Parts) -> Outcome + Send + Sync>;

/// Protects what is behind it: a route, a router, any service of HTTP.
///
/// A request passes, in this order, the [circuit breaker](ProtectLayerBuilder::circuit_breaker), the
/// [rate limiter](ProtectLayerBuilder::rate_limit), the [load shedder](ProtectLayerBuilder::load_shedder), the
/// [bulkhead](ProtectLayerBuilder::bulkhead) and the [concurrency limit](ProtectLayerBuilder::concurrency_limit), as many of
/// them as there are, and is answered under the [time limit](ProtectLayerBuilder::timeout). Who is refused is
/// answered with the [`Rejection`] of the policy.
///
/// The policies are shared by everything that the layer, or a clone of it, is put around, and by whoever else has
/// their handles. So it limits a server of axum, which makes a service of its own for each connection and route: a limit
/// that lives in the service limits nothing there. Slots are held by the future of the answer, and come back when it
/// is dropped because the connection is gone.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use recoup::Bulkhead;
/// use recoup::axum::ProtectLayer;
///
/// let bulkhead = Bulkhead::builder(1).name("reports").build()?;
/// let protect = ProtectLayer::builder().bulkhead(bulkhead.clone()).timeout(Duration::from_secs(2)).build()?;
/// let app: Router = Router::new().route("/report", get(async || "ready")).layer(protect);
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # use tower::ServiceExt;
/// let get = || http::Request::get("/report").body(axum::body::Body::empty()).unwrap();
/// assert_eq!(app.clone().oneshot(get()).await.unwrap().status(), 200);
/// let _slot = bulkhead.try_acquire().unwrap();
/// let refused = app.oneshot(get()).await.unwrap();
/// assert_eq!(refused.status(), 503);
/// assert_eq!(refused.headers()["retry-after"], "1");
/// # });
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProtectLayer {
    rules: Arc<Rules>,
}

#[derive(Clone)]
struct Rules {
    circuit_breaker: Option<CircuitBreaker>,
    rate_limiter: Option<RateLimiter>,
    concurrency_limit: Option<ConcurrencyLimit>,
    load_shedder: Option<LoadShedder>,
    bulkhead: Option<Bulkhead>,
    timeout: Duration,
    priority: Option<OfRequest<Priority>>,
    deadline: Option<OfRequest<Option<Instant>>>,
    judge: Judge,
    until_body_ends: bool,
}

impl ProtectLayer {
    /// Begins a layer that protects from nothing yet.
    pub fn builder() -> ProtectLayerBuilder {
        let rules = Rules {
            circuit_breaker: None,
            rate_limiter: None,
            concurrency_limit: None,
            load_shedder: None,
            bulkhead: None,
            timeout: Duration::MAX,
            priority: None,
            deadline: None,
            judge: Arc::new(judge),
            until_body_ends: false,
        };
        ProtectLayerBuilder { rules, refused: None }
    }
}

impl<S> Layer<S> for ProtectLayer {
    type Service = ProtectService<S>;

    fn layer(&self, inner: S) -> ProtectService<S> {
        ProtectService::new(inner, Arc::clone(&self.rules))
    }
}

/// What an answer says of who gave it, if nobody has another opinion.
fn judge(response: &response::Parts) -> Outcome {
    match response.extensions.get::<Rejection>() {
        Some(rejection) if rejection.is_refusal() => Outcome::Ignored,
        _ if [501, 505].contains(&response.status.as_u16()) => Outcome::Success,
        _ if response.status.as_u16() >= 500 => Outcome::Failure,
        _ => Outcome::Success,
    }
}

/// Builds a [`ProtectLayer`]. Of policies it takes their builders, or handles: whoever keeps a clone of a handle can
/// look at the policy, and set it.
///
/// ```
/// use std::time::Duration;
/// use recoup::axum::ProtectLayer;
/// let error = ProtectLayer::builder().timeout(Duration::ZERO).build().unwrap_err();
/// assert_eq!(error.to_string(), "protect layer: `timeout` is 0ns, but must be longer than zero");
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ProtectLayerBuilder {
    rules: Rules,
    refused: Option<SettingError>,
}

impl ProtectLayerBuilder {
    /// The policy, or the first refusal of one, kept for [`build`](Self::build).
    fn built<P, R>(&mut self, policy: Result<P, R>) -> Option<P>
    where
        SettingError: From<R>,
    {
        match policy {
            Ok(policy) => Some(policy),
            Err(refused) => {
                self.refused.get_or_insert(refused.into());
                None
            }
        }
    }

    /// Refuses while the circuit is open: 503. What is behind it opens the circuit by what it
    /// [answers](Self::judge), and by not answering within the time limit. Default: none.
    pub fn circuit_breaker<C>(mut self, breaker: C) -> Self
    where
        C: TryInto<CircuitBreaker>,
        SettingError: From<C::Error>,
    {
        self.rules.circuit_breaker = self.built(breaker.try_into());
        self
    }

    /// Refuses what comes too often: 429. A request waits for its turn as long as the limiter lets it. Default: none.
    pub fn rate_limit<R>(mut self, limiter: R) -> Self
    where
        R: TryInto<RateLimiter>,
        SettingError: From<R::Error>,
    {
        self.rules.rate_limiter = self.built(limiter.try_into());
        self
    }

    /// Refuses more at once than what is behind it bears, as far as its answers tell: 503. Answers below 400 are
    /// samples of how long it takes; 429, 503, 504, 529 and the end of the time limit are overload; the others tell
    /// nothing. Default: none.
    pub fn concurrency_limit<C>(mut self, limit: C) -> Self
    where
        C: TryInto<ConcurrencyLimit>,
        SettingError: From<C::Error>,
    {
        self.rules.concurrency_limit = self.built(limit.try_into());
        self
    }

    /// Refuses what cannot be answered in time: 503, or 504 when the request's own [deadline](Self::deadline) has
    /// passed. Default: none.
    pub fn load_shedder<L>(mut self, shedder: L) -> Self
    where
        L: TryInto<LoadShedder>,
        SettingError: From<L::Error>,
    {
        self.rules.load_shedder = self.built(shedder.try_into());
        self
    }

    /// Refuses what there is no slot for, nor a place in the queue: 503. Default: none.
    pub fn bulkhead<B>(mut self, bulkhead: B) -> Self
    where
        B: TryInto<Bulkhead>,
        SettingError: From<B::Error>,
    {
        self.rules.bulkhead = self.built(bulkhead.try_into());
        self
    }

    /// How long what is behind it may take until the head of its answer is there, from when it has got its slots;
    /// longer than zero. Then it is dropped, and the answer is 504. The body is sent under no limit. Default:
    /// none, and [`Duration::MAX`] is none.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.rules.timeout = limit;
        self
    }

    /// How much a request matters, to those policies that ask. Default: [`Priority::Normal`].
    pub fn priority<F>(mut self, of: F) -> Self
    where
        F: Fn(&request::Parts) -> Priority + Send + Sync + 'static,
    {
        self.rules.priority = Some(Arc::new(of));
        self
    }

    /// Until when somebody waits for the answer to a request, if that is known. It waits in no queue for longer, is
    /// not begun after that, and broken off at it: 504. To circuit breaker and concurrency limit such a request was abandoned, as one whose connection
    /// is gone: what callers allow says nothing of who serves them. Default: nobody knows, and the load shedder takes
    /// its own usual deadline.
    pub fn deadline<F>(mut self, of: F) -> Self
    where
        F: Fn(&request::Parts) -> Option<Instant> + Send + Sync + 'static,
    {
        self.rules.deadline = Some(Arc::new(of));
        self
    }

    /// What an answer says of who gave it, to the circuit breaker. Default: 500 and above is a
    /// failure, but for 501 and 505, which are the caller's affair, and for [refusals](Rejection::is_refusal)
    /// of policies behind this layer, which are ignored; all else is a success.
    pub fn judge<F>(mut self, judge: F) -> Self
    where
        F: Fn(&response::Parts) -> Outcome + Send + Sync + 'static,
    {
        self.rules.judge = Arc::new(judge);
        self
    }

    /// Holds the slots of the load shedder, the bulkhead and the concurrency limit until the last byte of the answer's
    /// body is out, or the body is dropped. For bodies that cost something while they are made; who reads slowly
    /// holds slots for as long. Default: they come back when the head of the answer is there.
    pub const fn until_body_ends(mut self) -> Self {
        self.rules.until_body_ends = true;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work, of a policy's or of its own.
    pub fn build(self) -> Result<ProtectLayer, SettingError> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        Check("protect layer").longer_than_zero("timeout", self.rules.timeout)?;
        Ok(ProtectLayer { rules: Arc::new(self.rules) })
    }
}

impl fmt::Debug for ProtectLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProtectLayerBuilder").field(&self.rules).finish()
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("circuit_breaker", &self.circuit_breaker)
            .field("rate_limiter", &self.rate_limiter)
            .field("concurrency_limit", &self.concurrency_limit)
            .field("load_shedder", &self.load_shedder)
            .field("bulkhead", &self.bulkhead)
            .field("timeout", &self.timeout)
            .field("until_body_ends", &self.until_body_ends)
            .finish_non_exhaustive()
    }
}
